//! The store's consensus core, sans-I/O: `step` takes one input, `turn` says what to do.
//!
//! It owns the groups and decides what a leader does by itself: acquire and extend leases, truncate logs.
//!
//! Leases (expiration leases bound to leadership):
//! - I1. Only a leader that has applied an entry of its own term proposes a lease, so it knows the current one.
//! - I2. A lease of another replica, or of an earlier incarnation of this one, is succeeded only after its
//!   expiration by this node's clock, or by whom it is handed to ([`super::hand_over`]). A holder never serves in the last maximum offset of its lease, so no
//!   clock within the offset sees two holders at one timestamp.
//! - I3. A lease is extended while half of it is left. At most one lease proposal of a group is in flight.
//! - I4. The leadership goes where the lease is: only the holder may serve, and only a leader can write. A leader hands it
//!   over to the holder while the lease is good for longer than that takes, and at once when the lease has changed hands; a
//!   holder whose group has no leader stands for election, again and again.
//!
//! Replicas without data yet are a chapter of their own ([`uninitialised`]), and so are snapshots ([`snapshots`]).
//!
//! HAZARD: raft-rs forgets no transfer before an election timeout has passed, and drops proposals until then. So none is
//! begun that a lease's end could meet.

mod snapshots;
mod uninitialised;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prost::Message;
use raft::Ready;
use raft::eraftpb::Entry;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::env::Env;
use crate::ids::{NodeId, RangeId, ReplicaId, StoreId};
use crate::log::{LogBatch, LogError, RaftLog};
use crate::mutant::Mutant;
use crate::raft::{
    Address, ELECTION_TICKS, FollowerState, Group, GroupStorage, Peers, RecentBytes, SnapshotGate,
    UNCOMMITTED_BYTES_MAX, bytes_of,
};
use crate::range::command::{
    Command, CommandKind, LeaseChange, MAX_COMMAND_BYTES, Rejection, Truncate,
};
use crate::range::lease::{Holder, Lease};
use crate::rpc::RaftMessage;
use crate::store::StoreConfig;
use crate::store::apply::{ApplyTask, Work};
use crate::store::credit::{Applying, Taken};
use crate::store::proposal::{Fate, Proposal, Waiter};
use crate::store::shared::{Published, SharedRef};
use crate::store::truncation::{self, Bounds, Length};

/// Proposals of one group that are not decided; more are refused.
const PENDING_PROPOSALS_MAX: usize = 4_096;
/// Bytes of one group's entries that its leader has not applied; more proposals are refused, but for the leader's own. A
/// good part of what Raft itself admits (of what is not committed) stays free for those: a lease must be extended under any
/// load.
const PENDING_BYTES_MAX: usize = 32 << 20;
const _: () = assert!(PENDING_BYTES_MAX + (1 << 20) <= UNCOMMITTED_BYTES_MAX);
const _: () = assert!(MAX_COMMAND_BYTES <= PENDING_BYTES_MAX);
/// Ticks between two candidacies of a lease holder whose group has no leader: time for an answer.
const CANDIDACY_TICKS: u64 = 3;
/// Ticks between a leader's looks at its log's length.
const TRUNCATION_TICKS: u64 = 10;
/// Ticks without a message after which a replica counts as gone, for the length of the log.
const GONE_TICKS: u64 = 30;

/// What may happen to a store.
pub(crate) enum Input {
    /// Messages of other nodes' replicas, and their bytes in the queue.
    Raft(Vec<RaftMessage>, Option<Taken>),
    /// A command to replicate, if this replica leads.
    Propose(Box<Proposal>),
    /// A unit of time has passed.
    Tick,
}

/// What one turn asks for, in this order: send `messages`, write `log`, call [`Core::persisted`] with
/// `persisting`, send `after_sync`, hand over `apply`.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) messages: BTreeMap<NodeId, Vec<RaftMessage>>,
    pub(crate) log: LogBatch,
    pub(crate) must_sync: bool,
    pub(crate) persisting: Vec<(RangeId, Ready)>,
    pub(crate) after_sync: BTreeMap<NodeId, Vec<RaftMessage>>,
    pub(crate) apply: Vec<Work>,
}

