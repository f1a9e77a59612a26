//! `SimLog`: the Raft log of a simulated node, in memory with a journal on a [`SimDisk`].
//!
//! One batch is one checksummed record, so a batch is there whole or not at all, and a crash leaves all synced
//! batches and a prefix of the others. A write that is dropped at its await has been appended and not synced:
//! after it the node is gone, and nobody was told that it is durable.
//!
//! With the mutant *ack before fsync*, `write` with `sync` returns at once and syncs only every eighth time:
//! what a forgotten or misplaced fsync does. It never shows without a crash.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use futures::future::BoxFuture;
use protobuf::Message;
use raft::eraftpb::Entry;

use crate::ids::RangeId;
use crate::log::group::{self, MemGroup};
use crate::log::{GroupState, GroupWrite, LogBatch, LogError, RaftLog, codec};
use crate::sim::disk::{DiskError, SimDisk};
use crate::sim::journal::Journal;

const FILE: &str = "raft-log";
/// Below this a journal is never rewritten.
const REWRITE_FLOOR: usize = 256 << 10;
/// How seldom the mutant syncs.
const MUTANT_SYNC_EVERY: u64 = 8;

/// A Raft log in memory, as durable as its simulated disk.
pub struct SimLog {
    state: RwLock<State>,
    journal: Journal,
    rewrite_floor: usize,
    mutant_ack_before_fsync: bool,
    syncs_asked: AtomicU64,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<RangeId, MemGroup>,
    /// Length of the journal after its last rewrite.
    rewritten_len: usize,
}

impl SimLog {
    /// Opens what the disk holds.
    pub fn open(disk: Arc<SimDisk>, mutant_ack_before_fsync: bool) -> Result<Self, LogError> {
        Self::open_with(disk, mutant_ack_before_fsync, REWRITE_FLOOR)
    }

    /// Opens with a chosen length below which the journal is not rewritten.
    pub fn open_with(
        disk: Arc<SimDisk>,
        mutant_ack_before_fsync: bool,
        rewrite_floor: usize,
    ) -> Result<Self, LogError> {
        let (journal, records) = Journal::open(disk, FILE)?;
        let mut state = State::default();
        for record in records {
            let batch = codec::decode_batch(record)?;
            state.check(&batch).map_err(|error| LogError::Corrupt(error.to_string()))?;
            state.apply(batch);
        }
        Ok(Self {
            state: RwLock::new(state),
            journal,
            rewrite_floor,
            mutant_ack_before_fsync,
            syncs_asked: AtomicU64::new(0),
        })
    }

    fn append(&self, batch: LogBatch) -> Result<(), LogError> {
        let mut state = self.state.write().expect("no panic while the log is held");
        state.check(&batch)?;
        if batch.groups.is_empty() {
            return Ok(());
        }
        self.journal.append(&codec::encode_batch(&batch)?)?;
        state.apply(batch);
        if self.journal.len() > self.rewrite_floor + 3 * state.rewritten_len {
            let batches = state
                .groups
                .iter()
                .map(|(range, group)| codec::encode_batch(&whole(*range, group)));
            self.journal.rewrite(batches.collect::<Result<Vec<_>, _>>()?)?;
            state.rewritten_len = self.journal.len();
        }
        Ok(())
    }
}

impl RaftLog for SimLog {
    fn groups(&self) -> Vec<RangeId> {
        self.state.read().expect("no panic while the log is held").groups.keys().copied().collect()
    }

    fn state(&self, range: RangeId) -> Result<Option<GroupState>, LogError> {
        let state = self.state.read().expect("no panic while the log is held");
        Ok(state.groups.get(&range).map(|group| group.state.clone()))
    }

    fn entries(
        &self,
        range: RangeId,
        low: u64,
        high: u64,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, LogError> {
        let state = self.state.read().expect("no panic while the log is held");
        if low >= high {
            return Ok(Vec::new());
        }
        let group = state.groups.get(&range).ok_or(LogError::NoEntry { range, index: low })?;
        // All or nothing, even where the bound would have ended before the missing one.
        for index in [low, high - 1] {
            if group.entry(index).is_none() {
                return Err(LogError::NoEntry {
                    range,
                    index: index.min(low.max(group.state.last_index + 1)),
                });
            }
        }
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in (low..high).filter_map(|index| group.entry(index)) {
            bytes += u64::from(entry.compute_size());
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, range: RangeId, index: u64) -> Result<u64, LogError> {
        let state = self.state.read().expect("no panic while the log is held");
        let group = state.groups.get(&range).ok_or(LogError::NoEntry { range, index })?;
        if index == group.state.truncated.0 {
            return Ok(group.state.truncated.1);
        }
        Ok(group.entry(index).ok_or(LogError::NoEntry { range, index })?.term)
    }

    fn write(&self, batch: LogBatch, sync: bool) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            self.append(batch)?;
            if !sync {
                return Ok(());
            }
            let asked = self.syncs_asked.fetch_add(1, Ordering::Relaxed) + 1;
            if self.mutant_ack_before_fsync && !asked.is_multiple_of(MUTANT_SYNC_EVERY) {
                return Ok(());
            }
            Ok(self.journal.sync().await?)
        })
    }
}

impl State {
    fn check(&self, batch: &LogBatch) -> Result<(), LogError> {
        for (range, write) in &batch.groups {
            group::check(*range, self.groups.get(range).map(|group| &group.state), write)?;
        }
        Ok(())
    }

    fn apply(&mut self, batch: LogBatch) {
        for (range, write) in batch.groups {
            let group = self.groups.get(&range).map(|group| &group.state);
            match write.remove.then(|| group::removed(group, &write)) {
                Some(None) => drop(self.groups.remove(&range)),
                Some(Some(state)) => {
                    self.groups.insert(range, MemGroup { state, entries: VecDeque::new() });
                }
                None => self.groups.entry(range).or_default().apply(write),
            }
        }
    }
}

/// The write that makes the group out of nothing.
fn whole(range: RangeId, group: &MemGroup) -> LogBatch {
    let write = GroupWrite {
        reset: Some(group.state.truncated),
        entries: group.entries.iter().cloned().collect(),
        hard_state: Some(group.state.hard_state.clone()),
        durable_applied: Some(group.state.durable_applied),
        replica_floor: Some(group.state.replica_floor),
        ..GroupWrite::default()
    };
    LogBatch { groups: vec![(range, write)] }
}

impl From<DiskError> for LogError {
    fn from(error: DiskError) -> Self {
        match error.full {
            true => LogError::Full(error.to_string()),
            false => LogError::Io(error.to_string()),
        }
    }
}
