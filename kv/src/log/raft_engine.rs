//! `RaftEngineLog`: the Raft log of a real node, in the crate raft-engine.
//!
//! - L1. One [`LogBatch`] is one append and, with `sync`, one `fdatasync`, whatever the number of groups. The
//!   caller's thread blocks meanwhile.
//! - L2. Entries are raft-engine's entries. A group's hard state, truncation point, durable applied index and floor of replica
//!   ids are its key-values `h`, `t`, `d` and `f`, each behind a version byte.
//! - L3. The states of all groups are in memory as well, read once at opening; entries are read from the files.
//! - L4. An entry at or below the truncation point is never shown, whether or not raft-engine still has it.
//!
//! Hazards, read in raft-engine 0.4.2:
//!
//! - A write of an *empty* batch returns at once and syncs nothing, and so does its `sync()`. An empty batch with
//!   `sync` therefore writes a marker: an empty entry in a group of its own, which nobody else sees.
//! - It caches the last block of entries read *per thread*, and knows a block only by file number, offset and
//!   length. Two logs in one process have such places in common: one would be given the other's entries, and a
//!   purge would write them down. Before a thread reads from another log than the last time, it reads the marker:
//!   its block has length zero as no other has, so it displaces what is cached and is never mistaken for
//!   anything. The marker is written anew before each purge, so that it is never packed into another block.
//! - Recovery does not check the entries of all batches: see `raft_engine_repair`.
//! - A hole in a group's entries, or an append below what was compacted, panics: `group::check` refuses
//!   both before.
//! - A failed fsync panics, which is right: the node must stop.
//! - A file is truncated and fsynced before the next one is begun, so an un-synced write does not stay behind in
//!   a sealed file.
//! - `Compact` takes the first index to *keep*.
//! - A purge rewrites live entries of old files, which costs what it copies. It runs in the writing thread after
//!   every half file of bytes, and does nothing below the threshold.

use std::cell::Cell;
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
use super::raft_engine_repair::repair;
use super::{GroupState, GroupWrite, LogBatch, LogError, RaftLog, codec};
use crate::ids::RangeId;

const HARD_STATE: &[u8] = b"h";
const TRUNCATED: &[u8] = b"t";
const DURABLE_APPLIED: &[u8] = b"d";
const REPLICA_FLOOR: &[u8] = b"f";

/// The group of the marker, which is no range: ranges are counted from one.
const MARKER_GROUP: u64 = u64::MAX;
/// The marker's index: an entry with it takes no bytes at all.
const MARKER_INDEX: u64 = 0;

/// Numbers the logs opened by this process. See the hazard of the cache.
static OPENED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The log of which this thread read entries last.
    static LAST_READ: Cell<u64> = const { Cell::new(0) };
}

/// What may be tuned.
#[derive(Clone, Debug)]
pub struct RaftEngineOptions {
    /// Bytes of one file. Half as many are written between two looks for files to purge.
    pub file_bytes: u64,
    /// Old files are purged when all of them take more than this.
    pub purge_above_bytes: u64,
}

impl Default for RaftEngineOptions {
    fn default() -> Self {
        Self { file_bytes: 64 << 20, purge_above_bytes: 1 << 30 }
    }
}

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
    number: u64,
    states: RwLock<BTreeMap<RangeId, GroupState>>,
    since_purge: AtomicU64,
    purge_every: u64,
}

