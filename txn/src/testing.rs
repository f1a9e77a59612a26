//! A cluster of one node for the tests of this crate and of those above it, where each needs transactions and
//! nothing beneath them: [`Ranges`] and [`Routing`] over a map in memory, without Raft,
//! on tokio's paused clock. Batches apply at once or after a delay, leases change hands on demand, and answers
//! get lost or requests repeated when a test says so.

#![allow(clippy::disallowed_methods, reason = "plays the outside world, on tokio's paused clock")]
#![allow(clippy::unwrap_used, reason = "test support: a broken promise must stop the test")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kv::clock::TimeSource;
use kv::clock::{Clock, Timestamp};
use kv::engine::{Engine, EngineBatch, EngineError, EngineIter, EngineOp, EngineSnapshot};
use kv::env::{Env, Rng, RpcError, TaskScope, Transport};
use kv::ids::{NodeId, RangeId, ReplicaId};
use kv::keys::{self, Space};
use kv::mutant::Mutant;
use kv::range::descriptor::{RangeDescriptor, Replica};
use kv::range::lease::Lease;
use kv::range::spans::SpanEntries;
use kv::range::tracker::Tracker;
use kv::rpc::{RaftMessage, Refusal, RefusalReason, RpcRequest, RpcResponse};
use kv::seam::{
    Access, Eval, MAX_BATCH_BYTES, ProposeError, RangeEvent, RangeObserver, RangeService,
    RangeSnapshot, Ranges, ReadSummary, Routing, SendError, WriteBatch,
};
use prost::Message;
use tokio::task::AbortHandle;

use crate::api::{BatchRequest, BatchResponse, Batches};
use crate::server::Server;

/// Unix milliseconds at which every test begins.
pub const START_MS: u64 = 1_800_000_000_000;
/// The maximum clock offset of every test.
pub const MAX_OFFSET: Duration = Duration::from_millis(500);
const LEASE: Duration = Duration::from_secs(9);

/// Random numbers from a seed (SplitMix64).
pub struct TestRng(Mutex<u64>);

impl TestRng {
    /// A stream that only depends on the seed.
    pub fn new(seed: u64) -> Self {
        TestRng(Mutex::new(seed))
    }
}

impl Rng for TestRng {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

struct TestTime(tokio::time::Instant);

impl TimeSource for TestTime {
    fn wall_ms(&self) -> u64 {
        START_MS + self.monotonic().as_millis() as u64
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

struct TestTasks;

impl TaskScope for TestTasks {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

struct NoTransport;

impl Transport for NoTransport {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}
    fn call(&self, _: NodeId, _: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        async { Err(RpcError::NotSent) }.boxed()
    }
}

type Entries = Arc<BTreeMap<Bytes, Bytes>>;

/// An engine in memory.
#[derive(Default)]
pub struct TestEngine(Mutex<Entries>);

struct TestSnapshot(Entries);

impl EngineSnapshot for TestSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }
    fn scan(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.0.range(range).map(|(k, v)| Ok((k.clone(), v.clone()))))
    }
    fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_> {
        Box::new(self.0.range(range).rev().map(|(k, v)| Ok((k.clone(), v.clone()))))
    }
}

impl Engine for TestEngine {
    fn apply(&self, batch: EngineBatch) -> Result<(), EngineError> {
        let mut entries = self.0.lock().unwrap();
        let entries = Arc::make_mut(&mut entries);
        for op in batch.into_ops() {
            match op {
                EngineOp::Put(key, value) => drop(entries.insert(key, value)),
                EngineOp::Delete(key) => drop(entries.remove(&key)),
            }
        }
        Ok(())
    }
    fn snapshot(&self) -> Arc<dyn EngineSnapshot> {
        Arc::new(TestSnapshot(self.0.lock().unwrap().clone()))
    }
    fn sync(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { Ok(()) }.boxed()
    }
}

/// What becomes of the next proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Applied, and reported as unknown.
    UnknownApplied,
    /// Not applied, and reported as unknown.
    UnknownLost,
    /// Not applied, and reported so.
    Rejected,
}

