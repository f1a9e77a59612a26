//! A replica's consensus: raft-rs's node, its outstanding proposals, its election timeouts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Message, MessageType};
use raft::{Config, ProgressState, RawNode, Ready, SnapshotStatus, StateRole};

use crate::env::Rng;
use crate::ids::{RangeId, ReplicaId};
use crate::log::{GroupWrite, LogError};
use crate::raft::{GroupStorage, wire};
use crate::rpc::RaftMessage;

/// Ticks without a leader before a replica campaigns, at least; at most twice as many.
pub(crate) const ELECTION_TICKS: usize = 10;
/// Ticks between a leader's heartbeats.
const HEARTBEAT_TICKS: usize = 2;
/// Bytes of entries in one message.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Append messages in flight to one follower. Each may hold a command of the largest size.
const INFLIGHT_MESSAGES_MAX: usize = 64;
/// Bytes of proposals that are not committed yet; more are refused. What clients ask for is refused earlier.
pub(crate) const UNCOMMITTED_BYTES_MAX: usize = 64 << 20;
/// Bytes of committed entries that a replica may not have room for and stand for election nevertheless.
const STANDING_BYTES_MAX: usize = 64 << 20;
/// What an entry takes beside its data, about.
const ENTRY_OVERHEAD: usize = 128;
/// Bytes of committed entries handed out in one turn.
const COMMITTED_BYTES_PER_TURN_MAX: u64 = 4 << 20;

/// What one turn of a group asks its store to do, in this order: send `messages`; write and sync `write`; call
/// [`Group::persisted`] with `ready`; send `after_sync`; apply `committed`.
pub(crate) struct Turn<W> {
    pub(crate) messages: Vec<RaftMessage>,
    pub(crate) write: GroupWrite,
    pub(crate) must_sync: bool,
    pub(crate) after_sync: Vec<RaftMessage>,
    /// Committed entries with those who wait for them, if they were proposed here.
    pub(crate) committed: Vec<(Entry, Option<W>)>,
    /// Proposals which the committed entries prove dead.
    pub(crate) superseded: Vec<W>,
    pub(crate) ready: Ready,
}

/// How a leader stands with another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowerState {
    /// It takes what is sent.
    Follows,
    /// What it has is not known yet.
    Probed,
    /// It needs a snapshot.
    TakesSnapshot,
    /// It has not been heard for long.
    Gone,
}

/// Another replica, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Follower {
    pub(crate) state: FollowerState,
    /// The last index that it is known to have, or will have by its snapshot.
    pub(crate) has: u64,
}

/// One replica's consensus.
pub(crate) struct Group<W> {
    range: RangeId,
    node: RawNode<GroupStorage>,
    rng: Arc<dyn Rng>,
    /// The timeout in force, and the (term, role) it was drawn for.
    election_timeout: usize,
    drawn_for: (u64, StateRole),
    /// Who waits for what was appended at an index in a term. After a loss of leadership two terms' proposals may
    /// stand at one index, and either may yet be the one that is committed.
    pending: BTreeMap<(u64, u64), W>,
    /// Committed entries that were not handed out for want of room, from the first to the last. They lie in the log.
    withheld: Option<(u64, u64)>,
    /// Their bytes.
    withheld_bytes: usize,
    /// Term and vote as the log has them.
    written_vote: (u64, u64),
    /// Entries of the turn that is being written.
    appending: Vec<Entry>,
    /// Followers are told at once when the log is committed through this index: something that they must not learn late.
    announce_until: u64,
}

/// Bytes that an entry counts for in a queue.
pub(crate) fn bytes_of(entry: &Entry) -> usize {
    entry.data.len() + ENTRY_OVERHEAD
}

