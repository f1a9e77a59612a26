//! A node of the real world: a directory, an address, threads.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::engine::fjall::FjallEngine;
use kv::engine::{Engine, EngineError};
use kv::env::Env;
use kv::ids::NodeId;
use kv::log::LogError;
use kv::log::raft_engine::RaftEngineLog;
use kv::range::bootstrap::{IdentError, StoreIdent, bootstrap, read_ident};
use kv::store::{OpenError, StoreConfig};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::setup::Membership;
use super::transport::{ClusterId, RealTransport, TransportConfig};
use super::{RealScope, RealTime, WorkRuntime, os_rng};
use crate::node::Node;
use crate::scope::ScopeHandle;

/// What a node of a fixed cluster needs to know.
#[derive(Clone, Debug)]
pub struct RealOptions {
    /// The cluster that it belongs to.
    pub cluster_id: u64,
    /// Itself.
    pub node_id: NodeId,
    /// All members, itself included, and where they listen.
    pub members: BTreeMap<NodeId, SocketAddr>,
    /// Where its store lives; created if it is not there.
    pub directory: PathBuf,
    /// An empty store is given its initial state. Without this it is taken for a lost one, and refused: a member
    /// that has forgotten its votes must not vote again.
    pub found: bool,
    /// What a node that has not heard of the cluster yet is told.
    pub membership: Option<Membership>,
    /// Largest difference between two clocks; one value for the cluster.
    pub max_offset: Duration,
    /// Settings of its store.
    pub store: StoreConfig,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The engine cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store is another build's.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The socket, the directory or the system's randomness cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store belongs to another cluster.
    #[error("the store belongs to another cluster")]
    WrongCluster,
    /// The store was founded before, and is empty now.
    #[error("the store has lost its data; a lost member cannot be replaced by an empty one")]
    Lost,
}

/// A running node. Dropping it stops it without waiting.
pub struct RealNode {
    node: Node,
    scope: RealScope,
    /// Where statements are run; stopped last.
    _work: WorkRuntime,
}

impl RealNode {
    /// Opens the node's store, bootstraps it if it is new, and listens. On the current runtime, which must be
    /// multi-threaded.
    pub async fn start(options: RealOptions, listener: TcpListener) -> Result<Self, StartError> {
        Self::start_by(options, listener, Arc::new(RealTime::new())).await
    }

    /// As [`RealNode::start`], by another clock than the system's.
    pub async fn start_by(
        options: RealOptions,
        listener: TcpListener,
        time: Arc<dyn TimeSource>,
    ) -> Result<Self, StartError> {
        let scope = RealScope::new(Handle::current());
        let work = WorkRuntime::start()?;
        let clock = Clock::new(time, options.max_offset);
        let rng = os_rng()?;
        let engine: Arc<dyn Engine> = Arc::new(FjallEngine::open(options.directory.join("data"))?);
        let log = Arc::new(RaftEngineLog::open(options.directory.join("log"))?);
        match read_ident(&*engine)? {
            Some(ident) if ident.cluster_id != options.cluster_id => {
                return Err(StartError::WrongCluster);
            }
            Some(_) => {}
            None if !options.found => return Err(StartError::Lost),
            None => {
                let ident = StoreIdent::first(options.cluster_id, options.node_id);
                let members: Vec<NodeId> = options.members.keys().copied().collect();
                bootstrap(&*engine, &ident, &members).await?;
            }
        }
        let mut config =
            TransportConfig::new(ClusterId(options.cluster_id.into()), options.node_id);
        config.addresses = options.members;
        config.addresses.remove(&options.node_id);
        config.membership = options.membership;
        config.work = work.handle();
        let transport = RealTransport::new(config, clock.clone(), rng.clone(), scope.handle());
        let env = Env {
            node_id: options.node_id,
            clock,
            rng,
            transport: transport.clone(),
            tasks: Arc::new(work.handle().map_or(scope.handle(), |work| scope.handle().on(work))),
            mutant: None,
        };
        let node = Node::start(env, options.store.into(), engine, log)?;
        transport.register(node.inbound());
        transport.listen(listener)?;
        Ok(RealNode { node, scope, _work: work })
    }

    /// The node's tasks that are not statements: on the runtime that the node was started on.
    pub(crate) fn tasks(&self) -> ScopeHandle {
        self.scope.handle()
    }

    /// The wiring within.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Stops all tasks where they are, as a crash of the process would, and waits until they are gone. What
    /// was acknowledged is on disk; nothing is flushed in farewell.
    pub async fn stop(self) {
        self.scope.stop().await;
    }
}