/// Tasks that a crash drops, with everything that would be started later.
#[derive(Default)]
pub struct Mortal {
    tasks: Mutex<Vec<AbortHandle>>,
    dead: AtomicBool,
}

impl TaskScope for Mortal {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        if !self.dead.load(Ordering::Relaxed) {
            self.tasks.lock().expect("no panic").push(tokio::spawn(task).abort_handle());
        }
    }
}

impl Mortal {
    /// Drops them.
    pub fn crash(&self) {
        self.dead.store(true, Ordering::Relaxed);
        for task in self.tasks.lock().expect("no panic").drain(..) {
            task.abort();
        }
    }
}

/// One node with a server and one or more ranges. Everything happens in this process.
pub struct LocalCluster {
    /// The node's injected world.
    pub env: Env,
    /// What is stored.
    pub engine: Arc<TestEngine>,
    /// What is said of spans of keys, of all ranges.
    spans: Arc<Mutex<Arc<SpanEntries>>>,
    ranges: Mutex<Vec<(RangeDescriptor, Lease)>>,
    /// Who evaluates, of all ranges.
    tracker: Arc<Tracker>,
    server: OnceLock<Arc<Server>>,
    /// Another node, which serves the second range.
    second: OnceLock<Arc<LocalCluster>>,
    /// On the second node: the first.
    first: OnceLock<Arc<LocalCluster>>,
    apply_delay_ms: AtomicU64,
    fates: Mutex<Vec<Fate>>,
    lose_answers: AtomicU64,
    deliver_twice: AtomicBool,
    sent: Mutex<Vec<BatchRequest>>,
}

impl LocalCluster {
    /// A cluster with one range over all keys from `\x01` to `\xff`. Call within a tokio runtime with paused time.
    pub fn new() -> Arc<LocalCluster> {
        Self::build(&[], None)
    }