impl<W> Group<W> {
    /// A replica that has applied through `applied`.
    pub(crate) fn new(
        range: RangeId,
        replica: ReplicaId,
        storage: GroupStorage,
        applied: u64,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, LogError> {
        let config = Config {
            id: replica.0,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            check_quorum: true,
            pre_vote: true,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX as u64,
            max_committed_size_per_ready: COMMITTED_BYTES_PER_TURN_MAX,
            // What is committed followers learn by the next append, or by a heartbeat: a message and its answer less for
            // each command. See `announce_until`.
            skip_bcast_commit: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &logger)
            .map_err(|error| LogError::Corrupt(format!("{range}: {error}")))?;
        let written_vote = node.store().first_vote();
        let drawn_for = (node.raft.term, node.raft.state);
        let mut group = Group {
            range,
            node,
            rng,
            election_timeout: 0,
            drawn_for,
            pending: BTreeMap::new(),
            withheld: None,
            withheld_bytes: 0,
            written_vote,
            appending: Vec::new(),
            announce_until: 0,
        };
        group.draw_election_timeout();
        Ok(group)
    }

    fn draw_election_timeout(&mut self) {
        let extra = self.rng.below(ELECTION_TICKS as u64) as usize;
        self.election_timeout = ELECTION_TICKS + extra;
        self.node.raft.set_randomized_election_timeout(self.election_timeout);
    }

    /// To be called after everything that may have reset raft-rs's timeout.
    fn fix_election_timeout(&mut self) {
        let now = (self.node.raft.term, self.node.raft.state);
        if now != self.drawn_for {
            self.drawn_for = now;
            self.draw_election_timeout();
        } else {
            self.node.raft.set_randomized_election_timeout(self.election_timeout);
        }
    }

    /// Term, vote and commit index as they are now. What is committed and not in the log yet is being written.
    pub(crate) fn hard_state(&self) -> HardState {
        self.node.raft.hard_state()
    }

    /// This replica.
    pub(crate) fn id(&self) -> ReplicaId {
        ReplicaId(self.node.raft.id)
    }

    /// True iff this replica leads and does not know what another one has.
    pub(crate) fn is_probing(&self, replica: ReplicaId) -> bool {
        let progress = self.node.raft.prs().get(replica.0);
        progress.is_some_and(|progress| progress.state == ProgressState::Probe)
    }

    /// True iff this replica may stand for election: it is not far behind in applying what it has. raft-rs reads all of
    /// that at once when it stands.
    pub(crate) fn may_stand(&self) -> bool {
        self.withheld_bytes <= STANDING_BYTES_MAX
    }

    /// One unit of time has passed. A replica that may not stand for election does not count it.
    pub(crate) fn tick(&mut self) {
        if !self.is_leader() && !self.may_stand() {
            return;
        }
        self.node.tick();
        self.fix_election_timeout();
    }

    /// Stands for election now rather than at the next timeout.
    pub(crate) fn campaign(&mut self) {
        if !self.may_stand() {
            return;
        }
        // An error means that it cannot stand now; the timeout will make it try again.
        let _ = self.node.campaign();
        self.fix_election_timeout();
    }

    /// True iff nobody leads as far as is known, and no vote of this replica's own is under way.
    pub(crate) fn is_leaderless(&self) -> bool {
        let role = self.node.raft.state;
        self.leader().is_none() && matches!(role, StateRole::Follower | StateRole::PreCandidate)
    }

    /// Hands the leadership to another replica that was heard lately, once that has the whole log. Nothing can be proposed
    /// meanwhile; what has come to nothing is over after an election timeout.
    pub(crate) fn transfer_to(&mut self, replica: ReplicaId) {
        let raft = &self.node.raft;
        let is_heard = raft.prs().get(replica.0).is_some_and(|progress| progress.recent_active);
        if self.is_leader() && is_heard && raft.lead_transferee.is_none() {
            self.node.transfer_leader(replica.0);
            self.fix_election_timeout();
        }
    }

    /// A message from another replica. Nonsense is ignored.
    pub(crate) fn receive(&mut self, message: RaftMessage) {
        if message.to != self.node.raft.id {
            return;
        }
        if let Some(message) = wire::decode(message) {
            // Errors say that the message is stale or from a stranger; Raft repeats what matters.
            let _ = self.node.step(message);
            self.fix_election_timeout();
        }
    }

    /// Appends a proposal, or gives the waiter back: then it certainly was not appended. Followers hear that it is
    /// committed with what comes next, or `at_once`.
    pub(crate) fn propose(&mut self, data: Bytes, waiter: W, at_once: bool) -> Result<u64, W> {
        if !self.is_leader() || self.node.propose(Vec::new(), data.into()).is_err() {
            return Err(waiter);
        }
        let index = self.node.raft.raft_log.last_index();
        let term = self.node.raft.term;
        self.pending.insert((index, term), waiter);
        if at_once {
            self.announce_until = index;
            self.node.raft.skip_bcast_commit(false);
        }
        Ok(index)
    }

    /// True iff this replica believes to lead.
    pub(crate) fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// The current term.
    pub(crate) fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// The replica believed to lead, if any.
    pub(crate) fn leader(&self) -> Option<ReplicaId> {
        let id = self.node.raft.leader_id;
        (id != 0).then_some(ReplicaId(id))
    }

    /// Proposals not decided yet.
    pub(crate) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Bytes of the log's entries that a leader does not know to be committed.
    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.node.raft.uncommitted_size()
    }

