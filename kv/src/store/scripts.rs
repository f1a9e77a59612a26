//! Scripts over three nodes' stores, in a world of ticks: elections, leases, what a command meets on its way, splits.
//! `kv/testdata/store`; `UPDATE_GOLDENFILES=1` writes what they show.
//!
//! The stores are real, with their logs and engines; the loops around them are here, because a script says what happens
//! when. Messages arrive in the tick in which they were sent, unless a node is cut off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use goldenscript::Command as Line;
use raft::eraftpb::MessageType;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, TimeSource, Timestamp};
use crate::engine::Engine;
use crate::env::{Env, RpcError, TaskScope, Transport};
use crate::ids::{NodeId, RangeId};
use crate::keys::{Space, decode_engine_key, engine_span};
use crate::log::RaftLog;
use crate::range::bootstrap::{FIRST_DATA_RANGE, StoreIdent, bootstrap};
use crate::range::command::{Batch, Command, CommandKind, Split};
use crate::range::descriptor::RangeDescriptor;
use crate::range::state::RangeState;
use crate::rpc::{RaftMessage, RequestBody, ResponseBody, RpcRequest, RpcResponse};
use crate::seam::{
    Access, Eval, RangeEvent, RangeObserver, Ranges, ReadSummary, Served, WriteBatch,
};
use crate::sim::disk::SimDisk;
use crate::sim::engine::SimEngine;
use crate::sim::log::SimLog;
use crate::sim::testing::{Seeded, each_file};
use crate::store::apply::Applier;
use crate::store::apply::Work;
use crate::store::core::{Core, Input};
use crate::store::handle::StoreHandle;
use crate::store::proposal::{Fate, Proposal};
use crate::store::snapshot::{Order, Sending, Stage};
use crate::store::sync::tell;
use crate::store::{Kept, Store, StoreConfig};

type Answer<T> = Result<T, Box<dyn Error>>;

const TICK_MS: u64 = 100;
const BEGIN_MS: u64 = 1_800_000_000_000;

/// The time of all nodes, in milliseconds since the beginning.
struct Time(AtomicU64);

impl TimeSource for Time {
    fn wall_ms(&self) -> u64 {
        BEGIN_MS + self.0.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// The nodes that run and are not cut off. Nobody sends but the script; but whoever is asked whether it would take a lease
/// answers at once.
#[derive(Clone, Default)]
struct Reachable(Arc<Mutex<BTreeMap<NodeId, StoreHandle>>>);

impl Transport for Reachable {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}
    fn call(
        &self,
        node: NodeId,
        request: RpcRequest,
    ) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        let asked = self.0.lock().unwrap().get(&node).cloned();
        let (Some(handle), Some(RequestBody::LeaseOffer(range))) = (asked, request.body) else {
            return Box::pin(std::future::ready(Err(RpcError::NotSent)));
        };
        let answer = handle.lease_taker(RangeId(range)).map(ResponseBody::LeaseTaker);
        let body = Some(answer.unwrap_or_else(ResponseBody::Refused));
        Box::pin(std::future::ready(Ok(RpcResponse { body })))
    }
}

struct Nothing;

impl TaskScope for Nothing {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
}

/// What happens, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

/// Writes down what a node's observer hears.
struct Watcher {
    node: NodeId,
    time: Arc<Time>,
    told: Told,
}

impl RangeObserver for Watcher {
    fn hand_over(&self, range: &RangeDescriptor) -> BoxFuture<'static, Served> {
        self.told.tell(format!("{}: {} is handed over", self.node, range.id()));
        let summary = ReadSummary(format!("what {} has served", self.node).into());
        Box::pin(std::future::ready(Served { summary, held: Box::new(()) }))
    }

    fn on_event(&self, event: &RangeEvent) {
        let text = match event {
            RangeEvent::LeaseAcquired { descriptor, lease, summary } => {
                let until = lease.expiration_ts().wall_ms() - BEGIN_MS;
                let with = summary.as_ref().map(|summary| summary.0.escape_ascii().to_string());
                let with = with.map_or_else(String::new, |with| format!(", with {with}"));
                let (range, number) = (descriptor.id(), lease.sequence);
                format!("{range} lease {number} acquired, until {until}{with}")
            }
            RangeEvent::LeaseLost { descriptor } => format!("{} lease lost", descriptor.id()),
            RangeEvent::Installed { descriptor } => format!("{} installed", descriptor.id()),
            RangeEvent::Split { left, right } => {
                format!("{} split at {}: {}", left.id(), right.start.escape_ascii(), right.id())
            }
        };
        let at = self.time.0.load(Ordering::Relaxed);
        self.told.tell(format!("{at} ms {}: {text}", self.node));
    }
}

