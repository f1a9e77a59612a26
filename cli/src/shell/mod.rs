//! The shell: statements from the command line, a file, stdin or a person.
//!
//! Results alone go to stdout: as a table where a person looks at them, and as values between tabs, a row a line,
//! where a program does. Everything else goes to stderr. A script ends at its first error, with status 1.

mod interactive;
mod meta;
mod output;
mod split;

use std::io::{self, BufRead, IsTerminal};
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
    match &statements.file {
        Some(file) if file.as_os_str() != "-" => {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            texts.push(text_of(text)?);
        }
        Some(_) => {}
        None if texts.is_empty() && io::stdin().is_terminal() => {
            return interactive::run(runtime, client, settings);
        }
        None => {}
    }
    let with_stdin = match &statements.file {
        Some(file) => file.as_os_str() == "-",
        None => texts.is_empty(),
    };
    for text in texts {
        if run_script(runtime, &mut client, &mut settings, &text)? == Ran::Failed {
            return Ok(ExitCode::FAILURE);
        }
    }
    if with_stdin {
        return run_stdin(runtime, &mut client, &mut settings);
    }
    Ok(ExitCode::SUCCESS)
}

/// How a script went.
#[derive(PartialEq, Eq)]
enum Ran {
    /// To its end.
    Whole,
    /// To a `\q`.
    Quit,
    /// To its first error.
    Failed,
}

/// Runs statements of stdin, each as soon as it is whole: whoever writes them may wait for their results.
fn run_stdin(
    runtime: &Runtime,
    client: &mut Client,
    settings: &mut Settings,
) -> anyhow::Result<ExitCode> {
    let mut pending = String::new();
    for line in io::stdin().lock().split(b'\n') {
        pending.push_str(&text_of(line.context("stdin")?)?);
        pending.push('\n');
        let whole = if split::is_blank(&pending) || pending.trim_start().starts_with('\\') {
            pending.len()
        } else {
            split::end_of_last(&pending)
        };
        let text: String = pending.drain(..whole).collect();
        match run_script(runtime, client, settings, &text)? {
            Ran::Whole => {}
            Ran::Quit => return Ok(ExitCode::SUCCESS),
            Ran::Failed => return Ok(ExitCode::FAILURE),
        }
    }
    match run_script(runtime, client, settings, &pending)? {
        Ran::Failed => Ok(ExitCode::FAILURE),
        Ran::Whole | Ran::Quit => Ok(ExitCode::SUCCESS),
    }
}

fn text_of(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("the statements are not UTF-8")
}

/// Runs the statements of a text up to the first error.
fn run_script(
    runtime: &Runtime,
    client: &mut Client,
    settings: &mut Settings,
    text: &str,
) -> anyhow::Result<Ran> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(command) = rest.strip_prefix('\\') {
            let (line, after) = command.split_once('\n').unwrap_or((command, ""));
            match meta::parse(line) {
                meta::Meta::Quit => return Ok(Ran::Quit),
                command => {
                    if !meta::run(runtime, client, settings, command)? {
                        return Ok(Ran::Failed);
                    }
                }
            }
            rest = after;
            continue;
        }
        if split::is_blank(rest) {
            return Ok(Ran::Whole);
        }
        let end = split::end_of_statement(rest).unwrap_or(rest.len());
        let (statement, after) = rest.split_at(end);
        if !run_statement(runtime, client, settings, statement)? {
            return Ok(Ran::Failed);
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
