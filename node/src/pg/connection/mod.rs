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
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kv::clock::Clock;
use kv::env::Rng;
use sql::error::{SqlError, SqlResult, SqlState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cancel::{CancelTable, Registration, Signal};
use super::codec::backend::{self, Severity};
use super::codec::frontend::{Format, Message};
use super::session::{PgSession, SessionFactory};
use super::values::ValueFormat;
use super::wire::{Reader, Wire, WireError};

/// Between two messages the output leaves when it is longer than this.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// How long a statement goes on after its client has gone; a commit goes on to its end. As long may what a client has
/// sent take to be read when it can no longer be answered.
const GONE_PATIENCE: Duration = Duration::from_millis(50);

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
    sessions: Arc<Semaphore>,
    stop: Arc<Signal>,
}

impl<F: SessionFactory> Server<F> {
    /// A server without connections.
    pub fn new(factory: F, clock: Clock, rng: Arc<dyn Rng>, limits: Limits) -> Self {
        Server {
            factory,
            clock,
            limits,
            cancels: CancelTable::new(rng),
            sessions: Arc::new(Semaphore::new(limits.sessions)),
            stop: Arc::default(),
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

    /// Ends statements that compute, with 57P01: a task that computes cannot be stopped from outside.
    pub fn stop_statements(&self) {
        self.cancels.shut_down();
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
        if let Some(greeted) = self.greet(io).await {
            greeted.serve().await;
        }
    }

    /// The first part of a connection: everything up to its session. `None` if the client does not want one, or gets
    /// none.
    pub async fn greet<T>(&self, io: T) -> Option<Greeted<T, F::Session>>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut wire = Wire::new(io);
        let welcomed = self.clock.timeout(self.limits.startup, self.welcome(&mut wire)).await;
        let end = match welcomed {
            Some(Ok(Some((session, registration, permit)))) => {
                if let Some(interrupt) = session.interrupt() {
                    registration.cancel.attach(interrupt);
                }
                let (stop, clock) = (self.stop.clone(), self.clock.clone());
                return Some(Greeted { wire, session, registration, permit, stop, clock });
            }
            Some(Ok(None)) => return None,
            Some(Err(end)) => end,
            None => {
                let what = "the startup packet did not come in time";
                End::Fatal(SqlError::new(SqlState::PROTOCOL_VIOLATION, what))
            }
        };
        part(&mut wire, end).await;
        None
    }
}

/// A connection with a session, before its first statement.
pub struct Greeted<T, S> {
    wire: Wire<T>,
    session: S,
    registration: Registration,
    permit: OwnedSemaphorePermit,
    stop: Arc<Signal>,
    clock: Clock,
}

impl<T, S> Greeted<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: PgSession,
{
    /// The same connection over what becomes of its stream.
    pub fn map_io<U: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        change: impl FnOnce(T) -> std::io::Result<U>,
    ) -> std::io::Result<Greeted<U, S>> {
        let Greeted { wire, session, registration, permit, stop, clock } = self;
        Ok(Greeted { wire: wire.map_io(change)?, session, registration, permit, stop, clock })
    }

    /// Serves it to its end.
    pub async fn serve(self) {
        let Greeted { wire, session, registration, permit: _permit, stop, clock } = self;
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
            stop,
            clock,
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
    backend::error_response(&mut wire.writer.out, Severity::Fatal, &error);
    // It may be gone already.
    let _ = wire.shutdown().await;
}

/// A connection with a session.
struct Connection<T, S> {
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
    stop: Arc<Signal>,
    clock: Clock,
}

impl<T, S> Connection<T, S>
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
        if self.wire.writer.out.len() > OUTPUT_BYTES_MAX {
            self.wire.writer.flush().await;
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
        let clock = self.clock.clone();
        clock.timeout(limit, self.read()).await.unwrap_or_else(|| {
            Err(End::Fatal(SqlError::new(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            )))
        })
    }

    /// The next frame; `None` when the client has gone.
    async fn read(&mut self) -> Result<Option<super::codec::Frame>, End> {
        if !self.wire.writer.is_lost() {
            return self.read_or_stop().await;
        }
        // Whatever it was that broke the one way, nothing more than what is here is waited for on the other.
        let clock = self.clock.clone();
        clock.timeout(GONE_PATIENCE, self.read_or_stop()).await.unwrap_or(Ok(None))
    }

    async fn read_or_stop(&mut self) -> Result<Option<super::codec::Frame>, End> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(End::Fatal(SqlError::new(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            ))),
            frame = self.wire.reader.frame() => Ok(frame?),
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

/// Like [`unless_cancelled`] for a call that may take long: it ends, too, when the client has gone, a moment after that,
/// unless it commits. A commit has begun because the client asked for it, and whether somebody waits for its answer
/// changes nothing.
async fn unless_gone<T, R>(
    cancel: &Signal,
    reader: &mut Reader<T>,
    clock: &Clock,
    call: impl Future<Output = SqlResult<R>>,
) -> Result<Option<SqlResult<R>>, End>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    cancel.clear();
    until_gone(cancel, reader, clock, call).await
}

/// The same for a call that goes on with a statement.
async fn until_gone<T, R>(
    cancel: &Signal,
    reader: &mut Reader<T>,
    clock: &Clock,
    call: impl Future<Output = SqlResult<R>>,
) -> Result<Option<SqlResult<R>>, End>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let gone = async {
        reader.hung_up().await;
        clock.sleep(GONE_PATIENCE).await;
        // Only the call changes this, and after each of its polls comes one of this.
        poll_fn(|_| if cancel.is_committing() { Poll::Pending } else { Poll::Ready(()) }).await;
    };
    tokio::select! {
        biased;
        result = until_cancelled(cancel, call) => Ok(result),
        () = gone => {
            tracing::debug!("the client has gone during a statement");
            Err(End::Gone)
        }
    }
}

fn violation(what: &str) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, what)
}

#[cfg(test)]
mod tests;