/// A replica of this store, as the core sees it.
struct Replica {
    group: Group<Waiter>,
    /// The range as it was last applied, as far as this core was told. (Who leads it the group knows better.) `None`: it has
    /// nothing yet.
    state: Option<Arc<Published>>,
    /// Where the others live.
    peers: Peers,
    /// Bytes of its committed entries that are on their way through the engine.
    applying: usize,
    /// Last lease index given out, for this lease sequence.
    lease_index: (u64, u64),
    lease_in_flight: Option<oneshot::Receiver<Fate>>,
    truncation_in_flight: Option<oneshot::Receiver<Fate>>,
    /// A truncation that was applied, and how far the engine is durable.
    truncate_to: u64,
    durable: u64,
    durable_to_log: bool,
    /// The log has to hear that no replica with a lower id than this one comes back.
    floor_to_log: bool,
    /// The log has to hear how far it is committed: U6 of `core::uninitialised`.
    commit_to_log: bool,
    /// A snapshot takes the place of what it has: until that is done it says and hears nothing.
    is_installing: bool,
    /// The leader and the lease need no look before this time, unless something is applied.
    quiet_until: Timestamp,
    /// Something was applied since the log's length was last looked at.
    has_grown: bool,
    /// The tick in which the log was last cut.
    truncated_in: u64,
    /// Since which tick it is not known what these replicas have.
    probed: BTreeMap<ReplicaId, u64>,
}

impl Replica {
    fn new(group: Group<Waiter>, state: Option<Arc<Published>>, mut peers: Peers) -> Self {
        if let Some(state) = &state {
            peers.learn(&state.descriptor);
        }
        Replica {
            group,
            state,
            peers,
            applying: 0,
            lease_index: (0, 0),
            lease_in_flight: None,
            truncation_in_flight: None,
            truncate_to: 0,
            durable: 0,
            durable_to_log: false,
            floor_to_log: false,
            commit_to_log: false,
            is_installing: false,
            quiet_until: Timestamp::ZERO,
            has_grown: true,
            truncated_in: 0,
            probed: BTreeMap::new(),
        }
    }

    /// The range is now in this state.
    fn is_now(&mut self, state: Arc<Published>) {
        let is_known = self
            .state
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(&known.descriptor, &state.descriptor));
        if !is_known {
            self.peers.learn(&state.descriptor);
            self.group.note_conf(state.descriptor.conf_state());
        }
        self.state = Some(state);
    }

    /// The last index of the log that may go now, if that is worth a command.
    fn may_truncate(&mut self, config: &StoreConfig, state: &Published, tick: u64) -> Option<u64> {
        let length = Length {
            truncated: self.group.truncated_index().max(self.truncate_to),
            applied: state.applied_index,
            bytes: self.group.log_bytes(),
            looks: (tick - self.truncated_in) / TRUNCATION_TICKS,
        };
        let mut followers = Vec::new();
        for (id, mut follower) in self.group.followers() {
            if tick - self.peers.heard(id) > GONE_TICKS {
                follower.state = FollowerState::Gone;
            }
            let is_probed = follower.state == FollowerState::Probed;
            let since = *self.probed.entry(id).or_insert(tick);
            if !is_probed {
                self.probed.remove(&id);
            }
            followers.push((follower, (tick - since) / TRUNCATION_TICKS));
        }
        let bounds = Bounds::of(config);
        let index = truncation::cut(&bounds, &length, followers.into_iter());
        // A replica that is behind makes the log grow without anything being applied.
        self.has_grown = index.is_none() && length.is_beyond(&bounds, 1);
        self.truncated_in = if index.is_some() { tick } else { self.truncated_in };
        index
    }

    /// Says in a message from whom and to whom it is, by node and store. False: where it should go is not known.
    fn address(&self, own: Address, message: &mut RaftMessage) -> bool {
        let to = ReplicaId(message.to);
        let Some(address) = self.peers.address(to) else { return false };
        (message.from_node, message.from_store) = (own.node.0, own.store.0);
        (message.to_node, message.to_store) = (address.node.0, address.store.0);
        if message.is_append()
            && self.group.is_probing(to)
            && let Some(state) = &self.state
        {
            message.start_key = state.descriptor.start.clone();
        }
        true
    }

    /// Bytes that this replica has taken on and not applied: not committed, waiting for room, or on the way to the engine.
    fn pending_bytes(&self) -> usize {
        self.group.uncommitted_bytes() + self.group.withheld_bytes() + self.applying
    }
}

