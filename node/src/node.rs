//! One node of a cluster, wired: a store, a transaction server, a router, and the gateway's database handle.
//!
//! The same wiring runs in both worlds; only [`kv::env::Env`], the engine and the log differ.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use kv::engine::Engine;
use kv::env::Env;
use kv::ids::NodeId;
use kv::log::RaftLog;
use kv::range::bootstrap::META_RANGE;
use kv::range::descriptor::RangeDescriptor;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use kv::seam::{RangeService, SplitKeyPolicy};
use kv::store::{OpenError, Store, StoreConfig, StoreHandle};
use txn::api::Batches;
use txn::db::{Config, Db};
use txn::server::Server;

use crate::inbound::Inbound;

/// The router of transactions' batches.
pub type Router = kv::router::Router<Batches>;
type Service = kv::service::Service<Batches>;

/// At the level of keys every key is a row of its own, so a split may cut anywhere.
struct EveryKey;

impl SplitKeyPolicy for EveryKey {
    fn boundary(&self, key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(key)
    }
}

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Of its store.
    pub store: StoreConfig,
    /// Of the transactions that begin on it.
    pub txn: Config,
}

impl From<StoreConfig> for NodeConfig {
    fn from(store: StoreConfig) -> Self {
        NodeConfig { store, txn: Config::default() }
    }
}

/// A running node. Its tasks live in its environment's scope; dropping this stops nothing.
#[derive(Clone)]
pub struct Node {
    env: Env,
    store: StoreHandle,
    router: Router,
    db: Db,
    inbound: Arc<dyn Inbound>,
}

struct Wiring {
    store: StoreHandle,
    service: Arc<Service>,
}

impl Inbound for Wiring {
    fn raft(&self, from: NodeId, messages: Vec<RaftMessage>) {
        self.store.receive(from, messages);
    }

    fn serve(&self, request: RpcRequest) -> BoxFuture<'static, RpcResponse> {
        self.service.serve(request)
    }

    fn stalled(&self) -> BoxFuture<'static, ()> {
        let store = self.store.clone();
        Box::pin(async move { store.stalled().await })
    }
}

impl Node {
    /// Opens a bootstrapped store and starts its loops. The node hears nothing before [`Node::inbound`] is
    /// registered with its transport.
    pub fn start(
        env: Env,
        config: NodeConfig,
        engine: Arc<dyn Engine>,
        log: Arc<dyn RaftLog>,
    ) -> Result<Node, OpenError> {
        let report_interval = config.store.report_interval;
        let store = Store::open(env.clone(), config.store, engine, log)?;
        let handle = store.handle();
        let meta = meta_range(&handle)?;
        let router = Router::new(env.clone(), &handle, meta);
        let ranges = Arc::new(handle.clone());
        let server = Server::new(env.clone(), ranges, Arc::new(router.clone()));
        let db = Db::new(env.clone(), Arc::new(router.clone()), config.txn);
        let service =
            Service::new(handle.clone(), router.clone(), server.clone(), Arc::new(EveryKey));
        let service = Arc::new(service);
        let own: Arc<dyn RangeService<Batches>> = service.clone();
        router.serve(Arc::downgrade(&own));
        store.start(server);
        let reports = Service::clone(&service).report_loop(env.clone(), report_interval);
        env.tasks.spawn("report", Box::pin(reports));
        let inbound = Arc::new(Wiring { store: handle.clone(), service });
        Ok(Node { env, store: handle, router, db, inbound })
    }

    /// Where the node takes messages.
    pub fn inbound(&self) -> Arc<dyn Inbound> {
        self.inbound.clone()
    }

    /// The gateway: transactions that begin on this node.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The replicas on this node.
    pub fn store(&self) -> &StoreHandle {
        &self.store
    }

    /// Administration of ranges, wherever they are.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Why clients had better not be sent to this node now, if so.
    pub fn trouble(&self) -> Option<String> {
        self.store.trouble()
    }

    /// The injected world that the node lives in.
    pub fn env(&self) -> &Env {
        &self.env
    }
}

/// The meta range never moves in this version, so every member's store knows where it is.
fn meta_range(store: &StoreHandle) -> Result<RangeDescriptor, OpenError> {
    store
        .descriptors()
        .into_iter()
        .find(|descriptor| descriptor.id() == META_RANGE)
        .ok_or_else(|| OpenError::Damaged("no replica of the meta range on a first member".into()))
}
