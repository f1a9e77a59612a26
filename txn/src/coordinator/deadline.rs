//! Commit deadlines that move while somebody keeps them alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv::clock::Timestamp;

/// A time below which transactions must commit. Clones share it: whoever guarantees it may move it on, even while a
/// commit is under way, and a large commit then need not be over by the time that held when it began.
#[derive(Clone, Debug)]
pub struct CommitDeadline(Arc<AtomicU64>);

impl CommitDeadline {
    /// A deadline.
    pub fn new(at: Timestamp) -> Self {
        CommitDeadline(Arc::new(AtomicU64::new(at.raw())))
    }

    /// Moves it on; never back.
    pub fn extend(&self, to: Timestamp) {
        self.0.fetch_max(to.raw(), Ordering::Relaxed);
    }

    /// The present one.
    pub fn get(&self) -> Timestamp {
        Timestamp::from_raw(self.0.load(Ordering::Relaxed))
    }
}