    /// What the other replicas are known to have. Only a leader knows.
    pub(crate) fn followers(&self) -> impl Iterator<Item = (ReplicaId, Follower)> {
        let own = self.node.raft.id;
        let others = self.node.raft.prs().iter().filter(move |(id, _)| **id != own);
        others.map(|(id, progress)| {
            let (state, has) = match progress.state {
                ProgressState::Replicate => (FollowerState::Follows, progress.matched),
                ProgressState::Probe => (FollowerState::Probed, progress.matched),
                ProgressState::Snapshot => {
                    (FollowerState::TakesSnapshot, progress.pending_snapshot)
                }
            };
            (ReplicaId(*id), Follower { state, has })
        })
    }

    /// Bytes of the log, about: of what was written since the group was opened.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.node.store().bytes()
    }

    /// Index of the entry before the log's first one.
    pub(crate) fn truncated_index(&self) -> u64 {
        self.node.store().truncated_index()
    }

    /// The log now begins after `index`, whose term is known to the log.
    pub(crate) fn note_truncated(&mut self, index: u64, term: u64) {
        self.node.mut_store().note_truncated(index, term);
    }

    /// The term of an entry in the log.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        self.node.raft.raft_log.term(index).ok()
    }

    /// The state machine has applied through `index`, an entry of this term.
    pub(crate) fn applied_to(&mut self, index: u64, term: u64) {
        self.node.advance_apply_to(index);
        self.node.mut_store().note_applied(index, term);
        self.fix_election_timeout();
    }

    /// The group does not ask for snapshots, or does again.
    pub(crate) fn pause_snapshots(&mut self, is_paused: bool) {
        self.node.mut_store().pause_snapshots(is_paused);
    }

    /// Who votes, as of what is applied.
    pub(crate) fn note_conf(&mut self, conf: ConfState) {
        self.node.mut_store().note_conf(conf);
    }

    /// True iff a snapshot that ends with this entry brings something, and takes nothing that this replica has acknowledged:
    /// the entry is not known to be committed, and the log has another in its place, or none.
    pub(crate) fn lacks(&self, index: u64, term: u64) -> bool {
        let log = &self.node.raft.raft_log;
        log.committed < index && !log.match_term(index, term)
    }

    /// Tells a leader how far this replica's log is committed, and so agrees with every leader's.
    pub(crate) fn acknowledge(&mut self, leader: ReplicaId) {
        let message = Message {
            msg_type: MessageType::MsgAppendResponse,
            from: self.node.raft.id,
            to: leader.0,
            term: self.node.raft.term,
            index: self.node.raft.raft_log.committed,
            ..Message::default()
        };
        self.node.raft.msgs.push(message);
    }

    /// The snapshot that Raft asked for has arrived at the replica, or has not.
    pub(crate) fn snapshot_sent(&mut self, replica: ReplicaId, has_arrived: bool) {
        let status = match has_arrived {
            true => SnapshotStatus::Finish,
            false => SnapshotStatus::Failure,
        };
        self.node.report_snapshot(replica.0, status);
        self.fix_election_timeout();
    }

    /// True iff [`Group::turn`] has something to do.
    pub(crate) fn has_turn(&self) -> bool {
        self.node.has_ready()
    }

    /// Collects what is to be done. Nothing else may be called before [`Group::persisted`]. Of committed entries none are
    /// handed out beyond `room` bytes: those wait in the log for [`Group::take_withheld`].
    pub(crate) fn turn(&mut self, room: usize) -> Turn<W> {
        let mut ready = self.node.ready();
        let messages = self.to_wire(ready.take_messages());
        let after_sync = self.to_wire(ready.take_persisted_messages());
        // A commit index that has grown is not worth a write of its own: whoever loses it finds it out again, as any
        // replica does that hears of it late (Raft section 5.2: it is volatile), and what the engine has applied was committed.
        let vote = |hard_state: &&HardState| (hard_state.term, hard_state.vote);
        let hard_state = ready.hs().filter(|state| vote(state) != self.written_vote).cloned();
        self.written_vote = hard_state.as_ref().map_or(self.written_vote, |state| vote(&state));
        let write =
            GroupWrite { entries: ready.take_entries(), hard_state, ..GroupWrite::default() };
        self.appending.clone_from(&write.entries);
        let must_sync = ready.must_sync();
        let mut superseded = Vec::new();
        let committed = self.hand_out(ready.take_committed_entries(), room, &mut superseded);
        Turn { messages, write, must_sync, after_sync, committed, superseded, ready }
    }

    fn hand_out(
        &mut self,
        entries: Vec<Entry>,
        room: usize,
        superseded: &mut Vec<W>,
    ) -> Vec<(Entry, Option<W>)> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Vec::new();
        };
        let bytes: usize = entries.iter().map(bytes_of).sum();
        if self.withheld.is_some() || bytes > room {
            let first = self.withheld.map_or(first.index, |(first, _)| first);
            self.withheld = Some((first, last.index));
            self.withheld_bytes += bytes;
            return Vec::new();
        }
        self.settle_all(entries, superseded)
    }

    fn settle_all(
        &mut self,
        entries: Vec<Entry>,
        superseded: &mut Vec<W>,
    ) -> Vec<(Entry, Option<W>)> {
        let settle = |entry: Entry| {
            let waiter = self.settle(&entry, superseded);
            (entry, waiter)
        };
        entries.into_iter().map(settle).collect()
    }

    /// True iff committed entries wait for room.
    pub(crate) fn has_withheld(&self) -> bool {
        self.withheld.is_some()
    }

    /// The next of the committed entries that wait, up to `room` bytes; those who wait in vain are `superseded`. Where even
    /// the first one has no room, none.
    pub(crate) fn take_withheld(
        &mut self,
        room: usize,
        superseded: &mut Vec<W>,
    ) -> Result<Vec<(Entry, Option<W>)>, LogError> {
        let Some((first, last)) = self.withheld.filter(|_| room > ENTRY_OVERHEAD) else {
            return Ok(Vec::new());
        };
        let max = (room as u64).min(COMMITTED_BYTES_PER_TURN_MAX);
        let mut entries = self.node.store().read(first, last + 1, max)?;
        // The log gives one entry at least.
        let mut bytes = 0;
        let fitting = entries.iter().take_while(|entry| {
            bytes += bytes_of(entry);
            bytes <= room
        });
        let fitting = fitting.count();
        entries.truncate(fitting);
        let Some(taken) = entries.last().map(|entry| entry.index) else { return Ok(Vec::new()) };
        let bytes: usize = entries.iter().map(bytes_of).sum();
        self.withheld_bytes = self.withheld_bytes.saturating_sub(bytes);
        self.withheld = (taken < last).then_some((taken + 1, last));
        Ok(self.settle_all(entries, superseded))
    }

    /// Bytes of the committed entries that wait for room.
    pub(crate) fn withheld_bytes(&self) -> usize {
        self.withheld_bytes
    }

    /// Who waits for a committed entry; and who, by I3, waits in vain.
    fn settle(&mut self, entry: &Entry, superseded: &mut Vec<W>) -> Option<W> {
        let mut waiter = None;
        // Terms never fall along the log, so what stands behind this entry and is of an older term is dead. One
        // such behind a live one is found out a little later.
        while let Some(first) = self.pending.first_entry() {
            let (index, term) = *first.key();
            if index > entry.index && term >= entry.term {
                break;
            }
            let settled = first.remove();
            if index == entry.index && term == entry.term {
                waiter = Some(settled);
            } else {
                superseded.push(settled);
            }
        }
        waiter
    }

    fn to_wire(&self, messages: Vec<Message>) -> Vec<RaftMessage> {
        let messages = wire::join_appends(messages, MESSAGE_BYTES_MAX as usize);
        messages.into_iter().map(|message| wire::encode(self.range, message)).collect()
    }

    /// The turn's write is in the log and, where the turn asked for it, durable.
    pub(crate) fn persisted(&mut self, ready: Ready) {
        let appended = std::mem::take(&mut self.appending);
        self.node.mut_store().note_appended(appended);
        if self.node.raft.raft_log.committed >= self.announce_until {
            self.node.raft.skip_bcast_commit(true);
        }
        let number = ready.number();
        self.node.advance_append_async(ready);
        self.node.on_persist_ready(number);
        self.fix_election_timeout();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::log::{LogBatch, RaftLog};
    use crate::sim::disk::SimDisk;
    use crate::sim::log::SimLog;
    use crate::sim::testing::Seeded;

    /// Replica 1 of three, and what it was told.
    struct World {
        log: Arc<SimLog>,
        group: Group<&'static str>,
        settled: Vec<(u64, &'static str)>,
        superseded: Vec<&'static str>,
        room: usize,
    }

    impl World {
        fn new() -> Self {
            let log = Arc::new(SimLog::open(SimDisk::new(), false).unwrap());
            let range = RangeId(7);
            let conf = ConfState { voters: vec![1, 2, 3], ..ConfState::default() };
            let (recent, gate) = (Arc::default(), Arc::default());
            let storage =
                GroupStorage::open(log.clone(), range, conf, (10, 5), recent, gate).unwrap();
            let rng = Arc::new(Seeded::new(1));
            let group = Group::new(range, ReplicaId(1), storage, 10, rng).unwrap();
            World { log, group, settled: Vec::new(), superseded: Vec::new(), room: usize::MAX }
        }

        fn drive(&mut self) {
            while self.group.has_turn() {
                let turn = self.group.turn(self.room);
                let batch = LogBatch { groups: vec![(RangeId(7), turn.write)] };
                self.log.write(batch, true).now_or_never().expect("no latency").unwrap();
                let heard = turn.committed.into_iter();
                self.settled.extend(heard.filter_map(|(entry, w)| Some((entry.index, w?))));
                self.superseded.extend(turn.superseded);
                self.group.persisted(turn.ready);
            }
        }

        fn hear(&mut self, msg_type: MessageType, term: u64, index: u64, change: Message) {
            let message = Message { msg_type, from: 2, to: 1, term, index, ..change };
            self.group.receive(wire::encode(RangeId(7), message));
            self.drive();
        }

        fn win(&mut self) {
            self.group.campaign();
            self.drive();
            let term = self.group.term() + 1;
            self.hear(MessageType::MsgRequestPreVoteResponse, term, 0, Message::default());
            self.hear(MessageType::MsgRequestVoteResponse, term, 0, Message::default());
            assert!(self.group.is_leader());
        }
    }

    #[test]
    fn a_proposal_overwritten_by_a_later_one_of_the_same_replica_still_hears_of_its_fate() {
        let mut world = World::new();
        world.win();
        for name in ["first", "second"] {
            world.group.propose(Bytes::from_static(b"x"), name, false).unwrap();
        }
        world.drive();
        // Another leader's first entry takes the place of all that, and is not known to be committed.
        let entry = Entry { term: 7, index: 11, ..Entry::default() };
        let append = Message { log_term: 5, entries: vec![entry].into(), ..Message::default() };
        world.hear(MessageType::MsgAppend, 7, 10, append);
        world.win();
        world.group.propose(Bytes::from_static(b"y"), "third", false).unwrap();
        world.drive();
        assert_eq!((world.settled.len(), world.superseded.len()), (0, 0), "nothing is proved yet");
        assert_eq!(world.group.pending_len(), 3);
        world.hear(MessageType::MsgAppendResponse, 8, 13, Message::default());
        assert_eq!(world.settled, [(13, "third")]);
        assert_eq!(world.superseded, ["first", "second"]);
    }

    #[test]
    fn what_has_no_room_waits_in_the_log_and_comes_in_order() {
        let mut world = World::new();
        world.win();
        let names = ["a", "b", "c", "d"];
        for (name, bytes) in names.into_iter().zip([10, 1_000, 10, 10]) {
            world.group.propose(Bytes::from(vec![7; bytes]), name, false).unwrap();
        }
        let first = world.group.propose(Bytes::new(), "last", false).unwrap() - 4;
        let term = world.group.term();
        world.room = 0;
        world.drive();
        world.hear(MessageType::MsgAppendResponse, term, first + 4, Message::default());
        assert!(world.settled.is_empty() && world.group.has_withheld());
        assert_eq!(
            world.group.withheld_bytes(),
            1_030 + 6 * ENTRY_OVERHEAD,
            "with the leader's first"
        );
        let mut superseded = Vec::new();
        let mut take = |room| -> Vec<&str> {
            let taken = world.group.take_withheld(room, &mut superseded).unwrap();
            taken.into_iter().filter_map(|(_, waiter)| waiter).collect()
        };
        assert!(take(0).is_empty());
        assert_eq!(take(2 * ENTRY_OVERHEAD + 20), ["a"]);
        assert!(take(1_000).is_empty(), "the next one is larger");
        assert_eq!(take(1_000 + ENTRY_OVERHEAD), ["b"]);
        assert_eq!(take(usize::MAX), ["c", "d", "last"]);
        assert!(superseded.is_empty() && !world.group.has_withheld());
        assert_eq!(world.group.withheld_bytes(), 0);
    }

    #[test]
    fn who_is_far_behind_in_applying_does_not_stand_until_it_has_caught_up() {
        let mut world = World::new();
        world.win();
        world.room = 0;
        const PIECE: usize = 8 << 20;
        while world.group.may_stand() {
            let index = world.group.propose(Bytes::from(vec![7; PIECE]), "x", false).unwrap();
            let term = world.group.term();
            world.hear(MessageType::MsgAppendResponse, term, index, Message::default());
        }
        assert!(
            (STANDING_BYTES_MAX..2 * STANDING_BYTES_MAX).contains(&world.group.withheld_bytes())
        );
        let term = world.group.term() + 1;
        world.hear(MessageType::MsgHeartbeat, term, 0, Message::default());
        assert!(!world.group.is_leader());
        let role = |world: &World| world.group.node.raft.state;
        world.group.campaign();
        for _ in 0..10 * ELECTION_TICKS {
            world.group.tick();
        }
        assert_eq!(role(&world), StateRole::Follower);
        while !world.group.may_stand() {
            assert!(!world.group.take_withheld(2 * PIECE, &mut Vec::new()).unwrap().is_empty());
        }
        world.group.campaign();
        assert_eq!(role(&world), StateRole::PreCandidate);
    }
}
