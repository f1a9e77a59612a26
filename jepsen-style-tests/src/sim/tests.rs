//! Whatever a bug does to the cluster, a seed ends (I3).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kv::ids::NodeId;
use kv::range::bootstrap::{DATA_PREFIX, FIRST_DATA_RANGE};
use kv::sim::disk::Stall;
use kv::store::{ENDED_AFTER, QueuedBytes};
use tokio::task::LocalSet;
use tokio::time::Instant;
use txn::db::TxnOptions;

use crate::client::Workload;
use crate::generator::{Generator, GeneratorConfig};
use crate::history::Recorder;
use crate::nemesis::{Action, Fault, FaultPlan, Step};
use crate::rng::SeedRng;
use crate::sim::clients::{Client, Way};
use crate::sim::cluster::{Cluster, NODES};
use crate::sim::nemesis;
use crate::sim::seed::drain;

async fn in_the_world<T>(test: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(test).await
}

/// Caught: seed 2 of the mutant ack-before-fsync damaged three logs, no node came back, and its clients looked for one
/// for ever.
#[tokio::test(start_paused = true)]
async fn a_client_of_nodes_that_never_come_back_ends() {
    let start = Instant::now();
    let cluster = Rc::new(in_the_world(Cluster::start(1, None, None)).await);
    for node in NODES {
        cluster.crash(node).await;
    }
    let config = GeneratorConfig::default();
    let generator = Generator::new(Workload::Register, config, SeedRng::stream(1, "generator", 0));
    let recorder = Rc::new(RefCell::new(Recorder::new(1)));
    let client = Client {
        worker: 0,
        cluster,
        generator: Rc::new(RefCell::new(generator)),
        recorder: recorder.clone(),
        rng: SeedRng::stream(1, "client", 0),
        way: Way::Kv,
        start,
        think: Duration::from_millis(60),
    };
    client.run(Duration::from_secs(40)).await;
    assert!(start.elapsed() < Duration::from_secs(60));
    let history = Rc::into_inner(recorder).unwrap().into_inner().finish(start.elapsed());
    assert!(history.ops().is_empty(), "a refused connection is no operation");
}

/// What no bound of its own ends is a violation.
#[tokio::test(start_paused = true)]
async fn clients_that_wait_for_ever_are_a_violation() {
    in_the_world(async {
        let waits = || tokio::task::spawn_local(std::future::pending());
        let ends = tokio::task::spawn_local(tokio::time::sleep(Duration::from_secs(1)));
        let stuck = drain(vec![waits(), ends, waits()], Duration::from_secs(5)).await;
        assert_eq!(stuck.as_deref(), Some("2 clients wait for ever"));
        assert_eq!(drain(vec![], Duration::from_secs(5)).await, None);
    })
    .await;
}

const KEY: &[u8] = &[DATA_PREFIX, b'k'];

