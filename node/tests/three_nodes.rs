//! Three real nodes in one process, over tonic and real disks.

#![expect(clippy::disallowed_types, reason = "real nodes listen on real sockets")]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use bytes::Bytes;
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