/// The groups of one store.
pub(crate) struct Core {
    env: Env,
    config: StoreConfig,
    log: Arc<dyn RaftLog>,
    shared: SharedRef,
    holder: Holder,
    own: Address,
    recent: Arc<RecentBytes>,
    replicas: BTreeMap<RangeId, Replica>,
    /// Those of them that have nothing yet, and in which tick they were last heard of.
    uninitialised: BTreeMap<RangeId, u64>,
    /// The groups whose logs are to begin behind snapshots.
    resets: BTreeMap<RangeId, snapshots::Reset>,
    /// What the apply loop has to do beside applying, with the next turn.
    orders: Vec<Work>,
    /// The snapshot that is being sent. Meanwhile Raft may not ask for another.
    sending: Option<(RangeId, ReplicaId)>,
    gate: Arc<SnapshotGate>,
    /// Ranges whose last snapshot did not arrive, and until which tick they do not ask for the next one.
    paused: BTreeMap<RangeId, u64>,
    /// Snapshots that were asked for and not ordered.
    refused: Vec<(RangeId, ReplicaId)>,
    /// The groups that may have something to do: those that inputs, notices and ticks have touched. A turn looks at no
    /// others.
    active: BTreeSet<RangeId>,
    /// The groups whose leader may be another one than is shown.
    turned: BTreeSet<RangeId>,
    /// What is on its way through the engine.
    applying: Applying,
    /// The groups whose committed entries wait for room there.
    waiting: BTreeSet<RangeId>,
    ticks: u64,
}

impl Core {
    pub(crate) fn new(
        env: Env,
        config: StoreConfig,
        log: Arc<dyn RaftLog>,
        shared: SharedRef,
        holder: Holder,
        store: StoreId,
    ) -> Self {
        let own = Address { node: env.node_id, store };
        Core {
            env,
            config,
            log,
            shared,
            holder,
            own,
            recent: Arc::default(),
            replicas: BTreeMap::new(),
            uninitialised: BTreeMap::new(),
            resets: BTreeMap::new(),
            orders: Vec::new(),
            sending: None,
            gate: Arc::default(),
            paused: BTreeMap::new(),
            refused: Vec::new(),
            active: BTreeSet::new(),
            turned: BTreeSet::new(),
            applying: Applying::default(),
            waiting: BTreeSet::new(),
            ticks: 0,
        }
    }

    /// Adds the group of a range that has a state. What the log knows of it goes on: the vote of a replica that had nothing
    /// before, too, and whom that has heard.
    pub(crate) fn open_group(
        &mut self,
        range: RangeId,
        state: Arc<Published>,
    ) -> Result<(), LogError> {
        let Some(member) = state.descriptor.replica_on(self.own.store) else {
            return Err(LogError::Corrupt(format!("{range} has no replica on this store")));
        };
        let (id, conf) = (member.id(), state.descriptor.conf_state());
        let is_newer = |other: &Replica| other.group.id() > id;
        if self.replicas.get(&range).is_some_and(is_newer) || self.replica_floor(range)? > id.0 {
            // It was removed since: U3 of `core::uninitialised`.
            return Ok(());
        }
        let applied = (state.applied_index, state.applied_term);
        let (log, recent, gate) = (self.log.clone(), self.recent.clone(), self.gate.clone());
        let storage = GroupStorage::open(log, range, conf, applied, recent, gate)?;
        let group = Group::new(range, id, storage, applied.0, self.env.rng.clone())?;
        self.uninitialised.remove(&range);
        let before = self.replicas.remove(&range);
        let peers = before.map(|before| before.peers).unwrap_or_default();
        self.replicas.insert(range, Replica::new(group, Some(state), peers));
        self.active.insert(range);
        Ok(())
    }

