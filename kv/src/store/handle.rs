//! The handle to a store: reading permissions and proposals for the transaction server, administration for the
//! node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::engine::{Engine, EngineError};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::ids::{NodeId, RangeId};
use crate::keys;
use crate::mutant::Mutant;
use crate::range::bootstrap::META_RANGE;
use crate::range::command::{Batch, Command, CommandKind, MAX_COMMAND_BYTES, Rejection};
use crate::range::descriptor::RangeDescriptor;
use crate::range::lease::{Holder, Lease};
use crate::range::tracker::Slot;
use crate::rpc::{RaftMessage, Refusal, RefusalReason, SnapshotPart};
use crate::seam::{Access, Eval, ProposeError, RangeSnapshot, Ranges, WriteBatch};
use crate::store::core::Input;
use crate::store::credit::QueuedBytes;
use crate::store::proposal::{Fate, Proposal};
use crate::store::shared::{Published, SharedRef};
use crate::store::snapshot::Stage;

/// Descriptors in a refusal. Whoever needs more asks the directory.
const REFUSAL_DESCRIPTORS_MAX: usize = 16;

/// A running store. Cheap to clone.
#[derive(Clone)]
pub struct StoreHandle {
    pub(super) env: Env,
    engine: Arc<dyn Engine>,
    pub(super) shared: SharedRef,
    pub(super) inputs: mpsc::Sender<Input>,
    parts: mpsc::Sender<Stage>,
    pub(super) holder: Holder,
    pub(super) lease_duration: Duration,
}

impl StoreHandle {
    pub(crate) fn new(
        env: Env,
        engine: Arc<dyn Engine>,
        shared: SharedRef,
        (inputs, parts): (mpsc::Sender<Input>, mpsc::Sender<Stage>),
        holder: Holder,
        lease_duration: Duration,
    ) -> Self {
        StoreHandle { env, engine, shared, inputs, parts, holder, lease_duration }
    }

    /// The node's hybrid time.
    #[cfg(test)]
    pub(super) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    pub(crate) fn shared(&self) -> SharedRef {
        self.shared.clone()
    }

    /// Why the store has stopped, if it has.
    pub fn failure(&self) -> Option<Failure> {
        self.shared.failure.get().cloned()
    }

    /// Messages from another node's replicas; what it says in another's name is dropped. Dropped when the store is behind;
    /// those without entries, by which leaders are elected and known to live, last.
    pub fn receive(&self, from: NodeId, mut messages: Vec<RaftMessage>) {
        messages.retain(|message| message.from_node == from.0);
        let bytes = messages.iter().map(|message| message.encoded_len()).sum();
        let taken = self.shared.credits.received.take(bytes);
        if taken.is_none() {
            messages.retain(|message| message.entries.is_empty());
        }
        // Raft repeats what matters.
        let _ = self.inputs.try_send(Input::Raft(messages, taken));
    }

    /// Takes a part of a snapshot; of the last one this says whether the replica has it now.
    pub(crate) async fn take_part(&self, part: SnapshotPart) -> Result<(), Refusal> {
        let (answer, taken) = oneshot::channel();
        let refuse = |message: String| Refusal {
            reason: RefusalReason::Unavailable as i32,
            message,
            ..Refusal::default()
        };
        if self.parts.try_send(Stage { part, answer }).is_err() {
            return Err(refuse("too many parts of snapshots".into()));
        }
        let ended = |_| Err("the store ends".into());
        taken.await.unwrap_or_else(ended).map_err(refuse)
    }

    /// How many snapshots took the place of what replicas had here, since the store was opened.
    pub fn snapshots_installed(&self) -> u64 {
        self.shared.installed.load(Ordering::Relaxed)
    }

    /// What waits in the store's queues.
    pub fn queued_bytes(&self) -> QueuedBytes {
        QueuedBytes {
            proposed: self.shared.credits.proposed.used(),
            received: self.shared.credits.received.used(),
            applying: self.shared.applying.load(Ordering::Relaxed),
        }
    }

    /// The ranges with a replica here, by id.
    pub fn descriptors(&self) -> Vec<RangeDescriptor> {
        self.shared.table().iter().map(|(_, published)| (*published.descriptor).clone()).collect()
    }

