//! What does a write to one range cost in a store that holds many others? It must not matter how many.
//!
//! A cluster of one, with engine and log in memory, and a clock that moves only when it is told to: what is measured is the
//! work of the store's loops for one write, from the proposal to its answer, and of one tick, with nothing else in it. Run with
//! `cargo bench -p kv --bench store_turn`; the figures are in `docs/performance.md`.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails may simply stop")]
#![expect(clippy::disallowed_methods, reason = "it has a runtime of its own")]
#![allow(missing_docs, reason = "criterion's macros")]

#[path = "../tests/common/mod.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Seeded, now};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::future::BoxFuture;
use kv::clock::{Clock, TimeSource, Timestamp};
use kv::engine::{Engine, EngineBatch};
use kv::env::{Env, RpcError, TaskScope, Transport};
use kv::ids::{NodeId, ReplicaId};
use kv::keys::Space;
use kv::range::bootstrap::{FIRST_DATA_RANGE, StoreIdent, bootstrap};
use kv::range::descriptor::{RangeDescriptor, Replica};
use kv::range::state::RangeState;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use kv::seam::{Access, RangeEvent, RangeObserver, Ranges, Served, WriteBatch};
use kv::sim::disk::SimDisk;
use kv::sim::engine::SimEngine;
use kv::sim::log::SimLog;
use kv::store::{Store, StoreConfig, StoreHandle};
use tokio::runtime::Runtime;
use tokio::time::Instant;

const IDLE: [u64; 3] = [0, 1_000, 10_000];
const TICK: Duration = Duration::from_millis(100);
/// Writes between two truncations of the log.
const CHUNK: u64 = 256;

/// Tokio's paused clock.
struct Paused(Instant);

impl TimeSource for Paused {
    fn wall_ms(&self) -> u64 {
        1_800_000_000_000 + self.0.elapsed().as_millis() as u64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A cluster of one has nobody to talk to.
struct Alone;

impl Transport for Alone {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}

    fn call(&self, _: NodeId, _: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        Box::pin(std::future::pending())
    }
}

impl TaskScope for Alone {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

impl RangeObserver for Alone {
    fn on_event(&self, _: &RangeEvent) {}
    fn hand_over(&self, _: &RangeDescriptor) -> BoxFuture<'static, Served> {
        Box::pin(std::future::pending())
    }
}

/// A store whose ranges all have their leader and their lease.
async fn store(idle: u64) -> StoreHandle {
    let disk = SimDisk::new();
    let engine = SimEngine::open(disk.clone()).unwrap();
    let ident = StoreIdent::first(1, NodeId(1));
    now(Box::pin(bootstrap(&engine, &ident, &[NodeId(1)]))).unwrap();
    let mut batch = EngineBatch::default();
    for n in 0..idle {
        // Beyond the keys of the cluster's own ranges.
        let key = |n: u64| Bytes::from([&[0xff], &n.to_be_bytes()[..]].concat());
        let descriptor = RangeDescriptor {
            range_id: 1_000 + n,
            start: key(n),
            end: key(n + 1),
            generation: 1,
            replicas: vec![Replica::voter(ReplicaId(1), NodeId(1))],
        };
        RangeState::initial(descriptor, None, Timestamp::ZERO).save(&mut batch);
    }
    engine.apply(batch).unwrap();
    let env = Env {
        node_id: NodeId(1),
        clock: Clock::new(Arc::new(Paused(Instant::now())), Duration::from_millis(500)),
        rng: Arc::new(Seeded::new(1)),
        transport: Arc::new(Alone),
        tasks: Arc::new(Alone),
        mutant: None,
    };
    // Of the leases only the first one: how often they are extended is another question.
    let lease_duration = Duration::from_secs(1_000_000);
    let config = StoreConfig {
        tick: TICK,
        lease_duration,
        log_entries_max: CHUNK / 2,
        ..StoreConfig::recommended()
    };
    let log = Arc::new(SimLog::open(disk, false).unwrap());
    let store = Store::open(env, config, Arc::new(engine), log).unwrap();
    let handle = store.handle();
    store.start(Arc::new(Alone));
    while handle.held_ranges().len() < 3 + idle as usize {
        tokio::time::sleep(TICK).await;
    }
    // What the beginning has left is synced.
    tokio::time::sleep(Duration::from_secs(2)).await;
    handle
}

async fn write(handle: &StoreHandle, ts: Timestamp) {
    let key = Bytes::from_static(b"\x03key");
    let access = Access::write((&key, b"\x03kez"), ts);
    let eval = handle.begin(FIRST_DATA_RANGE, &access).unwrap();
    let ts = eval.min_write_ts();
    let mut batch = WriteBatch::default();
    batch.put(Space::Data, key, Bytes::new(), Bytes::from_static(&[7; 128]));
    handle.propose(eval, batch, ts).await.unwrap();
}

/// The time that so many writes take. Between chunks of them, which does not count, log and engine get rid of what is old.
async fn write_in_chunks(handle: &StoreHandle, ts: Timestamp, writes: u64) -> Duration {
    let mut time = Duration::ZERO;
    let mut left = writes;
    while left > 0 {
        let chunk = left.min(CHUNK);
        let start = std::time::Instant::now();
        for _ in 0..chunk {
            write(handle, ts).await;
        }
        time += start.elapsed();
        left -= chunk;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    time
}

fn measure(criterion: &mut Criterion) {
    for idle in IDLE {
        let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let handle = runtime.block_on(store(idle));
        let ts = Timestamp::from_wall_ms(1_800_000_000_000);
        let mut group = criterion.benchmark_group("write");
        group.bench_function(BenchmarkId::new("idle ranges", idle), |bencher| {
            bencher.iter_custom(|writes| runtime.block_on(write_in_chunks(&handle, ts, writes)));
        });
        group.finish();
        let mut group = criterion.benchmark_group("begin");
        group.bench_function(BenchmarkId::new("idle ranges", idle), |bencher| {
            let access = Access::read((b"\x03a", b"\x03b"), ts);
            bencher.iter(|| black_box(handle.begin(FIRST_DATA_RANGE, &access).is_ok()));
        });
        group.finish();
        let mut group = criterion.benchmark_group("tick");
        group.bench_function(BenchmarkId::new("idle ranges", idle), |bencher| {
            bencher.iter(|| runtime.block_on(async { tokio::time::sleep(TICK).await }));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = measure
}
criterion_main!(benches);