    /// Takes one input. `now` is the node's hybrid time.
    ///
    /// # Errors
    /// Those of the log, when a replica comes into being.
    pub(crate) fn step(&mut self, now: Timestamp, input: Input) -> Result<(), LogError> {
        match input {
            Input::Raft(messages, _queued) => {
                let stalls = self.shared.disk.is_suspected();
                for message in messages {
                    self.hear(message, stalls)?;
                }
            }
            Input::Propose(proposal) => self.propose(now, *proposal),
            Input::Tick => {
                self.ticks += 1;
                self.tick(now);
            }
        }
        Ok(())
    }

    fn propose(&mut self, now: Timestamp, proposal: Proposal) {
        let Proposal { range, mut command, waiter, slot, queued } = proposal;
        drop(queued);
        let Some(replica) = self.replicas.get_mut(&range) else {
            let _ = waiter.send(Fate::Superseded);
            return;
        };
        // A lease that cannot be extended under load would end all service; there is one in flight at most.
        let is_lease = command.kind.as_ref().is_some_and(CommandKind::replaces_lease);
        let is_full = replica.group.pending_len() >= PENDING_PROPOSALS_MAX
            || replica.pending_bytes() + command.encoded_len() > PENDING_BYTES_MAX;
        if !is_lease && is_full {
            let _ = waiter.send(Fate::Overloaded);
            return;
        }
        let Some(state) = replica.state.as_ref().filter(|_| !replica.is_installing) else {
            let _ = waiter.send(Fate::Superseded);
            return;
        };
        if !is_lease {
            let current = state.lease.as_ref().map_or(0, |lease| lease.sequence);
            if current != command.lease_sequence {
                let _ = waiter.send(Fate::Rejected(Rejection::Lease));
                return;
            }
            // Under a new sequence everything earlier is applied, so its indexes are known.
            if replica.lease_index.0 != current {
                replica.lease_index = (current, state.lease_index);
            }
            replica.lease_index.1 = replica.lease_index.1.max(state.lease_index) + 1;
            command.max_lease_index = replica.lease_index.1;
            // Below the lease's end: whoever has the next one begins above what is closed.
            let end = state.lease.as_ref().map_or(Timestamp::ZERO, Lease::expiration_ts);
            let target =
                now.saturating_sub(self.config.closed_lag).min(end.prev().unwrap_or_default());
            let closed = match self.env.mutation(Mutant::CloseOverWriters) {
                true => target,
                false => state.tracker.close(target),
            };
            command.closed_ts = closed.raw();
        }
        drop(slot);
        // Followers may be late with keys. A range that they do not know yet cannot elect anybody, and a lease that they do
        // not know makes them ask.
        let at_once = !matches!(command.kind, Some(CommandKind::Batch(_)));
        if let Err(waiter) = replica.group.propose(command.to_entry_data(), waiter, at_once) {
            let _ = waiter.send(Fate::Superseded);
        }
        self.active.insert(range);
    }

    /// A unit of time for every group: Raft's counters go on, and what is due is looked at. Of a range that has nothing to
    /// do that is a few additions.
    fn tick(&mut self, now: Timestamp) {
        let may_stand =
            self.ticks.is_multiple_of(CANDIDACY_TICKS) && !self.shared.disk.is_suspected();
        let looks_at_logs = self.ticks.is_multiple_of(TRUNCATION_TICKS);
        let mut due = Vec::new();
        for (&range, replica) in self.replicas.iter_mut().filter(|(_, r)| !r.is_installing) {
            replica.group.tick();
            if replica.group.has_turn() {
                self.active.insert(range);
            }
            let is_due = match replica.group.is_leader() {
                true => now >= replica.quiet_until || (looks_at_logs && replica.has_grown),
                false => may_stand && replica.group.is_leaderless(),
            };
            if is_due {
                due.push(range);
            }
        }
        for range in due {
            self.look(range, now, looks_at_logs);
        }
        self.end_pauses();
        if looks_at_logs {
            self.forget_silent();
        }
    }

