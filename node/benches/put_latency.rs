//! What does a put cost, measured against what it cannot do without: a synced write, and a round trip?
//!
//! Three real nodes live in this process, on one disk, so the syncs of one put are in each other's way: the
//! synced write is measured alone and three at once, and ratios are to the former. The floors and the cluster are measured in turn, round
//! after round, so that all of them see the same machine. Run with `cargo bench -p node --bench put_latency`;
//! it ends within 40 seconds however slow the machine is. The figures are in `docs/performance.md`.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails may simply stop")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures real time, on real disks and sockets"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use kv::clock::Clock;
use kv::env::Transport;
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, RangeRequest, RequestBody, ResponseBody, RpcRequest, RpcResponse};
use node::inbound::Inbound;
use node::real::transport::{ClusterId, RealTransport, TransportConfig};
use node::real::{RealScope, RealTime, os_rng};
use tokio::net::TcpListener;

use crate::common::{Cluster, NODES};

const ROUNDS: usize = 6;
/// One measurement of one round ends at its number of operations or after this, whichever comes first.
const TIME_MAX: Duration = Duration::from_millis(700);
const SYNCS: usize = 500;
const CALLS: usize = 1_000;
const PUTS: usize = 500;
const GETS: usize = 1_000;
const PUTTERS: usize = 16;
const PUTS_PER_PUTTER: usize = 100;
/// Bytes of a value, of a synced write, of a request.
const PAYLOAD: usize = 128;
/// Nothing is measured before the cluster has elected a leader and acknowledged this many puts.
const WARM_UP: usize = 100;

/// The latencies of one kind of operation, and how long they took together.
#[derive(Default)]
struct Figures {
    micros: Vec<f64>,
    elapsed: Duration,
    /// The median of each round, which shows how steady the machine was.
    medians: Vec<f64>,
}

impl Figures {
    /// Takes in one round: the latencies of operations that took `elapsed` together.
    fn add(&mut self, mut round: Vec<f64>, elapsed: Duration) {
        self.medians.push(percentile(&mut round, 0.5));
        self.micros.append(&mut round);
        self.elapsed += elapsed;
    }

    fn percentile(&mut self, share: f64) -> f64 {
        percentile(&mut self.micros, share)
    }

    fn per_second(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }
}

fn percentile(micros: &mut [f64], share: f64) -> f64 {
    micros.sort_by(f64::total_cmp);
    let last = micros.len() - 1;
    micros[(last as f64 * share).round() as usize]
}

fn micros_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6
}

/// Does something up to `count` times, one after the other.
async fn repeat<F: Future<Output = ()>>(
    count: usize,
    mut operation: impl FnMut(usize) -> F,
) -> Vec<f64> {
    let begin = Instant::now();
    let mut micros = Vec::with_capacity(count);
    for n in 0..count {
        let before = Instant::now();
        operation(n).await;
        micros.push(micros_since(before));
        if begin.elapsed() > TIME_MAX {
            break;
        }
    }
    micros
}

/// One round of one kind of operation.
async fn measure<F: Future<Output = ()>>(
    figures: &mut Figures,
    count: usize,
    operation: impl FnMut(usize) -> F,
) {
    let begin = Instant::now();
    let micros = repeat(count, operation).await;
    figures.add(micros, begin.elapsed());
}

/// A file that is as long as it will ever be.
fn presized(directory: &Path, name: &str) -> File {
    let file = File::create(directory.join("floor-".to_owned() + name)).unwrap();
    file.set_len((ROUNDS * SYNCS * PAYLOAD) as u64).unwrap();
    file.sync_all().unwrap();
    file
}

/// One round of synced writes.
fn write_and_sync(file: &File, round: usize) -> Vec<f64> {
    let begin = Instant::now();
    let mut micros = Vec::with_capacity(SYNCS);
    for n in 0..SYNCS {
        let before = Instant::now();
        file.write_all_at(&[b'x'; PAYLOAD], ((round * SYNCS + n) * PAYLOAD) as u64).unwrap();
        file.sync_data().unwrap();
        micros.push(micros_since(before));
        if begin.elapsed() > TIME_MAX {
            break;
        }
    }
    micros
}

/// One round of synced writes to several files at once.
fn write_and_sync_all(files: &[File], round: usize) -> Vec<f64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            files.iter().map(|file| scope.spawn(move || write_and_sync(file, round))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Answers at once.
struct Echo;

impl Inbound for Echo {
    fn raft(&self, _from: NodeId, _messages: Vec<RaftMessage>) {}

    fn serve(&self, request: RpcRequest) -> BoxFuture<'static, RpcResponse> {
        let Some(RequestBody::Range(RangeRequest { payload, .. })) = request.body else {
            panic!("only range requests are sent here");
        };
        Box::pin(async move { RpcResponse { body: Some(ResponseBody::Payload(payload)) } })
    }
}

