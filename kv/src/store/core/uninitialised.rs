//! Replicas that have nothing yet: what a message makes when the range is not here.
//!
//! ```text
//!  message of an unknown range ──▶ uninitialised: hard state in the log, votes, no data
//!                                      │ the split that makes the range is applied here
//!                                      ▼ (or a snapshot comes)
//!                                  initialised: takes the hard state over
//! ```
//!
//! A split is applied on every store by itself. Where it is late, the right side is known first by the others' messages:
//! its replica votes from then on, so that a majority is there before everybody has applied the split.
//!
//! - U1. What such a replica has voted stays: it is in the log before it leaves, and whatever initialises the replica goes on
//!   from it.
//! - U2. A replica that was removed never comes back: the log keeps the lowest id that a replica of the range may have here
//!   (`replica_floor`), and it is there before a replica with a higher id says anything.
//! - U3. A split whose right side's replica has a lower id than the one that is here was late: that replica was removed
//!   since, and what the split made of it serves nobody.
//! - U4. Such a replica takes no entries while a range that is here covers its first key: it is a split's right side then,
//!   and gets its data by that. Were the entries refused instead, the leader would look for an end of the log that this
//!   replica has, find none, and send a snapshot into the middle of a live range.
//! - U5. There is a bound on them, and one of which nothing is heard any more is forgotten; its vote is not (U1).
//! - U6. A range that has entries in the log and no state in the engine had both: a crash has taken the split, and the log of
//!   the left side, which has it, says that it is committed ([`Core::created`] sees to it before the right side's log is
//!   written). Until it is applied again nobody speaks for the right side: a vote would forget what was acknowledged.
//!
//! Only what leaders and candidates say of their own accord makes a replica, by a node that speaks for itself.
//!
//! HAZARD: the group of a replica that becomes initialised is made anew, from the log. What the old one wanted to write and
//! had not, nobody has heard of; so this must not happen between a turn and the end of its write.

use super::Core;
use crate::ids::{RangeId, ReplicaId};
use crate::keys;
use crate::log::{INITIAL_INDEX, LogError};
use crate::raft::wire::hands_over;
use crate::raft::{Group, GroupStorage, Peers};
use crate::rpc::RaftMessage;

/// Uninitialised replicas of one store; messages to more are dropped.
pub(crate) const UNINITIALISED_MAX: usize = 1_024;
/// Ticks without a message after which one is forgotten.
const SILENT_TICKS_MAX: u64 = 600;

impl Core {
    /// A message of another node's replica. A disk that `stalls` makes nobody a leader.
    pub(super) fn hear(&mut self, mut message: RaftMessage, stalls: bool) -> Result<(), LogError> {
        let range = RangeId(message.range_id);
        let is_ours = (message.to_node, message.to_store) == (self.own.node.0, self.own.store.0);
        if !is_ours || !self.is_here(range, &message)? {
            return Ok(());
        }
        let is_uninitialised = self.uninitialised.contains_key(&range);
        let covered = is_uninitialised && self.is_covered(&message);
        if is_uninitialised {
            // Before a crash it may have had what is committed: the initial state, by U6.
            message.commit = 0;
        }
        let Some(replica) = self.replicas.get_mut(&range) else { return Ok(()) };
        // Who cannot apply what it has cannot lead well.
        if covered
            || replica.is_installing
            || hands_over(&message) && (stalls || !replica.group.may_stand())
        {
            return Ok(());
        }
        replica.peers.hear(&message, self.ticks);
        replica.group.receive(message);
        self.active.insert(range);
        Ok(())
    }

    /// True iff the replica to which the message goes is here, or is now.
    fn is_here(&mut self, range: RangeId, message: &RaftMessage) -> Result<bool, LogError> {
        if let Some(replica) = self.replicas.get(&range) {
            if replica.group.id().0 == message.to {
                if let Some(heard) = self.uninitialised.get_mut(&range) {
                    *heard = self.ticks;
                }
                return Ok(true);
            }
            if replica.state.is_some() || message.to < replica.group.id().0 {
                return Ok(false);
            }
        }
        if !message.is_unasked() || message.from_node == 0 {
            return Ok(false);
        }
        let known = self.log.state(range)?;
        if known.as_ref().is_some_and(|state| state.last_index > INITIAL_INDEX) {
            return Ok(false);
        }
        let floor = known.map_or(0, |state| state.replica_floor);
        let is_new = !self.uninitialised.contains_key(&range);
        let is_full = is_new && self.uninitialised.len() >= UNINITIALISED_MAX;
        // A replica that is shown and has no group is about to get one.
        let shown = self.shared.published(range);
        let shown = shown.and_then(|state| Some(state.descriptor.replica_on(self.own.store)?.id()));
        let is_coming = shown.is_some_and(|shown| message.to <= shown.0);
        if message.to < floor.max(1) || is_full || is_coming {
            return Ok(false);
        }
        let (log, recent) = (self.log.clone(), self.recent.clone());
        let storage = GroupStorage::uninitialised(log, range, recent)?;
        let id = ReplicaId(message.to);
        let group = Group::new(range, id, storage, 0, self.env.rng.clone())?;
        let mut replica = super::Replica::new(group, None, Peers::default());
        replica.floor_to_log = floor < id.0;
        tracing::debug!(%range, replica = %id, "a replica without data");
        self.replicas.insert(range, replica);
        self.uninitialised.insert(range, self.ticks);
        self.active.insert(range);
        Ok(true)
    }

    /// True iff the message would append to a range that will come by a split. By U4.
    fn is_covered(&self, message: &RaftMessage) -> bool {
        let start = &message.start_key[..];
        message.is_append()
            && !start.is_empty()
            && !self.shared.overlapping(start, &keys::successor(start), 1).is_empty()
    }

    /// The lowest id of a replica that may live here. By U2.
    pub(super) fn replica_floor(&self, range: RangeId) -> Result<u64, LogError> {
        Ok(self.log.state(range)?.map_or(0, |state| state.replica_floor))
    }

    /// Forgets those of which nothing is heard. By U5.
    pub(super) fn forget_silent(&mut self) {
        let ticks = self.ticks;
        let silent = |heard: &u64| ticks - heard > SILENT_TICKS_MAX;
        for (range, _) in self.uninitialised.extract_if(.., |_, heard| silent(heard)) {
            self.replicas.remove(&range);
        }
    }

    /// The replica of a range, for scripts.
    #[cfg(test)]
    pub(crate) fn shown(&self, range: RangeId) -> Option<String> {
        let replica = self.replicas.get(&range)?;
        let has = if replica.state.is_some() { "" } else { " without data" };
        let is_installing = if replica.is_installing { ", installing" } else { "" };
        let (id, term) = (replica.group.id(), replica.group.term());
        Some(format!("{id}{has}, term {term}{is_installing}"))
    }
}