    /// What a replica does by itself.
    fn look(&mut self, range: RangeId, now: Timestamp, looks_at_log: bool) {
        let Some(replica) = self.replicas.get_mut(&range) else { return };
        let Some(state) = replica.state.clone() else { return };
        if !replica.group.is_leader() {
            let holds =
                |lease: &Lease| lease.is_held_by(self.holder) && now < lease.expiration_ts();
            if state.lease.as_ref().is_some_and(holds) {
                replica.group.campaign();
                self.active.insert(range);
            }
            return;
        }
        if state.applied_term != replica.group.term() {
            return;
        }
        self.keep_lease(range, now, &state);
        if looks_at_log {
            self.keep_log_short(range, now, &state);
        }
    }

    fn keep_lease(&mut self, range: RangeId, now: Timestamp, state: &Published) {
        let holder = self.holder;
        let duration = self.config.lease_duration;
        let Some(replica) = self.replicas.get_mut(&range) else { return };
        if still_waiting(&mut replica.lease_in_flight) {
            return;
        }
        let id = replica.group.id();
        let far = now.saturating_add(duration).saturating_add(self.env.clock.max_offset());
        let mut now = now;
        // No clock that was right has made such a lease, and nobody else has one that could show it.
        if let Some(lease) = state
            .lease
            .as_ref()
            .filter(|lease| !lease.is_held_by(holder) && is_alone_with(state, lease, far))
        {
            tracing::warn!(%range, "the clock was ahead in an earlier life: timestamps go on from there");
            self.env.clock.forward(lease.expiration_ts());
            now = self.env.clock.now();
        }
        let expiration = now.saturating_add(duration).raw();
        let next = match &state.lease {
            Some(lease) if lease.is_held_by(holder) && now < lease.expiration_ts() => {
                if state.tracker.is_revoked(lease.sequence) {
                    // It is being handed over, or nobody knows whether it was: then it ends.
                    return;
                }
                let half = lease.expiration_ts().saturating_sub(duration / 2);
                if now < half {
                    replica.quiet_until = half;
                    return;
                }
                Lease { expiration: expiration.max(lease.expiration), ..lease.clone() }
            }
            Some(lease) if now < lease.expiration_ts() => {
                let transfer = self.config.tick * ELECTION_TICKS as u32;
                if lease.node_id != holder.node.0
                    && now.saturating_add(transfer) < lease.expiration_ts()
                {
                    replica.group.transfer_to(ReplicaId(lease.replica_id));
                    self.active.insert(range);
                }
                return;
            }
            _ if self.shared.draining.load(Ordering::SeqCst)
                && state.descriptor.replicas.len() > 1 =>
            {
                let others =
                    state.descriptor.replicas.iter().filter(|other| other.node_id != holder.node.0);
                others.for_each(|other| replica.group.transfer_to(ReplicaId(other.replica_id)));
                self.active.insert(range);
                return;
            }
            old => Lease {
                sequence: old.as_ref().map_or(0, |lease| lease.sequence) + 1,
                replica_id: id.0,
                node_id: holder.node.0,
                incarnation: holder.incarnation,
                start: now.raw(),
                expiration,
            },
        };
        let previous = state.lease.clone();
        let change = LeaseChange { previous, next, ..LeaseChange::default() };
        let command = Command { kind: Some(CommandKind::Lease(change)), ..Command::default() };
        let (waiter, fate) = oneshot::channel();
        replica.lease_in_flight = Some(fate);
        self.propose(now, Proposal { range, command, waiter, slot: None, queued: None });
    }

    fn keep_log_short(&mut self, range: RangeId, now: Timestamp, state: &Published) {
        let holder = self.holder;
        let Some(replica) = self.replicas.get_mut(&range) else { return };
        if still_waiting(&mut replica.truncation_in_flight) {
            return;
        }
        let Some(lease) = state.lease.as_ref().filter(|lease| lease.is_held_by(holder)) else {
            return;
        };
        let Some(index) = replica.may_truncate(&self.config, state, self.ticks) else { return };
        let command = Command {
            lease_sequence: lease.sequence,
            kind: Some(CommandKind::Truncate(Truncate { index })),
            ..Command::default()
        };
        let (waiter, fate) = oneshot::channel();
        replica.truncation_in_flight = Some(fate);
        self.propose(now, Proposal { range, command, waiter, slot: None, queued: None });
    }

