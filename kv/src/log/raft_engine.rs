//! `RaftEngineLog`: the Raft log of a real node, in the crate raft-engine.
//!
//! - L1. One [`LogBatch`] is one append and, with `sync`, one `fdatasync`, whatever the number of groups. The
//!   caller's thread blocks meanwhile.
//! - L2. Entries are raft-engine's entries. A group's hard state, truncation point and durable applied index are
//!   its key-values `h`, `t` and `d`, each behind a version byte.
//! - L3. The states of all groups are in memory as well, read once at opening; entries are read from the files.
//! - L4. An entry at or below the truncation point is never shown, whether or not raft-engine still has it.
//!
//! Hazards, read in raft-engine 0.4.2:
//!
//! - A write of an *empty* batch returns at once and syncs nothing, and so does its `sync()`. An empty batch with
//!   `sync` therefore writes a marker in a group of its own, which nobody else sees.
//! - A hole in a group's entries, or an append below what was compacted, panics: [`super::group::check`] refuses
//!   both before.
//! - A failed fsync panics, which is right: the node must stop.
//! - A file is truncated and fsynced before the next one is begun, so an un-synced write does not stay behind in
//!   a sealed file.
//! - `Compact` takes the first index to *keep*.
//! - A purge rewrites live entries of old files, which costs what it copies. It runs in the writing thread after
//!   every [`PURGE_EVERY`] bytes, and does nothing below the threshold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use raft::eraftpb::Entry;
use raft_engine::{
    Command, Config, Engine, LogBatch as Records, MessageExt, ReadableSize, RecoveryMode,
};

use super::group::{self, initial};
use super::{GroupState, GroupWrite, LogBatch, LogError, RaftLog, codec};
use crate::ids::RangeId;

const HARD_STATE: &[u8] = b"h";
const TRUNCATED: &[u8] = b"t";
const DURABLE_APPLIED: &[u8] = b"d";

/// The group of the marker, which is no range: ranges are counted from one.
const MARKER_GROUP: u64 = u64::MAX;
const MARKER: &[u8] = b"sync";

/// Bytes of one file.
const FILE_BYTES: u64 = 64 << 20;
/// Old files are purged when all of them take more than this.
const PURGE_ABOVE: u64 = 1 << 30;
/// Bytes written between two looks whether something can be purged.
const PURGE_EVERY: u64 = FILE_BYTES / 2;

/// Tells raft-engine what an entry is.
struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// A Raft log on a real disk.
pub struct RaftEngineLog {
    engine: Engine,
    states: RwLock<BTreeMap<RangeId, GroupState>>,
    since_purge: AtomicU64,
}

impl RaftEngineLog {
    /// Opens or makes the log in the directory. A torn tail is cut.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let dir = path.as_ref().to_str();
        let dir = dir.ok_or_else(|| LogError::Io("the log's path is not valid UTF-8".into()))?;
        let engine = Engine::open(Config {
            dir: dir.to_owned(),
            recovery_mode: RecoveryMode::TolerateTailCorruption,
            target_file_size: ReadableSize(FILE_BYTES),
            purge_threshold: ReadableSize(PURGE_ABOVE),
            ..Config::default()
        })?;
        let mut states = BTreeMap::new();
        for number in engine.raft_groups() {
            let range = RangeId(number);
            if number != MARKER_GROUP
                && let Some(state) = load(&engine, range)?
            {
                states.insert(range, state);
            }
        }
        Ok(Self { engine, states: RwLock::new(states), since_purge: AtomicU64::new(0) })
    }

    fn write_now(&self, batch: &LogBatch, sync: bool) -> Result<(), LogError> {
        let mut after = Vec::with_capacity(batch.groups.len());
        let mut records = Records::default();
        for (range, write) in &batch.groups {
            let before = self.state(*range)?;
            group::check(*range, before.as_ref(), write)?;
            after.push((*range, self.add(&mut records, *range, before, write)?));
        }
        if records.is_empty() {
            if !sync {
                return Ok(());
            }
            records.put(MARKER_GROUP, MARKER.to_vec(), codec::encode_numbers(&[]))?;
        }
        let written = self.engine.write(&mut records, sync)?;
        let mut states = self.states.write().expect("no panic while the states are held");
        for (range, state) in after {
            match state {
                Some(state) => states.insert(range, state),
                None => states.remove(&range),
            };
        }
        drop(states);
        self.purge(written as u64)
    }

    /// Adds a checked write to the records; the state it leads to.
    fn add(
        &self,
        records: &mut Records,
        range: RangeId,
        before: Option<GroupState>,
        write: &GroupWrite,
    ) -> Result<Option<GroupState>, LogError> {
        let known = before.is_some();
        if write.remove {
            if known {
                records.add_command(range.0, Command::Clean);
            }
            return Ok(None);
        }
        let mut state = before.unwrap_or_else(initial);
        let truncated_before = state.truncated;
        if let Some(reset) = write.reset {
            if let Some(last) = self.engine.last_index(range.0) {
                records.add_command(range.0, Command::Compact { index: last + 1 });
            }
            state.truncated = reset;
            state.last_index = reset.0;
        }
        if let Some(last) = write.entries.last() {
            records.add_entries::<Entries>(range.0, &write.entries)?;
            state.last_index = last.index;
        }
        if let Some(hard_state) = &write.hard_state {
            records.put(range.0, HARD_STATE.to_vec(), codec::encode_hard_state(hard_state)?)?;
            state.hard_state = hard_state.clone();
        }
        if let Some(durable) = write.durable_applied {
            records.put(range.0, DURABLE_APPLIED.to_vec(), codec::encode_numbers(&[durable]))?;
            state.durable_applied = durable;
        }
        if let Some(to) = write.truncate_to.filter(|to| *to > state.truncated.0) {
            let term = match write.entries.iter().find(|entry| entry.index == to) {
                Some(entry) => entry.term,
                None => self.term(range, to)?,
            };
            records.add_command(range.0, Command::Compact { index: to + 1 });
            state.truncated = (to, term);
        }
        // Written for a new group too: with it, a group is never only its entries.
        if !known || state.truncated != truncated_before {
            let (index, term) = state.truncated;
            records.put(range.0, TRUNCATED.to_vec(), codec::encode_numbers(&[index, term]))?;
        }
        Ok(Some(state))
    }

    fn purge(&self, written: u64) -> Result<(), LogError> {
        if self.since_purge.fetch_add(written, Ordering::Relaxed) + written >= PURGE_EVERY {
            self.since_purge.store(0, Ordering::Relaxed);
            let laggards = self.engine.purge_expired_files()?;
            if !laggards.is_empty() {
                tracing::info!(
                    groups = laggards.len(),
                    "groups hold old log files and should be truncated"
                );
            }
        }
        Ok(())
    }
}

