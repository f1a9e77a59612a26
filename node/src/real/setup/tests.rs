//! Three nodes that become a cluster, or do not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kv::env::Rng;
use tokio::net::TcpListener;

use super::*;
use crate::real::os_rng;

async fn bind(count: usize) -> Vec<(SocketAddr, TcpListener)> {
    let mut bound = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        bound.push((listener.local_addr().unwrap(), listener));
    }
    bound
}

fn rng() -> Arc<dyn Rng> {
    os_rng().unwrap()
}

fn start(
    directory: &Path,
    address: SocketAddr,
    listener: TcpListener,
    join: &BTreeSet<SocketAddr>,
) -> tokio::task::JoinHandle<Result<(NodeId, Membership), SetupError>> {
    let directory = directory.join(address.port().to_string());
    let waiting = Waiting { address, join: join.clone() };
    tokio::spawn(async move {
        let mut file = StoreFile::open(&directory, &*rng())?;
        wait_for_membership(waiting, listener, &mut file, rng()).await
    })
}

#[tokio::test]
async fn waiting_nodes_become_members_and_remember_it() {
    let directory = tempfile::tempdir().unwrap();
    let bound = bind(3).await;
    let join: BTreeSet<SocketAddr> = bound.iter().map(|(address, _)| *address).collect();
    let mut nodes = Vec::new();
    for (address, listener) in bound {
        nodes.push((address, start(directory.path(), address, listener, &join)));
    }
    // Asked of the last: the first decides.
    let asked = *join.last().unwrap();
    let membership = loop {
        match client::ask_init(asked, false).await {
            Ok(membership) => break membership,
            // One of them has not begun to listen.
            Err(why) => assert_ne!(why.code(), tonic::Code::AlreadyExists, "{why}"),
        }
    };
    let expected: Vec<SocketAddr> = join.iter().copied().collect();
    assert_eq!(membership.addresses().into_values().collect::<Vec<_>>(), expected);
    // The founder has recorded it, and answers until it has gone; with it the others would never hear of it. Here no
    // node follows, so one that knows stands in for it.
    let founder = expected[0];
    for (address, node) in nodes {
        if address == founder {
            let (node_id, founded) = node.await.unwrap().unwrap();
            assert_eq!((node_id, &founded), (NodeId(1), &membership));
        } else {
            node.abort();
        }
    }
    let directory = directory.path().join(founder.port().to_string());
    let file = StoreFile::open(&directory, &*rng()).unwrap();
    assert_eq!(file.state(), &StoreState::Member(NodeId(1), membership));
}

#[tokio::test]
async fn init_needs_every_node() {
    let directory = tempfile::tempdir().unwrap();
    let mut bound = bind(2).await;
    let (missing, gone) = bound.pop().unwrap();
    drop(gone);
    let (address, listener) = bound.pop().unwrap();
    let join = BTreeSet::from([address, missing]);
    let node = start(directory.path(), address, listener, &join);
    let why = client::ask_init(address, false).await.unwrap_err();
    assert!(why.message().contains(&missing.to_string()), "{why}");
    node.abort();
}

#[test]
fn a_damaged_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = StoreFile::open(directory.path(), &*rng()).unwrap();
    let members = BTreeMap::from([("127.0.0.1:1".parse().unwrap(), file.store_id())]);
    let membership = Membership::number(7, members);
    file.join(NodeId(1), membership.clone()).unwrap();
    file.founded().unwrap();
    let again = StoreFile::open(directory.path(), &*rng()).unwrap();
    assert_eq!(again.state(), &StoreState::Founded(NodeId(1), membership));

    let path = directory.path().join("meridian.store");
    let whole = std::fs::read(&path).unwrap();
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(StoreFile::open(directory.path(), &*rng()).is_err(), "byte {index}");
        std::fs::write(&path, &whole[..index]).unwrap();
        assert!(StoreFile::open(directory.path(), &*rng()).is_err(), "cut at {index}");
    }
}
