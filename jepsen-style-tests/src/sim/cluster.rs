//! The cluster: nodes that live, crash and come back on disks that outlive them.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::engine::Engine;
use kv::env::{Env, Rng, TaskScope, Transport};
use kv::ids::NodeId;
use kv::log::RaftLog;
use kv::mutant::Mutant;
use kv::range::bootstrap::{StoreIdent, bootstrap};
use kv::sim::disk::{SimDisk, SyncLatency};
use kv::sim::engine::SimEngine;
use kv::sim::log::SimLog;
use kv::store::StoreConfig;
use node::node::{Node, NodeConfig};
use node::pg::{Limits, Server};
use node::sessions::{DEFAULT_NODE_BYTES, Sessions};
use node::sim::{SimNetwork, SimScope, SimTime, TraceSink};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use txn::db::Config;

use crate::rng::SeedRng;
use crate::sim::sql_client;

/// The members of a simulated cluster.
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// Largest difference between two clocks.
pub(super) const MAX_OFFSET: Duration = Duration::from_millis(500);
/// When the simulated world begins, in Unix milliseconds: 2026-01-01.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// Bytes on their way between a client and its node, in either direction: as many as a socket holds.
const PIPE_BYTES: usize = 64 << 10;
/// What went wrong is kept up to this.
const FAULTS_MAX: usize = 100;
/// How long a node that is told to end tries to get rid of its leases, as in a real process.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);
const CLUSTER_ID: u64 = 0x006d_6572_6964_6961;

/// One place for a node: what survives a crash, and the present life if there is one.
struct Seat {
    id: NodeId,
    disk: Arc<SimDisk>,
    time: SimTime,
    lives: u64,
    life: Option<Life>,
    /// The store is made to fail: that it does is right.
    failing: bool,
}

struct Life {
    node: Node,
    scope: SimScope,
    engine: Arc<SimEngine>,
    /// Its SQL port.
    server: Arc<Server<Sessions>>,
    /// It was told to end, and others have its leases, as far as they would.
    drained: Arc<AtomicBool>,
}

/// A cluster of [`NODES`].
pub struct Cluster {
    seed: u64,
    mutant: Option<Mutant>,
    /// The network between them.
    pub network: Arc<SimNetwork>,
    chaos: Arc<SeedRng>,
    /// Which leases move.
    moves: SeedRng,
    start: Instant,
    sink: Option<TraceSink>,
    seats: RefCell<Vec<Seat>>,
    /// What went wrong and shows in no history: damaged stores, panics, failed stores, errors that no client should see.
    pub faults: RefCell<Vec<String>>,
    /// Snapshots that took the place of what a replica had, in the lives that are over.
    pub snapshots: Cell<u64>,
}

impl Cluster {
    /// Bootstraps and starts all nodes. Within a paused runtime.
    pub async fn start(seed: u64, mutant: Option<Mutant>, sink: Option<TraceSink>) -> Cluster {
        let rng = Arc::new(SeedRng::stream(seed, "network", 0));
        let network = SimNetwork::new(rng, sink.clone());
        let start = Instant::now();
        let mut seats = Vec::new();
        for id in NODES {
            let disk = SimDisk::new();
            let engine = SimEngine::open(disk.clone()).expect("an empty disk opens");
            let ident = StoreIdent::first(CLUSTER_ID, id);
            bootstrap(&engine, &ident, &NODES).await.expect("an empty disk takes writes");
            let time = SimTime::new(EPOCH_MS);
            let latency = SyncLatency {
                time: Arc::new(time.clone()),
                rng: Arc::new(SeedRng::stream(seed, "disk", id.0)),
                range: Duration::from_micros(200)..Duration::from_millis(3),
            };
            disk.set_latency(Some(latency));
            seats.push(Seat { id, disk, time, lives: 0, life: None, failing: false });
        }
        let cluster = Cluster {
            seed,
            mutant,
            network,
            chaos: Arc::new(SeedRng::stream(seed, "crash", 0)),
            moves: SeedRng::stream(seed, "moves", 0),
            start,
            sink,
            seats: RefCell::new(seats),
            faults: RefCell::default(),
            snapshots: Cell::default(),
        };
        for id in NODES {
            cluster.restart(id);
        }
        cluster
    }

    /// The node's present life.
    pub fn node(&self, id: NodeId) -> Option<(Node, SimScope)> {
        let seats = self.seats.borrow();
        let life = seats.iter().find(|seat| seat.id == id)?.life.as_ref()?;
        Some((life.node.clone(), life.scope.clone()))
    }

    /// A connection to the node's SQL port, unless the node is down. It ends with the node's present life.
    pub fn dial(&self, id: NodeId) -> Option<DuplexStream> {
        let seats = self.seats.borrow();
        let life = seats.iter().find(|seat| seat.id == id)?.life.as_ref()?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let server = life.server.clone();
        let serve = async move { server.serve(far).await };
        life.scope.spawn("sql", Box::pin(serve));
        Some(near)
    }

