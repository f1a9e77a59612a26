//! The state machine of one range: log entries in, engine changes out.
//!
//! Promised: replicas that have applied the same entries hold the same bytes. Everything here is a function
//! of the entry and of replicated state: no clock, no node identity, no random number.
//!
//! The checks, in this order (CockroachDB's forced errors):
//!
//! - I1. An empty entry (a new leader's first) changes nothing but the applied index.
//! - I2. The command's lease sequence is the current lease's. A lease command must name the current lease as its
//!   previous one; a new sequence must start at or after the old expiration, or be handed over by the old holder; an
//!   extension must not shorten it.
//! - I3. The command's lease index is above every one applied. Gaps are legal.
//! - I4. The command's write timestamp is above the floor.
//! - I5. All keys and spans of a batch lie in the range as it is now: an evaluation that raced a split is void.
//! - I6. The command's write timestamp is above what earlier commands have closed. The lease holder has broken its word
//!   otherwise, and its store stops; what anybody has read below what is closed stays true, because no replica applies it.
//!
//! A rejected command still moves the applied index. Changes and applied index go into one engine batch, which may hold
//! those of many entries.
//!
//! HAZARD: an entry that cannot be decoded or applied must stop the node. Reporting it as rejected would let
//! this copy differ from one on which it worked.

use ::raft::eraftpb::{Entry, EntryType};

use crate::engine::{EngineBatch, EngineError};
use crate::range::command::{Command, Rejection, SideEffects};
use crate::range::state::{RangeState, damaged};

/// What applying an entry did, or which check of its command failed.
pub type Outcome = Result<SideEffects, Rejection>;

impl RangeState {
    /// Applies one entry: adds its changes to `batch`. The new applied state goes there once the last entry of the batch is
    /// applied ([`RangeState::save_applied`]).
    ///
    /// # Errors
    /// [`EngineError::Corrupt`] when the entry cannot be understood: the node must stop.
    pub fn apply(
        &mut self,
        entry: &Entry,
        batch: &mut EngineBatch,
    ) -> Result<Outcome, EngineError> {
        let range = self.descriptor.id();
        assert_eq!(entry.index, self.applied.index + 1, "entries of {range} are applied in order");
        if entry.entry_type != EntryType::EntryNormal {
            return Err(damaged("a change of members in the log", range));
        }
        self.applied.index = entry.index;
        self.applied.term = entry.term;
        let outcome = match entry.data.is_empty() {
            true => Ok(SideEffects::default()),
            false => {
                let command = Command::from_entry_data(&entry.data)
                    .ok_or_else(|| damaged("undecodable log entry", range))?;
                self.execute(command, batch)?
            }
        };
        Ok(outcome)
    }

    fn execute(
        &mut self,
        command: Command,
        batch: &mut EngineBatch,
    ) -> Result<Outcome, EngineError> {
        if let Err(rejection) = self.check(&command) {
            return Ok(Err(rejection));
        }
        self.applied.lease_index = self.applied.lease_index.max(command.max_lease_index);
        self.applied.closed_ts = self.applied.closed_ts.max(command.closed_ts);
        command.kind.expect("decoding checked it").apply(self, batch).map(Ok)
    }

    /// I2 to I6.
    fn check(&self, command: &Command) -> Result<(), Rejection> {
        let kind = command.kind.as_ref().expect("decoding checked it");
        if !kind.replaces_lease() {
            if self.lease.as_ref().map(|lease| lease.sequence) != Some(command.lease_sequence) {
                return Err(Rejection::Lease);
            }
            if command.max_lease_index <= self.applied.lease_index {
                return Err(Rejection::LeaseIndex);
            }
            if command.write_ts != 0 && command.write_ts <= self.applied.floor {
                return Err(Rejection::Floor);
            }
        }
        kind.check(self)?;
        match command.write_ts != 0 && command.write_ts <= self.applied.closed_ts {
            true => Err(Rejection::Closed),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
