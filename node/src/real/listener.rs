//! PostgreSQL's clients, over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kv::env::{Env, TaskScope};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pg::{Limits, Server, SessionFactory};
use crate::scope::ScopeHandle;

/// Sockets beyond the sessions: for cancel requests, and for clients that are told that there are too many.
const FURTHER_SOCKETS: usize = 256;
/// After a failure to accept (no file descriptors left, mostly) the next attempt waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a stop looks whether the sessions have ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// A node's SQL port. Its tasks live in the node's scope: those that accept and greet with the node's own, a session with
/// its statements, and its socket with it.
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
        tasks: ScopeHandle,
        factory: F,
        limits: Limits,
    ) -> io::Result<SqlListener<F>> {
        let address = listener.local_addr()?;
        let server = Server::new(factory, env.clock.clone(), env.rng.clone(), limits);
        let server = Arc::new(server);
        let sockets = Arc::new(Semaphore::new(limits.sessions + FURTHER_SOCKETS));
        let doors = Doors { server: server.clone(), tasks, work: env.tasks.clone(), sockets };
        doors.tasks.clone().spawn("sql.listen", Box::pin(doors.accept(listener)));
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
            self.server.stop_statements();
        }
    }
}

/// Where clients come in.
struct Doors<F> {
    server: Arc<Server<F>>,
    /// Where clients are greeted.
    tasks: ScopeHandle,
    /// Where their sessions are.
    work: Arc<dyn TaskScope>,
    sockets: Arc<Semaphore>,
}

impl<F: SessionFactory> Doors<F> {
    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok(permit) = self.sockets.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                biased;
                () = self.server.stopped() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((io, peer)) => {
                    tracing::debug!(%peer, "client connected");
                    // Only slower without it.
                    let _ = io.set_nodelay(true);
                    self.greet(io, permit);
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn greet(&self, io: TcpStream, permit: OwnedSemaphorePermit) {
        let (server, work) = (self.server.clone(), self.work.clone());
        let greet = async move {
            let Some(greeted) = server.greet(io).await else { return };
            let serve = async move {
                // From here on the socket is looked after by the threads that its session runs on.
                let moved = greeted.map_io(|io| TcpStream::from_std(io.into_std()?));
                match moved {
                    Ok(greeted) => greeted.serve().await,
                    Err(error) => tracing::warn!(%error, "connection lost"),
                }
                drop(permit);
            };
            work.spawn("sql.connection", Box::pin(serve));
        };
        self.tasks.spawn("sql.greet", Box::pin(greet));
    }
}
