//! The engine and the log of a store, watched: whichever read or write of theirs fails stops the store, whoever made it
//! and whatever becomes of its error. Which writes are under way is kept, too ([`crate::store::stall`]).
//!
//! A replica that cannot read what it holds must not keep the lease: the others have the same data and take over once
//! it is silent.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use raft::eraftpb::Entry;

use crate::engine::{Engine, EngineBatch, EngineError, EngineIter, EngineSnapshot, Visit};
use crate::ids::RangeId;
use crate::log::{GroupState, LogBatch, LogError, RaftLog};
use crate::store::shared::SharedRef;
use crate::store::stall::Work;

/// An engine whose errors stop the store.
pub(crate) struct WatchedEngine {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) shared: SharedRef,
}

struct WatchedSnapshot {
    snapshot: Arc<dyn EngineSnapshot>,
    shared: SharedRef,
}

/// A log whose errors stop the store. A missing entry is no error of the disk: Raft asks for such.
pub(crate) struct WatchedLog {
    pub(crate) log: Arc<dyn RaftLog>,
    pub(crate) shared: SharedRef,
}

fn watch<T>(shared: &SharedRef, result: Result<T, EngineError>) -> Result<T, EngineError> {
    result.inspect_err(|error| shared.fail(error.into()))
}

fn watch_log<T>(shared: &SharedRef, result: Result<T, LogError>) -> Result<T, LogError> {
    result.inspect_err(|error| {
        if !matches!(error, LogError::NoEntry { .. }) {
            shared.fail(error.into());
        }
    })
}

impl Engine for WatchedEngine {
    fn backlog(&self) -> Option<BoxFuture<'_, ()>> {
        let backlog = self.engine.backlog()?;
        let wait = async move {
            let _busy = self.shared.disk.begin(Work::Apply);
            backlog.await;
        };
        Some(wait.boxed())
    }

    fn apply(&self, batch: EngineBatch) -> Result<(), EngineError> {
        let _busy = self.shared.disk.begin(Work::Apply);
        watch(&self.shared, self.engine.apply(batch))
    }

    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        let snapshot = self.engine.snapshot();
        Arc::new(WatchedSnapshot { snapshot, shared: self.shared.clone() })
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        let sync = self.engine.sync();
        let watched = async move {
            let _busy = self.shared.disk.begin(Work::Sync);
            watch(&self.shared, sync.await)
        };
        watched.boxed()
    }
}

impl EngineSnapshot for WatchedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        watch(&self.shared, self.snapshot.get(key))
    }

    fn scan(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.snapshot.scan(range).map(|entry| watch(&self.shared, entry)))
    }

    fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.snapshot.scan_reverse(range).map(|entry| watch(&self.shared, entry)))
    }

    fn visit(
        &self,
        range: Range<Bytes>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        watch(&self.shared, self.snapshot.visit(range, reverse, visit))
    }
}

impl RaftLog for WatchedLog {
    fn groups(&self) -> Vec<RangeId> {
        self.log.groups()
    }

    fn state(&self, range: RangeId) -> Result<Option<GroupState>, LogError> {
        watch_log(&self.shared, self.log.state(range))
    }

    fn entries(
        &self,
        range: RangeId,
        low: u64,
        high: u64,
        max_bytes: u64,
    ) -> Result<Vec<Entry>, LogError> {
        watch_log(&self.shared, self.log.entries(range, low, high, max_bytes))
    }

    fn term(&self, range: RangeId, index: u64) -> Result<u64, LogError> {
        watch_log(&self.shared, self.log.term(range, index))
    }

    fn write(&self, batch: LogBatch, sync: bool) -> BoxFuture<'_, Result<(), LogError>> {
        let write = self.log.write(batch, sync);
        let watched = async move {
            let _busy = self.shared.disk.begin(Work::Log);
            watch_log(&self.shared, write.await)
        };
        watched.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use futures::FutureExt;

    use super::*;
    use crate::failure::FailureKind;
    use crate::sim::disk::SimDisk;
    use crate::sim::engine::SimEngine;
    use crate::sim::log::SimLog;
    use crate::store::shared::Shared;

    fn watched(disk: &Arc<SimDisk>) -> (SharedRef, WatchedEngine) {
        let shared = SharedRef::new(Shared::default());
        let engine = Arc::new(SimEngine::open(disk.clone()).unwrap());
        let watched = WatchedEngine { engine, shared: shared.clone() };
        let mut batch = EngineBatch::default();
        batch.put(Bytes::from_static(b"k"), Bytes::from_static(b"v"));
        watched.apply(batch).unwrap();
        (shared, watched)
    }

    fn kind(shared: &SharedRef) -> Option<FailureKind> {
        shared.failure.get().map(|failure| failure.kind)
    }

    /// One read of a snapshot; true iff it failed.
    type Read = fn(&dyn EngineSnapshot, Range<Bytes>) -> bool;

    #[test]
    fn a_read_that_fails_its_checksum_stops_the_store() {
        let reads: [Read; 4] = [
            |snapshot, _| snapshot.get(b"k").is_err(),
            |snapshot, all| snapshot.scan(all).any(|entry| entry.is_err()),
            |snapshot, all| snapshot.scan_reverse(all).any(|entry| entry.is_err()),
            |snapshot, all| {
                snapshot.visit(all, false, &mut |_, _| Ok(ControlFlow::Continue(()))).is_err()
            },
        ];
        for read in reads {
            let disk = SimDisk::new();
            let (shared, engine) = watched(&disk);
            let snapshot = engine.snapshot();
            let all = || Bytes::from_static(b"a")..Bytes::from_static(b"z");
            assert!(!read(&*snapshot, all()));
            assert_eq!(kind(&shared), None);
            disk.set_rotten(true);
            assert!(read(&*snapshot, all()));
            assert_eq!(kind(&shared), Some(FailureKind::Damaged));
        }
    }

    #[test]
    fn a_full_disk_stops_the_store_by_its_name_and_the_first_failure_is_told() {
        let disk = SimDisk::new();
        let (shared, engine) = watched(&disk);
        disk.set_full(true);
        let mut batch = EngineBatch::default();
        batch.put(Bytes::from_static(b"k"), Bytes::from_static(b"w"));
        assert!(engine.apply(batch).is_err());
        assert_eq!(kind(&shared), Some(FailureKind::DiskFull));
        shared.fail(crate::failure::Failure::new(FailureKind::Bug, "later"));
        let failure = shared.failure.get().unwrap();
        assert_eq!((failure.kind, failure.sqlstate()), (FailureKind::DiskFull, "53100"));
        assert!(failure.what.contains("No space left on device"), "{failure}");
    }

    #[test]
    fn a_log_that_fails_stops_the_store_and_a_missing_entry_does_not() {
        let disk = SimDisk::new();
        let shared = SharedRef::new(Shared::default());
        let log = Arc::new(SimLog::open(disk.clone(), false).unwrap());
        let watched = WatchedLog { log, shared: shared.clone() };
        assert!(watched.entries(RangeId(1), 11, 12, u64::MAX).is_err());
        assert_eq!(kind(&shared), None);
        disk.set_failing(Some(Arc::new(|_, _| true)));
        let write = crate::log::GroupWrite { durable_applied: Some(10), ..Default::default() };
        let batch = LogBatch { groups: vec![(RangeId(1), write)] };
        assert!(watched.write(batch, true).now_or_never().expect("no latency").is_err());
        assert_eq!(kind(&shared), Some(FailureKind::Disk));
    }
}
