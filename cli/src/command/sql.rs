//! `meridian sql`.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::args::Sql;
use crate::client::Client;
use crate::shell;

/// Opens a shell on a server, or runs statements there.
pub(crate) fn run(runtime: &Runtime, sql: Sql) -> anyhow::Result<ExitCode> {
    let client = runtime.block_on(Client::connect(&sql.url))?;
    shell::run(runtime, client, &sql.statements)
}
