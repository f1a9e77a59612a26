//! Bounds on what a range replicates, at the places that keep them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::clock::TimeSource;
use crate::clock::{Clock, Timestamp};
use crate::engine::Engine;
use crate::env::{Env, RpcError, TaskScope, Transport};
use crate::ids::{NodeId, RangeId};
use crate::keys::Space;
use crate::log::RaftLog;
use crate::range::bootstrap::{FIRST_DATA_RANGE, StoreIdent, bootstrap};
use crate::range::command::{Batch, Command, CommandKind, LeaseChange, MAX_COMMAND_BYTES};
use crate::range::lease::Lease;
use crate::range::tracker::Tracker;
use crate::rpc::{
    LogEntry, MAX_MESSAGE_BYTES, RaftMessage, RefusalReason, RpcRequest, RpcResponse,
};
use crate::seam::{Eval, MAX_BATCH_BYTES, ProposeError, RangeSnapshot, Ranges, WriteBatch};
use crate::sim::disk::SimDisk;
use crate::sim::engine::SimEngine;
use crate::sim::log::SimLog;
use crate::sim::testing::Seeded;
use crate::store::apply::{ApplyTask, Work};
use crate::store::core::Input;
use crate::store::driver::check_size;
use crate::store::proposal::{Fate, Proposal, Waiter};
use crate::store::{QueuedBytes, Store, StoreConfig};

/// A world in which nothing moves.
struct Still;