    /// The applied index of each range with a replica here.
    pub fn applied_indexes(&self) -> Vec<(RangeId, u64)> {
        self.shared.table().iter().map(|(range, state)| (range, state.applied_index)).collect()
    }

    /// The node that leads a range, as far as this store knows.
    pub fn leader_of(&self, range: RangeId) -> Option<NodeId> {
        let published = self.shared.published(range)?;
        published.descriptor.node_of(published.leader?)
    }

    /// Why this store does not serve now, if it knows; whether or not it will again.
    pub fn trouble(&self) -> Option<String> {
        if let Some(failure) = self.failure() {
            return Some(format!("the store has stopped: {failure}"));
        }
        if let Some(distrust) = self.env.clock.distrust() {
            return Some(distrust);
        }
        if self.shared.draining.load(Ordering::SeqCst) {
            return Some("the node is about to end: others serve in its place".into());
        }
        if self.shared.disk.is_suspected() {
            return Some("the disk does not answer: nothing is written".into());
        }
        self.is_cut_off().then(|| {
            "no range has a leader: this node does not hear from a majority of the nodes".into()
        })
    }

    /// True iff none of the ranges here has a leader that this store knows of: nothing can be read or written here.
    fn is_cut_off(&self) -> bool {
        self.shared.table().iter().all(|(_, published)| published.leader.is_none())
    }

    /// The ranges whose lease this node holds and may use now.
    pub fn held_ranges(&self) -> Vec<RangeDescriptor> {
        let ranges: Vec<_> =
            self.shared.table().iter().map(|(_, published)| published.clone()).collect();
        let now = self.env.clock.now();
        let held = ranges.iter().filter(|published| self.usable_lease(published, now).is_some());
        held.map(|published| (*published.descriptor).clone()).collect()
    }

    /// The range, if this node holds its lease and may use it now.
    pub(crate) fn held_range(&self, range: RangeId) -> Option<RangeDescriptor> {
        let published = self.shared.published(range)?;
        self.usable_lease(&published, self.env.clock.now())?;
        Some((*published.descriptor).clone())
    }

    /// True iff the local copy of the directory says the same of a range.
    pub(crate) fn directory_has(&self, descriptor: &RangeDescriptor) -> bool {
        self.shared.directory().of(descriptor.id()) == Some(descriptor)
    }

    /// What the local copy of the directory has at and after `key`. Possibly stale, which is legal.
    pub fn directory_from(&self, key: &[u8], limit: usize) -> Vec<RangeDescriptor> {
        self.shared.directory().from(key).take(limit).cloned().collect()
    }

    /// Completes when the disk has given no answer for [`crate::store::SUSPECTED_AFTER`]; at once while that goes on.
    pub async fn stalled(&self) {
        self.shared.disk.suspected().await;
    }

    /// The lease under which this node may serve at `ts`: the one place that says so, by the rules of
    /// [`crate::range::lease`].
    pub(super) fn usable_lease(&self, published: &Published, ts: Timestamp) -> Option<Lease> {
        let lease = published.lease.as_ref().filter(|lease| lease.is_held_by(self.holder))?;
        let clock = &self.env.clock;
        let valid = lease.covers(ts, clock.now(), clock.max_offset())
            && !published.tracker.is_revoked(lease.sequence)
            && self.trusts_clock();
        (valid || self.env.mutation(Mutant::StaleLeaseRead)).then(|| lease.clone())
    }

    /// Leases are judged by the clock: one that may be wrong is no judge. The consensus loop stops the store for it, at
    /// its next turn; nobody is served before that.
    pub(super) fn trusts_clock(&self) -> bool {
        let clock = &self.env.clock;
        self.env.mutation(Mutant::TrustWrongClock)
            || (clock.distrust().is_none() && clock.complaint().is_none())
    }

    pub(super) fn refuse(
        &self,
        range: RangeId,
        published: Option<&Published>,
        reason: RefusalReason,
    ) -> Refusal {
        let leader = published.and_then(|p| p.descriptor.node_of(p.leader?));
        Refusal {
            reason: reason as i32,
            lease: published.and_then(|p| p.lease.clone()),
            leader_node: leader.map_or(0, |node| node.0),
            descriptors: Vec::new(),
            message: format!("{range} at {}", self.env.node_id),
        }
    }

