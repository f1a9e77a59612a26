//! Snapshots as the core sees them: whom one is owed to, whether one that is here may be installed, and the log's reset.
//!
//! The rules are [`crate::store::snapshot`]'s.

use super::Core;
use crate::ids::{RangeId, ReplicaId};
use crate::log::{GroupWrite, LogError};
use crate::range::lease::Lease;
use crate::rpc::RaftMessage;
use crate::store::apply::Work;
use crate::store::snapshot::{Installed, Order, Staged};
use raft::eraftpb::HardState;

/// Ticks between the end of a snapshot that did not arrive and the next one of the range. Others come first: what is in its way
/// may be that they have not.
const PAUSE_TICKS: u64 = 10;

/// A group whose log is to begin behind a snapshot.
pub(super) struct Reset {
    installed: Installed,
    is_written: bool,
}

impl Core {
    /// Raft asks for a snapshot for another replica.
    pub(super) fn order_snapshot(&mut self, range: RangeId, message: &RaftMessage) {
        let (from, to) = (ReplicaId(message.from), ReplicaId(message.to));
        let address = self.replicas.get(&range).and_then(|replica| replica.peers.address(to));
        match address.filter(|_| self.sending.is_none()) {
            Some(address) => {
                self.sending = Some((range, to));
                self.gate.set(false);
                let order = Order { range, from, to, address, index: message.index };
                self.shared.order_snapshot(order);
            }
            // Two groups have asked in one turn.
            None => self.refused.push((range, to)),
        }
    }

    /// What became of a snapshot that was ordered.
    pub(super) fn snapshot_sent(&mut self, range: RangeId, to: ReplicaId, has_arrived: bool) {
        self.sending = None;
        self.gate.set(true);
        if !has_arrived && let Some(replica) = self.replicas.get_mut(&range) {
            replica.group.pause_snapshots(true);
            self.paused.insert(range, self.ticks + PAUSE_TICKS);
        }
        self.tell_snapshot(range, to, has_arrived);
    }

    /// Those that could not be ordered are asked for again.
    pub(super) fn tell_refused(&mut self) {
        for (range, to) in std::mem::take(&mut self.refused) {
            self.tell_snapshot(range, to, false);
        }
    }

    fn tell_snapshot(&mut self, range: RangeId, to: ReplicaId, has_arrived: bool) {
        if let Some(replica) = self.replicas.get_mut(&range) {
            replica.group.snapshot_sent(to, has_arrived);
            self.active.insert(range);
        }
    }

    /// Ranges may ask for snapshots again whose pauses are over.
    pub(super) fn end_pauses(&mut self) {
        let ticks = self.ticks;
        for (range, _) in self.paused.extract_if(.., |_, until| *until <= ticks) {
            if let Some(replica) = self.replicas.get_mut(&range) {
                replica.group.pause_snapshots(false);
            }
        }
    }

    /// A snapshot is here whole. May it be installed? By S5 and S7 of `store::snapshot`.
    pub(super) fn staged(&mut self, staged: Staged) {
        let range = staged.range;
        match self.obstacle(&staged) {
            None => {
                let replica = self.replicas.get_mut(&range).expect("nothing is in the way");
                replica.is_installing = true;
                self.orders.push(Work::Install(Box::new(staged)));
            }
            Some(why) => {
                if let Some(replica) = self.replicas.get_mut(&range) {
                    // It may be that the leader does not know how far this replica is.
                    replica.group.acknowledge(staged.from);
                    self.active.insert(range);
                }
                // Whoever sent it may be gone.
                let _ = staged.answer.send(Err(why.into()));
                self.orders.push(Work::Discard(range));
            }
        }
    }

    fn obstacle(&self, staged: &Staged) -> Option<&'static str> {
        let Some(replica) = self.replicas.get(&staged.range) else {
            return Some("the replica is not here");
        };
        let now = self.env.clock.now();
        let holds = |lease: &Lease| lease.is_held_by(self.holder) && now < lease.expiration_ts();
        let lease = replica.state.as_ref().and_then(|state| state.lease.as_ref());
        if replica.group.id() != staged.replica {
            return Some("another replica is here");
        }
        if lease.is_some_and(holds) {
            return Some("the replica has a lease");
        }
        if replica.is_installing || !replica.group.lacks(staged.note.index, staged.note.term) {
            return Some("the replica lacks nothing of it");
        }
        None
    }

    /// A snapshot is in the engine, and durable; or it could not be installed, and the replica is as it was.
    pub(crate) fn installed(&mut self, range: RangeId, installed: Option<Installed>) {
        match installed {
            Some(installed) => {
                self.resets.insert(range, Reset { installed, is_written: false });
            }
            None => {
                if let Some(replica) = self.replicas.get_mut(&range) {
                    replica.is_installing = false;
                }
            }
        }
        self.active.insert(range);
    }

    /// The write that resets the log of a range, if that is what comes next. By S4 of `store::snapshot`.
    pub(super) fn reset(&mut self, range: RangeId) -> Result<Option<GroupWrite>, LogError> {
        let Some(reset) = self.resets.get_mut(&range).filter(|reset| !reset.is_written) else {
            return Ok(None);
        };
        reset.is_written = true;
        let state = &reset.installed.state;
        let (index, term) = (state.applied_index, state.applied_term);
        let mut write = GroupWrite {
            reset: Some((index, term)),
            durable_applied: Some(index),
            ..GroupWrite::default()
        };
        // A replica that has voted keeps to that; one that has not is in the term of what it has.
        let known = self.log.state(range)?.map_or(0, |state| state.hard_state.term);
        if known < term {
            write.hard_state = Some(HardState { term, commit: index, ..HardState::default() });
        }
        Ok(Some(write))
    }

    /// The logs that were to be reset are: their groups begin anew.
    pub(super) fn logs_are_reset(&mut self) -> Result<(), LogError> {
        while let Some(range) = self.resets.iter().find(|(_, r)| r.is_written).map(|(id, _)| *id) {
            let Reset { installed: Installed { state, answer }, .. } =
                self.resets.remove(&range).expect("it was just found");
            let durable = state.applied_index;
            self.open_group(range, state)?;
            if let Some(replica) = self.replicas.get_mut(&range) {
                replica.durable = durable;
            }
            if let Some(answer) = answer {
                // Whoever sent it may be gone.
                let _ = answer.send(Ok(()));
            }
            self.orders.push(Work::Forget(range));
        }
        Ok(())
    }
}
