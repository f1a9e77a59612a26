//! The binary: nodes, the shell, and what an operator needs.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a client: it has a socket, files and a clock of its own"
)]

mod args;
mod client;
mod command;
mod shell;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// What a statement has freed goes back to the machine, whichever thread it ran on; and scans allocate much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_max_level(args.log())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = match args.command {
        Command::Demo(demo) => command::demo::run(&runtime, demo),
        Command::Start(start) => command::start::run(&runtime, start),
        Command::StartSingleNode(start) => command::start::run_alone(&runtime, start),
        Command::Init(init) => command::init::run(&runtime, init),
        Command::Sql(sql) => command::sql::run(&runtime, sql),
    };
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("meridian: {error:#}");
    ExitCode::FAILURE
}
