//! `SimEngine`: the engine of a simulated node, an ordered map in memory with a journal on a [`SimDisk`].
//!
//! It keeps the promises of [`crate::engine`], and breaks what they leave open as hard as it can: an un-synced
//! batch is lost at a crash whenever the disk loses one page of it or of an earlier batch.
//!
//! - S1. A key holds its versions in ascending sequence; a version that no snapshot can see is dropped when the
//!   key is next written or its turn in the garbage queue comes.
//! - S2. No lock is held between two entries of a scan: a scan reads chunks, each for itself, and the
//!   snapshot's sequence keeps them consistent.
//! - S3. The journal is rewritten to the live entries when it has grown to three times of what they took, so
//!   its length is bounded by the content.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};
use std::sync::{Arc, RwLock};

use bytes::{Buf, BufMut, Bytes};
use futures::future::BoxFuture;

use crate::engine::{Engine, EngineBatch, EngineError, EngineIter, EngineOp, EngineSnapshot};
use crate::sim::disk::{DiskError, SimDisk};
use crate::sim::journal::Journal;

pub(crate) const FILE: &str = "engine";
/// Below this a journal is never rewritten.
const CHECKPOINT_FLOOR: usize = 256 << 10;
/// Records of a checkpoint are about this long.
const CHECKPOINT_RECORD: usize = 64 << 10;
/// A scan's first chunk is small, since most scans want one entry; later ones grow to this.
const LONGEST_CHUNK: usize = 128;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// An engine in memory, as durable as its simulated disk.
pub struct SimEngine {
    shared: Arc<RwLock<State>>,
    journal: Journal,
    checkpoint_floor: usize,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Bytes, Vec<Version>>,
    /// Number of the last batch.
    seq: u64,
    /// How many snapshots live at each sequence.
    snapshots: BTreeMap<u64, usize>,
    /// Keys that held more than one live version when the batch of that number was applied.
    garbage: VecDeque<(u64, Bytes)>,
    /// Length of the journal after its last rewrite.
    checkpoint_len: usize,
}

struct Version {
    seq: u64,
    /// `None`: deleted.
    value: Option<Bytes>,
}

impl SimEngine {
    /// Opens what the disk holds.
    pub fn open(disk: Arc<SimDisk>) -> Result<Self, EngineError> {
        Self::open_with(disk, CHECKPOINT_FLOOR)
    }

    /// Opens with a chosen length below which the journal is not rewritten.
    pub fn open_with(disk: Arc<SimDisk>, checkpoint_floor: usize) -> Result<Self, EngineError> {
        let (journal, records) = Journal::open(disk, FILE)?;
        let mut state = State::default();
        for record in records {
            state.apply(decode(record)?);
        }
        Ok(Self { shared: Arc::new(RwLock::new(state)), journal, checkpoint_floor })
    }

    fn checkpoint(&self, state: &mut State) -> Result<(), EngineError> {
        let mut bodies = vec![Vec::new()];
        for (key, versions) in &state.entries {
            let newest = versions.last().expect("a key without versions is removed");
            let Some(value) = &newest.value else { continue };
            if bodies.last().is_some_and(|body| body.len() >= CHECKPOINT_RECORD) {
                bodies.push(Vec::new());
            }
            let body = bodies.last_mut().expect("begun with one");
            encode_put(body, key, value);
        }
        self.journal.rewrite(bodies)?;
        state.checkpoint_len = self.journal.len();
        Ok(())
    }
}

impl Engine for SimEngine {
    fn backlog(&self) -> Option<BoxFuture<'_, ()>> {
        self.journal.disk().stall(FILE)
    }

    fn apply(&self, batch: EngineBatch) -> Result<(), EngineError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut body = Vec::new();
        for op in batch.ops() {
            match op {
                EngineOp::Put(key, value) => encode_put(&mut body, key, value),
                EngineOp::Delete(key) => {
                    body.put_u8(DELETE);
                    encode_bytes(&mut body, key);
                }
            }
        }
        let mut state = self.shared.write().expect("no panic while the engine is held");
        self.journal.append(&body)?;
        state.apply(batch.into_ops());
        if self.journal.len() > self.checkpoint_floor + 3 * state.checkpoint_len {
            self.checkpoint(&mut state)?;
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        let mut state = self.shared.write().expect("no panic while the engine is held");
        let seq = state.seq;
        *state.snapshots.entry(seq).or_default() += 1;
        let disk = self.journal.disk().clone();
        Arc::new(SimSnapshot { shared: self.shared.clone(), disk, seq })
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(self.journal.sync().await?) })
    }
}

impl State {
    fn apply(&mut self, ops: Vec<EngineOp>) {
        self.seq += 1;
        let seq = self.seq;
        for op in ops {
            let (key, value) = match op {
                EngineOp::Put(key, value) => (key, Some(value)),
                EngineOp::Delete(key) => (key, None),
            };
            let versions = self.entries.entry(key.clone()).or_default();
            if versions.last().is_some_and(|last| last.seq == seq) {
                versions.pop();
            }
            versions.push(Version { seq, value });
            self.prune(&key);
        }
        // What this batch could not drop because of a snapshot waits for that snapshot's end.
        while let Some((at, _)) = self.garbage.front()
            && self.snapshots.keys().next().is_none_or(|oldest| oldest >= at)
        {
            let (_, key) = self.garbage.pop_front().expect("looked at");
            self.prune(&key);
        }
    }

