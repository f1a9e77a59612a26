//! One module a command.

pub(crate) mod demo;
pub(crate) mod init;
pub(crate) mod sql;
pub(crate) mod start;

use std::net::SocketAddr;

use anyhow::{Context, bail};

/// Resolves `host:port`.
async fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("cannot resolve the address {address}"))?;
    found.next().with_context(|| format!("the address {address} leads nowhere"))
}

fn insist_on_insecure(insecure: bool) -> anyhow::Result<()> {
    if !insecure {
        bail!("connections are not encrypted yet: say so with --insecure");
    }
    Ok(())
}

/// Completes when the process is asked to end.
async fn asked_to_end() -> anyhow::Result<()> {
    tokio::select! {
        biased;
        ended = terminated() => ended,
        ended = tokio::signal::ctrl_c() => Ok(ended?),
    }
}

/// Completes at SIGTERM.
async fn terminated() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
