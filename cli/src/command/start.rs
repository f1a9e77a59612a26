//! `meridian start` and `meridian start-single-node`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use node::real::http::{Health, Readiness};
use node::real::process::{Process, ProcessOptions};
use node::sessions::Sessions;
use tokio::runtime::Runtime;

use super::{asked_to_end, insist_on_insecure, resolve};
use crate::args::{Start, StartSingleNode};

/// How long a node may take to stop: longer than running statements are waited for. A thread that a disk keeps may take for
/// ever, and nothing is lost by leaving it: what was acknowledged is on the disk.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Runs a node of a cluster until it is asked to end.
pub(crate) fn run(runtime: &Runtime, start: Start) -> anyhow::Result<ExitCode> {
    insist_on_insecure(start.insecure)?;
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
        serve(options, start.http_addr.as_deref(), start.sql_memory).await
    })
}

/// Runs a cluster of one node until it is asked to end.
pub(crate) fn run_alone(runtime: &Runtime, start: StartSingleNode) -> anyhow::Result<ExitCode> {
    insist_on_insecure(start.insecure)?;
    runtime.block_on(async {
        let options = ProcessOptions {
            store: start.store,
            sql_address: resolve(&start.sql_addr).await?,
            rpc_address: resolve(&start.rpc_addr).await?,
            join: None,
        };
        serve(options, start.http_addr.as_deref(), start.sql_memory).await
    })
}

async fn serve(
    options: ProcessOptions,
    http: Option<&str>,
    memory: usize,
) -> anyhow::Result<ExitCode> {
    let store = options.store.clone();
    let health = match http {
        Some(address) => {
            let listen = Health::listen(resolve(address).await?).await;
            Some(listen.with_context(|| format!("cannot listen on {address}"))?)
        }
        None => None,
    };
    // From the first moment: a node that waits for its cluster ends as cleanly as any.
    let mut end = std::pin::pin!(asked_to_end());
    let process = tokio::select! {
        biased;
        ended = &mut end => {
            ended?;
            return Ok(ExitCode::SUCCESS);
        }
        process = Process::start(options, |node| Sessions::new(node, memory)) => process?,
    };
    let env = process.node().node().env();
    eprintln!("meridian node {} is ready", env.node_id);
    eprintln!("  sql:   {}", url(process.sql_address()));
    eprintln!("  store: {}", store.display());
    if let Some(health) = &health {
        eprintln!("  http:  http://{}/health", health.address());
    }
    let status = tokio::select! {
        biased;
        ended = &mut end => {
            ended?;
            eprintln!("stopping");
            if let Some(health) = &health {
                health.set(Readiness::NotReady("stopping".into()));
            }
            ExitCode::SUCCESS
        }
        why = process.failed(health.as_ref()) => {
            eprintln!("meridian: the store has stopped: {why}. {}", why.remedy());
            ExitCode::FAILURE
        }
    };
    if tokio::time::timeout(STOP_MAX, process.stop()).await.is_err() {
        eprintln!("meridian: a part of the node does not stop; the process ends without it");
        std::process::exit(1);
    }
    Ok(status)
}

/// What clients connect to.
pub(crate) fn url(address: std::net::SocketAddr) -> String {
    format!("postgresql://root@{address}/defaultdb?sslmode=disable")
}