    /// Writes a line into the trace, if there is one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(sink) = &self.sink {
            sink(&format!("{:>10} {}", self.start.elapsed().as_micros(), line()));
        }
    }

    /// Something is wrong that no history shows. The first hundred will do.
    pub fn complain(&self, what: String) {
        self.note(|| format!("complaint {what}"));
        let mut faults = self.faults.borrow_mut();
        if faults.len() < FAULTS_MAX {
            faults.push(what);
        }
    }

    /// The engine of the node's present life.
    pub fn engine(&self, id: NodeId) -> Option<Arc<SimEngine>> {
        let seats = self.seats.borrow();
        Some(seats.iter().find(|seat| seat.id == id)?.life.as_ref()?.engine.clone())
    }

    /// The node's clock.
    pub fn time(&self, id: NodeId) -> SimTime {
        let seats = self.seats.borrow();
        seats.iter().find(|seat| seat.id == id).expect("one of NODES").time.clone()
    }

    /// The node's clock shows the true time from now on, moved by `error_ms`, whatever its rate was before.
    pub fn set_clock_error(&self, id: NodeId, error_ms: i64) {
        let time = self.time(id);
        let node_ms = i64::try_from(time.monotonic().as_millis()).expect("a short simulation");
        let true_ms = i64::try_from(self.start.elapsed().as_millis()).expect("a short simulation");
        time.set_offset_ms(true_ms - node_ms + error_ms);
    }

    /// The node's disk.
    pub fn disk(&self, id: NodeId) -> Arc<SimDisk> {
        let seats = self.seats.borrow();
        seats.iter().find(|seat| seat.id == id).expect("one of NODES").disk.clone()
    }

    /// From now on the node's store may fail, or not any more. Meanwhile its process ends when it does: see
    /// [`Cluster::end_failed`].
    pub fn set_failing(&self, id: NodeId, failing: bool) {
        let mut seats = self.seats.borrow_mut();
        seats.iter_mut().find(|seat| seat.id == id).expect("one of NODES").failing = failing;
    }

    /// Tells the node to end: see [`Cluster::end_failed`].
    pub fn drain(&self, id: NodeId) {
        let seats = self.seats.borrow();
        let life = seats.iter().find(|seat| seat.id == id).and_then(|seat| seat.life.as_ref());
        let Some(life) = life else { return };
        let (store, drained) = (life.node.store().clone(), life.drained.clone());
        let drain = async move {
            store.drain(DRAIN_PATIENCE).await;
            drained.store(true, Ordering::SeqCst);
        };
        life.scope.spawn("drain", Box::pin(drain));
    }

    /// One of the leases that a node holds is handed over.
    pub fn move_a_lease(&self, id: NodeId) {
        let Some((node, scope)) = self.node(id) else { return };
        let held = node.store().held_ranges();
        if held.is_empty() {
            return;
        }
        let (store, range) = (node.store().clone(), self.moves.pick(&held).id());
        let hand_over = async move {
            // Those who would not take it have their reasons.
            let _ = store.hand_over(range).await;
        };
        scope.spawn("hand-over", Box::pin(hand_over));
    }

    /// Ends the processes of nodes that were told to, and of those whose stores have failed as they were made to. As a process
    /// does, not as a loss of power.
    pub async fn end_failed(&self) {
        for id in NODES {
            let failed = {
                let seats = self.seats.borrow();
                seats.iter().any(|seat| {
                    let failure = seat.life.as_ref().and_then(|life| life.node.store().failure());
                    let drained =
                        seat.life.as_ref().is_some_and(|life| life.drained.load(Ordering::SeqCst));
                    seat.id == id && (drained || seat.failing && failure.is_some())
                })
            };
            if failed {
                self.crash(id).await;
            }
        }
    }

    /// The node's clock has been beyond the offset: it must have noticed. That a mutant does not is to show in what clients
    /// read.
    pub fn expect_stopped(&self, id: NodeId) {
        if self.mutant.is_none() && self.is_running(id) {
            self.complain(format!("{id} did not stop, though its clock went beyond the offset"));
        }
    }

    /// True iff the node lives and its store runs.
    pub fn is_running(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|(node, _)| node.store().failure().is_none())
    }

    /// The node loses power: its tasks at their present awaits, and what its disk had not synced.
    pub async fn crash(&self, id: NodeId) {
        let Some((life, disk)) = self.take_life(id) else { return };
        self.note_trouble(id, &life);
        life.scope.crash();
        self.network.crash(id);
        let scope = life.scope.clone();
        drop(life);
        scope.gone().await;
        disk.crash(&*self.chaos);
    }

    fn take_life(&self, id: NodeId) -> Option<(Life, Arc<SimDisk>)> {
        let mut seats = self.seats.borrow_mut();
        let seat = seats.iter_mut().find(|seat| seat.id == id)?;
        Some((seat.life.take()?, seat.disk.clone()))
    }

    /// Starts the node from what its disk holds. A node that is up is left alone.
    pub fn restart(&self, id: NodeId) {
        let mut seats = self.seats.borrow_mut();
        let seat = seats.iter_mut().find(|seat| seat.id == id).expect("one of NODES");
        if seat.life.is_some() {
            return;
        }
        seat.lives += 1;
        match live(self.seed, self.mutant, &self.network, seat) {
            Ok(life) => seat.life = Some(life),
            Err(why) => self.complain(format!("{id} does not start: {why}")),
        }
    }

    /// Looks for panics and failed stores.
    fn note_trouble(&self, id: NodeId, life: &Life) {
        let installed = life.node.store().snapshots_installed();
        self.snapshots.set(self.snapshots.get() + installed);
        let mut faults = self.faults.borrow_mut();
        for task in life.scope.panicked() {
            faults.push(format!("{id}: a task panicked: {task}"));
        }
        let failing = self.seats.borrow().iter().any(|seat| seat.id == id && seat.failing);
        if let Some(why) = life.node.store().failure().filter(|_| !failing) {
            faults.push(format!("{id}: the store failed: {why}"));
        }
    }

    /// Ends the world: what every life has to say for itself, and then none is left.
    pub async fn stop(&self) {
        for id in NODES {
            if let Some((life, _)) = self.take_life(id) {
                self.note_trouble(id, &life);
                life.scope.crash();
                self.network.crash(id);
                let scope = life.scope.clone();
                drop(life);
                scope.gone().await;
            }
        }
    }
}

