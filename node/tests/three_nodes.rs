//! Three real nodes in one process, over tonic and real disks.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real nodes listen on real sockets, and take real time"
)]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use kv::clock::TimeSource;
use kv::failure::FailureKind;
use kv::store::StoreConfig;
use node::real::RealTime;
use txn::db::TxnOptions;

use crate::common::{Cluster, NODES};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledged_put_outlives_its_leader_and_every_restart() {
    let mut cluster = Cluster::start().await;
    cluster.put(NODES[0], "\x03a", "1").await;
    for node in NODES {
        assert_eq!(cluster.get(node, "\x03a").await, Some(Bytes::from("1")));
    }

    let leader = cluster.leader().expect("a put was acknowledged, so somebody leads");
    let other = NODES.into_iter().find(|node| *node != leader).expect("three nodes");
    cluster.nodes.remove(&leader).expect("it runs").stop().await;
    assert_eq!(cluster.get(other, "\x03a").await, Some(Bytes::from("1")));
    cluster.put(other, "\x03b", "2").await;

    cluster.restart(leader).await;
    assert_eq!(cluster.get(leader, "\x03b").await, Some(Bytes::from("2")));

    for node in NODES {
        cluster.nodes.remove(&node).expect("it runs").stop().await;
    }
    for node in NODES {
        cluster.restart(node).await;
    }
    assert_eq!(cluster.get(leader, "\x03a").await, Some(Bytes::from("1")));
    assert_eq!(cluster.get(other, "\x03b").await, Some(Bytes::from("2")));
    assert_eq!(cluster.get(other, "\x03c").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_spans_ranges_after_a_split() {
    let cluster = Cluster::start().await;
    cluster.put(NODES[0], "\x03a", "1").await;
    let sides = cluster.nodes[&NODES[1]].node().router().split(Bytes::from("\x03m")).await.unwrap();
    assert_eq!(sides.len(), 2);
    loop {
        let mut txn = cluster.nodes[&NODES[2]].node().db().begin(TxnOptions::default());
        txn.put(Bytes::from("\x03b"), Bytes::from("left")).unwrap();
        txn.put(Bytes::from("\x03x"), Bytes::from("right")).unwrap();
        if txn.commit().await.is_ok() {
            break;
        }
    }
    let mut txn = cluster.nodes[&NODES[0]].node().db().begin(TxnOptions::default());
    let rows = txn.scan(Bytes::from("\x03"), Bytes::from("\x04"), 10).await.unwrap();
    let keys: Vec<&[u8]> = rows.iter().map(|row| &row.key[..]).collect();
    assert_eq!(keys, [&b"\x03a"[..], b"\x03b", b"\x03x"]);
}

/// The system's clock, moved.
struct Moved(RealTime, AtomicI64);

impl TimeSource for Moved {
    fn wall_ms(&self) -> u64 {
        self.0.wall_ms().saturating_add_signed(self.1.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

fn moved(ms: i64) -> Arc<Moved> {
    Arc::new(Moved(RealTime::new(), AtomicI64::new(ms)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_clock_is_wrong_stops_itself_and_the_others_go_on() {
    let mut cluster = Cluster::start().await;
    cluster.put(NODES[0], "\x03a", "1").await;
    for wrong_ms in [45_000, -45_000, 450] {
        cluster.nodes.remove(&NODES[2]).expect("it runs").stop().await;
        cluster.restart_by(NODES[2], moved(wrong_ms)).await;
        let failure = loop {
            if let Some(failure) = cluster.nodes[&NODES[2]].node().store().failure() {
                break failure;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(failure.kind, FailureKind::Clock);
        let direction = if wrong_ms > 0 { "ahead of n1's" } else { "behind n1's" };
        assert!(failure.what.contains(direction), "{failure}");
        // Its gateway says so at once; the others need it for nothing.
        let mut txn = cluster.nodes[&NODES[2]].node().db().begin(TxnOptions::default());
        let error = txn.get(Bytes::from("\x03a")).await.unwrap_err();
        assert_eq!(error.sqlstate(), "57P02");
        cluster.put(NODES[0], "\x03b", "2").await;
        assert_eq!(cluster.get(NODES[1], "\x03b").await, Some(Bytes::from("2")));
        cluster.nodes.remove(&NODES[2]).expect("it runs").stop().await;
        cluster.restart(NODES[2]).await;
        assert_eq!(cluster.get(NODES[2], "\x03b").await, Some(Bytes::from("2")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clock_that_is_ahead_for_a_while_changes_nothing() {
    let mut cluster = Cluster::start().await;
    let mut clocks = Vec::new();
    for node in NODES {
        cluster.nodes.remove(&node).expect("it runs").stop().await;
        clocks.push(moved(0));
        cluster.restart_by(node, clocks[clocks.len() - 1].clone()).await;
    }
    for (clock, node) in clocks.iter().zip(NODES) {
        cluster.put(node, "\x03a", "before").await;
        for ahead_ms in [45_000, 300_000, 0] {
            clock.1.store(ahead_ms, Ordering::SeqCst);
            for gateway in NODES {
                cluster.put(gateway, "\x03a", "meanwhile").await;
                let found = cluster.get(gateway, "\x03a").await;
                assert_eq!(found, Some(Bytes::from("meanwhile")), "{node} {ahead_ms}");
            }
        }
        assert_eq!(cluster.nodes[&node].node().trouble(), None);
    }
    for node in NODES {
        assert_eq!(cluster.nodes[&node].node().store().failure(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_was_away_for_long_comes_back_by_a_snapshot() {
    let mut cluster = Cluster::start_with(StoreConfig {
        log_entries_max: 16,
        snapshot_part_bytes: 64 << 10,
        ..StoreConfig::recommended()
    })
    .await;
    let value = Bytes::from(vec![b'x'; 20_000]);
    cluster.put(NODES[0], "\x03a", "1").await;
    cluster.nodes.remove(&NODES[2]).expect("it runs").stop().await;
    // Until its leader has given the node up, and cut the log; a megabyte of data at least.
    let begin = std::time::Instant::now();
    let mut count = 0;
    while count < 50 || begin.elapsed() < Duration::from_secs(6) {
        cluster.put(NODES[0], format!("\x03b{count}"), value.clone()).await;
        count += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.restart(NODES[2]).await;
    while cluster.nodes[&NODES[2]].node().store().snapshots_installed() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // From here on nothing is acknowledged without it.
    cluster.nodes.remove(&NODES[1]).expect("it runs").stop().await;
    for node in [NODES[0], NODES[2]] {
        cluster.put(node, "\x03c", "2").await;
    }
    cluster.nodes.remove(&NODES[0]).expect("it runs").stop().await;
    cluster.restart(NODES[1]).await;
    for n in 0..count {
        assert_eq!(cluster.get(NODES[2], format!("\x03b{n}")).await, Some(value.clone()));
    }
    assert_eq!(cluster.get(NODES[1], "\x03c").await, Some(Bytes::from("2")));
    // And again, over what it has on its disk now.
    cluster.nodes.remove(&NODES[2]).expect("it runs").stop().await;
    cluster.restart(NODES[2]).await;
    cluster.put(NODES[2], "\x03d", "3").await;
}
