//! `meridian start` and `meridian start-single-node`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use node::real::process::{Process, ProcessOptions};
use node::sessions::Sessions;
use tokio::runtime::Runtime;

use super::{asked_to_end, insist_on_insecure, resolve};
use crate::args::{Start, StartSingleNode};

/// Runs a node of a cluster until it is asked to end.
pub(crate) fn run(runtime: &Runtime, start: Start) -> anyhow::Result<ExitCode> {
    insist_on_insecure(start.insecure)?;
    warn_of_http(start.http_addr.as_deref());
    runtime.block_on(async {
        let mut join = BTreeSet::new();
        for address in &start.join {
            join.insert(resolve(address.trim()).await?);
        }
        let options = ProcessOptions {
            store: start.store,
            sql_address: resolve(&start.sql_addr).await?,
            rpc_address: resolve(&start.rpc_addr).await?,
            join: Some(join),
        };
        serve(options).await
    })
}

/// Runs a cluster of one node until it is asked to end.
pub(crate) fn run_alone(runtime: &Runtime, start: StartSingleNode) -> anyhow::Result<ExitCode> {
    insist_on_insecure(start.insecure)?;
    warn_of_http(start.http_addr.as_deref());
    runtime.block_on(async {
        let options = ProcessOptions {
            store: start.store,
            sql_address: resolve(&start.sql_addr).await?,
            rpc_address: resolve(&start.rpc_addr).await?,
            join: None,
        };
        serve(options).await
    })
}

async fn serve(options: ProcessOptions) -> anyhow::Result<ExitCode> {
    let store = options.store.clone();
    // From the first moment: a node that waits for its cluster ends as cleanly as any.
    let mut end = std::pin::pin!(asked_to_end());
    let process = tokio::select! {
        biased;
        ended = &mut end => {
            ended?;
            return Ok(ExitCode::SUCCESS);
        }
        process = Process::start(options, Sessions::new) => process?,
    };
    let env = process.node().node().env();
    eprintln!("meridian node {} is ready", env.node_id);
    eprintln!("  sql:   {}", url(process.sql_address()));
    eprintln!("  store: {}", store.display());
    end.await?;
    eprintln!("stopping");
    process.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// What clients connect to.
pub(crate) fn url(address: std::net::SocketAddr) -> String {
    format!("postgresql://root@{address}/defaultdb?sslmode=disable")
}

fn warn_of_http(address: Option<&str>) {
    if let Some(address) = address {
        eprintln!("meridian: nothing is served at {address} yet: --http-addr is ignored");
    }
}
