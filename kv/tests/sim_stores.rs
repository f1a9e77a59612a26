//! The simulated stores where time and failure come in: slow syncs, dropped futures, a refusing disk, replay.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Seeded, now};
use futures::FutureExt;
use futures::future::BoxFuture;
use kv::clock::TimeSource;
use kv::engine::{Engine, EngineBatch};
use kv::env::Rng;
use kv::ids::RangeId;
use kv::log::{GroupWrite, LogBatch, RaftLog};
use kv::sim::disk::{DiskOp, SimDisk, SyncLatency};
use kv::sim::engine::SimEngine;
use kv::sim::log::SimLog;
use raft::eraftpb::{Entry, HardState};

/// A clock on which nothing ever ends.
struct Frozen;

impl TimeSource for Frozen {
    fn wall_ms(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(futures::future::pending())
    }
}

fn freeze(disk: &SimDisk) {
    let range = Duration::from_millis(1)..Duration::from_millis(5);
    disk.set_latency(Some(SyncLatency {
        time: Arc::new(Frozen),
        rng: Arc::new(Seeded::new(1)),
        range,
    }));
}

fn put(engine: &SimEngine, key: &'static str) {
    let mut batch = EngineBatch::default();
    batch.put(Bytes::from_static(key.as_bytes()), Bytes::from_static(b"value"));
    engine.apply(batch).unwrap();
}

fn has(engine: &SimEngine, key: &str) -> bool {
    engine.snapshot().get(key.as_bytes()).unwrap().is_some()
}

fn vote(term: u64) -> LogBatch {
    let hard_state = HardState { term, ..HardState::default() };
    let entry = Entry { index: 10 + term, ..Entry::default() };
    let write =
        GroupWrite { entries: vec![entry], hard_state: Some(hard_state), ..GroupWrite::default() };
    LogBatch { groups: vec![(RangeId(1), write)] }
}

fn term(log: &SimLog) -> u64 {
    log.state(RangeId(1)).unwrap().map_or(0, |state| state.hard_state.term)
}

#[test]
fn a_sync_dropped_at_its_await_has_synced_nothing() {
    let mut lost = (0, 0);
    for seed in 0..40 {
        let disk = SimDisk::new();
        let engine = SimEngine::open(disk.clone()).unwrap();
        let log = SimLog::open(disk.clone(), false).unwrap();
        put(&engine, "synced");
        now(engine.sync()).unwrap();
        now(log.write(vote(1), true)).unwrap();
        freeze(&disk);
        put(&engine, "late");
        assert!(engine.sync().now_or_never().is_none());
        assert!(log.write(vote(2), true).now_or_never().is_none());
        assert!(has(&engine, "late") && term(&log) == 2, "readable at once");
        drop((engine, log));
        disk.crash(&Seeded::new(seed));
        let engine = SimEngine::open(disk.clone()).unwrap();
        let log = SimLog::open(disk.clone(), false).unwrap();
        assert!(has(&engine, "synced") && term(&log) >= 1);
        lost.0 += u32::from(!has(&engine, "late"));
        lost.1 += u32::from(term(&log) == 1);
    }
    assert!(lost.0 > 10 && lost.1 > 10, "{lost:?}");
}

#[test]
fn a_disk_that_refuses_leaves_the_stores_as_they_were() {
    let disk = SimDisk::new();
    let engine = SimEngine::open(disk.clone()).unwrap();
    let log = SimLog::open(disk.clone(), false).unwrap();
    put(&engine, "before");
    now(log.write(vote(1), true)).unwrap();
    disk.set_failing(Some(Arc::new(|op, _| op == DiskOp::Append)));
    let mut batch = EngineBatch::default();
    batch.put(Bytes::from_static(b"refused"), Bytes::new());
    engine.apply(batch).unwrap_err();
    now(log.write(vote(2), false)).unwrap_err();
    assert!(has(&engine, "before") && !has(&engine, "refused") && term(&log) == 1);
    disk.set_failing(Some(Arc::new(|op, file| op == DiskOp::Sync && file == "engine")));
    now(engine.sync()).unwrap_err();
    now(log.write(vote(2), true)).unwrap();
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let life = |seed| {
        let rng = Seeded::new(seed);
        let disk = SimDisk::new();
        for _ in 0..5 {
            let engine = SimEngine::open_with(disk.clone(), 1000).unwrap();
            let log = SimLog::open_with(disk.clone(), false, 1000).unwrap();
            for _ in 0..rng.index(60) {
                let mut batch = EngineBatch::default();
                batch.put(
                    rng.next_u64().to_be_bytes().to_vec().into(),
                    vec![1; rng.index(400)].into(),
                );
                engine.apply(batch).unwrap();
                let next = term(&log) + 1;
                now(log.write(vote(next), rng.below(4) == 0)).unwrap();
            }
            drop((engine, log));
            disk.crash(&rng);
        }
        (disk.read_all("engine").unwrap(), disk.read_all("raft-log").unwrap(), disk.syncs())
    };
    assert_eq!(life(7), life(7));
    assert_ne!(life(7), life(8));
}
