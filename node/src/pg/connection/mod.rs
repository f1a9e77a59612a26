//! One connection, from its first byte to its last.
//!
//! ```text
//!   startup ─▶ ┌ read a message ◀───────────────┐
//!              │   Query ─▶ simple              │ answers wait in the output buffer
//!              │   P B D E C H S ─▶ extended ───┘
//!              └ Terminate, end of stream, stop ─▶ the session is closed
//! ```

mod copy;
mod extended;
mod simple;
mod startup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kv::clock::Clock;
use kv::env::Rng;
use sql::error::{SqlError, SqlResult, SqlState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::cancel::{CancelTable, Registration, Signal};
use super::codec::backend::{self, Severity};
use super::codec::frontend::{Format, Message};
use super::session::{PgSession, SessionFactory};
use super::values::ValueFormat;
use super::wire::{Wire, WireError};

/// Between two messages the output leaves when it is longer than this.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at once; one more is refused with 53300.
    pub sessions: usize,
    /// How long a client may take to say who it is.
    pub startup: Duration,
}

impl Limits {
    /// 1,000 sessions, 10 seconds.
    pub fn recommended() -> Self {
        Limits { sessions: 1_000, startup: Duration::from_secs(10) }
    }
}

/// What all connections of a node share.
pub struct Server<F> {
    factory: F,
    clock: Clock,
    limits: Limits,
    cancels: CancelTable,
    sessions: Semaphore,
    stop: Signal,
}

impl<F: SessionFactory> Server<F> {
    /// A server without connections.
    pub fn new(factory: F, clock: Clock, rng: Arc<dyn Rng>, limits: Limits) -> Self {
        Server {
            factory,
            clock,
            limits,
            cancels: CancelTable::new(rng),
            sessions: Semaphore::new(limits.sessions),
            stop: Signal::default(),
        }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.cancels.len()
    }

    /// Makes every connection end with 57P01 as soon as its present statement is done.
    pub fn stop(&self) {
        self.stop.raise();
    }

    /// Completes when the server was told to stop.
    pub async fn stopped(&self) {
        self.stop.wait().await;
    }

    /// Serves one connection to its end.
    pub async fn serve<T>(&self, io: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut wire = Wire::new(io);
        let greeted = self.clock.timeout(self.limits.startup, self.greet(&mut wire)).await;
        let (session, registration, _permit) = match greeted {
            Some(Ok(Some(greeted))) => greeted,
            Some(Ok(None)) => return,
            Some(Err(end)) => return part(&mut wire, end).await,
            None => {
                let what = "the startup packet did not come in time";
                let error = SqlError::new(SqlState::PROTOCOL_VIOLATION, what);
                return part(&mut wire, End::Fatal(error)).await;
            }
        };
        let mut values = ValueFormat::new();
        for (name, value) in session.parameters() {
            values.setting(&name, &value);
        }
        let mut connection = Connection {
            wire,
            session,
            registration,
            values,
            formats: BTreeMap::new(),
            skipping: false,
            ready: true,
            clock: &self.clock,
            stop: &self.stop,
        };
        let end = connection.run().await;
        connection.session.close().await;
        part(&mut connection.wire, end).await;
    }
}

/// Why a connection ends.
enum End {
    /// The client has gone, with or without a farewell.
    Gone,
    /// The server ends it, and says why.
    Fatal(SqlError),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => {
                tracing::debug!(%error, "connection lost");
                End::Gone
            }
            WireError::Frame(error) => {
                End::Fatal(SqlError::new(SqlState::PROTOCOL_VIOLATION, error.to_string()))
            }
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        WireError::Io(error).into()
    }
}

/// The last message, if the client can still hear it.
async fn part<T: AsyncRead + AsyncWrite + Unpin + Send>(wire: &mut Wire<T>, end: End) {
    let End::Fatal(error) = end else { return };
    tracing::debug!(%error, "connection ended");
    backend::error_response(&mut wire.out, Severity::Fatal, &error);
    // It may be gone already.
    let _ = wire.shutdown().await;
}

/// A connection with a session.
struct Connection<'a, T, S> {
    wire: Wire<T>,
    session: S,
    registration: Registration,
    values: ValueFormat,
    /// Result formats of the portals, as bound. Portals end with their transaction, and so do these.
    formats: BTreeMap<String, Vec<Format>>,
    /// An error has happened: everything up to Sync is skipped (I3).
    skipping: bool,
    /// ReadyForQuery was the last that the client was told.
    ready: bool,
    clock: &'a Clock,
    stop: &'a Signal,
}

impl<T, S> Connection<'_, T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: PgSession,
{
    async fn run(&mut self) -> End {
        loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => return End::Gone,
                Err(end) => return end,
            }
        }
    }

    /// One message. False after the last.
    async fn turn(&mut self) -> Result<bool, End> {
        if self.wire.out.len() > OUTPUT_BYTES_MAX {
            self.wire.flush().await?;
        }
        let Some(frame) = self.read_in_time().await? else { return Ok(false) };
        self.ready = false;
        let tag = frame.tag;
        match (self.skipping, tag) {
            (_, b'X') => return Ok(false),
            (_, b'p') => return Err(End::Fatal(violation("a password was not asked for"))),
            // What is left of a COPY that has failed.
            (_, b'd' | b'c' | b'f') => return Ok(true),
            (true, b'S') | (false, _) => {}
            (true, _) => return Ok(true),
        }
        match (Message::decode(frame), tag) {
            (Ok(Message::Query(text)), _) => self.query(&text).await?,
            (Ok(Message::FunctionCall), _) => {
                let error = SqlError::unsupported("the function call protocol");
                self.finish_simple(Err(error)).await?;
            }
            (Ok(message), _) => self.extended(message).await?,
            (Err(error), b'Q') => self.finish_simple(Err(error)).await?,
            (Err(error), b'S') => return Err(End::Fatal(error)),
            (Err(error), _) => self.batch_failed(&error).await?,
        }
        Ok(true)
    }

    /// The next frame, unless the client is silent in a transaction for too long.
    async fn read_in_time(&mut self) -> Result<Option<super::codec::Frame>, End> {
        let Some(limit) = self.session.idle_limit().filter(|_| self.ready) else {
            return self.read().await;
        };
        let clock = self.clock;
        clock.timeout(limit, self.read()).await.unwrap_or_else(|| {
            Err(End::Fatal(SqlError::new(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            )))
        })
    }

    /// The next frame; `None` when the client has gone.
    async fn read(&mut self) -> Result<Option<super::codec::Frame>, End> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(End::Fatal(SqlError::new(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            ))),
            frame = self.wire.frame() => Ok(frame?),
        }
    }

    /// The error of a statement that a cancel request has ended.
    async fn cancelled(&mut self) -> SqlError {
        self.registration.cancel.clear();
        self.session.cancelled().await
    }
}

/// Runs a call of the session unless it is cancelled; `None` if it was.
async fn unless_cancelled<R>(
    cancel: &Signal,
    call: impl Future<Output = SqlResult<R>>,
) -> Option<SqlResult<R>> {
    // Requests that came while nothing ran mean nothing.
    cancel.clear();
    until_cancelled(cancel, call).await
}

/// The same for a call that goes on with a statement: requests since its beginning count.
async fn until_cancelled<R>(
    cancel: &Signal,
    call: impl Future<Output = SqlResult<R>>,
) -> Option<SqlResult<R>> {
    tokio::select! {
        biased;
        () = cancel.wait() => None,
        result = call => Some(result),
    }
}

fn violation(what: &str) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, what)
}

#[cfg(test)]
mod tests;