/// A node that runs.
struct Node {
    core: Core,
    log: Arc<SimLog>,
    engine: Arc<SimEngine>,
    applier: Applier,
    handle: StoreHandle,
    inputs: mpsc::Receiver<Input>,
    /// What it does not apply yet, while it is held.
    held: Option<Vec<Work>>,
    /// It installs snapshots by the script's portions alone.
    is_slow: bool,
    /// Proposals without an answer, by what they write.
    waiting: Vec<(String, oneshot::Receiver<Fate>)>,
}

/// What becomes of a snapshot whose last part was taken.
type Arrival = oneshot::Receiver<Result<(), String>>;

/// Three nodes.
pub(super) struct World {
    time: Arc<Time>,
    told: Told,
    disks: BTreeMap<NodeId, Arc<SimDisk>>,
    nodes: BTreeMap<NodeId, Node>,
    cut: BTreeSet<NodeId>,
    reachable: Reachable,
    /// Leases that are being given away, and by whom.
    handing: Vec<(String, BoxFuture<'static, Result<NodeId, Kept>>)>,
    /// Evaluations under way, by name.
    evals: BTreeMap<String, Eval>,
    starts: u64,
    /// Snapshots whose last part has arrived, and who waits for what becomes of them.
    sending: Vec<(NodeId, Order, Arrival)>,
    config: StoreConfig,
}

impl World {
    pub(super) fn new() -> World {
        let ids = [1, 2, 3].map(NodeId);
        let mut world = World {
            time: Arc::new(Time(AtomicU64::new(0))),
            told: Told::default(),
            disks: ids.into_iter().map(|id| (id, SimDisk::new())).collect(),
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            reachable: Reachable::default(),
            handing: Vec::new(),
            evals: BTreeMap::new(),
            starts: 0,
            sending: Vec::new(),
            config: StoreConfig { snapshot_part_bytes: 64, ..StoreConfig::recommended() },
        };
        for id in ids {
            let engine = SimEngine::open(world.disks[&id].clone()).unwrap();
            let ident = StoreIdent::first(1, id);
            bootstrap(&engine, &ident, &ids).now_or_never().expect("no latency").unwrap();
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: NodeId) {
        self.starts += 1;
        let disk = self.disks[&id].clone();
        let log = Arc::new(SimLog::open(disk.clone(), false).unwrap());
        let env = Env {
            node_id: id,
            clock: Clock::new(self.time.clone(), Duration::from_millis(500)),
            rng: Arc::new(Seeded::new(10 * self.starts + id.0)),
            transport: Arc::new(self.reachable.clone()),
            tasks: Arc::new(Nothing),
            mutant: None,
        };
        let engine = Arc::new(SimEngine::open(disk).unwrap());
        let store =
            Store::open(env, self.config.clone(), engine.clone(), log.clone()).expect("it opens");
        let (handle, watcher) = (store.handle(), self.watcher(id));
        // Tasks go to the applier by hand.
        let (_, tasks) = mpsc::channel(1);
        let (core, applier, inputs) = store.into_parts(watcher, tasks);
        self.reachable.0.lock().unwrap().insert(id, handle.clone());
        self.nodes.insert(
            id,
            Node {
                core,
                log,
                engine,
                applier,
                handle,
                inputs,
                held: None,
                is_slow: false,
                waiting: Vec::new(),
            },
        );
    }

    fn kill(&mut self, id: NodeId) {
        self.reachable.0.lock().unwrap().remove(&id);
        drop(self.nodes.remove(&id));
    }

    fn watcher(&self, node: NodeId) -> Arc<dyn RangeObserver> {
        Arc::new(Watcher { node, time: self.time.clone(), told: self.told.clone() })
    }

    /// Everybody does what there is to do, until there is nothing more.
    fn settle(&mut self) -> Answer<()> {
        let mut mail: VecDeque<(NodeId, NodeId, Vec<RaftMessage>)> = VecDeque::new();
        let mut idle = false;
        loop {
            let told = self.told.clone();
            self.handing.retain_mut(|(what, future)| {
                let Some(outcome) = future.now_or_never() else { return true };
                told.tell(match outcome {
                    Ok(node) => format!("{what}: to {node}"),
                    Err(why) => format!("{what}: {why:?}"),
                });
                false
            });
            for (&from, node) in &mut self.nodes {
                while let Ok(input) = node.inputs.try_recv() {
                    node.core.step(node.handle.now(), input)?;
                }
                node.core.notices()?;
                while let Some(effects) = node.core.turn()? {
                    mail.extend(effects.messages.into_iter().map(|(to, mail)| (from, to, mail)));
                    let write = node.log.write(effects.log, effects.must_sync);
                    write.now_or_never().expect("no latency")?;
                    node.core.persisted(effects.persisting)?;
                    mail.extend(effects.after_sync.into_iter().map(|(to, mail)| (from, to, mail)));
                    for work in effects.apply {
                        match &mut node.held {
                            Some(held) => held.push(work),
                            None => node.applier.work(work)?,
                        }
                    }
                    node.core.notices()?;
                }
                node.core.publish_leaders();
                while !node.is_slow && node.applier.is_installing() {
                    node.applier.portion()?;
                }
                let told = &self.told;
                node.waiting.retain_mut(|(what, fate)| {
                    let fate = match fate.try_recv() {
                        Err(oneshot::error::TryRecvError::Empty) => return true,
                        Err(oneshot::error::TryRecvError::Closed) => "unknown".into(),
                        Ok(fate) => format!("{fate:?}"),
                    };
                    told.tell(format!("{from}: {what}: {fate}"));
                    false
                });
            }
            let Some((from, to, messages)) = mail.pop_front() else {
                if self.snapshots()? {
                    continue;
                }
                // Of what was just done somebody may have been waiting for.
                if self.handing.is_empty() || std::mem::replace(&mut idle, true) {
                    return Ok(());
                }
                continue;
            };
            idle = false;
            let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
            if let Some(node) = self.nodes.get_mut(&to).filter(|_| !is_cut) {
                let now = node.handle.now();
                node.core.step(now, Input::Raft(messages, None))?;
            }
        }
    }

    /// Snapshots that were ordered are sent, and what became of the others is told. False: there was nothing to do.
    fn snapshots(&mut self) -> Answer<bool> {
        let mut has_news = false;
        for (from, order, mut fate) in std::mem::take(&mut self.sending) {
            let what = match fate.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.sending.push((from, order, fate));
                    continue;
                }
                Ok(Ok(())) => Ok(()),
                Ok(Err(why)) => Err(why),
                Err(oneshot::error::TryRecvError::Closed) => Err("no answer".into()),
            };
            self.snapshot_ended(from, &order, what);
            has_news = true;
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            if let Some(order) = self.nodes[&id].handle.shared().take_snapshot_order() {
                has_news = true;
                self.send_snapshot(id, order)?;
            }
        }
        Ok(has_news)
    }

