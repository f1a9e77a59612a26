//! Health over HTTP, for load balancers and supervisors.
//!
//! - `GET /health`: 200 as long as the process answers.
//! - `GET /health?ready=1`: 200 while clients may be sent to this node, otherwise 503 and the reason.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether clients may be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// No, and why not.
    NotReady(String),
}

/// What tells others how the node is. Dropping it closes the port.
pub struct Health {
    readiness: watch::Sender<Readiness>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Health {
    /// Answers from now on, for a node that is not ready. On the current runtime: the process has a health before it has
    /// a node, so the task is not of a node's scope.
    pub async fn listen(address: SocketAddr) -> io::Result<Health> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (readiness, state) = watch::channel(Readiness::NotReady("starting".into()));
        let router = Router::new().route("/health", get(health)).with_state(Arc::new(state));
        let server = tokio::task::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the HTTP port is closed");
            }
        });
        Ok(Health { readiness, address, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says from now on whether clients may be sent here.
    pub fn set(&self, readiness: Readiness) {
        self.readiness.send_replace(readiness);
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn health(
    State(readiness): State<Arc<watch::Receiver<Readiness>>>,
    RawQuery(query): RawQuery,
) -> (StatusCode, String) {
    let asks_for_readiness =
        query.is_some_and(|query| query.split('&').any(|part| part == "ready=1"));
    match &*readiness.borrow() {
        Readiness::NotReady(why) if asks_for_readiness => {
            (StatusCode::SERVICE_UNAVAILABLE, why.clone())
        }
        _ => (StatusCode::OK, "ok".into()),
    }
}
