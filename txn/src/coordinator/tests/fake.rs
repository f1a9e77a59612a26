//! Ranges in memory, with versions, intents and records, but without locks, latches or a timestamp cache.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use kv::clock::Clock;
use kv::clock::TimeSource;
use kv::env::{Env, Rng, RpcError, TaskScope, Transport};
use kv::ids::NodeId;
use kv::mutant::Mutant;
use kv::range::descriptor::RangeDescriptor;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};
use kv::seam::{Routing, SendError};

use crate::api::*;
use crate::db::{Config, Db};

/// What the hook does to a request.
pub(super) enum Fate {
    /// It is executed and answered.
    Normal,
    /// It is not executed; the router says this.
    Lost(SendError),
    /// It is executed, and the router says this.
    Executed(SendError),
    /// The server refuses it.
    Refused(ErrorKind, u64),
    /// No answer ever comes.
    Silent,
}

type Hook = Box<dyn FnMut(&BatchRequest) -> Fate + Send>;

/// The ranges.
#[derive(Default)]
pub(super) struct State {
    pub(super) ranges: Vec<RangeDescriptor>,
    pub(super) versions: BTreeMap<Bytes, BTreeMap<u64, Option<Bytes>>>,
    pub(super) intents: BTreeMap<Bytes, (Bytes, Option<Bytes>)>,
    pub(super) records: BTreeMap<Bytes, TxnRecord>,
    /// One-phase commits.
    pub(super) remembered: BTreeMap<Bytes, u64>,
    /// Every batch that reached the router, with its range.
    pub(super) log: Vec<(u64, BatchRequest)>,
    hook: Option<Hook>,
}

/// A gateway and its ranges.
#[derive(Clone)]
pub(super) struct World {
    pub(super) env: Env,
    pub(super) state: Arc<Mutex<State>>,
}

impl World {
    /// Ranges that are divided at `splits`.
    pub(super) fn new(splits: &[&'static str]) -> Self {
        let source = Arc::new(TokioTime(tokio::time::Instant::now()));
        let env = Env {
            node_id: NodeId(99),
            clock: Clock::new(source, Duration::from_millis(500)),
            rng: Arc::new(Counter(AtomicU64::new(7))),
            transport: Arc::new(NoTransport),
            tasks: Arc::new(TokioTasks),
            mutant: None,
        };
        let world = World { env, state: Arc::default() };
        world.split(splits);
        world
    }

    pub(super) fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.env.mutant = Some(mutant);
        self
    }

    pub(super) fn db(&self) -> Db {
        self.db_with(Config::default())
    }

    pub(super) fn db_with(&self, config: Config) -> Db {
        Db::new(self.env.clone(), Arc::new(self.clone()), config)
    }

    /// Divides the whole key space anew, with higher generations.
    pub(super) fn split(&self, splits: &[&'static str]) {
        let mut state = self.state.lock().expect("no panic");
        let generation = state.ranges.first().map_or(1, |r| r.generation + 1);
        let bounds = [&[""], splits, &["\u{7f}"]].concat();
        let range = |(i, pair): (usize, &[&'static str])| RangeDescriptor {
            range_id: i as u64 + 1,
            start: pair[0].into(),
            end: pair[1].into(),
            generation,
            replicas: Vec::new(),
        };
        state.ranges = bounds.windows(2).enumerate().map(range).collect();
    }

    /// Decides the fate of every further request. Called without the state's lock.
    pub(super) fn hook(&self, hook: impl FnMut(&BatchRequest) -> Fate + Send + 'static) {
        self.state.lock().expect("no panic").hook = Some(Box::new(hook));
    }

    /// Another transaction writes and commits, now.
    pub(super) fn write(&self, key: &'static str, value: &'static str) {
        let ts = self.env.clock.now().raw();
        let mut state = self.state.lock().expect("no panic");
        state.versions.entry(key.into()).or_default().insert(ts, Some(value.into()));
    }

    /// The newest committed value.
    pub(super) fn read(&self, key: &'static str) -> Option<Bytes> {
        let state = self.state.lock().expect("no panic");
        let versions = state.versions.get(key.as_bytes())?;
        versions.values().next_back().cloned().flatten()
    }

    /// One word for each request so far: what it is, and the range it went to. Clears the log.
    pub(super) fn take_log(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state.lock().expect("no panic").log);
        let words = log.iter().flat_map(|(range, batch)| {
            batch.requests.iter().map(move |request| format!("{}@{range}", word(request)))
        });
        words.collect()
    }

    /// One line for each batch so far: its requests, and the range it went to. Clears the log.
    pub(super) fn take_batches(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state.lock().expect("no panic").log);
        let line = |(range, batch): &(u64, BatchRequest)| {
            let words: Vec<_> = batch.requests.iter().map(word).collect();
            format!("{}@{range}", words.join(" "))
        };
        log.iter().map(line).collect()
    }
}