    fn send_snapshot(&mut self, id: NodeId, order: Order) -> Answer<()> {
        let (range, to) = (order.range, order.address.node);
        let view = self.nodes[&id].engine.snapshot();
        self.starts += 1;
        let bytes_max = self.config.snapshot_part_bytes;
        let sending = Sending::begin(view, &order, self.starts, bytes_max)?;
        let mut sending = sending.ok_or("nothing to send")?;
        let is_cut = self.cut.contains(&id) || self.cut.contains(&to);
        loop {
            let part = sending.next_part()?;
            let (number, is_last) = (part.number, part.is_last);
            let Some(node) = self.nodes.get_mut(&to).filter(|_| !is_cut) else {
                self.snapshot_ended(id, &order, Err("no answer".into()));
                return Ok(());
            };
            let (answer, mut fate) = oneshot::channel();
            node.applier.stage(Stage { part, answer })?;
            if is_last {
                self.told.tell(format!("{id}: {range} in {} parts for {to}", number + 1));
                self.sending.push((id, order, fate));
                return Ok(());
            }
            if let Err(why) = fate.try_recv().unwrap_or(Err("no answer".into())) {
                self.snapshot_ended(id, &order, Err(why));
                return Ok(());
            }
        }
    }

    fn snapshot_ended(&mut self, from: NodeId, order: &Order, what: Result<(), String>) {
        let (range, to) = (order.range, order.to);
        let told = match &what {
            Ok(()) => format!("{from}: {range} has arrived at {to}"),
            Err(why) => format!("{from}: {range} has not arrived at {to}: {why}"),
        };
        self.told.tell(told);
        if let Some(node) = self.nodes.get(&from) {
            node.handle.shared().notify(|n| n.sent = Some((range, to, what.is_ok())));
        }
    }