impl TimeSource for Still {
    fn wall_ms(&self) -> u64 {
        1_800_000_000_000
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Transport for Still {
    fn send_raft(&self, _: NodeId, _: Vec<RaftMessage>) {}
    fn call(&self, _: NodeId, _: RpcRequest) -> BoxFuture<'static, Result<RpcResponse, RpcError>> {
        Box::pin(std::future::pending())
    }
}

impl TaskScope for Still {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
}

/// A store of a cluster of one, with its log.
fn store() -> (Store, Arc<SimLog>, Arc<dyn Engine>) {
    let disk = SimDisk::new();
    let engine = SimEngine::open(disk.clone()).unwrap();
    let ident = StoreIdent::first(1, NodeId(1));
    bootstrap(&engine, &ident, &[NodeId(1)]).now_or_never().expect("no latency").unwrap();
    let log = Arc::new(SimLog::open(disk, false).unwrap());
    let env = Env {
        node_id: NodeId(1),
        clock: Clock::new(Arc::new(Still), Duration::from_millis(500)),
        rng: Arc::new(Seeded::new(1)),
        transport: Arc::new(Still),
        tasks: Arc::new(Still),
        mutant: None,
    };
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let config = StoreConfig::recommended();
    (Store::open(env, config, engine.clone(), log.clone()).unwrap(), log, engine)
}

fn batch(bytes: usize) -> WriteBatch {
    let mut batch = WriteBatch::default();
    let value = Bytes::from(vec![b'x'; bytes]);
    batch.put(Space::Data, Bytes::from_static(b"k"), Bytes::new(), value);
    batch
}

/// Turns until there is nothing to do; what is to be applied.
fn turn(store: &mut Store, log: &SimLog) -> Vec<ApplyTask> {
    let mut apply = Vec::new();
    while let Some(effects) = store.core.turn().unwrap() {
        log.write(effects.log, effects.must_sync).now_or_never().expect("no latency").unwrap();
        store.core.persisted(effects.persisting).unwrap();
        apply.extend(effects.apply.into_iter().map(|work| match work {
            Work::Apply(task) => task,
            _ => unreachable!("no snapshots here"),
        }));
    }
    apply
}

/// The engine has taken a task.
fn applied(store: &mut Store, task: &ApplyTask) {
    let (last, _) = task.entries.last().expect("no task is empty");
    let shared = store.handle().shared();
    let mut state = (*shared.published(task.range).expect("it was opened")).clone();
    state.applied_index = last.index;
    shared.notify(|notices| notices.applied(task.range, &Arc::new(state), task.bytes, None));
    store.core.notices().unwrap();
}

fn propose(store: &mut Store, kind: CommandKind) -> oneshot::Receiver<Fate> {
    let (waiter, fate): (Waiter, _) = oneshot::channel();
    let command = Command { kind: Some(kind), ..Command::default() };
    let proposal = Proposal { range: FIRST_DATA_RANGE, command, waiter, slot: None, queued: None };
    store.core.step(Timestamp::ZERO, Input::Propose(Box::new(proposal))).unwrap();
    fate
}

#[test]
fn a_lease_passes_when_others_have_to_wait_for_what_is_not_committed() {
    let (mut store, log, _) = store();
    for _ in 0..25 {
        store.core.step(Timestamp::ZERO, Input::Tick).unwrap();
        for task in turn(&mut store, &log) {
            applied(&mut store, &task);
        }
    }
    let large = || CommandKind::Batch(Batch { ops: batch(MAX_BATCH_BYTES - 100).ops });
    let mut fates: Vec<_> = (0..4).map(|_| propose(&mut store, large())).collect();
    let lease = CommandKind::Lease(LeaseChange::default());
    let mut lease = propose(&mut store, lease);
    let fate = |fate: &mut oneshot::Receiver<Fate>| fate.try_recv().ok();
    let refused = fates.iter_mut().map(fate).collect::<Vec<_>>();
    let expected = [None, None, Some(Fate::Overloaded), Some(Fate::Overloaded)];
    assert_eq!(refused[..2], expected[..2]);
    assert_eq!(refused[2..], expected[2..], "32 MiB are on their way");
    assert_eq!(lease.try_recv(), Err(oneshot::error::TryRecvError::Empty), "it is in the log");
    // Applied, there is room again.
    let mut waiting = turn(&mut store, &log);
    while let Some(task) = waiting.pop() {
        applied(&mut store, &task);
        waiting.extend(turn(&mut store, &log));
    }
    assert_eq!(fate(&mut propose(&mut store, large())), None);
}

/// An engine that takes nothing: the consensus loop goes on, and what is committed stays in the log.
#[test]
fn what_the_engine_has_no_room_for_waits_in_the_log_and_comes_in_order() {
    let (mut store, log, _) = store();
    let mut waiting = Vec::new();
    for _ in 0..25 {
        store.core.step(Timestamp::ZERO, Input::Tick).unwrap();
        for task in turn(&mut store, &log) {
            applied(&mut store, &task);
        }
    }
    let mebibyte = || CommandKind::Batch(Batch { ops: batch(1 << 20).ops });
    let mut fates = Vec::new();
    for _ in 0..100 {
        fates.push(propose(&mut store, mebibyte()));
        waiting.extend(turn(&mut store, &log));
    }
    let refused = fates.iter_mut().filter_map(|fate| fate.try_recv().ok()).collect::<Vec<_>>();
    let taken = 100 - refused.len();
    assert!(refused.iter().all(|fate| *fate == Fate::Overloaded));
    assert!((25..=32).contains(&taken), "{taken} of a mebibyte, 32 MiB in all");
    let bytes: usize = waiting.iter().map(|task| task.bytes).sum();
    assert!((7 << 20..=8 << 20).contains(&bytes), "8 MiB of one group are on the way: {bytes}");
    assert_eq!(store.handle().queued_bytes().applying, bytes);
    // Whatever is queued: the leader still leads, and a lease gets into the log and is committed.
    let lease = CommandKind::Lease(LeaseChange::default());
    let mut lease = propose(&mut store, lease);
    waiting.extend(turn(&mut store, &log));
    assert_eq!(lease.try_recv(), Err(oneshot::error::TryRecvError::Empty), "it is in the log");
    // The engine goes on.
    let (mut indexes, mut next) = (Vec::new(), 0);
    while next < waiting.len() {
        applied(&mut store, &waiting[next]);
        indexes.extend(
            waiting[next].entries.iter().map(|(entry, waiter)| (entry.index, waiter.is_some())),
        );
        waiting.extend(turn(&mut store, &log));
        next += 1;
    }
    assert_eq!(indexes.len(), taken + 1, "with the lease");
    assert!(indexes.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "in the order of the log");
    assert!(indexes.iter().all(|(_, is_awaited)| *is_awaited), "whoever waits hears of it");
    assert_eq!(store.handle().queued_bytes().applying, 0);
    // There is room again.
    let mut fate = propose(&mut store, mebibyte());
    let tasks = turn(&mut store, &log);
    assert_eq!((tasks.len(), fate.try_recv()), (1, Err(oneshot::error::TryRecvError::Empty)));
}

#[test]
fn messages_beyond_the_bound_are_dropped_but_for_heartbeats() {
    let (store, ..) = store();
    let handle = store.handle();
    let message = |bytes: usize| RaftMessage {
        range_id: 3,
        from_node: 2,
        entries: (bytes > 0)
            .then(|| LogEntry { data: vec![0; bytes].into(), ..LogEntry::default() })
            .into_iter()
            .collect(),
        ..RaftMessage::default()
    };
    for _ in 0..100 {
        handle.receive(NodeId(2), vec![message(1 << 20), message(0)]);
    }
    let queued = handle.queued_bytes().received;
    assert!((60 << 20..=QueuedBytes::MAX.received).contains(&queued), "{queued}");
    let Store { mut inputs, .. } = store;
    let (mut large, mut small) = (0, 0);
    while let Ok(Input::Raft(messages, _)) = inputs.try_recv() {
        large += messages.iter().filter(|message| !message.entries.is_empty()).count();
        small += messages.iter().filter(|message| message.entries.is_empty()).count();
    }
    assert_eq!((large, small), (63, 100));
    assert_eq!(handle.queued_bytes().received, 0);
}

#[test]
fn a_command_that_no_message_holds_is_never_proposed() {
    let (store, _, engine) = store();
    let handle = store.handle();
    let descriptor = handle.descriptors().into_iter().find(|d| d.id() == FIRST_DATA_RANGE).unwrap();
    let descriptor = Arc::new(descriptor);
    let eval = |ts: u64| {
        let (start, end) = (descriptor.start.clone(), descriptor.end.clone());
        Eval {
            lease: Lease { expiration: u64::MAX, ..Lease::default() },
            descriptor: descriptor.clone(),
            snapshot: RangeSnapshot::new(engine.snapshot(), start, end),
            slot: Arc::<Tracker>::default().enter(1, Some(Timestamp::from_raw(ts))).unwrap(),
        }
    };
    let proposed = |bytes| handle.propose(eval(1), batch(bytes), Timestamp::from_raw(1));
    let refused = proposed(MAX_COMMAND_BYTES).now_or_never().expect("at once");
    let Err(ProposeError::Rejected(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.reason(), RefusalReason::Invalid);
    let largest = batch(MAX_BATCH_BYTES - 100);
    assert!(largest.bytes() > MAX_BATCH_BYTES - 100 && largest.bytes() <= MAX_BATCH_BYTES);
    assert!(proposed(MAX_BATCH_BYTES - 100).now_or_never().is_none(), "under way");
    // Nor what would be written below what it was said to be above.
    let early = handle.propose(eval(2), batch(1), Timestamp::from_raw(1));
    let refused = early.now_or_never().expect("at once");
    let Err(ProposeError::Rejected(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.reason(), RefusalReason::Unavailable);
}

#[test]
fn a_batch_counts_what_its_command_has() {
    use prost::Message;
    let mut batch = batch(1_000);
    for n in 0..300u32 {
        let key = Bytes::from(n.to_be_bytes().to_vec());
        batch.delete(Space::Lock, key.clone(), Bytes::new());
        let mut other = WriteBatch::default();
        other.put(Space::History, key, Bytes::from_static(b"suffix"), vec![0; n as usize].into());
        batch.append(other);
    }
    let bytes = batch.bytes();
    assert_eq!(bytes, Batch { ops: batch.ops }.encoded_len());
}

#[test]
fn a_message_that_cannot_be_sent_stops_the_store() {
    let of = |bytes: usize| RaftMessage {
        range_id: 3,
        from_node: 2,
        entries: vec![LogEntry { data: vec![0; bytes].into(), ..LogEntry::default() }],
        ..RaftMessage::default()
    };
    assert!(check_size(NodeId(2), &[of(10), of(MAX_COMMAND_BYTES)]).is_ok());
    let error = check_size(NodeId(2), &[of(10), of(MAX_MESSAGE_BYTES)]).unwrap_err();
    assert!(error.to_string().contains(&RangeId(3).to_string()), "{error}");
}