    /// A cluster whose ranges are cut at the given keys.
    pub fn with_splits(splits: &[&'static str]) -> Arc<LocalCluster> {
        Self::build(splits, None)
    }

    /// A cluster with a deliberate bug.
    pub fn with_mutant(mutant: Mutant) -> Arc<LocalCluster> {
        Self::build(&[], Some(mutant))
    }

    /// Two nodes with a range each, cut at the key: what one's server sends to the other's range gets there. The first one
    /// sends as a gateway does.
    pub fn pair(split: &'static str) -> Arc<LocalCluster> {
        let (first, second) = (Self::build(&[split], None), Self::build(&[split], None));
        // The second knows itself as the second; the circle lives as long as the test.
        assert!(second.second.set(second.clone()).is_ok() && first.second.set(second).is_ok());
        let back = first.second.get().expect("just set");
        assert!(back.first.set(first.clone()).is_ok());
        first
    }

    fn server_of(&self, range: RangeId) -> Arc<Server> {
        let first = self.first.get().map_or(self, |first| first);
        match self.second.get() {
            Some(second) if range == RangeId(2) => second.server().clone(),
            _ => first.server().clone(),
        }
    }

    fn build(splits: &[&'static str], mutant: Option<Mutant>) -> Arc<LocalCluster> {
        let clock = Clock::new(Arc::new(TestTime(tokio::time::Instant::now())), MAX_OFFSET);
        let mut bounds = vec![Bytes::from_static(b"\x01")];
        bounds.extend(splits.iter().map(|key| Bytes::from_static(key.as_bytes())));
        bounds.push(Bytes::from_static(b"\xff"));
        let start = clock.now();
        let ranges = bounds.windows(2).zip(1..).map(|(pair, range_id)| {
            let replicas = vec![Replica::voter(ReplicaId(1), NodeId(1))];
            let (from, to) = (pair[0].clone(), pair[1].clone());
            let descriptor =
                RangeDescriptor { range_id, start: from, end: to, generation: 1, replicas };
            let lease = Lease {
                sequence: 1,
                replica_id: 1,
                node_id: 1,
                incarnation: 1,
                start: start.raw(),
                expiration: start.saturating_add(LEASE).raw(),
            };
            (descriptor, lease)
        });
        let env = Env {
            node_id: NodeId(1),
            clock,
            rng: Arc::new(TestRng::new(1)),
            transport: Arc::new(NoTransport),
            tasks: Arc::new(TestTasks),
            mutant,
        };
        let cluster = Arc::new(LocalCluster {
            env: env.clone(),
            engine: Arc::default(),
            spans: Arc::default(),
            ranges: Mutex::new(ranges.collect()),
            tracker: Arc::default(),
            server: OnceLock::new(),
            second: OnceLock::new(),
            first: OnceLock::new(),
            apply_delay_ms: AtomicU64::new(0),
            fates: Mutex::default(),
            lose_answers: AtomicU64::new(0),
            deliver_twice: AtomicBool::new(false),
            sent: Mutex::default(),
        });
        let server = Server::new(env, cluster.clone(), cluster.clone());
        for (descriptor, lease) in cluster.ranges.lock().unwrap().clone() {
            server.on_event(&RangeEvent::LeaseAcquired { descriptor, lease, summary: None });
        }
        assert!(cluster.server.set(server).is_ok());
        cluster
    }

    /// The node's server.
    pub fn server(&self) -> &Arc<Server> {
        self.server.get().expect("set when built")
    }

    /// The range that holds a key.
    pub fn range_of(&self, key: &[u8]) -> RangeDescriptor {
        let ranges = self.ranges.lock().unwrap();
        ranges.iter().find(|(d, _)| d.contains_key(key)).expect("the ranges cover all").0.clone()
    }

    /// Batches apply after `delay` from now on.
    pub fn set_apply_delay(&self, delay: Duration) {
        self.apply_delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// The next proposal ends like this. Repeated calls queue up.
    pub fn next_proposal(&self, fate: Fate) {
        self.fates.lock().unwrap().push(fate);
    }

    /// The next `count` answers on the way through [`Routing::send`] get lost; the requests are executed.
    pub fn lose_answers(&self, count: u64) {
        self.lose_answers.store(count, Ordering::Relaxed);
    }

    /// From now on every request through [`Routing::send`] is executed twice, one after the other.
    pub fn deliver_twice(&self) {
        self.deliver_twice.store(true, Ordering::Relaxed);
    }

    /// All batches that went through [`Routing::send`] so far.
    pub fn sent(&self) -> Vec<BatchRequest> {
        self.sent.lock().unwrap().clone()
    }

    /// The lease of a key's range passes to another node and back: memory of locks and reads is void.
    pub fn change_lease(&self, key: &[u8]) {
        self.begin_lease(key, 2);
    }

    /// The lease of a key's range is handed over: what was served under it.
    pub async fn hand_over(&self, key: &[u8]) -> ReadSummary {
        self.server().hand_over(&self.range_of(key)).await.summary
    }

    /// The lease of a key's range is this node's from now on, by hand-over.
    pub fn take_over(&self, key: &[u8], summary: ReadSummary) {
        self.begin_lease_with(key, 1, Some(summary));
    }

    /// The first lease that a key's range ever had begins only now.
    pub fn delay_first_lease(&self, key: &[u8]) {
        self.begin_lease(key, 0);
    }

    fn begin_lease(&self, key: &[u8], steps: u64) {
        self.begin_lease_with(key, steps, None);
    }

    fn begin_lease_with(&self, key: &[u8], steps: u64, summary: Option<ReadSummary>) {
        let (descriptor, lease) = {
            let mut ranges = self.ranges.lock().unwrap();
            let found = ranges.iter_mut().find(|(d, _)| d.contains_key(key));
            let (descriptor, lease) = found.expect("the ranges cover all");
            lease.sequence += steps;
            lease.start = self.env.clock.now().raw();
            (descriptor.clone(), lease.clone())
        };
        let server = self.server();
        server.on_event(&RangeEvent::LeaseLost { descriptor: descriptor.clone() });
        server.on_event(&RangeEvent::LeaseAcquired { descriptor, lease, summary });
    }

    /// Nothing is written at or below `ts` any more.
    pub fn close(&self, ts: Timestamp) {
        self.tracker.learn(ts);
    }

    /// Cuts the range of a key there.
    pub fn split(&self, key: &'static str) {
        let event = {
            let mut ranges = self.ranges.lock().unwrap();
            let range_id = ranges.len() as u64 + 1;
            let at = ranges.iter().position(|(d, _)| d.contains_key(key.as_bytes()));
            let (left, lease) = &mut ranges[at.expect("the ranges cover all")];
            left.generation += 1;
            let mut right = left.clone();
            right.range_id = range_id;
            right.start = Bytes::from_static(key.as_bytes());
            let mut batch = EngineBatch::default();
            let spans = self.spans.lock().unwrap().within(&right.start, &left.end);
            for entry in spans.under(&right.start) {
                let at = keys::engine_key(Space::Erased, &entry.start, &entry.suffix);
                batch.put(at, entry.stored());
            }
            self.engine.apply(batch).expect("memory does not fail");
            left.end = right.start.clone();
            let (left, lease) = (left.clone(), lease.clone());
            ranges.push((right.clone(), lease));
            RangeEvent::Split { left, right }
        };
        self.server().on_event(&event);
    }

    /// Executes a batch on the range of `key`, as if it came over the network.
    pub async fn try_send(
        &self,
        key: &[u8],
        request: BatchRequest,
    ) -> Result<BatchResponse, Refusal> {
        let range = self.range_of(key).id();
        let answer = self.server_of(range).execute(range, Arc::new(sent(&request))).await?;
        Ok(sent(&answer))
    }

    /// Number of entries in a keyed space.
    pub fn count(&self, space: Space) -> usize {
        let span = keys::engine_span(space, b"\x01", b"\xff");
        self.engine.snapshot().scan(span).count()
    }
}

/// What arrives of a message that is sent to another node.
fn sent<M: Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).expect("what is encoded can be decoded")
}

fn refusal(reason: RefusalReason) -> Refusal {
    Refusal { reason: reason as i32, message: format!("{reason:?}"), ..Refusal::default() }
}

impl Ranges for LocalCluster {
    fn damaged(&self, error: &EngineError) {
        panic!("no test damages the engine: {error}");
    }