pub(super) fn word(request: &Request) -> &'static str {
    match request.kind.as_ref().expect("a kind") {
        RequestKind::Get(get) if get.lock => "lock",
        RequestKind::Get(_) => "get",
        RequestKind::Scan(scan) if scan.lock => "lockscan",
        RequestKind::Scan(_) => "scan",
        RequestKind::Put(_) => "put",
        RequestKind::Refresh(_) => "refresh",
        RequestKind::EndTxn(end) => match (end.commit, end.one_phase) {
            (true, true) => "commit1",
            (true, false) => "commit2",
            (false, _) => "abort",
        },
        RequestKind::Heartbeat(_) => "beat",
        RequestKind::PushTxn(_) => "push",
        RequestKind::Resolve(_) => "resolve",
        RequestKind::QueryTxn(_) => "query",
        RequestKind::CollectTxn(_) => "collect",
        RequestKind::DeleteSpan(_) => "erase",
        RequestKind::ReportWait(_) | RequestKind::BreakWait(_) => {
            unreachable!("servers tell each other of waits")
        }
    }
}

/// The last request of a batch is this one.
pub(super) fn ends_with(batch: &BatchRequest, what: &str) -> bool {
    batch.requests.last().is_some_and(|request| word(request) == what)
}

impl Routing<Batches> for World {
    fn lookup(
        &self,
        key: Bytes,
        _: Duration,
    ) -> BoxFuture<'static, Result<RangeDescriptor, SendError>> {
        let state = self.state.lock().expect("no panic");
        let found = state.ranges.iter().find(|r| r.contains_key(&key)).cloned();
        Box::pin(async move { found.ok_or(SendError::Unavailable) })
    }

    fn send(
        &self,
        descriptor: RangeDescriptor,
        batch: Arc<BatchRequest>,
        repeatable: bool,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<(BatchResponse, NodeId), SendError>> {
        let world = self.clone();
        Box::pin(async move {
            let batch = BatchRequest::clone(&batch);
            world.state.lock().expect("no panic").log.push((descriptor.range_id, batch.clone()));
            loop {
                // Out of the state, so that it may use the world.
                let hook = world.state.lock().expect("no panic").hook.take();
                let fate = match hook {
                    Some(mut hook) => {
                        let fate = hook(&batch);
                        world.state.lock().expect("no panic").hook.get_or_insert(hook);
                        fate
                    }
                    None => Fate::Normal,
                };
                let now = world.env.clock.now().raw();
                let lost = match fate {
                    Fate::Normal => None,
                    Fate::Lost(error) => Some((false, error)),
                    Fate::Executed(error) => Some((true, error)),
                    Fate::Silent => {
                        let left = deadline.saturating_sub(world.env.clock.monotonic());
                        world.env.clock.sleep(left).await;
                        return Err(SendError::Unknown);
                    }
                    Fate::Refused(kind, retry_ts) => {
                        let error = BatchError {
                            kind: kind as i32,
                            retry_ts,
                            message: "hook".into(),
                            ..BatchError::default()
                        };
                        let response =
                            BatchResponse { now, error: Some(error), ..BatchResponse::default() };
                        return Ok((response, NodeId(descriptor.range_id)));
                    }
                };
                if let Some((false, error)) = lost {
                    let late = world.env.clock.monotonic() >= deadline;
                    if repeatable && error == SendError::Unknown && !late {
                        world.env.clock.sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                    return Err(error);
                }
                let mut state = world.state.lock().expect("no panic");
                let current = state.ranges.iter().find(|r| r.range_id == descriptor.range_id);
                if current.is_none_or(|range| range.generation != descriptor.generation) {
                    return Err(SendError::Moved);
                }
                let mut response = state.execute(&batch);
                response.now = now;
                match lost {
                    Some((_, error)) if !repeatable || error != SendError::Unknown => {
                        return Err(error);
                    }
                    _ => {}
                }
                return Ok((response, NodeId(descriptor.range_id)));
            }
        })
    }
}

struct TokioTime(tokio::time::Instant);

impl TimeSource for TokioTime {
    fn wall_ms(&self) -> u64 {
        1_800_000_000_000 + self.0.elapsed().as_millis() as u64
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Counter(AtomicU64);

impl Rng for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

struct NoTransport;

impl Transport for NoTransport {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}
    fn call(&self, _: NodeId, _: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        Box::pin(async { Err(RpcError::NotSent) })
    }
}

struct TokioTasks;

impl TaskScope for TokioTasks {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}
