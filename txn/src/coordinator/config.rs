//! What a gateway's transactions are bounded by, and what a caller may ask of one.

use std::time::Duration;

use crate::api::{MAX_ONE_PHASE_BYTES, MAX_ONE_PHASE_WRITES};

/// Bounds and intervals of a gateway's transactions.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest that one operation may go without an answer; of one that is many batches, each of them. An unknown commit
    /// may take as long again to be found out.
    pub op_timeout: Duration,
    /// How long a server waits for locks before it answers that others are still in the way, and is asked again. Well below
    /// the time after which an attempt at a node counts as failed.
    pub lock_poll: Duration,
    /// How long a transaction waits for a lock unless [`crate::db::Txn::set_lock_timeout`] says otherwise.
    pub lock_timeout: Duration,
    /// Longest that a step of the cleanup behind a transaction tries.
    pub cleanup_timeout: Duration,
    /// Pause between two signs of life. A fifth of what others take for dead.
    pub heartbeat_interval: Duration,
    /// How often one request moves its transaction in time.
    pub max_refreshes: u32,
    /// How often [`crate::db::Db::run`] starts anew.
    pub max_restarts: u32,
    /// Keys that a transaction may buffer, and savepoints it may have at a time.
    pub max_buffer_keys: usize,
    /// Bytes of keys and values that a transaction may buffer.
    pub max_buffer_bytes: usize,
    /// Buffered keys beyond which [`crate::db::Txn::make_room`] sends them.
    pub flush_keys: usize,
    /// Buffered bytes beyond which [`crate::db::Txn::make_room`] sends them.
    pub flush_bytes: usize,
    /// Keys from which a deletion of all that a span has is one entry: [`crate::db::Txn::delete_spans`].
    pub erase_from: usize,
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
            erase_from: 1_000,
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
