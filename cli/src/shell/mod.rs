//! The shell: statements from the command line, a file, stdin or a person.
//!
//! Results alone go to stdout: as a table where a person looks at them, and as values between tabs, a row a line,
//! where a program does. Everything else goes to stderr. A script ends at its first error, with status 1.

mod highlight;
mod interactive;
mod interrupt;
mod keywords;
mod meta;
mod output;
mod source;
mod split;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use tokio::runtime::Runtime;

use crate::args::Statements;
use crate::client::{Client, Failure, Report};

use interrupt::Interrupt;
use output::{Layout, Printer};
use source::{Item, Source};

/// How results are shown, and what stops them.
struct Settings {
    layout: Layout,
    /// Say how long a statement took.
    timing: bool,
    interrupt: Interrupt,
}

/// Runs what the command line says, or what stdin says, or opens a shell.
pub(crate) fn run(
    runtime: &Runtime,
    mut client: Client,
    statements: &Statements,
) -> anyhow::Result<ExitCode> {
    let is_terminal = io::stdout().is_terminal();
    let layout = if is_terminal { Layout::Table } else { Layout::Values };
    let interrupt = Interrupt::listen().context("Ctrl-C cannot be listened for")?;
    let mut settings = Settings { layout, timing: false, interrupt };
    let with_stdin = match &statements.file {
        Some(file) => file.as_os_str() == "-",
        None => statements.execute.is_empty(),
    };
    if with_stdin && statements.file.is_none() && io::stdin().is_terminal() {
        return interactive::run(runtime, client, settings);
    }
    let mut sources: Vec<Source<'_>> =
        statements.execute.iter().map(|text| Source::text(text)).collect();
    match &statements.file {
        Some(file) if !with_stdin => {
            let open = File::open(file).with_context(|| file.display().to_string())?;
            sources.push(Source::reader(BufReader::new(open)));
        }
        _ if with_stdin => sources.push(Source::reader(BufReader::new(io::stdin()))),
        _ => {}
    }
    for mut source in sources {
        match run_script(runtime, &mut client, &mut settings, &mut source)? {
            Ran::Whole => {}
            Ran::Quit => break,
            Ran::Failed => return Ok(ExitCode::FAILURE),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How a script went.
enum Ran {
    /// To its end.
    Whole,
    /// To a `\q`.
    Quit,
    /// To its first error.
    Failed,
}

/// Runs a script up to its first error.
fn run_script(
    runtime: &Runtime,
    client: &mut Client,
    settings: &mut Settings,
    source: &mut Source<'_>,
) -> anyhow::Result<Ran> {
    while let Some(item) = source.next()? {
        let is_done = match item {
            Item::Statement(statement) => {
                run_statement(runtime, client, settings, &statement, source.data())?
            }
            Item::Command(command) => match meta::parse(&command) {
                meta::Meta::Quit => return Ok(Ran::Quit),
                command => meta::run(runtime, client, settings, command)?,
            },
        };
        if !is_done {
            return Ok(Ran::Failed);
        }
    }
    Ok(Ran::Whole)
}

/// Runs one statement and shows what it gives; `data` are the lines for its COPY FROM STDIN, if it is one. False if it
/// has failed, or was interrupted.
fn run_statement(
    runtime: &Runtime,
    client: &mut Client,
    settings: &Settings,
    statement: &str,
    mut data: impl FnMut() -> anyhow::Result<Option<String>>,
) -> anyhow::Result<bool> {
    let interrupt = &settings.interrupt;
    interrupt.begin();
    let data = || {
        let line = data()?;
        if interrupt.is_raised() {
            bail!("canceled by user");
        }
        Ok(line)
    };
    let begun = Instant::now();
    let mut printer = Printer::new(settings.layout);
    let canceller = client.canceller();
    let outcome = runtime.block_on(async {
        let query = client.query(statement, |event| printer.event(event), data);
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
    let is_interrupted = interrupt.end();
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
    // It was done before it could be cancelled; what comes after it is not begun.
    Ok(!is_interrupted)
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
    if let Some(context) = &report.context {
        eprintln!("CONTEXT: {context}");
    }
}
