//! raft-rs's view of a group's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error, StorageError};

use super::recent::{Recent, RecentBytes};
use super::weight::Weight;
use crate::ids::RangeId;
use crate::log::{GroupState, INITIAL_INDEX, INITIAL_TERM, LogError, RaftLog};

/// A group's log with its bounds kept at hand, because raft-rs asks for them all the time.
pub(crate) struct GroupStorage {
    range: RangeId,
    log: Arc<dyn RaftLog>,
    conf_state: ConfState,
    hard_state: HardState,
    truncated: (u64, u64),
    last_index: u64,
    recent: Recent,
    weight: Weight,
    /// Index and term of the last entry that was applied.
    applied: (u64, u64),
    gate: Arc<SnapshotGate>,
    /// The group does not ask for snapshots.
    is_paused: bool,
}

/// Whether Raft may ask for a snapshot: a store sends one at a time.
#[derive(Default)]
pub(crate) struct SnapshotGate {
    is_closed: AtomicBool,
}

impl SnapshotGate {
    pub(crate) fn set(&self, is_open: bool) {
        self.is_closed.store(!is_open, Ordering::Relaxed);
    }
}

impl GroupStorage {
    /// The storage of a group that has applied through this index, an entry of this term; an absent log is an initial one.
    pub(crate) fn open(
        log: Arc<dyn RaftLog>,
        range: RangeId,
        conf_state: ConfState,
        (applied, applied_term): (u64, u64),
        recent: Arc<RecentBytes>,
        gate: Arc<SnapshotGate>,
    ) -> Result<Self, LogError> {
        let initial = || {
            let hard_state =
                HardState { term: INITIAL_TERM, commit: INITIAL_INDEX, ..HardState::default() };
            GroupState {
                hard_state,
                truncated: (INITIAL_INDEX, INITIAL_TERM),
                last_index: INITIAL_INDEX,
                ..GroupState::default()
            }
        };
        let mut state = log.state(range)?.unwrap_or_else(initial);
        if state.last_index == 0 {
            // Only a hard state was written so far.
            let start = initial();
            state.truncated = start.truncated;
            state.last_index = start.last_index;
        }
        if state.hard_state.term == 0 {
            state.hard_state = initial().hard_state;
        }
        // What is applied was committed, even if the log has not heard of it.
        state.hard_state.commit = state.hard_state.commit.max(applied);
        if applied > state.last_index || applied < state.truncated.0 {
            return Err(LogError::Corrupt(format!(
                "{range} has applied {applied}, but its log covers {} to {}",
                state.truncated.0, state.last_index
            )));
        }
        state.hard_state.commit = state.hard_state.commit.min(state.last_index);
        Ok(GroupStorage {
            range,
            log,
            conf_state,
            hard_state: state.hard_state,
            truncated: state.truncated,
            last_index: state.last_index,
            recent: Recent::new(recent),
            weight: Weight::default(),
            applied: (applied, applied_term),
            gate,
            is_paused: false,
        })
    }

    /// The storage of an uninitialised replica: it has its hard state and no log. Whatever entries it is offered follow
    /// something that it does not have.
    pub(crate) fn uninitialised(
        log: Arc<dyn RaftLog>,
        range: RangeId,
        recent: Arc<RecentBytes>,
    ) -> Result<Self, LogError> {
        let known = log.state(range)?.map(|state| state.hard_state).unwrap_or_default();
        Ok(GroupStorage {
            range,
            log,
            conf_state: ConfState::default(),
            hard_state: HardState { commit: 0, ..known },
            truncated: (0, 0),
            last_index: 0,
            recent: Recent::new(recent),
            weight: Weight::default(),
            applied: (0, 0),
            gate: Arc::default(),
            is_paused: false,
        })
    }

    /// Term and vote as they were when the group was opened.
    pub(super) fn first_vote(&self) -> (u64, u64) {
        (self.hard_state.term, self.hard_state.vote)
    }

    /// The log now ends with these entries.
    pub(super) fn note_appended(&mut self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.last_index = last.index;
        }
        self.weight.append(&entries);
        self.recent.append(entries);
    }

    /// Entries through this one are applied.
    pub(super) fn note_applied(&mut self, index: u64, term: u64) {
        self.recent.applied(index);
        self.applied = (index, term);
    }

    /// The group does not ask for snapshots, or does again.
    pub(super) fn pause_snapshots(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Who votes, as of the last applied entry.
    pub(super) fn note_conf(&mut self, conf_state: ConfState) {
        self.conf_state = conf_state;
    }

    /// The log now begins after `index`.
    pub(crate) fn note_truncated(&mut self, index: u64, term: u64) {
        self.truncated = (index, term);
        self.weight.truncate(index);
    }

    /// Bytes of the log, about.
    pub(super) fn bytes(&self) -> u64 {
        self.weight.bytes()
    }

    /// The entries of the half-open interval, up to `max_bytes` but one at least.
    pub(crate) fn read(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Entry>, LogError> {
        match self.recent.read(low, high, max_bytes) {
            Some(entries) => Ok(entries),
            None => self.log.entries(self.range, low, high, max_bytes),
        }
    }

    /// Index of the entry before the first one.
    pub(crate) fn truncated_index(&self) -> u64 {
        self.truncated.0
    }
}

fn to_raft(error: LogError) -> Error {
    match error {
        LogError::NoEntry { .. } => Error::Store(StorageError::Unavailable),
        other => Error::Store(StorageError::Other(Box::new(other))),
    }
}

impl Storage for GroupStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let (hard_state, conf_state) = (self.hard_state.clone(), self.conf_state.clone());
        Ok(RaftState { hard_state, conf_state })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        let max_bytes = max_size.into().unwrap_or(u64::MAX);
        self.read(low, high, max_bytes).map_err(to_raft)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        if index < self.truncated.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if index > self.last_index {
            return Err(Error::Store(StorageError::Unavailable));
        }
        match self.recent.term(index) {
            Some(term) => Ok(term),
            None => self.log.term(self.range, index).map_err(to_raft),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index)
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let (index, term) = self.applied;
        if term == 0 || self.is_paused || self.gate.is_closed.load(Ordering::Relaxed) {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        // The store makes the rest, and sends it: this says what it has at least.
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        (metadata.index, metadata.term) = (index, term);
        metadata.set_conf_state(self.conf_state.clone());
        Ok(snapshot)
    }
}
