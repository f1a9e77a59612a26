//! Three real nodes in one process, each with its own directory, clock and sockets.

#![allow(dead_code, reason = "no user needs all of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::clock::TimeSource;
use kv::ids::NodeId;
use kv::range::bootstrap::FIRST_DATA_RANGE;
use kv::store::StoreConfig;
use node::real::RealTime;
use node::real::node::{RealNode, RealOptions, StartError};
use tokio::net::TcpListener;
use txn::coordinator::TxnError;
use txn::db::TxnOptions;

/// The members of the cluster.
pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// A running cluster. Its files go with it.
pub(crate) struct Cluster {
    /// Where all stores live.
    pub(crate) directory: tempfile::TempDir,
    /// Who listens where.
    pub(crate) members: BTreeMap<NodeId, SocketAddr>,
    /// The nodes that run.
    pub(crate) nodes: BTreeMap<NodeId, RealNode>,
    /// Settings of all stores.
    store: StoreConfig,
}

/// Opens one node's store below the cluster's directory, and starts the node.
async fn start(
    directory: &Path,
    members: &BTreeMap<NodeId, SocketAddr>,
    node_id: NodeId,
    listener: TcpListener,
    time: Arc<dyn TimeSource>,
    store: StoreConfig,
) -> Result<RealNode, StartError> {
    let options = RealOptions {
        cluster_id: 42,
        node_id,
        members: members.clone(),
        directory: directory.join(node_id.to_string()),
        found: true,
        membership: None,
        max_offset: Duration::from_millis(500),
        store,
    };
    RealNode::start_by(options, listener, time).await
}

impl Cluster {
    /// A new cluster of all members.
    pub(crate) async fn start() -> Cluster {
        Cluster::start_with(StoreConfig::recommended()).await
    }

    /// The same, with stores of these settings.
    pub(crate) async fn start_with(store: StoreConfig) -> Cluster {
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
            let time = Arc::new(RealTime::new());
            let path = directory.path();
            let node = start(path, &members, node_id, listener, time, store.clone()).await;
            nodes.insert(node_id, node.expect("an empty directory and a free port"));
        }
        Cluster { directory, members, nodes, store }
    }

    /// Starts a stopped node again, over what it left on disk and at its old address.
    pub(crate) async fn restart(&mut self, node_id: NodeId) {
        self.restart_by(node_id, Arc::new(RealTime::new())).await;
    }

    /// As [`Cluster::restart`], by a clock of its own.
    pub(crate) async fn restart_by(&mut self, node_id: NodeId, time: Arc<dyn TimeSource>) {
        // Somebody else may have been given the free port meanwhile, for a moment; and connections that were being served when
        // the node was stopped may hold its store a moment longer.
        let node = loop {
            let listener = match TcpListener::bind(self.members[&node_id]).await {
                Ok(listener) => listener,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (path, members) = (self.directory.path(), &self.members);
            let (time, store) = (time.clone(), self.store.clone());
            match start(path, members, node_id, listener, time, store).await {
                Ok(node) => break node,
                Err(error) => assert!(error.to_string().contains("is in use"), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.nodes.insert(node_id, node);
    }

    /// Writes through a node, again until it is acknowledged: a blind write may be repeated.
    pub(crate) async fn put(&self, node: NodeId, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        loop {
            let mut txn = self.nodes[&node].node().db().begin(TxnOptions::default());
            txn.put(key.clone(), value.clone()).unwrap();
            match txn.commit().await {
                Ok(_) => return,
                Err(TxnError::Invalid(why)) => panic!("{why}"),
                Err(_) => {}
            }
        }
    }

    /// Reads through a node, again until it is answered.
    pub(crate) async fn get(&self, node: NodeId, key: impl Into<Bytes>) -> Option<Bytes> {
        let key = key.into();
        loop {
            let mut txn = self.nodes[&node].node().db().begin(TxnOptions::default());
            match txn.get(key.clone()).await {
                Ok(value) => return value,
                Err(TxnError::Invalid(why)) => panic!("{why}"),
                Err(_) => {}
            }
        }
    }

    /// Who leads the first data range, as far as any node knows.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.nodes.values().find_map(|node| node.node().store().leader_of(FIRST_DATA_RANGE))
    }
}
