//! `FjallEngine`: the engine of a real node, one keyspace of one fjall database.
//!
//! - F1. `apply` is one fjall batch, written to the journal's buffer and never fsynced: the Raft log makes a
//!   command durable, and replays what the journal loses.
//! - F2. `sync` is one fsync of the journal. It blocks: it is awaited on a thread where that is allowed.
//! - F3. A torn journal never keeps a store from opening: its tail is cut first (`fjall_repair`). Damage anywhere
//!   else is reported, and the node rebuilds the store from its peers.
//! - F4. One keyspace, so that the order of batches is the order of durability. A flush writes a memtable that
//!   ends at a batch, since batches and rotations exclude each other by the journal's lock, and takes
//!   all sealed memtables at once, one flush at a time: tables hold a prefix of the batches even when the journal
//!   that holds the same ones was not synced.
//!
//! Hazards, read in fjall 3.1.13:
//!
//! - A journal is fsynced (`SyncAll`) before it is sealed, and the directory after the next one is made. So a
//!   sealed journal has no legal torn tail, and the newest journal is the only one that does.
//! - A flush of a memtable does not seal the journal unless the journal has passed 64 MB, so tables may be
//!   ahead of what the journal has on disk. At recovery a batch at or below the tables' highest sequence is
//!   skipped, and new sequences begin above both: a cut journal and newer tables agree.
//! - The journal is buffered in the process: a killed process loses the last few KiB of batches, not only a
//!   lost power supply.
//! - Closing fsyncs. A test that wants a crash copies the directory while the store is open.
//! - `apply` may stall (back-pressure), and a failed journal write poisons the database, as does a flush or compaction
//!   that fails in the background: every later call fails with `Poisoned`, which does not say why. The reason is then
//!   found by writing to the disk what a flush would (`FjallEngine::explain`); the node stops.
//! - Blocks are checked when they are read from a file, not when they come from the cache.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice};
use futures::future::BoxFuture;
use xxhash_rust::xxh3::xxh3_64;

use super::fjall_repair::repair;
use super::{Engine, EngineBatch, EngineError, EngineIter, EngineOp, EngineSnapshot, Visit};

const KEYSPACE: &str = "meridian";
/// A value longer than this is handed out as it is; a shorter one is copied, which costs less than to count
/// its owners and frees the block it may point into.
const COPY_BELOW: usize = 1024;

/// Written and removed again to find out why the database is poisoned.
const PROBE: &str = "probe";
const PROBE_BYTES: usize = 4 << 20;

/// What may be tuned.
#[derive(Clone, Debug)]
pub struct FjallOptions {
    /// Bytes of the block cache.
    pub cache_bytes: u64,
    /// Bytes of journals at which fjall flushes to be rid of the oldest.
    pub journal_bytes: u64,
    /// Threads that flush and compact. One: of several, fjall's first leaves compactions to the others, and while those
    /// are busy it takes each waiting one from the queue and puts it back, without a pause, which costs a whole core.
    pub worker_threads: usize,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, journal_bytes: 512 << 20, worker_threads: 1 }
    }
}

/// An engine on a real disk.
pub struct FjallEngine {
    path: PathBuf,
    db: Database,
    space: Keyspace,
}