/// One end of a connection.
async fn endpoint(id: u64, scope: &RealScope) -> (Arc<RealTransport>, std::net::SocketAddr) {
    let clock = Clock::new(Arc::new(RealTime::new()), Duration::from_millis(500));
    let config = TransportConfig::new(ClusterId(7), NodeId(id));
    let transport = RealTransport::new(config, clock, os_rng().unwrap(), scope.handle());
    transport.register(Arc::new(Echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = transport.listen(listener).unwrap();
    (transport, address)
}

/// A request that a peer answers at once; true if it did.
async fn call(transport: &RealTransport) -> bool {
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    let body = RequestBody::Range(RangeRequest { range_id: 1, payload });
    transport.call(NodeId(2), RpcRequest { body: Some(body) }).await.is_ok()
}

fn key(family: &str, n: usize) -> Bytes {
    Bytes::from(format!("\x03{family}/{n:08}"))
}

fn value() -> Bytes {
    Bytes::from(vec![b'v'; PAYLOAD])
}

/// Several clients of one gateway, each with keys of its own. All latencies of the round, in one list.
async fn concurrent_puts(cluster: &Arc<Cluster>, gateway: NodeId, round: usize) -> Vec<f64> {
    let putter = |putter: usize| {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            let (cluster, family) = (&cluster, &format!("{putter:02}"));
            let put = |n| cluster.put(gateway, key(family, round * PUTS_PER_PUTTER + n), value());
            repeat(PUTS_PER_PUTTER, put).await
        })
    };
    // All of them run before the first is waited for.
    let putters: Vec<_> = (0..PUTTERS).map(putter).collect();
    let mut micros = Vec::new();
    for putter in putters {
        micros.extend(putter.await.unwrap());
    }
    micros
}

#[derive(Default)]
struct Results {
    sync: Figures,
    sync_all: Figures,
    call: Figures,
    put_near: Figures,
    put_far: Figures,
    get_near: Figures,
    get_far: Figures,
    put_many: Figures,
    /// Rounds that are not counted, because the lease moved.
    moved: usize,
}

async fn run() -> Results {
    let cluster = Arc::new(Cluster::start().await);
    let directory = cluster.directory.path();
    let files = ["alone", "1", "2", "3"].map(|name| presized(directory, name));
    let scope = RealScope::new(tokio::runtime::Handle::current());
    let (caller, _) = endpoint(1, &scope).await;
    let (_callee, address) = endpoint(2, &scope).await;
    caller.set_address(NodeId(2), address);
    for n in 0..WARM_UP {
        for node in NODES {
            cluster.put(node, key("warm", n), value()).await;
        }
        call(&caller).await;
    }

    let (cluster, caller) = (&cluster, &caller);
    let mut results = Results::default();
    for round in 0..ROUNDS {
        let holder = cluster.leader().expect("a put was acknowledged, so somebody leads");
        let other = NODES.into_iter().find(|node| *node != holder).unwrap();
        for (files, figures) in
            [(&files[..1], &mut results.sync), (&files[1..], &mut results.sync_all)]
        {
            let begin = Instant::now();
            figures.add(write_and_sync_all(files, round), begin.elapsed());
        }
        let answered = |_| async move {
            assert!(call(caller).await, "nothing cuts this connection");
        };
        measure(&mut results.call, CALLS, answered).await;
        for (gateway, family, puts, gets) in [
            (holder, "near", &mut results.put_near, &mut results.get_near),
            (other, "far", &mut results.put_far, &mut results.get_far),
        ] {
            let put = |n| cluster.put(gateway, key(family, round * PUTS + n), value());
            measure(puts, PUTS, put).await;
            // The first key of the round: however early the puts had to stop, it is there.
            let get = |_| async move {
                let found = cluster.get(gateway, key(family, round * PUTS)).await;
                assert!(found.is_some(), "an acknowledged put is there");
            };
            measure(gets, GETS, get).await;
        }
        let begin = Instant::now();
        let micros = concurrent_puts(cluster, holder, round).await;
        results.put_many.add(micros, begin.elapsed());
        results.moved += usize::from(cluster.leader() != Some(holder));
    }
    scope.stop().await;
    results
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // On a worker, where a gateway's clients would be too; the thread of `main` would add its own wake-ups.
    let mut results = runtime.block_on(runtime.spawn(run())).unwrap();
    let floor = results.sync.percentile(0.5) + results.call.percentile(0.5);
    println!("{ROUNDS} rounds; floor = fdatasync p50 + round trip p50 = {floor:.0} us");
    println!(
        "{:<36} {:>6} {:>8} {:>8} {:>9} {:>8}  p50 of the rounds",
        "", "n", "p50 us", "p99 us", "per s", "p50/floor"
    );
    for (name, figures) in [
        ("write of 128 B + fdatasync", &mut results.sync),
        ("the same to 3 files at once", &mut results.sync_all),
        ("call over a stream, 128 B", &mut results.call),
        ("put through the lease holder", &mut results.put_near),
        ("put through another gateway", &mut results.put_far),
        ("get through the lease holder", &mut results.get_near),
        ("get through another gateway", &mut results.get_far),
        ("put through the holder, 16 at once", &mut results.put_many),
    ] {
        let (p50, p99) = (figures.percentile(0.5), figures.percentile(0.99));
        let rounds: Vec<String> = figures.medians.iter().map(|p50| format!("{p50:.0}")).collect();
        println!(
            "{name:<36} {:>6} {p50:>8.0} {p99:>8.0} {:>9.0} {:>8.2}  {}",
            figures.micros.len(),
            figures.per_second(),
            p50 / floor,
            rounds.join(" ")
        );
    }
    if results.moved > 0 {
        println!("the lease moved in {} rounds: gateways were not what they say", results.moved);
    }
}