    /// The refusal of a span that is not the range's, with the ranges here that have its keys.
    fn refuse_span(
        &self,
        range: RangeId,
        published: Option<&Published>,
        (start, end): (&[u8], &[u8]),
    ) -> Refusal {
        let descriptors = self.shared.overlapping(start, end, REFUSAL_DESCRIPTORS_MAX);
        let refusal = self.refuse(range, published, RefusalReason::WrongRange);
        Refusal { descriptors, ..refusal }
    }

    /// Replicates a command under the current lease. With the meta range's commands this is how the directory
    /// changes. Resolves when applied; the number is the first id of an allocation.
    pub async fn propose_command(
        &self,
        range: RangeId,
        kind: CommandKind,
    ) -> Result<u64, ProposeError> {
        let published = self.shared.published(range);
        let now = self.env.clock.now();
        let usable = published.as_ref().and_then(|published| {
            let lease = self.usable_lease(published, now)?;
            let slot = published.tracker.enter(lease.sequence, None)?;
            Some((lease, slot))
        });
        let Some((lease, slot)) = usable else {
            let reason = RefusalReason::NotLeaseHolder;
            return Err(ProposeError::Rejected(self.refuse(range, published.as_deref(), reason)));
        };
        let command =
            Command { lease_sequence: lease.sequence, kind: Some(kind), ..Command::default() };
        self.replicate(range, command, Some(slot)).await
    }