    /// Drops the versions of `key` that nobody can see. See S1.
    fn prune(&mut self, key: &Bytes) {
        let Some(versions) = self.entries.get_mut(key) else { return };
        let oldest = self.snapshots.keys().next().copied().unwrap_or(self.seq);
        let seen = versions.iter().rposition(|version| version.seq <= oldest).unwrap_or(0);
        versions.drain(..seen);
        if let [Version { seq, value: None }] = versions[..]
            && seq <= oldest
        {
            self.entries.remove(key);
        } else if versions.len() > 1 || versions[0].value.is_none() {
            let last = versions.last().expect("pruning keeps the newest").seq;
            if self.garbage.back().is_none_or(|(_, queued)| queued != key) {
                self.garbage.push_back((last.max(self.seq), key.clone()));
            }
        }
    }
}

struct SimSnapshot {
    shared: Arc<RwLock<State>>,
    disk: Arc<SimDisk>,
    seq: u64,
}

impl Drop for SimSnapshot {
    fn drop(&mut self) {
        let mut state = self.shared.write().expect("no panic while the engine is held");
        if let Some(count) = state.snapshots.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                state.snapshots.remove(&self.seq);
            }
        }
    }
}

impl SimSnapshot {
    /// Fails where a real engine would find a bad checksum: the entries are in memory, and the disk is only asked.
    fn check(&self) -> Result<(), EngineError> {
        match self.disk.is_rotten() {
            true => Err(EngineError::Corrupt("checksum mismatch".into())),
            false => Ok(()),
        }
    }

    fn visible<'v>(&self, versions: &'v [Version]) -> Option<&'v Bytes> {
        versions.iter().rev().find(|version| version.seq <= self.seq)?.value.as_ref()
    }

    fn walk(&self, range: Range<Bytes>, reverse: bool) -> EngineIter<'_> {
        Box::new(Walk { snapshot: self, left: range, reverse, chunk: VecDeque::new(), size: 4 })
    }
}

impl EngineSnapshot for SimSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.check()?;
        let state = self.shared.read().expect("no panic while the engine is held");
        Ok(state.entries.get(key).and_then(|versions| self.visible(versions)).cloned())
    }

    fn scan(&self, range: Range<Bytes>) -> EngineIter<'_> {
        self.walk(range, false)
    }

    fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_> {
        self.walk(range, true)
    }
}

/// A scan on its way: `left` is what was not yet read.
struct Walk<'a> {
    snapshot: &'a SimSnapshot,
    left: Range<Bytes>,
    reverse: bool,
    chunk: VecDeque<(Bytes, Bytes)>,
    size: usize,
}

impl Walk<'_> {
    /// Reads the next chunk. It counts keys, visible or not, so that the lock is never held for long.
    fn fill(&mut self) {
        let state = self.snapshot.shared.read().expect("no panic while the engine is held");
        let bounds = (Bound::Included(&self.left.start), Bound::Excluded(&self.left.end));
        let mut entries = state.entries.range::<Bytes, _>(bounds);
        let mut last = None;
        for _ in 0..self.size {
            let entry = if self.reverse { entries.next_back() } else { entries.next() };
            let Some((key, versions)) = entry else {
                self.left.end = self.left.start.clone();
                return;
            };
            last = Some(key);
            if let Some(value) = self.snapshot.visible(versions) {
                self.chunk.push_back((key.clone(), value.clone()));
            }
        }
        if let Some(last) = last {
            if self.reverse {
                self.left.end = last.clone();
            } else {
                // The least key behind `last`.
                let mut next = last.to_vec();
                next.push(0);
                self.left.start = next.into();
            }
        }
        self.size = (self.size * 2).min(LONGEST_CHUNK);
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Bytes, Bytes), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.chunk.is_empty() && self.left.start < self.left.end {
            self.fill();
        }
        let entry = self.chunk.pop_front()?;
        Some(self.snapshot.check().map(|()| entry))
    }
}

fn encode_put(body: &mut Vec<u8>, key: &Bytes, value: &Bytes) {
    body.put_u8(PUT);
    encode_bytes(body, key);
    encode_bytes(body, value);
}

fn encode_bytes(body: &mut Vec<u8>, bytes: &Bytes) {
    body.put_u32_le(u32::try_from(bytes.len()).expect("keys and values are far below 4 GiB"));
    body.extend_from_slice(bytes);
}

fn decode(mut body: Bytes) -> Result<Vec<EngineOp>, EngineError> {
    let mut ops = Vec::new();
    while body.has_remaining() {
        let tag = body.get_u8();
        let key = decode_bytes(&mut body)?;
        ops.push(match tag {
            PUT => EngineOp::Put(key, decode_bytes(&mut body)?),
            DELETE => EngineOp::Delete(key),
            _ => {
                return Err(EngineError::Corrupt(format!(
                    "unknown operation {tag} in a journal record"
                )));
            }
        });
    }
    Ok(ops)
}

fn decode_bytes(body: &mut Bytes) -> Result<Bytes, EngineError> {
    let short = || EngineError::Corrupt("a journal record with a good checksum ends early".into());
    let len = body.try_get_u32_le().map_err(|_| short())? as usize;
    if body.len() < len {
        return Err(short());
    }
    Ok(body.split_to(len))
}

impl From<DiskError> for EngineError {
    fn from(error: DiskError) -> Self {
        match error.full {
            true => EngineError::Full(error.to_string()),
            false => EngineError::Io(error.to_string()),
        }
    }
}
