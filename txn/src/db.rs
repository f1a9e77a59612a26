//! The database as a gateway offers it: transactions over keys.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kv::env::Env;
use kv::seam::Routing;

use crate::api::{Batches, MAX_ONE_PHASE_BYTES, MAX_ONE_PHASE_WRITES};
pub use crate::api::{LockStrength, WaitPolicy};
use crate::coordinator::sender::Sender;
pub use crate::coordinator::{BodyError, CommitDeadline, RowLock, Savepoint, Txn, TxnError};

/// Bounds and intervals of a gateway's transactions.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest that one operation may go without an answer; of one that is many batches, each of them. An unknown commit
    /// may take as long again to be found out.
    pub op_timeout: Duration,
    /// How long a server waits for locks before it answers that others are still in the way, and is asked again. Well below
    /// the time after which an attempt at a node counts as failed.
    pub lock_poll: Duration,
    /// How long a transaction waits for a lock unless [`Txn::set_lock_timeout`] says otherwise.
    pub lock_timeout: Duration,
    /// Longest that a step of the cleanup behind a transaction tries.
    pub cleanup_timeout: Duration,
    /// Pause between two signs of life. A fifth of what others take for dead.
    pub heartbeat_interval: Duration,
    /// How often one request moves its transaction in time.
    pub max_refreshes: u32,
    /// How often [`Db::run`] starts anew.
    pub max_restarts: u32,
    /// Keys that a transaction may buffer, and savepoints it may have at a time.
    pub max_buffer_keys: usize,
    /// Bytes of keys and values that a transaction may buffer.
    pub max_buffer_bytes: usize,
    /// Buffered keys beyond which [`Txn::make_room`] sends them.
    pub flush_keys: usize,
    /// Buffered bytes beyond which [`Txn::make_room`] sends them.
    pub flush_bytes: usize,
    /// Keys that a transaction may lock.
    pub max_locks: usize,
    /// Read spans that are told apart.
    pub max_read_spans: usize,
    /// Bytes of the keys of the read spans that are told apart.
    pub max_read_span_bytes: usize,
    /// Requests of one batch.
    pub batch_requests: usize,
    /// Bytes of one batch.
    pub batch_bytes: usize,
    /// Writes of a one-phase commit, and further keys that it unlocks.
    pub one_phase_writes: usize,
    /// Bytes of what a one-phase commit writes and of the keys that it unlocks.
    pub one_phase_bytes: usize,
    /// Bytes of the keys that a transaction's record names; beyond, it has spans over them.
    pub max_record_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            op_timeout: Duration::from_secs(10),
            lock_poll: Duration::from_millis(300),
            lock_timeout: Duration::from_secs(10),
            cleanup_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(1),
            max_refreshes: 5,
            max_restarts: 20,
            max_buffer_keys: 1_000_000,
            max_buffer_bytes: 64 << 20,
            flush_keys: 100_000,
            flush_bytes: 16 << 20,
            max_locks: 1_000_000,
            max_read_spans: 10_000,
            max_read_span_bytes: 4 << 20,
            batch_requests: 1_000,
            batch_bytes: 2 << 20,
            one_phase_writes: MAX_ONE_PHASE_WRITES,
            one_phase_bytes: MAX_ONE_PHASE_BYTES,
            max_record_bytes: 256 << 10,
        }
    }
}

/// What a caller may ask of a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct TxnOptions {
    /// Higher wins where two transactions block each other.
    pub priority: u32,
    /// Every operation ends by this time of the node's monotonic clock, if not by its own time limit.
    pub deadline: Option<Duration>,
}

/// A gateway to the database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    sender: Sender,
}

impl Db {
    /// A gateway on the node of `env` that reaches the ranges through `routing`.
    pub fn new(env: Env, routing: Arc<dyn Routing<Batches>>, config: Config) -> Self {
        Db { sender: Sender::new(env, routing, config) }
    }

    /// Begins a transaction, now. Sends nothing.
    pub fn begin(&self, options: TxnOptions) -> Txn {
        Txn::begin(self.sender.clone(), options)
    }

    /// Runs `body` in a transaction and commits it; as long as that fails with [`TxnError::Retry`], starts
    /// anew, with a new transaction, after a growing pause and with a higher priority. Any other error of the
    /// body rolls back and is returned. The body may run many times: its effects must be on the transaction.
    ///
    /// The body is `|txn| Box::pin(async move { .. })` and owns what it uses: with an async closure the compiler
    /// cannot prove that what it captures may be sent to another thread.
    pub async fn run<T, E: BodyError>(
        &self,
        options: TxnOptions,
        mut body: impl for<'t> FnMut(&'t mut Txn) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, E> {
        let mut options = options;
        let mut restarts = 0;
        loop {
            let mut txn = self.begin(options);
            let error = match body(&mut txn).await {
                Ok(output) => match txn.commit().await {
                    Ok(_) => return Ok(output),
                    Err(error) => E::from(error),
                },
                Err(error) => error,
            };
            txn.rollback();
            drop(txn);
            let again = error.as_txn_error().is_some_and(TxnError::is_retry);
            if !again
                || restarts == self.sender.config.max_restarts
                || self.is_past(options.deadline)
            {
                return Err(error);
            }
            restarts += 1;
            options.priority = options.priority.saturating_add(1);
            self.pause(restarts).await;
        }
    }

    fn is_past(&self, deadline: Option<Duration>) -> bool {
        deadline.is_some_and(|deadline| self.sender.env.clock.monotonic() >= deadline)
    }

    /// From half to all of 2 ms, doubled with every restart up to half a second: two transactions that collide
    /// must not meet again.
    async fn pause(&self, restarts: u32) {
        let longest = (1_000u64 << restarts.min(20)).min(500_000);
        let micros = longest / 2 + self.sender.env.rng.below(longest / 2 + 1);
        self.sender.env.clock.sleep(Duration::from_micros(micros)).await;
    }
}