/// Bounds of a seed's transactions. In half of the seeds nearly all outgrow their buffers, so that writes are sent
/// before the commit; in some, batches are small, and records have no room for names.
fn txn_config(seed: u64) -> Config {
    let rng = SeedRng::stream(seed, "settings", 0);
    let mut config = Config::default();
    if rng.below(2) == 0 {
        config.flush_keys = rng.below(3) as usize;
    }
    if rng.below(4) == 0 {
        config.batch_requests = 1 + rng.below(3) as usize;
    }
    if rng.below(4) == 0 {
        config.max_record_bytes = 20;
    }
    if rng.below(4) == 0 {
        config.max_read_spans = 3;
    }
    // Few rows are much, and mostly a table's are.
    config.erase_from = 1 + rng.below(sql_client::MUCH) as usize;
    config
}

/// In some seeds timestamps are closed while their transactions still run. In half of them logs are short, so that a node that was
/// away needs snapshots, which are slow and in many parts.
fn store_config(seed: u64) -> StoreConfig {
    let rng = SeedRng::stream(seed, "store settings", 0);
    let mut config = StoreConfig::recommended();
    if rng.below(8) == 0 {
        config.closed_lag = Duration::from_millis(rng.below(200));
    }
    if rng.below(2) == 0 {
        config.log_entries_max = 10 + rng.below(60);
        config.log_bytes_max = 1 << (15 + rng.below(6));
        config.snapshot_part_bytes = 1_000 << rng.below(6);
        config.snapshot_bytes_per_second = 1_000_000 << rng.below(4);
    }
    config
}

fn live(
    seed: u64,
    mutant: Option<Mutant>,
    network: &Arc<SimNetwork>,
    seat: &Seat,
) -> Result<Life, String> {
    let unsafe_log = mutant == Some(Mutant::AckBeforeFsync);
    let engine = Arc::new(SimEngine::open(seat.disk.clone()).map_err(|error| error.to_string())?);
    let log = SimLog::open(seat.disk.clone(), unsafe_log).map_err(|error| error.to_string())?;
    let scope = SimScope::new();
    let clock = Clock::new(Arc::new(seat.time.clone()), MAX_OFFSET);
    let transport = network.connect(seat.id, clock.clone(), Arc::new(scope.clone()));
    let env = Env {
        node_id: seat.id,
        clock: clock.clone(),
        // Every life has its own stream: incarnations and transaction ids must not repeat.
        rng: Arc::new(SeedRng::stream(seed, &format!("node {}", seat.id), seat.lives)),
        transport: transport.clone() as Arc<dyn Transport>,
        tasks: Arc::new(scope.clone()),
        mutant,
    };
    let log: Arc<dyn RaftLog> = Arc::new(log);
    let config = NodeConfig { store: store_config(seed), txn: txn_config(seed) };
    let node = Node::start(env, config, engine.clone() as Arc<dyn Engine>, log)
        .map_err(|error| error.to_string())?;
    transport.register(node.inbound());
    let (rng, limits) = (node.env().rng.clone(), Limits::recommended());
    let server =
        Arc::new(Server::new(Sessions::new(&node, DEFAULT_NODE_BYTES), clock, rng, limits));
    Ok(Life { node, scope, engine, server, drained: Arc::default() })
}
