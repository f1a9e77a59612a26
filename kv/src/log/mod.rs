//! The Raft log: entries and hard states of all groups of a node, in one store with one fsync a turn.
//!
//! Promised by every implementation:
//!
//! - I1. When [`RaftLog::write`] with `sync` has returned, the batch and every batch before it survive a
//!   power loss. A batch is there whole or not at all.
//! - I2. What was written is readable as soon as `write` has returned, synced or not. After a crash a suffix
//!   of the un-synced batches may be gone.
//! - I3. Writing entries from index i on replaces everything at i and above.
//! - I4. The log is never truncated beyond the group's durable applied index: the engine's un-synced tail is
//!   always replayable.
//!
//! - I5. A write that breaks these rules (a hole in the entries, a truncation beyond I4) is refused whole, and
//!   nothing of its batch is written.
//!
//! A group that has an applied state in the engine but nothing here is new (bootstrapped, or the right side of
//! a split): its log begins at [`INITIAL_INDEX`] and [`INITIAL_TERM`]. A group that has something here but
//! nothing in the engine is an uninitialised replica (a split will come, or was lost un-synced and is replayed by its left
//! side; its votes stay), or what is left of a removed one.

pub(crate) mod codec;
pub(crate) mod group;
pub mod raft_engine;
mod raft_engine_repair;

use futures::future::BoxFuture;
use raft::eraftpb::{Entry, HardState};

use crate::ids::RangeId;

/// Index at which every range's log begins: what lies before it is the initial state, never a log entry.
pub const INITIAL_INDEX: u64 = 10;
/// Term of the entry at [`INITIAL_INDEX`].
pub const INITIAL_TERM: u64 = 5;

/// The log can no longer be trusted. The node stops.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room left on the disk.
    #[error("raft log failed: {0}")]
    Full(String),
    /// Reading or writing failed.
    #[error("raft log failed: {0}")]
    Io(String),
    /// What was read cannot be what was written.
    #[error("raft log is damaged: {0}")]
    Corrupt(String),
    /// The caller broke a rule of this interface; nothing was written. See I5.
    #[error("raft log of {range} refuses a write: {reason}")]
    Refused {
        /// The group.
        range: RangeId,
        /// The broken rule.
        reason: &'static str,
    },
    /// The entry was truncated away or was never written.
    #[error("raft log of {range} has no entry {index}")]
    NoEntry {
        /// The group.
        range: RangeId,
        /// The missing index.
        index: u64,
    },
}

/// Changes of one group, made in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct GroupWrite {
    /// The replica is gone: everything the log knows of the group is forgotten, but for its `replica_floor`. No other field
    /// but that may be set.
    pub remove: bool,
    /// Replicas of the group with lower ids never live here, or never again. Does not go down.
    pub replica_floor: Option<u64>,
    /// A snapshot was installed (and is durable in the engine): all entries are forgotten and the log begins
    /// behind this index and term. Not bound by I4, since the snapshot is the state.
    pub reset: Option<(u64, u64)>,
    /// Entries to append, contiguous and ascending. The first may lie at or below the last index: see I3.
    pub entries: Vec<Entry>,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The engine has made everything up to this applied index durable.
    pub durable_applied: Option<u64>,
    /// Entries up to and including this index may be forgotten. The index and term of the last one stay.
    pub truncate_to: Option<u64>,
}

/// Changes of several groups, written and synced together.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    /// At most one write a group, in the order of range ids.
    pub groups: Vec<(RangeId, GroupWrite)>,
}

/// What a log knows of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupState {
    /// Last hard state written, or default.
    pub hard_state: HardState,
    /// Index and term of the last truncated entry: the entry before the first readable one.
    pub truncated: (u64, u64),
    /// Index of the last entry, or the truncated one's.
    pub last_index: u64,
    /// The engine was durable through this applied index. See I4.
    pub durable_applied: u64,
    /// Replicas with lower ids never live here, or never again: what is left of those that were removed. Zero: none was.
    pub replica_floor: u64,
}

/// The log of all groups of a node. Reads come from the store's task and see all writes.
pub trait RaftLog: Send + Sync {
    /// Groups that have anything here, ascending.
    fn groups(&self) -> Vec<RangeId>;
    /// The group's state, or `None` when nothing was ever written for it.
    fn state(&self, range: RangeId) -> Result<Option<GroupState>, LogError>;
    /// Entries with `low <= index < high`, cut to about `max_bytes` but at least one.
    fn entries(
        &self,
        range: RangeId,
        low: u64,
        high: u64,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, LogError>;
    /// The term of the entry at `index`; of the truncated one too.
    fn term(&self, range: RangeId, index: u64) -> Result<u64, LogError>;
    /// Writes a batch; with `sync`, makes it and all before it durable. Called from one task only, in order.
    fn write(&self, batch: LogBatch, sync: bool) -> BoxFuture<'_, Result<(), LogError>>;
}