    fn begin(&self, range: RangeId, access: &Access<'_>) -> Result<Eval, Refusal> {
        let (start, end) = access.span;
        let mut ranges = self.ranges.lock().unwrap();
        let found = ranges.iter_mut().find(|(d, _)| d.id() == range);
        let (descriptor, lease) = found.ok_or_else(|| refusal(RefusalReason::WrongRange))?;
        if !descriptor.contains_span(start, end) {
            return Err(refusal(RefusalReason::WrongRange));
        }
        lease.expiration = self.env.clock.now().saturating_add(LEASE).raw();
        if access.ts >= lease.expiration_ts().saturating_sub(MAX_OFFSET) {
            return Err(refusal(RefusalReason::Unavailable));
        }
        let (start, end) = (Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
        let slot = self.tracker.enter(lease.sequence, access.min_write_ts);
        let engine = self.engine.snapshot();
        let spans = Arc::new(self.spans.lock().unwrap().within(&descriptor.start, &descriptor.end));
        Ok(Eval {
            lease: lease.clone(),
            descriptor: Arc::new(descriptor.clone()),
            snapshot: RangeSnapshot::new(engine, start, end).with_spans(spans),
            slot: slot.expect("no test revokes a lease"),
        })
    }

    fn propose(
        &self,
        eval: Eval,
        batch: WriteBatch,
        write_ts: Timestamp,
    ) -> BoxFuture<'static, Result<(), ProposeError>> {
        assert!(batch.bytes() <= MAX_BATCH_BYTES, "evaluation stops at the bound");
        assert!(write_ts >= eval.min_write_ts(), "a write at a time that is closed");
        assert_ne!(eval.min_write_ts(), Timestamp::ZERO, "a write of whoever writes nothing");
        let range = eval.descriptor.id();
        let lease = {
            let ranges = self.ranges.lock().unwrap();
            ranges.iter().find(|(d, _)| d.id() == range).map(|(_, lease)| lease.clone())
        };
        let valid = lease.is_some_and(|lease| {
            lease.sequence == eval.lease.sequence && write_ts < lease.expiration_ts()
        });
        let fate = {
            let mut fates = self.fates.lock().unwrap();
            if fates.is_empty() { None } else { Some(fates.remove(0)) }
        };
        if !valid || fate == Some(Fate::Rejected) {
            let refused = refusal(RefusalReason::NotLeaseHolder);
            return async { Err(ProposeError::Rejected(refused)) }.boxed();
        }
        let mut changes = EngineBatch::default();
        for op in &batch.ops {
            let space = Space::keyed_from(op.space).expect("a keyed space");
            let key = keys::engine_key(space, &op.key, &op.suffix);
            match op.value.clone() {
                Some(value) => changes.put(key, value),
                None => changes.delete(key),
            }
        }
        let (engine, spans) = (self.engine.clone(), self.spans.clone());
        let apply = move || match fate {
            Some(Fate::UnknownLost) => Err(ProposeError::Unknown),
            fate => {
                engine.apply(changes).expect("memory does not fail");
                let mut spans = spans.lock().unwrap();
                batch.ops.iter().for_each(|op| spans.note(op).expect("made by the server"));
                if fate.is_some() { Err(ProposeError::Unknown) } else { Ok(()) }
            }
        };
        let delay = Duration::from_millis(self.apply_delay_ms.load(Ordering::Relaxed));
        if delay.is_zero() {
            let result = apply();
            return async { result }.boxed();
        }
        // Applied even if nobody waits for it.
        let task = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            apply()
        });
        async { task.await.expect("applies") }.boxed()
    }
}

