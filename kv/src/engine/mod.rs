//! The storage engine: an ordered map of byte keys that holds what was *applied*.
//!
//! Promised by every implementation:
//!
//! - I1. [`Engine::apply`] is atomic: after a crash a batch is there whole or not at all.
//! - I2. Batches become durable in the order of their application: what survives a crash is all batches that
//!   were applied before the last completed [`Engine::sync`] and a prefix of the later ones.
//! - I3. A snapshot never changes, and shows exactly the batches applied before it was taken.
//!
//! Nothing is durable before `sync`: the Raft log replays what is lost. One fjall keyspace holds everything,
//! with the space as first byte of the key (`docs/storage-format.md`), because I2 would not hold across
//! keyspaces that flush by themselves.

mod batch;
pub mod fjall;
mod fjall_repair;

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use batch::{EngineBatch, EngineOp};

/// Longest key. fjall's journal holds a key's length in 16 bits and cuts what is longer without a word, so both
/// engines refuse it; since a batch is replicated, whoever makes keys has to bound them long before.
pub const MAX_KEY_LEN: usize = u16::MAX as usize;

/// The engine can no longer be trusted to hold what was given to it. The node stops.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no room left on the disk.
    #[error("storage engine failed: {0}")]
    Full(String),
    /// Reading or writing failed.
    #[error("storage engine failed: {0}")]
    Io(String),
    /// What was read cannot be what was written.
    #[error("storage engine is damaged: {0}")]
    Corrupt(String),
}

/// How the operating system says that there is no room, if it does: on the disk, for this user, or for this file.
/// Libraries put words of their own in the place of the system's, but keep the kind.
pub(crate) fn no_room(error: &io::Error) -> Option<String> {
    let words = match error.kind() {
        io::ErrorKind::StorageFull => "No space left on device",
        io::ErrorKind::QuotaExceeded => "Disk quota exceeded",
        io::ErrorKind::FileTooLarge => "File too large",
        _ => return None,
    };
    let told = error.to_string();
    Some(if told.contains(words) { told } else { format!("{words} ({told})") })
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        no_room(&error).map_or_else(|| EngineError::Io(error.to_string()), EngineError::Full)
    }
}

/// Entries of a scan, in key order.
pub type EngineIter<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes), EngineError>> + Send + 'a>;

/// An unchanging view of the whole engine.
pub trait EngineSnapshot: Send + Sync {
    /// The value under `key`, if there is one.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    /// Entries with keys in `range`, ascending. Lazy: taking one entry reads about one entry.
    fn scan(&self, range: Range<Bytes>) -> EngineIter<'_>;
    /// Entries with keys in `range`, descending. Lazy.
    fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_>;
    /// Shows the entries with keys in `range` one by one, ascending or `reverse`, until it is told to stop: for who reads
    /// many. Nothing is copied, and nobody is counted as an owner.
    fn visit(
        &self,
        range: Range<Bytes>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let entries = if reverse { self.scan_reverse(range) } else { self.scan(range) };
        for entry in entries {
            let (key, value) = entry?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes a key and its value, and says whether it wants to see more.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, EngineError> + 'a;

/// An ordered, snapshot-readable store with durability points. Shared by all ranges of a node.
pub trait Engine: Send + Sync {
    /// What to wait for before the next batch, if the engine cannot take one now and says so. A real engine blocks its
    /// caller instead.
    fn backlog(&self) -> Option<BoxFuture<'_, ()>> {
        None
    }
    /// Applies a batch atomically and makes it visible. Called from one task only, in order. May stall when
    /// the engine is behind with compactions, so nothing that keeps a lease or a vote alive waits for it.
    fn apply(&self, batch: EngineBatch) -> Result<(), EngineError>;
    /// A view of all batches applied so far.
    fn snapshot(&self) -> Arc<dyn EngineSnapshot>;
    /// Makes durable all batches that were applied before the call.
    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>>;
}
