//! Opening a store that has lost more than a crash may take.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[expect(dead_code, reason = "another test needs more of it")]
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Seeded, now};
use futures::future::BoxFuture;
use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::engine::{Engine, EngineBatch};
use kv::env::{Env, RpcError, TaskScope, Transport};
use kv::ids::{NodeId, RangeId};
use kv::keys;
use kv::log::{GroupWrite, LogBatch, RaftLog};
use kv::range::bootstrap::{STORE_FORMAT, StoreIdent, bootstrap};
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use kv::sim::disk::SimDisk;
use kv::sim::engine::SimEngine;
use kv::sim::log::SimLog;
use kv::store::{OpenError, Store, StoreConfig};
use raft::eraftpb::HardState;

/// A world in which nothing moves.
struct Still;

impl TimeSource for Still {
    fn wall_ms(&self) -> u64 {
        1_800_000_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Transport for Still {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}

    fn call(&self, _: NodeId, _: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        Box::pin(std::future::pending())
    }
}

impl TaskScope for Still {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
}

/// Opens a fresh store whose log has this beside it.
fn open_with(range: RangeId, write: GroupWrite) -> Result<Store, OpenError> {
    open_changed(range, write, |_| {})
}

/// As [`open_with`], after a change to the engine.
fn open_changed(
    range: RangeId,
    write: GroupWrite,
    change: impl FnOnce(&mut EngineBatch),
) -> Result<Store, OpenError> {
    let disk = SimDisk::new();
    let engine = SimEngine::open(disk.clone()).unwrap();
    let ident = StoreIdent::first(1, NodeId(1));
    now(Box::pin(bootstrap(&engine, &ident, &[1, 2, 3].map(NodeId)))).unwrap();
    let mut batch = EngineBatch::default();
    change(&mut batch);
    engine.apply(batch).unwrap();
    let log = SimLog::open(disk, false).unwrap();
    now(log.write(LogBatch { groups: vec![(range, write)] }, true)).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    Store::open(env(), StoreConfig::recommended(), engine, Arc::new(log))
}

fn env() -> Env {
    Env {
        node_id: NodeId(1),
        clock: Clock::new(Arc::new(Still), Duration::from_millis(500)),
        rng: Arc::new(Seeded::new(1)),
        transport: Arc::new(Still),
        tasks: Arc::new(Still),
        mutant: None,
    }
}

fn durable(index: u64) -> GroupWrite {
    GroupWrite { durable_applied: Some(index), ..GroupWrite::default() }
}

#[test]
fn an_engine_behind_what_it_was_durable_with_is_damaged() {
    assert!(open_with(RangeId(3), durable(10)).is_ok());
    assert!(matches!(open_with(RangeId(3), durable(11)), Err(OpenError::Damaged(_))));
}

#[test]
fn an_engine_that_lost_a_whole_range_is_damaged_unless_it_never_was_durable_with_it() {
    let vote = HardState { term: 6, vote: 2, commit: 10, ..HardState::default() };
    let voted = GroupWrite { hard_state: Some(vote), ..GroupWrite::default() };
    assert!(open_with(RangeId(100), voted).is_ok(), "its left side replays the split");
    assert!(matches!(open_with(RangeId(100), durable(10)), Err(OpenError::Damaged(_))));
}

#[test]
fn stores_of_other_formats_are_refused_with_a_sentence() {
    for found in [1, STORE_FORMAT + 1] {
        let ident = [&[found][..], b"whatever that build wrote"].concat();
        let opened = open_changed(RangeId(3), durable(10), |batch| {
            batch.put(keys::store_key(b"ident"), ident.into());
        });
        let Err(OpenError::Ident(error)) = opened else { panic!("format {found} was opened") };
        assert!(error.to_string().starts_with(&format!("the store has format {found}, and this")));
    }
}

/// They have nothing that it has not. What is written from now on, builds of theirs would read wrongly.
#[test]
fn stores_of_formats_2_and_3_become_stores_of_the_present_format() {
    let disk = SimDisk::new();
    let engine: Arc<dyn Engine> = Arc::new(SimEngine::open(disk.clone()).unwrap());
    let ident = StoreIdent::first(1, NodeId(1));
    now(Box::pin(bootstrap(&*engine, &ident, &[NodeId(1)]))).unwrap();
    let format = || {
        let ident = engine.snapshot().get(&keys::store_key(b"ident")).unwrap().unwrap();
        (ident[0], ident.slice(1..))
    };
    let (written, rest) = format();
    for former in [2, 3] {
        let mut batch = EngineBatch::default();
        batch.put(keys::store_key(b"ident"), [&[former], &rest[..]].concat().into());
        engine.apply(batch).unwrap();
        let log = Arc::new(SimLog::open(disk.clone(), false).unwrap());
        Store::open(env(), StoreConfig::recommended(), engine.clone(), log).unwrap();
        assert_eq!(format(), (written, rest.clone()));
    }
}