impl Routing<Batches> for LocalCluster {
    fn lookup(
        &self,
        key: Bytes,
        _: Duration,
    ) -> BoxFuture<'static, Result<RangeDescriptor, SendError>> {
        let found = self.range_of(&key);
        async { Ok(found) }.boxed()
    }

    fn send(
        &self,
        descriptor: RangeDescriptor,
        request: Arc<BatchRequest>,
        repeatable: bool,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<(BatchResponse, NodeId), SendError>> {
        let request = Arc::new(sent(&*request));
        self.sent.lock().unwrap().push(BatchRequest::clone(&request));
        let lost = |n: u64| n.checked_sub(1);
        let order = Ordering::Relaxed;
        let is_lost = self.lose_answers.fetch_update(order, order, lost).is_ok();
        let twice = self.deliver_twice.load(order) || (is_lost && repeatable);
        let server = self.server_of(descriptor.id());
        let clock = self.env.clock.clone();
        async move {
            let left = deadline.saturating_sub(clock.monotonic());
            let call = async {
                let first = server.execute(descriptor.id(), request.clone()).await;
                if twice { server.execute(descriptor.id(), request).await } else { first }
            };
            let answer = match clock.timeout(left, call).await {
                None => return Err(SendError::Unknown),
                Some(_) if is_lost && !repeatable => return Err(SendError::Unknown),
                Some(answer) => answer,
            };
            answer.map(|answer| (sent(&answer), NodeId(1))).map_err(|refused| {
                match refused.reason() {
                    RefusalReason::WrongRange => SendError::Moved,
                    RefusalReason::Unknown => SendError::Unknown,
                    RefusalReason::Invalid => SendError::Invalid(refused.message),
                    RefusalReason::BelowFloor => SendError::TooOld,
                    RefusalReason::Unavailable | RefusalReason::NotLeaseHolder => {
                        SendError::Unavailable
                    }
                }
            })
        }
        .boxed()
    }
}