    /// Takes what the applier and the sync loop have done.
    pub(crate) fn notices(&mut self) -> Result<(), LogError> {
        let notices = self.shared.take_notices();
        for (range, (left, state)) in notices.created {
            self.created(left, range, state)?;
        }
        if !notices.applied.is_empty() {
            // There is room again.
            self.active.append(&mut self.waiting);
        }
        for (range, applied) in notices.applied {
            self.applying.remove(applied.done);
            if let Some(replica) = self.replicas.get_mut(&range) {
                replica.applying -= applied.done.bytes;
                let (index, term) = (applied.state.applied_index, applied.state.applied_term);
                replica.group.applied_to(index, term);
                let sequence = |state: &Published| state.lease.as_ref().map(|lease| lease.sequence);
                let before = replica.state.as_ref().map(|state| sequence(state));
                let changed_hands = before != Some(sequence(&applied.state));
                replica.is_now(applied.state);
                replica.truncate_to = replica.truncate_to.max(applied.truncate.unwrap_or(0));
                replica.quiet_until = Timestamp::ZERO;
                replica.has_grown = true;
                self.active.insert(range);
                // Whoever got the lease from this node is to lead at once.
                if changed_hands && replica.group.is_leader() {
                    self.look(range, self.env.clock.now(), false);
                }
            }
        }
        for (range, index) in notices.durable {
            if let Some(replica) = self.replicas.get_mut(&range)
                && index > replica.durable
            {
                replica.durable = index;
                replica.durable_to_log = true;
                self.active.insert(range);
            }
        }
        for staged in notices.staged {
            self.staged(staged);
        }
        for (range, installed) in notices.installed {
            self.installed(range, installed);
        }
        if let Some((range, to, has_arrived)) = notices.sent {
            self.snapshot_sent(range, to, has_arrived);
        }
        self.tell_refused();
        Ok(())
    }

    /// The right side of a split. Where its left side leads, it stands for election at once.
    fn created(
        &mut self,
        left: RangeId,
        range: RangeId,
        state: Arc<Published>,
    ) -> Result<(), LogError> {
        if let Some(left_side) = self.replicas.get_mut(&left) {
            left_side.commit_to_log = true;
            self.active.insert(left);
        }
        if self.replicas.get(&range).is_some_and(|replica| replica.state.is_some()) {
            return Ok(());
        }
        let holds_lease = state.lease.as_ref().is_some_and(|lease| lease.is_held_by(self.holder));
        self.open_group(range, state)?;
        if holds_lease && let Some(replica) = self.replicas.get_mut(&range) {
            replica.group.campaign();
        }
        Ok(())
    }

