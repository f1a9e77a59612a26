//! A node as an operator sees it: a store directory, two ports, and a SIGTERM at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kv::env::Rng;
use kv::failure::Failure;
use kv::ids::NodeId;
use kv::store::StoreConfig;
use tokio::net::TcpListener;

use super::http::{Health, Readiness};
use super::listener::SqlListener;
use super::node::{RealNode, RealOptions, StartError};
use super::os_rng;
use super::setup::{
    Member, Membership, SetupError, StoreFile, StoreState, Waiting, wait_for_membership,
};
use crate::node::Node;
use crate::pg::{Limits, SessionFactory};

/// The largest difference between two clocks of a cluster.
const MAX_OFFSET: Duration = Duration::from_millis(500);
/// How long a stop waits for running statements.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long it takes at most until others have the node's leases.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);
/// How often somebody looks whether the store has failed, and whether the node can serve.
const FAILURE_POLL: Duration = Duration::from_millis(100);

/// What an operator says about a node.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Where its store lives; created if it is not there.
    pub store: PathBuf,
    /// Where PostgreSQL's clients connect.
    pub sql_address: SocketAddr,
    /// Where other nodes connect; they must be able to.
    pub rpc_address: SocketAddr,
    /// The founding members of its cluster; `None` for a cluster of this node alone. Means nothing once the store
    /// belongs to a cluster.
    pub join: Option<BTreeSet<SocketAddr>>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// Something of the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It cannot become a member.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The store cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A running node with its SQL port.
pub struct Process<F> {
    node: RealNode,
    sql: SqlListener<F>,
}

impl<F: SessionFactory> Process<F> {
    /// Starts a node; waits until its cluster is created, if it is not. `sessions` makes what serves its clients.
    pub async fn start(
        options: ProcessOptions,
        sessions: impl FnOnce(&Node) -> F,
    ) -> Result<Process<F>, ProcessError> {
        let rng = os_rng()?;
        let mut file = StoreFile::open(&options.store, &*rng)?;
        let mut rpc = bind(options.rpc_address).await?;
        let address = rpc.local_addr()?;
        let (node_id, mut membership) = match (file.state().clone(), options.join) {
            (StoreState::Member(id, membership) | StoreState::Founded(id, membership), _) => {
                (id, membership)
            }
            (StoreState::Waiting, None) => {
                let members = BTreeMap::from([(address, file.store_id())]);
                let membership = Membership::number(rng.next_u64().max(1), members);
                file.join(NodeId(1), membership.clone())?;
                (NodeId(1), membership)
            }
            (StoreState::Waiting, Some(join)) => {
                tracing::info!(%address, "waiting for the cluster to be created: meridian init");
                let waiting = Waiting { address, join };
                let member = wait_for_membership(waiting, rpc, &mut file, rng).await?;
                rpc = bind(address).await?;
                member
            }
        };
        let is_alone = membership.members.len() == 1;
        if let Some(own) = membership.members.get_mut(&node_id) {
            if own.address != address && !is_alone {
                let what = format!(
                    "this store is {node_id}, which the other nodes look for at {}, not at {address}",
                    own.address
                );
                return Err(SetupError::Refused(what).into());
            }
            own.address = address;
        }
        // Before the node serves its peers: who hears from them that it does may connect.
        let sql = bind(options.sql_address).await?;
        start(options.store, file, node_id, membership, rpc, sql, sessions).await
    }

    /// The node.
    pub fn node(&self) -> &RealNode {
        &self.node
    }

    /// Where PostgreSQL's clients connect.
    pub fn sql_address(&self) -> SocketAddr {
        self.sql.address()
    }

    /// Completes when the store has stopped, and says why: its disk is broken or full, say. The process is to end then;
    /// its peers go on without it. Until then `health` is told whether clients may be sent here.
    pub async fn failed(&self, health: Option<&Health>) -> Failure {
        let node = self.node.node();
        loop {
            let trouble = node.trouble();
            if let Some(health) = health {
                health.set(trouble.map_or(Readiness::Ready, Readiness::NotReady));
            }
            if let Some(failure) = node.store().failure() {
                return failure;
            }
            node.env().clock.sleep(FAILURE_POLL).await;
        }
    }

