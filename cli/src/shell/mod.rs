//! The shell: statements from the command line, a file, stdin or a person.
//!
//! Results alone go to stdout: as a table where a person looks at them, and as values between tabs, a row a line,
//! where a program does. Everything else goes to stderr. A script ends at its first error, with status 1.

mod interactive;
mod meta;
mod output;
mod split;

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::args::Statements;
use crate::client::{Client, Failure, Report};

use output::{Layout, Printer};

/// How results are shown.
#[derive(Clone, Copy)]
struct Settings {
    layout: Layout,
    /// Say how long a statement took.
    timing: bool,
}

/// Runs what the command line says, or what stdin says, or opens a shell.
pub(crate) fn run(
    runtime: &Runtime,
    mut client: Client,
    statements: &Statements,
) -> anyhow::Result<ExitCode> {
    let is_terminal = io::stdout().is_terminal();
    let layout = if is_terminal { Layout::Table } else { Layout::Values };
    let mut settings = Settings { layout, timing: false };
    let mut texts = statements.execute.clone();
    if let Some(file) = &statements.file {
        let text = if file.as_os_str() == "-" {
            read_stdin()?
        } else {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            text_of(text)?
        };
        texts.push(text);
    } else if texts.is_empty() {
        if io::stdin().is_terminal() {
            return interactive::run(runtime, client, settings);
        }
        texts.push(read_stdin()?);
    }
    for text in texts {
        if !run_script(runtime, &mut client, &mut settings, &text)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).context("stdin")?;
    text_of(bytes)
}

fn text_of(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("the statements are not UTF-8")
}

/// Runs the statements of a text up to the first error. False if there was one.
fn run_script(
    runtime: &Runtime,
    client: &mut Client,
    settings: &mut Settings,
    text: &str,
) -> anyhow::Result<bool> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(command) = rest.strip_prefix('\\') {
            let (line, after) = command.split_once('\n').unwrap_or((command, ""));
            match meta::parse(line) {
                meta::Meta::Quit => return Ok(true),
                command => {
                    if !meta::run(runtime, client, settings, command)? {
                        return Ok(false);
                    }
                }
            }
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Ok(true);
        }
        let end = split::end_of_statement(rest).unwrap_or(rest.len());
        let (statement, after) = rest.split_at(end);
        if !run_statement(runtime, client, settings, statement)? {
            return Ok(false);
        }
        rest = after;
    }
}

/// Runs one statement and shows what it gives. False if it has failed.
fn run_statement(
    runtime: &Runtime,
    client: &mut Client,
    settings: &Settings,
    statement: &str,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut printer = Printer::new(settings.layout);
    let canceller = client.canceller();
    let outcome = runtime.block_on(async {
        let query = client.query(statement, |event| printer.event(event));
        let mut query = std::pin::pin!(query);
        let cancel = async {
            if tokio::signal::ctrl_c().await.is_ok() {
                // The answer is the statement's.
                let _ = canceller.await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            outcome = &mut query => outcome,
            () = cancel => Ok(()),
        }
    });
    // What came before an error counts.
    printer.finish()?;
    match outcome {
        Ok(()) => {}
        Err(Failure::Sql(report)) => {
            show_error(&report, statement);
            return Ok(false);
        }
        Err(Failure::Connection(error)) => return Err(error),
    }
    if settings.timing {
        eprintln!("Time: {:.3} ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(true)
}

/// An error as people and scripts read it.
fn show_error(report: &Report, statement: &str) {
    eprintln!("{}: {}", report.severity, report.message);
    eprintln!("SQLSTATE: {}", report.code);
    if let Some(position) = report.position {
        let before: String = statement.chars().take(position.saturating_sub(1)).collect();
        let (line, start) =
            (before.lines().count().max(1), before.rfind('\n').map_or(0, |i| i + 1));
        let text = statement[start..].lines().next().unwrap_or_default();
        let label = format!("LINE {line}: ");
        eprintln!("{label}{text}");
        let column = output::width(&label) + output::width(&before[start..]);
        eprintln!("{}^", " ".repeat(column));
    }
    if let Some(detail) = &report.detail {
        eprintln!("DETAIL: {detail}");
    }
    if let Some(hint) = &report.hint {
        eprintln!("HINT: {hint}");
    }
}