    /// Collects the next turn of the groups that have one; `None` when there is nothing to do.
    ///
    /// # Errors
    /// Those of the log, when committed entries that have waited there cannot be read.
    pub(crate) fn turn(&mut self) -> Result<Option<Effects>, LogError> {
        let mut effects = Effects::default();
        let mut snapshots = Vec::new();
        for range in std::mem::take(&mut self.active) {
            if let Some(write) = self.reset(range)? {
                effects.log.groups.push((range, write));
                effects.must_sync = true;
                continue;
            }
            let Some(replica) = self.replicas.get_mut(&range) else { continue };
            if replica.is_installing {
                continue;
            }
            let mut write = None;
            if replica.group.has_turn() {
                self.turned.insert(range);
                let turn = replica.group.turn(self.applying.room(replica.applying));
                for waiter in turn.superseded {
                    let _ = waiter.send(Fate::Superseded);
                }
                for (messages, by_node) in [
                    (turn.messages, &mut effects.messages),
                    (turn.after_sync, &mut effects.after_sync),
                ] {
                    for mut message in messages {
                        if message.is_snapshot() {
                            snapshots.push((range, message));
                        } else if replica.address(self.own, &mut message) {
                            by_node.entry(NodeId(message.to_node)).or_default().push(message);
                        }
                    }
                }
                effects.must_sync |= turn.must_sync;
                effects.persisting.push((range, turn.ready));
                if !turn.write.entries.is_empty() || turn.write.hard_state.is_some() {
                    write = Some(turn.write);
                }
                effects.apply.extend(apply_task(
                    range,
                    turn.committed,
                    replica,
                    &mut self.applying,
                ));
            }
            if replica.group.has_withheld() {
                let room = self.applying.room(replica.applying);
                let mut superseded = Vec::new();
                let entries = replica.group.take_withheld(room, &mut superseded)?;
                for waiter in superseded {
                    let _ = waiter.send(Fate::Superseded);
                }
                effects.apply.extend(apply_task(range, entries, replica, &mut self.applying));
                if replica.group.has_withheld() {
                    self.waiting.insert(range);
                }
            }
            if std::mem::take(&mut replica.commit_to_log) {
                let write = write.get_or_insert_default();
                write.hard_state = Some(replica.group.hard_state());
            }
            if std::mem::take(&mut replica.floor_to_log) {
                write.get_or_insert_default().replica_floor = Some(replica.group.id().0);
                effects.must_sync = true;
            }
            if replica.durable_to_log {
                replica.durable_to_log = false;
                let write = write.get_or_insert_default();
                write.durable_applied = Some(replica.durable);
                // I4 of `kv::log`: not beyond what the engine keeps.
                let cut = replica.truncate_to.min(replica.durable);
                if cut > replica.group.truncated_index()
                    && let Some(term) = replica.group.term_of(cut)
                {
                    write.truncate_to = Some(cut);
                    replica.group.note_truncated(cut, term);
                }
            }
            if let Some(write) = write {
                effects.log.groups.push((range, write));
            }
        }
        for (range, message) in snapshots {
            self.order_snapshot(range, &message);
        }
        effects.apply.append(&mut self.orders);
        self.shared.applying.store(self.applying.bytes, Ordering::Relaxed);
        self.shared.await_room(!self.waiting.is_empty());
        let nothing = effects.persisting.is_empty()
            && effects.log.groups.is_empty()
            && effects.apply.is_empty();
        Ok((!nothing).then_some(effects))
    }

    /// The turn's log write is done.
    ///
    /// # Errors
    /// Those of the log, when a group begins anew.
    pub(crate) fn persisted(&mut self, persisting: Vec<(RangeId, Ready)>) -> Result<(), LogError> {
        for (range, ready) in persisting {
            if let Some(replica) = self.replicas.get_mut(&range) {
                replica.group.persisted(ready);
                if replica.group.has_turn() {
                    self.active.insert(range);
                }
            }
        }
        self.logs_are_reset()
    }

    /// Publishes who leads, where that may have changed.
    pub(crate) fn publish_leaders(&mut self) {
        if self.turned.is_empty() {
            return;
        }
        let turned = std::mem::take(&mut self.turned);
        let replicas = &self.replicas;
        self.shared.publish_leaders(
            turned
                .into_iter()
                .filter_map(|range| Some((range, replicas.get(&range)?.group.leader()))),
        );
    }
}

/// Committed entries on their way through the engine.
fn apply_task(
    range: RangeId,
    entries: Vec<(Entry, Option<Waiter>)>,
    replica: &mut Replica,
    applying: &mut Applying,
) -> Option<Work> {
    if entries.is_empty() {
        return None;
    }
    let bytes = entries.iter().map(|(entry, _)| bytes_of(entry)).sum();
    replica.applying += bytes;
    applying.add(bytes);
    Some(Work::Apply(ApplyTask { range, entries, bytes }))
}

/// True iff the range has one replica, and its lease reaches beyond `far`.
fn is_alone_with(state: &Published, lease: &Lease, far: Timestamp) -> bool {
    state.descriptor.replicas.len() == 1 && lease.expiration_ts() > far
}

/// True while a proposal of this store's own is undecided; forgets it otherwise.
fn still_waiting(in_flight: &mut Option<oneshot::Receiver<Fate>>) -> bool {
    match in_flight {
        Some(fate) => match fate.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            _ => {
                *in_flight = None;
                false
            }
        },
        None => false,
    }
}
