//! Three real nodes in one process, over tonic and real disks.

#![expect(clippy::disallowed_types, reason = "real nodes listen on real sockets")]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use kv::ids::NodeId;
use kv::range::bootstrap::FIRST_DATA_RANGE;
use kv::store::StoreConfig;
use node::real::node::{RealNode, RealOptions};
use tokio::net::TcpListener;
use txn::coordinator::TxnError;
use txn::db::TxnOptions;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

struct Cluster {
    directory: tempfile::TempDir,
    members: BTreeMap<NodeId, SocketAddr>,
    nodes: BTreeMap<NodeId, RealNode>,
}

async fn start(
    directory: &Path,
    members: &BTreeMap<NodeId, SocketAddr>,
    node_id: NodeId,
    listener: TcpListener,
) -> RealNode {
    let options = RealOptions {
        cluster_id: 42,
        node_id,
        members: members.clone(),
        directory: directory.join(node_id.to_string()),
        found: true,
        membership: None,
        max_offset: Duration::from_millis(500),
        store: StoreConfig::recommended(),
    };
    RealNode::start(options, listener).await.expect("an empty directory and a free port")
}

impl Cluster {
    async fn start() -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let mut members = BTreeMap::new();
        let mut listeners = Vec::new();
        for node_id in NODES {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            members.insert(node_id, listener.local_addr().unwrap());
            listeners.push((node_id, listener));
        }
        let mut nodes = BTreeMap::new();
        for (node_id, listener) in listeners {
            nodes.insert(node_id, start(directory.path(), &members, node_id, listener).await);
        }
        Cluster { directory, members, nodes }
    }

    async fn restart(&mut self, node_id: NodeId) {
        let listener = TcpListener::bind(self.members[&node_id]).await.unwrap();
        let node = start(self.directory.path(), &self.members, node_id, listener).await;
        self.nodes.insert(node_id, node);
    }

    /// Writes through a node, again until it is acknowledged: a blind write may be repeated.
    async fn put(&self, node: NodeId, key: &'static str, value: &'static str) {
        loop {
            let mut txn = self.nodes[&node].node().db().begin(TxnOptions::default());
            txn.put(Bytes::from(key), Bytes::from(value)).unwrap();
            match txn.commit().await {
                Ok(_) => return,
                Err(TxnError::Invalid(why)) => panic!("{why}"),
                Err(_) => {}
            }
        }
    }

    async fn get(&self, node: NodeId, key: &'static str) -> Option<Bytes> {
        loop {
            let mut txn = self.nodes[&node].node().db().begin(TxnOptions::default());
            match txn.get(Bytes::from(key)).await {
                Ok(value) => return value,
                Err(TxnError::Invalid(why)) => panic!("{why}"),
                Err(_) => {}
            }
        }
    }

    fn leader(&self) -> Option<NodeId> {
        self.nodes.values().find_map(|node| node.node().store().leader_of(FIRST_DATA_RANGE))
    }
}

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