    /// Ends the sessions, gives the node's leases to others, then ends the node.
    pub async fn stop(self) {
        self.sql.stop(STOP_PATIENCE).await;
        self.node.node().store().drain(DRAIN_PATIENCE).await;
        self.node.stop().await;
    }
}

/// Starts a cluster within this process: every node with a store of its own below `directory`, on ports that are
/// free. The first of them listens for clients on `sql_address`, if it can.
pub async fn start_cluster<F: SessionFactory>(
    directory: &Path,
    nodes: u64,
    sql_address: SocketAddr,
    sessions: impl Fn(&Node) -> F,
) -> Result<Vec<Process<F>>, ProcessError> {
    let rng = os_rng()?;
    let mut files = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    for id in (1..=nodes).map(NodeId) {
        files.insert(id, StoreFile::open(&directory.join(id.to_string()), &*rng)?);
        listeners.insert(id, bind(any_port(sql_address)).await?);
    }
    let mut membership = membership_of(directory, &files, &rng)?;
    for (id, member) in &mut membership.members {
        if let Some(listener) = listeners.get(id) {
            member.address = listener.local_addr()?;
        }
    }
    for (id, file) in &mut files {
        if *file.state() == StoreState::Waiting {
            file.join(*id, membership.clone())?;
        }
    }
    let mut processes = Vec::new();
    let mut listeners = listeners.into_values();
    for ((id, file), rpc) in files.into_iter().zip(&mut listeners) {
        let sql = match bind(sql_address).await {
            Ok(listener) if id == NodeId(1) => listener,
            _ => bind(any_port(sql_address)).await?,
        };
        let store = directory.join(id.to_string());
        let process = start(store, file, id, membership.clone(), rpc, sql, &sessions).await?;
        processes.push(process);
    }
    Ok(processes)
}

/// The membership that some store of the directory knows, or a new one.
fn membership_of(
    directory: &Path,
    files: &BTreeMap<NodeId, StoreFile>,
    rng: &Arc<dyn Rng>,
) -> Result<Membership, SetupError> {
    let known = files.values().find_map(|file| match file.state() {
        StoreState::Waiting => None,
        StoreState::Member(_, known) | StoreState::Founded(_, known) => Some(known.clone()),
    });
    let Some(known) = known else {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let member = |file: &StoreFile| Member { address: nowhere, store_id: file.store_id() };
        let members = files.iter().map(|(id, file)| (*id, member(file))).collect();
        return Ok(Membership { cluster_id: rng.next_u64().max(1), members });
    };
    if known.members.len() != files.len() {
        let what = format!(
            "{} holds a cluster of {} nodes, not of {}",
            directory.display(),
            known.members.len(),
            files.len()
        );
        return Err(SetupError::Refused(what));
    }
    for (id, file) in files {
        if known.members.get(id).is_none_or(|member| member.store_id != file.store_id()) {
            let what = format!("the store of {id} in {} is not the cluster's", directory.display());
            return Err(SetupError::Refused(what));
        }
    }
    Ok(known)
}

async fn start<F: SessionFactory>(
    directory: PathBuf,
    mut file: StoreFile,
    node_id: NodeId,
    membership: Membership,
    rpc: TcpListener,
    sql: TcpListener,
    sessions: impl FnOnce(&Node) -> F,
) -> Result<Process<F>, ProcessError> {
    let options = RealOptions {
        cluster_id: membership.cluster_id,
        node_id,
        members: membership.addresses(),
        directory,
        found: !matches!(file.state(), StoreState::Founded(..)),
        membership: Some(membership),
        max_offset: MAX_OFFSET,
        store: StoreConfig::recommended(),
    };
    let node = RealNode::start(options, rpc).await?;
    file.founded()?;
    let factory = sessions(node.node());
    let env = node.node().env().clone();
    let sql = SqlListener::start(sql, env, node.tasks(), factory, Limits::recommended())?;
    Ok(Process { node, sql })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ProcessError> {
    TcpListener::bind(address).await.map_err(|error| ProcessError::Bind(address, error))
}

fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}