    /// A node's engine is durable with all that it has, and the node knows.
    fn sync(&mut self, id: NodeId) -> Answer<()> {
        let node = self.node_mut(id)?;
        let unsynced = node.handle.shared().take_unsynced();
        node.engine.sync().now_or_never().expect("no latency")?;
        tell(&node.handle.shared(), unsynced);
        self.settle()
    }

    fn propose(&mut self, id: NodeId, range: RangeId, what: String, kind: CommandKind) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let shared = node.handle.shared();
        let lease = shared.published(range).and_then(|published| published.lease.clone());
        let lease_sequence = lease.map_or(0, |lease| lease.sequence);
        let command = Command { lease_sequence, kind: Some(kind), ..Command::default() };
        let (waiter, fate) = oneshot::channel();
        let now = node.handle.now();
        let proposal = Box::new(Proposal { range, command, waiter, slot: None, queued: None });
        node.core.step(now, Input::Propose(proposal)).expect("a proposal reads no log");
        node.waiting.push((what, fate));
    }

    fn node_mut(&mut self, id: NodeId) -> Answer<&mut Node> {
        Ok(self.nodes.get_mut(&id).ok_or("no such node")?)
    }

    /// What each node's engine has of a range.
    fn keys(&self, range: RangeId) -> Answer<String> {
        let mut out = String::new();
        for (id, node) in &self.nodes {
            let view = node.engine.snapshot();
            let Some(state) = RangeState::load(&*view, range)? else { continue };
            let (start, end) = (&state.descriptor.start, &state.descriptor.end);
            let entries = view.scan(engine_span(Space::Data, start, end));
            let keys: Result<Vec<_>, _> = entries.map(|entry| entry.map(|(key, _)| key)).collect();
            let name = |key: &Bytes| decode_engine_key(key).map(|(key, _)| key);
            let keys: Vec<_> = keys?.iter().filter_map(name).collect();
            let keys: Vec<_> = keys.iter().map(|key| key.escape_ascii().to_string()).collect();
            writeln!(out, "{id}: applied {}: {}", state.applied.index, keys.join(" "))?;
        }
        Ok(out)
    }

    /// What each node's log knows of a group, and what runs of it.
    fn replicas(&self, range: RangeId) -> Answer<String> {
        let mut out = String::new();
        for (id, node) in &self.nodes {
            let runs = node.core.shown(range).unwrap_or("no replica".into());
            write!(out, "{id}: {runs}")?;
            if let Some(state) = node.log.state(range)? {
                let (term, vote) = (state.hard_state.term, state.hard_state.vote);
                let (first, last) = (state.truncated.0 + 1, state.last_index);
                write!(out, "; log {first} to {last}, term {term}, vote {vote}, floor ")?;
                write!(out, "{}", state.replica_floor)?;
            }
            writeln!(out)?;
        }
        Ok(out)
    }

    fn state(&self, range: RangeId) -> Answer<String> {
        let mut out = String::new();
        for (id, node) in &self.nodes {
            let Some(state) = node.handle.shared().published(range) else { continue };
            let now = node.handle.now();
            let lease = state.lease.as_ref().map_or("none".into(), |lease| {
                let until = lease.expiration_ts().wall_ms() - BEGIN_MS;
                format!("{} of n{} until {until}", lease.sequence, lease.node_id)
            });
            let leader = node.handle.leader_of(range).map_or("none".into(), |id| id.to_string());
            let (start, end) = (&state.descriptor.start, &state.descriptor.end);
            let serves = match node.handle.begin(range, &Access::read((start, end), now)) {
                Ok(_) => ", serves",
                Err(_) => "",
            };
            writeln!(out, "{id}: leader {leader}, lease {lease}{serves}")?;
        }
        Ok(out)
    }
}