/// The node that holds the lease of the data.
async fn holder(cluster: &Cluster) -> NodeId {
    loop {
        let holds = |id: &NodeId| {
            cluster.node(*id).is_some_and(|(node, _)| {
                node.store().held_ranges().iter().any(|range| range.id() == FIRST_DATA_RANGE)
            })
        };
        if let Some(id) = NODES.into_iter().find(holds) {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads or writes through a node until `end`; the longest time without a success.
async fn longest_stall(cluster: Rc<Cluster>, id: NodeId, writes: bool, end: Instant) -> Duration {
    let key = bytes::Bytes::from(KEY);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while last < end {
        let (node, _) = cluster.node(id).expect("nothing happens to this one");
        let mut txn = node.db().begin(TxnOptions::default());
        let done = match writes {
            true => {
                txn.put(key.clone(), "v".into()).unwrap();
                txn.commit().await.is_ok()
            }
            false => txn.get(key.clone()).await.is_ok(),
        };
        if done {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest = longest.max(last.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    longest
}

/// Its leases are others' before it ends: clients of the other two wait for half a second at most.
#[tokio::test(start_paused = true)]
async fn a_lease_holder_that_is_told_to_end_is_hardly_missed() {
    in_the_world(async {
        for seed in 1..=10 {
            let cluster = Rc::new(Cluster::start(seed, None, None).await);
            let ends = holder(&cluster).await;
            let start = Instant::now();
            let end = start + Duration::from_secs(8);
            let others = NODES.into_iter().filter(|id| *id != ends);
            let tasks: Vec<_> = others
                .flat_map(|id| [(id, false), (id, true)])
                .map(|(id, writes)| {
                    tokio::task::spawn_local(longest_stall(cluster.clone(), id, writes, end))
                })
                .collect();
            let at = |seconds, action| Step { at: Duration::from_secs(seconds), action };
            let fault = Fault::Drain(ends);
            let steps =
                vec![at(2, Action::Inflict(fault.clone())), at(6, Action::Heal(fault.clone()))];
            nemesis::run(cluster.clone(), FaultPlan { steps }, start, |_, _, _| {}).await;
            for task in tasks {
                let stall = task.await.unwrap();
                assert!(stall < Duration::from_millis(500), "seed {seed}: {stall:?}");
            }
            cluster.stop().await;
            assert_eq!(*cluster.faults.borrow(), Vec::<String>::new());
        }
    })
    .await;
}

/// With the real timeouts: whatever befalls the lease holder, and whether or not anything says so, reads and writes
/// through the other two go on within five seconds.
#[tokio::test(start_paused = true)]
async fn a_lease_holder_that_is_gone_stalls_the_majority_for_five_seconds_at_most() {
    let faults: [fn(NodeId) -> Fault; 7] = [
        Fault::Crash,
        Fault::Pause,
        Fault::BlackHole,
        Fault::Isolate,
        Fault::DiskFull,
        Fault::DiskRot,
        Fault::DiskStall,
    ];
    in_the_world(async {
        for (seed, fault) in (1..).zip(faults) {
            let cluster = Rc::new(Cluster::start(seed, None, None).await);
            let gone = holder(&cluster).await;
            let start = Instant::now();
            let end = start + Duration::from_secs(20);
            let tasks: Vec<_> = NODES
                .into_iter()
                .filter(|id| *id != gone)
                .flat_map(|id| [(id, false), (id, true)])
                .map(|(id, writes)| {
                    tokio::task::spawn_local(longest_stall(cluster.clone(), id, writes, end))
                })
                .collect();
            let at = |seconds, action| Step { at: Duration::from_secs(seconds), action };
            let fault = fault(gone);
            let steps =
                vec![at(2, Action::Inflict(fault.clone())), at(15, Action::Heal(fault.clone()))];
            nemesis::run(cluster.clone(), FaultPlan { steps }, start, |_, _, _| {}).await;
            for task in tasks {
                let stall = task.await.unwrap();
                assert!(stall < Duration::from_secs(5), "{fault:?}: {stall:?}");
                assert!(stall > Duration::from_millis(100), "{fault:?} was felt: {stall:?}");
            }
            cluster.stop().await;
            assert_eq!(*cluster.faults.borrow(), Vec::<String>::new());
        }
    })
    .await;
}

/// Caught: seed 3105 through SQL. A node came back that had been given up by one whose clock left the offset meanwhile. It
/// refused that one's dials without a word, and had nothing to say to it by itself: the wrong clock was contradicted by
/// one node of three for ever.
#[tokio::test(start_paused = true)]
async fn a_clock_beyond_the_offset_is_found_out_although_its_node_has_given_another_up() {
    in_the_world(async {
        for seed in 1..=10 {
            let cluster = Rc::new(Cluster::start(seed, None, None).await);
            let back = holder(&cluster).await;
            let wrong = NODES.into_iter().find(|id| *id != back).expect("there are three");
            cluster.crash(back).await;
            // It asks who is gone, until it has noticed.
            time_of_a_write(&cluster, wrong, KEY).await;
            let at = |ms, action| Step { at: Duration::from_millis(ms), action };
            let beyond = Fault::ClockBeyond { node: wrong, drift_ppm: 365_000 };
            let steps = vec![
                at(0, Action::Inflict(beyond.clone())),
                at(1_400, Action::Heal(Fault::Crash(back))),
                at(12_000, Action::Heal(beyond)),
            ];
            nemesis::run(cluster.clone(), FaultPlan { steps }, Instant::now(), |_, _, _| {}).await;
            cluster.stop().await;
            assert_eq!(*cluster.faults.borrow(), Vec::<String>::new(), "seed {seed}");
        }
    })
    .await;
}

/// Writes a key through a node until it is acknowledged; how long that took.
async fn time_of_a_write(cluster: &Cluster, id: NodeId, key: &'static [u8]) -> Duration {
    let start = Instant::now();
    loop {
        let (node, _) = cluster.node(id).expect("nothing happens to this one");
        let mut txn = node.db().begin(TxnOptions::default());
        txn.put(bytes::Bytes::from(key), "v".into()).unwrap();
        if txn.commit().await.is_ok() {
            return start.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn leader(cluster: &Cluster, asked: NodeId) -> Option<NodeId> {
    cluster.node(asked).and_then(|(node, _)| node.store().leader_of(FIRST_DATA_RANGE))
}

/// An election in the middle of a lease: the leadership comes back to who may serve, and nobody waits for the lease's end.
#[tokio::test(start_paused = true)]
async fn a_leadership_returns_to_the_lease() {
    in_the_world(async {
        let mut longest = Duration::ZERO;
        for seed in 1..=20 {
            let cluster = Cluster::start(seed, None, None).await;
            let held = holder(&cluster).await;
            let other = NODES.into_iter().find(|id| *id != held).expect("there are three");
            time_of_a_write(&cluster, other, KEY).await;
            for (from, to) in Fault::Isolate(held).cut_links(&NODES) {
                cluster.network.cut(from, to);
            }
            while leader(&cluster, other).is_none_or(|leads| leads == held) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            cluster.network.heal_all();
            longest = longest.max(time_of_a_write(&cluster, other, KEY).await);
            cluster.stop().await;
            assert_eq!(*cluster.faults.borrow(), Vec::<String>::new());
        }
        // No leadership is handed over in a lease's last second.
        assert!(longest < Duration::from_millis(1_500), "{longest:?}");
    })
    .await;
}

/// The right side of a split is led by who holds its lease, as soon as the others know of it.
#[tokio::test(start_paused = true)]
async fn a_split_stalls_nobody() {
    in_the_world(async {
        let mut longest = Duration::ZERO;
        for seed in 1..=20 {
            let cluster = Cluster::start(seed, None, None).await;
            let held = holder(&cluster).await;
            time_of_a_write(&cluster, held, KEY).await;
            let (node, _) = cluster.node(held).expect("it runs");
            node.router().split(bytes::Bytes::from(KEY)).await.unwrap();
            drop(node);
            longest = longest.max(time_of_a_write(&cluster, held, KEY).await);
            cluster.stop().await;
        }
        assert!(longest < Duration::from_secs(1), "{longest:?}");
    })
    .await;
}

/// An engine that takes no writes for ten seconds costs no leadership; one that takes none for longer ends its node, and
/// the others go on.
#[tokio::test(start_paused = true)]
async fn an_engine_that_blocks_is_waited_for_and_then_given_up() {
    in_the_world(async {
        for (seed, blocks) in (1..).zip([10, 60]) {
            let cluster = Rc::new(Cluster::start(seed, None, None).await);
            let held = holder(&cluster).await;
            let other = NODES.into_iter().find(|id| *id != held).expect("there are three");
            let start = Instant::now();
            let end = start + ENDED_AFTER + Duration::from_secs(15);
            let tasks: Vec<_> = [false, true]
                .map(|writes| longest_stall(cluster.clone(), other, writes, end))
                .map(tokio::task::spawn_local)
                .into();
            let at = |seconds, action| Step { at: Duration::from_secs(seconds), action };
            let fault = Fault::EngineStall(held);
            let steps = vec![
                at(1, Action::Inflict(fault.clone())),
                at((1 + blocks).min(28), Action::Heal(fault.clone())),
            ];
            nemesis::run(cluster.clone(), FaultPlan { steps }, start, |_, _, _| {}).await;
            if blocks == 10 {
                assert_eq!(leader(&cluster, other), Some(held));
                assert!(cluster.is_running(held));
            }
            let limit = ENDED_AFTER.min(Duration::from_secs(blocks)) + Duration::from_secs(4);
            for task in tasks {
                let stall = task.await.unwrap();
                assert!(stall < limit, "{blocks} s: {stall:?}");
            }
            cluster.stop().await;
            assert_eq!(*cluster.faults.borrow(), Vec::<String>::new());
        }
    })
    .await;
}

/// Writes a quarter of a mebibyte twice a second until one is acknowledged after `end`. False if none is for long.
async fn write_much(cluster: Rc<Cluster>, id: NodeId, key: u8, end: Instant) -> bool {
    let value = bytes::Bytes::from(vec![key; 256 << 10]);
    while Instant::now() < end + Duration::from_secs(15) {
        let Some((node, _)) = cluster.node(id) else { return false };
        let mut txn = node.db().begin(TxnOptions::default());
        txn.put(bytes::Bytes::from(vec![DATA_PREFIX, b'm', key]), value.clone()).unwrap();
        if txn.commit().await.is_ok() && Instant::now() > end {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    false
}

/// An engine that takes nothing for ten seconds while clients write what they can: no range loses its leader, and what waits
/// in the store's queues stays within its bounds.
#[tokio::test(start_paused = true)]
async fn an_engine_that_blocks_under_load_keeps_its_leaderships_and_its_bounds() {
    in_the_world(async {
        let cluster = Rc::new(Cluster::start(1, None, None).await);
        let held = holder(&cluster).await;
        let other = NODES.into_iter().find(|id| *id != held).expect("there are three");
        let stalled = Instant::now() + Duration::from_millis(600);
        let healed = stalled + Duration::from_secs(10);
        let writers: Vec<_> = (0..64)
            .map(|key| write_much(cluster.clone(), held, key, healed))
            .map(tokio::task::spawn_local)
            .collect();
        tokio::time::sleep_until(stalled).await;
        cluster.disk(held).set_stalled(Some(Stall::Engine));
        let mut most = 0;
        while Instant::now() < healed {
            let (node, _) = cluster.node(held).expect("it runs");
            let queued = node.store().queued_bytes();
            let max = QueuedBytes::MAX;
            assert!(
                queued.proposed <= max.proposed && queued.received <= max.received,
                "{queued:?}"
            );
            assert!(queued.applying <= max.applying, "{queued:?}");
            most = most.max(queued.applying);
            assert_eq!(leader(&cluster, other), Some(held));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster.disk(held).set_stalled(None);
        // One range has all the load: it may have eight mebibytes on the way.
        assert!((4 << 20..=9 << 20).contains(&most), "{most} bytes were on their way");
        for writer in writers {
            assert!(writer.await.unwrap(), "everybody comes through afterwards");
        }
        assert_eq!(leader(&cluster, other), Some(held));
        assert!(cluster.is_running(held));
        cluster.stop().await;
        assert_eq!(*cluster.faults.borrow(), Vec::<String>::new());
    })
    .await;
}