    async fn replicate(
        &self,
        range: RangeId,
        command: Command,
        slot: Option<Slot>,
    ) -> Result<u64, ProposeError> {
        let bytes = command.encoded_len();
        if bytes > MAX_COMMAND_BYTES {
            // Whoever evaluates stops before it gets so far. In the log it would be the range's end.
            tracing::error!(%range, bytes, "a command of too many bytes");
            let published = self.shared.published(range);
            let mut refusal = self.refuse(range, published.as_deref(), RefusalReason::Invalid);
            refusal.message = format!("a command of {bytes} bytes for {range}");
            return Err(ProposeError::Rejected(refusal));
        }
        // Whoever raced a split looks up what of their keys is where now.
        let span = command.kind.as_ref().and_then(CommandKind::span);
        let (waiter, fate) = oneshot::channel();
        let queued = self.shared.credits.proposed.take(bytes);
        let is_full = queued.is_none();
        let proposal = Box::new(Proposal { range, command, waiter, slot, queued });
        let rejected = |reason| {
            let published = self.shared.published(range);
            ProposeError::Rejected(self.refuse(range, published.as_deref(), reason))
        };
        if self.shared.disk.is_suspected() {
            return Err(rejected(RefusalReason::Unavailable));
        }
        if is_full || self.inputs.try_send(Input::Propose(proposal)).is_err() {
            return Err(rejected(RefusalReason::Unavailable));
        }
        match fate.await {
            Ok(Fate::Applied(value)) => Ok(value),
            Ok(Fate::Rejected(Rejection::Bounds)) => {
                let published = self.shared.published(range);
                let (start, last) = span.unwrap_or_default();
                let span = (&start[..], &keys::successor(&last)[..]);
                Err(ProposeError::Rejected(self.refuse_span(range, published.as_deref(), span)))
            }
            Ok(Fate::Rejected(Rejection::Floor)) => Err(rejected(RefusalReason::Invalid)),
            Ok(Fate::Rejected(Rejection::Closed)) => {
                // By I6 of `range::machine`. What this store has promised to others is not to be relied on.
                let what = format!("a write to {range} at a timestamp that was closed");
                self.shared.fail(Failure::new(FailureKind::Bug, what));
                Err(rejected(RefusalReason::Unavailable))
            }
            Ok(Fate::Rejected(Rejection::Lease) | Fate::Superseded) => {
                Err(rejected(RefusalReason::NotLeaseHolder))
            }
            Ok(Fate::Rejected(Rejection::LeaseIndex) | Fate::Overloaded) => {
                Err(rejected(RefusalReason::Unavailable))
            }
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Splits the range that this node holds so that `key` begins the new one.
    pub(crate) async fn split(
        &self,
        range: RangeId,
        key: Bytes,
        new_id: RangeId,
    ) -> Result<Vec<RangeDescriptor>, ProposeError> {
        let published = self.shared.published(range);
        let wrong = || {
            let span = (&key[..], &keys::successor(&key)[..]);
            Err(ProposeError::Rejected(self.refuse_span(range, published.as_deref(), span)))
        };
        let Some(old) = published.as_ref().map(|p| (*p.descriptor).clone()) else {
            return wrong();
        };
        if range == META_RANGE || key <= old.start || key >= old.end {
            return wrong();
        }
        let generation = old.generation + 1;
        let left = RangeDescriptor { end: key.clone(), generation, ..old.clone() };
        let right = RangeDescriptor { range_id: new_id.0, start: key, generation, ..old };
        let split = crate::range::command::Split { left: left.clone(), right: right.clone() };
        self.propose_command(range, CommandKind::Split(split)).await?;
        Ok(vec![left, right])
    }
}

impl Ranges for StoreHandle {
    fn begin(&self, range: RangeId, access: &Access<'_>) -> Result<Eval, Refusal> {
        let (start, end) = access.span;
        let hidden = self.shared.hidden();
        let Some(published) = self.shared.published(range) else {
            return Err(self.refuse_span(range, None, (start, end)));
        };
        if self.shared.failure.get().is_some() {
            return Err(self.refuse(range, None, RefusalReason::Unavailable));
        }
        let not_holder = || self.refuse(range, Some(&published), RefusalReason::NotLeaseHolder);
        let lease = self.usable_lease(&published, access.ts).ok_or_else(not_holder)?;
        // Before the snapshot: whoever revokes the lease waits for the slot.
        let slot = published.tracker.enter(lease.sequence, access.min_write_ts);
        let slot = slot.ok_or_else(not_holder)?;
        if !published.descriptor.contains_span(start, end) {
            return Err(self.refuse_span(range, Some(&published), (start, end)));
        }
        if access.oldest_read.is_some_and(|ts| ts <= published.floor) {
            return Err(self.refuse(range, Some(&published), RefusalReason::BelowFloor));
        }
        let (start, end) = (Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
        // Of before the snapshot is enough: whoever says something of a span has it latched until that is published.
        let snapshot = RangeSnapshot::new(self.engine.snapshot(), start, end)
            .with_spans(published.spans.clone());
        if self.shared.hidden() != hidden {
            // The view may be of a replica that is no more: S7 of `store::snapshot`.
            return Err(self.refuse(range, Some(&published), RefusalReason::Unavailable));
        }
        Ok(Eval { lease, descriptor: published.descriptor.clone(), snapshot, slot })
    }

    fn damaged(&self, error: &EngineError) {
        self.shared.fail(error.into());
    }

    fn propose(
        &self,
        eval: Eval,
        batch: WriteBatch,
        write_ts: Timestamp,
    ) -> BoxFuture<'static, Result<(), ProposeError>> {
        let range = eval.descriptor.id();
        let handle = self.clone();
        // A key that no engine takes would stop every replica: it must not get into the log.
        let too_long = batch.ops.iter().any(|op| {
            keys::engine_key_len_max(op.key.len(), op.suffix.len()) > crate::engine::MAX_KEY_LEN
        });
        let too_late = write_ts >= eval.lease.expiration_ts();
        let too_early = write_ts < eval.min_write_ts();
        let is_read = eval.min_write_ts() == Timestamp::ZERO;
        let command = Command {
            lease_sequence: eval.lease.sequence,
            write_ts: write_ts.raw(),
            kind: Some(CommandKind::Batch(Batch { ops: batch.ops })),
            ..Command::default()
        };
        let slot = Some(eval.slot);
        Box::pin(async move {
            if too_late || too_long || too_early || is_read {
                let published = handle.shared.published(range);
                let reason = match (too_long || is_read, too_late) {
                    (true, _) => RefusalReason::Invalid,
                    (false, true) => RefusalReason::NotLeaseHolder,
                    (false, false) => RefusalReason::Unavailable,
                };
                return Err(ProposeError::Rejected(handle.refuse(
                    range,
                    published.as_deref(),
                    reason,
                )));
            }
            handle.replicate(range, command, slot).await.map(|_| ())
        })
    }
}