impl goldenscript::Runner for World {
    type Command = Line;

    fn run(&mut self, line: &Line, _: &goldenscript::Context) -> Answer<String> {
        let mut args = line.consume_args();
        let node = |text: Option<&str>| -> Answer<NodeId> {
            let number = text.and_then(|text| text.strip_prefix('n')).ok_or("which node?")?;
            Ok(NodeId(number.parse()?))
        };
        let here = args.take_key("on");
        let range = args.take_key("range").map(str::parse).transpose()?;
        let range = range.map_or(FIRST_DATA_RANGE, RangeId);
        match &line.name[..] {
            // So many units of time pass.
            "tick" => {
                let count: u64 = args.next_pos().map_or(Ok(1), str::parse)?;
                for _ in 0..count {
                    self.time.0.fetch_add(TICK_MS, Ordering::Relaxed);
                    for node in self.nodes.values_mut() {
                        let now = node.handle.now();
                        node.core.step(now, Input::Tick)?;
                    }
                    self.settle()?;
                }
            }
            // Nothing that a node sends arrives, and it hears nothing.
            "cut" => {
                let id = node(args.next_pos())?;
                self.cut.insert(id);
                // Of its replicas' messages alone: it is asked, and answers.
                if args.take_key("but") != Some("calls") {
                    self.reachable.0.lock().unwrap().remove(&id);
                }
            }
            "heal" => {
                self.cut.clear();
                let handles = self.nodes.iter().map(|(id, node)| (*id, node.handle.clone()));
                *self.reachable.0.lock().unwrap() = handles.collect();
            }
            // The node gives the lease to whoever would take it.
            "hand-over" => {
                let id = node(here)?;
                let handle = self.nodes[&id].handle.clone();
                let future = async move { handle.hand_over(range).await };
                self.handing.push((format!("{id}: {range} handed over"), Box::pin(future)));
                self.settle()?;
            }
            // The process ends, with what the disk has.
            "kill" => self.kill(node(args.next_pos())?),
            // The machine loses its power, and the engine all that was not synced, or by a seed some of it; the log has synced
            // everything.
            "lose" => {
                let id = node(args.next_pos())?;
                self.kill(id);
                if let Some(seed) = args.take_key("seed") {
                    self.disks[&id].crash(&Seeded::new(seed.parse()?));
                    return Ok(String::new());
                }
                let (_, synced) = self.disks[&id].lengths("engine");
                self.disks[&id].truncate("engine", synced)?;
            }
            // The engine is durable: of one node, or of all.
            "sync" => {
                let ids = match args.next_pos() {
                    Some(text) => vec![node(Some(text))?],
                    None => self.nodes.keys().copied().collect(),
                };
                for id in ids {
                    self.sync(id)?;
                }
            }
            // Logs are cut beyond so many entries, from the nodes' next start on; they start anew.
            "logs" => {
                self.config.log_entries_max = args.next_pos().ok_or("how long?")?.parse()?;
                let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
                ids.into_iter().for_each(|id| self.start(id));
            }
            "slow" => self.node_mut(node(args.next_pos())?)?.is_slow = true,
            // A portion of an installation, on a node that is slow.
            "portion" => {
                let id = node(args.next_pos())?;
                let count: u64 = args.next_pos().map_or(Ok(1), str::parse)?;
                for _ in 0..count {
                    self.node_mut(id)?.applier.portion()?;
                }
                self.settle()?;
            }
            "start" => self.start(node(args.next_pos())?),
            // Committed entries wait there, as for an engine that is slow.
            "hold" => self.node_mut(node(args.next_pos())?)?.held = Some(Vec::new()),
            "release" => {
                let node = self.node_mut(node(args.next_pos())?)?;
                for work in node.held.take().ok_or("it is not held")? {
                    node.applier.work(work)?;
                }
                self.settle()?;
            }
            // A node hears a heartbeat of another's replica.
            "heartbeat" => {
                let (from, to) = (node(args.take_key("from"))?, node(here)?);
                let (from_node, to_node) = (from.0, to.0);
                let replica: u64 = args.take_key("replica").ok_or("which replica?")?.parse()?;
                let term = args.take_key("term").map_or(Ok(6), str::parse)?;
                let message = RaftMessage {
                    range_id: range.0,
                    from: from.0,
                    from_node,
                    from_store: from_node,
                    to: replica,
                    to_node,
                    to_store: to_node,
                    kind: MessageType::MsgHeartbeat as i32,
                    term,
                    ..RaftMessage::default()
                };
                let node = self.node_mut(to)?;
                node.core.step(node.handle.now(), Input::Raft(vec![message], None))?;
                self.settle()?;
            }
            "put" => {
                let key = args.next_pos().unwrap_or_default().to_owned();
                let mut batch = WriteBatch::default();
                batch.put(Space::Data, key.clone().into(), Bytes::new(), "v".into());
                let kind = CommandKind::Batch(Batch { ops: batch.ops });
                self.propose(node(here)?, range, format!("put {key}"), kind);
                self.settle()?;
            }
            "delete" => {
                let key = args.next_pos().unwrap_or_default().to_owned();
                let mut batch = WriteBatch::default();
                batch.delete(Space::Data, key.clone().into(), Bytes::new());
                let kind = CommandKind::Batch(Batch { ops: batch.ops });
                self.propose(node(here)?, range, format!("delete {key}"), kind);
                self.settle()?;
            }
            "split" => {
                let id = node(here)?;
                let key: Bytes = args.next_pos().unwrap_or_default().to_owned().into();
                let new = args.take_key("new").map_or(Ok(100), str::parse)?;
                let state = self.nodes[&id].handle.shared().published(range);
                let old = (*state.ok_or("no such range")?.descriptor).clone();
                let generation = old.generation + 1;
                let left = RangeDescriptor { end: key.clone(), generation, ..old.clone() };
                let right = RangeDescriptor { range_id: new, start: key, generation, ..old };
                self.propose(id, range, "split".into(), CommandKind::Split(Split { left, right }));
                self.settle()?;
            }
            // An evaluation that writes at or above so many milliseconds, over the keys of a range.
            "begin" => {
                let name = args.next_pos().unwrap_or_default().to_owned();
                let ms: u64 = args.take_key("at").ok_or("at what time?")?.parse()?;
                let handle = &self.nodes[&node(here)?].handle;
                let state = handle.shared().published(range).ok_or("no such range")?;
                let span = (&state.descriptor.start[..], &state.descriptor.end[..]);
                let at = Timestamp::from_wall_ms(BEGIN_MS + ms);
                let Ok(eval) = handle.begin(range, &Access::write(span, at)) else {
                    return Ok("refused\n".into());
                };
                let min = eval.min_write_ts();
                self.evals.insert(name, eval);
                let after = if min > at { "after " } else { "" };
                return Ok(format!("writes from {after}{}\n", min.wall_ms() - BEGIN_MS));
            }
            "end" => {
                drop(self.evals.remove(args.next_pos().unwrap_or_default()));
                self.settle()?;
            }
            // What is closed, as each node has applied it.
            "closed" => {
                let mut out = String::new();
                for (id, node) in &self.nodes {
                    let Some(state) = node.applier.states.get(&range) else { continue };
                    let closed = Timestamp::from_raw(state.applied.closed_ts).wall_ms();
                    writeln!(out, "{id}: {}", closed.saturating_sub(BEGIN_MS))?;
                }
                return Ok(out);
            }
            "state" => return self.state(range),
            "replicas" => return self.replicas(range),
            "keys" => return self.keys(range),
            other => return Err(format!("no command {other}").into()),
        }
        let lines: Vec<String> = std::mem::take(&mut *self.told.0.lock().unwrap());
        Ok(lines.into_iter().map(|line| line + "\n").collect())
    }
}

#[test]
fn scripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/store");
    each_file(dir, |path| goldenscript::run(&mut World::new(), path));
}