/// What the files say of a group; `None` when only remnants are left of it.
fn load(engine: &Engine, range: RangeId) -> Result<Option<GroupState>, LogError> {
    let Some(truncated) = engine.get(range.0, TRUNCATED) else {
        return match engine.last_index(range.0) {
            Some(_) => {
                Err(LogError::Corrupt(format!("{range} has entries and no truncation point")))
            }
            None => Ok(None),
        };
    };
    let [index, term] = codec::decode_numbers(truncated)?;
    let durable =
        engine.get(range.0, DURABLE_APPLIED).map(codec::decode_numbers::<1>).transpose()?;
    let hard_state = engine.get(range.0, HARD_STATE).map(codec::decode_hard_state).transpose()?;
    if engine.first_index(range.0).is_some_and(|first| first > index + 1) {
        return Err(LogError::Corrupt(format!("{range} has no entry {}", index + 1)));
    }
    Ok(Some(GroupState {
        hard_state: hard_state.unwrap_or_default(),
        truncated: (index, term),
        last_index: engine.last_index(range.0).unwrap_or(0).max(index),
        durable_applied: durable.map_or(0, |[durable]| durable),
    }))
}

impl RaftLog for RaftEngineLog {
    fn groups(&self) -> Vec<RangeId> {
        self.states.read().expect("no panic while the states are held").keys().copied().collect()
    }

    fn state(&self, range: RangeId) -> Result<Option<GroupState>, LogError> {
        Ok(self.states.read().expect("no panic while the states are held").get(&range).cloned())
    }

    fn entries(
        &self,
        range: RangeId,
        low: u64,
        high: u64,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, LogError> {
        if low >= high {
            return Ok(Vec::new());
        }
        let state = self.state(range)?.ok_or(LogError::NoEntry { range, index: low })?;
        if low <= state.truncated.0 {
            return Err(LogError::NoEntry { range, index: low });
        }
        if high > state.last_index + 1 {
            return Err(LogError::NoEntry { range, index: low.max(state.last_index + 1) });
        }
        let mut found = Vec::new();
        let bound = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        self.engine.fetch_entries_to::<Entries>(range.0, low, high, Some(bound), &mut found)?;
        Ok(found)
    }

    fn term(&self, range: RangeId, index: u64) -> Result<u64, LogError> {
        let missing = LogError::NoEntry { range, index };
        match self.state(range)? {
            Some(state) if state.truncated.0 == index => Ok(state.truncated.1),
            Some(state) if state.truncated.0 < index && index <= state.last_index => {
                Ok(self.engine.get_entry::<Entries>(range.0, index)?.ok_or(missing)?.term)
            }
            _ => Err(missing),
        }
    }

    fn write(&self, batch: LogBatch, sync: bool) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move { self.write_now(&batch, sync) })
    }
}

impl From<raft_engine::Error> for LogError {
    fn from(error: raft_engine::Error) -> Self {
        match error {
            raft_engine::Error::Corruption(what) => LogError::Corrupt(what),
            other => LogError::Io(other.to_string()),
        }
    }
}