impl RaftEngineLog {
    /// Opens or makes the log in the directory, with default options. A torn tail is cut.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        Self::open_with(path, &RaftEngineOptions::default())
    }

    /// Opens or makes the log in the directory. A torn tail is cut.
    pub fn open_with(
        path: impl AsRef<Path>,
        options: &RaftEngineOptions,
    ) -> Result<Self, LogError> {
        let dir = path.as_ref().to_str();
        let dir = dir.ok_or_else(|| LogError::Io("the log's path is not valid UTF-8".into()))?;
        repair(path.as_ref())?;
        let engine = Engine::open(Config {
            dir: dir.to_owned(),
            recovery_mode: RecoveryMode::TolerateTailCorruption,
            target_file_size: ReadableSize(options.file_bytes),
            purge_threshold: ReadableSize(options.purge_above_bytes),
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
        engine.write(&mut marker()?, false)?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Self {
            engine,
            number,
            states: RwLock::new(states),
            since_purge: AtomicU64::new(0),
            purge_every: options.file_bytes / 2,
        })
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
            records = marker()?;
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
            return self.add_removal(records, range, before, write);
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
        if let Some(floor) = write.replica_floor {
            records.put(range.0, REPLICA_FLOOR.to_vec(), codec::encode_numbers(&[floor]))?;
            state.replica_floor = floor;
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

    /// The same for a removal. `Clean` takes all that a group has: where something is to stay, the rest goes bit by bit.
    fn add_removal(
        &self,
        records: &mut Records,
        range: RangeId,
        before: Option<GroupState>,
        write: &GroupWrite,
    ) -> Result<Option<GroupState>, LogError> {
        let Some(state) = group::removed(before.as_ref(), write) else {
            if before.is_some() {
                records.add_command(range.0, Command::Clean);
            }
            return Ok(None);
        };
        if let Some(last) = self.engine.last_index(range.0) {
            records.add_command(range.0, Command::Compact { index: last + 1 });
        }
        records.delete(range.0, HARD_STATE.to_vec());
        records.delete(range.0, DURABLE_APPLIED.to_vec());
        let (index, term) = state.truncated;
        records.put(range.0, TRUNCATED.to_vec(), codec::encode_numbers(&[index, term]))?;
        let floor = codec::encode_numbers(&[state.replica_floor]);
        records.put(range.0, REPLICA_FLOOR.to_vec(), floor)?;
        Ok(Some(state))
    }

    /// To be called before every read of entries. See the hazard of the cache.
    fn claim_cache(&self) -> Result<(), LogError> {
        if LAST_READ.get() != self.number {
            let marker = self.engine.get_entry::<Entries>(MARKER_GROUP, MARKER_INDEX)?;
            marker.ok_or_else(|| LogError::Corrupt("the marker is gone".into()))?;
            LAST_READ.set(self.number);
        }
        Ok(())
    }

    fn purge(&self, written: u64) -> Result<(), LogError> {
        if self.since_purge.fetch_add(written, Ordering::Relaxed) + written >= self.purge_every {
            self.since_purge.store(0, Ordering::Relaxed);
            self.engine.write(&mut marker()?, false)?;
            self.claim_cache()?;
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

/// A batch with the marker alone, in the place of the former one.
fn marker() -> Result<Records, LogError> {
    let mut records = Records::default();
    records.add_command(MARKER_GROUP, Command::Compact { index: MARKER_INDEX + 1 });
    records.add_entries::<Entries>(MARKER_GROUP, &[Entry::default()])?;
    Ok(records)
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
    let floor = engine.get(range.0, REPLICA_FLOOR).map(codec::decode_numbers::<1>).transpose()?;
    let hard_state = engine.get(range.0, HARD_STATE).map(codec::decode_hard_state).transpose()?;
    if engine.first_index(range.0).is_some_and(|first| first > index + 1) {
        return Err(LogError::Corrupt(format!("{range} has no entry {}", index + 1)));
    }
    Ok(Some(GroupState {
        hard_state: hard_state.unwrap_or_default(),
        truncated: (index, term),
        last_index: engine.last_index(range.0).unwrap_or(0).max(index),
        durable_applied: durable.map_or(0, |[durable]| durable),
        replica_floor: floor.map_or(0, |[floor]| floor),
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
        self.claim_cache()?;
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
                self.claim_cache()?;
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
            raft_engine::Error::Io(error) => error.into(),
            // An entry that does not decode has been read under its checksum, and is none of ours.
            raft_engine::Error::Codec(error) => LogError::Corrupt(error.to_string()),
            other => LogError::Io(other.to_string()),
        }
    }
}
