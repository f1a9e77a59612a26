//! `meridian demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use node::real::process::start_cluster;
use node::sessions::{DEFAULT_NODE_BYTES, Sessions};
use tokio::runtime::Runtime;

use super::start::url;
use super::{resolve, terminated};
use crate::args::Demo;
use crate::client::Client;
use crate::shell;

/// Starts a cluster within this process, and a shell on it.
pub(crate) fn run(runtime: &Runtime, demo: Demo) -> anyhow::Result<ExitCode> {
    let temporary = match &demo.store {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("no directory for the stores")?),
    };
    let directory = match (&demo.store, &temporary) {
        (Some(directory), _) => directory.as_path(),
        (None, Some(temporary)) => temporary.path(),
        (None, None) => anyhow::bail!("no directory for the stores"),
    };
    runtime.spawn(end_on_request(temporary.as_ref().map(|directory| directory.path().to_owned())));
    let processes = runtime.block_on(async {
        let sql_address = resolve(&demo.sql_addr).await?;
        anyhow::Ok(
            start_cluster(directory, demo.nodes, sql_address, |node| {
                Sessions::new(node, DEFAULT_NODE_BYTES)
            })
            .await?,
        )
    })?;
    let urls: Vec<String> = processes.iter().map(|process| url(process.sql_address())).collect();
    for url in &urls {
        eprintln!("{url}");
    }
    let outcome = match urls.first() {
        Some(url) => runtime
            .block_on(Client::connect(url))
            .and_then(|client| shell::run(runtime, client, &demo.statements)),
        None => Ok(ExitCode::SUCCESS),
    };
    runtime.block_on(async {
        for process in processes {
            process.stop().await;
        }
    });
    outcome
}

/// Ends the demo when the process is asked to. The stores outlive a process that ends anywhere; those that nobody will
/// look for go.
async fn end_on_request(temporary: Option<PathBuf>) {
    if terminated().await.is_err() {
        return;
    }
    if let Some(directory) = temporary {
        // The process is ending: there is nobody left to tell.
        let _ = std::fs::remove_dir_all(directory);
    }
    std::process::exit(0);
}
