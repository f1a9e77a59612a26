//! PostgreSQL's clients, over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kv::env::{Env, TaskScope};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::pg::{Limits, Server, SessionFactory};

/// Sockets beyond the sessions: for cancel requests, and for clients that are told that there are too many.
const FURTHER_SOCKETS: usize = 256;
/// After a failure to accept (no file descriptors left, mostly) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a stop looks whether the sessions have ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// A node's SQL port. Its tasks live in the node's scope.
pub struct SqlListener<F> {
    server: Arc<Server<F>>,
    env: Env,
    address: SocketAddr,
}

impl<F: SessionFactory> SqlListener<F> {
    /// Accepts clients from now on.
    pub fn start(
        listener: TcpListener,
        env: Env,
        factory: F,
        limits: Limits,
    ) -> io::Result<SqlListener<F>> {
        let address = listener.local_addr()?;
        let server = Server::new(factory, env.clock.clone(), env.rng.clone(), limits);
        let server = Arc::new(server);
        let sockets = Arc::new(Semaphore::new(limits.sessions + FURTHER_SOCKETS));
        let accept = accept(listener, server.clone(), env.tasks.clone(), sockets);
        env.tasks.spawn("sql.listen", Box::pin(accept));
        Ok(SqlListener { server, env, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.server.sessions()
    }

    /// Accepts nobody any more and ends every session with 57P01 after its present statement; waits for that, but
    /// not longer than `patience`. A statement that takes longer loses its connection with the node's scope, and
    /// its client does not know the outcome: nothing claims that it was rolled back.
    pub async fn stop(&self, patience: Duration) {
        self.server.stop();
        let clock = &self.env.clock;
        let ended = async {
            while self.server.sessions() > 0 {
                clock.sleep(STOP_POLL).await;
            }
        };
        if clock.timeout(patience, ended).await.is_none() {
            tracing::warn!(sessions = self.server.sessions(), "sessions did not end in time");
        }
    }
}

async fn accept<F: SessionFactory>(
    listener: TcpListener,
    server: Arc<Server<F>>,
    tasks: Arc<dyn TaskScope>,
    sockets: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = sockets.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = server.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((io, peer)) => {
                tracing::debug!(%peer, "client connected");
                // Only slower without it.
                let _ = io.set_nodelay(true);
                let server = server.clone();
                let serve = async move {
                    server.serve(io).await;
                    drop(permit);
                };
                tasks.spawn("sql.connection", Box::pin(serve));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