impl FjallEngine {
    /// Opens or makes the store in the directory, with default options.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        Self::open_with(path, &FjallOptions::default())
    }

    /// Opens or makes the store in the directory. Cuts a torn journal tail.
    pub fn open_with(path: impl AsRef<Path>, options: &FjallOptions) -> Result<Self, EngineError> {
        repair(path.as_ref())?;
        let path = path.as_ref().to_owned();
        let db = Database::builder(&path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes)
            .worker_threads(options.worker_threads)
            .open()?;
        let space = db.keyspace(KEYSPACE, KeyspaceCreateOptions::default)?;
        Ok(Self { path, db, space })
    }

    /// What a failed write means. A poisoned database has forgotten why: something failed in the background.
    fn explain(&self, error: fjall::Error) -> EngineError {
        if !matches!(error, fjall::Error::Poisoned) {
            return error.into();
        }
        match self.probe() {
            Err(error) => error.into(),
            Ok(()) => EngineError::Io(
                "a flush or a compaction has failed; the line of the log before this one says why"
                    .into(),
            ),
        }
    }

    /// Writes a file beside the tables, as a flush does, and removes it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the real engine's directory is this module's subject"
    )]
    fn probe(&self) -> io::Result<()> {
        let path = self.path.join(PROBE);
        let written = std::fs::File::create(&path).and_then(|mut file| {
            file.write_all(&vec![1; PROBE_BYTES])?;
            file.sync_all()
        });
        // The store stops anyway; a file that stays is overwritten the next time.
        let _ = std::fs::remove_file(&path);
        written
    }
}

impl Engine for FjallEngine {
    fn apply(&self, batch: EngineBatch) -> Result<(), EngineError> {
        batch.check()?;
        let ops = last_of_each_key(batch.into_ops());
        let mut writes = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), ops.len());
        for op in ops {
            match op {
                EngineOp::Put(key, value) => writes.insert(&self.space, &key[..], &value[..]),
                EngineOp::Delete(key) => writes.remove(&self.space, &key[..]),
            }
        }
        writes.commit().map_err(|error| self.explain(error))
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        Arc::new(FjallSnapshot { view: self.db.snapshot(), space: self.space.clone() })
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async {
            self.db.persist(PersistMode::SyncData).map_err(|error| self.explain(error))
        })
    }
}

/// All operations of a fjall batch share one sequence number, so of two on one key none is "later": only the
/// last one of each key goes in.
fn last_of_each_key(ops: Vec<EngineOp>) -> Vec<EngineOp> {
    // Hardly ever is a key there twice, and then two hashes are equal. To sort numbers is cheap, and keys is not.
    let mut hashes: Vec<u64> = ops.iter().map(|op| xxh3_64(op.key())).collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return ops;
    }
    let mut seen = BTreeSet::new();
    let mut kept: Vec<EngineOp> =
        ops.into_iter().rev().filter(|op| seen.insert(op.key().clone())).collect();
    kept.reverse();
    kept
}

struct FjallSnapshot {
    view: fjall::Snapshot,
    space: Keyspace,
}

impl FjallSnapshot {
    /// `None` when there is nothing between the bounds, which fjall does not like to be asked.
    fn range(&self, range: Range<Bytes>) -> Option<fjall::Iter> {
        (range.start < range.end).then(|| self.view.range(&self.space, range))
    }
}

impl EngineSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.view.get(&self.space, key)?.map(to_bytes))
    }

    fn scan(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.range(range).into_iter().flatten().map(entry))
    }

    fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.range(range).into_iter().flat_map(Iterator::rev).map(entry))
    }

    fn visit(
        &self,
        range: Range<Bytes>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let Some(mut entries) = self.range(range) else { return Ok(()) };
        while let Some(guard) = if reverse { entries.next_back() } else { entries.next() } {
            let (key, value) = guard.into_inner()?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn entry(guard: fjall::Guard) -> Result<(Bytes, Bytes), EngineError> {
    let (key, value) = guard.into_inner()?;
    Ok((to_bytes(key), to_bytes(value)))
}

fn to_bytes(slice: Slice) -> Bytes {
    if slice.len() < COPY_BELOW { Bytes::copy_from_slice(&slice) } else { Bytes::from_owner(slice) }
}

impl From<fjall::Error> for EngineError {
    fn from(error: fjall::Error) -> Self {
        use fjall::LsmError;
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => error.into(),
            fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted | fjall::Error::Locked => {
                EngineError::Io(format!("{error:?}"))
            }
            // Checksums, headers, tags, compression: the bytes are not those that were written.
            other => EngineError::Corrupt(format!("{other:?}")),
        }
    }
}
