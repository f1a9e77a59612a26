//! What reads have in common: `get` and `scan` among the commands, and `refresh`.
//!
//! - I1. What was read is left in the timestamp cache, at the timestamp it was finally read at, and nothing
//!   beyond the resume key of a limited scan.
//! - I2. A locking read takes its locks first, and keeps them when it answers that the transaction has to move:
//!   the next attempt finds them and loses nothing to others.
//! - I3. The gets of a batch are all tried, and all their locks taken, before the answer says where the transaction
//!   has to move: many keys cost one move, not one each.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::mutant::Mutant;

use super::evaluation::{Conflict, Evaluation, Mode, Stop, error};
use crate::api::{ErrorKind, Response, TxnMeta, WaitPolicy};
use crate::concurrency::owned;
use crate::mvcc::{Intent, Outcome, Reader, Uncertainty};

impl Evaluation<'_> {
    pub(super) fn reader<'b>(&'b self, txn: &'b TxnMeta, locking: bool) -> Reader<'b> {
        Reader {
            snapshot: &self.eval.snapshot,
            overlay: &self.intents,
            txn_id: &txn.id,
            sequence: txn.sequence,
            ignored: &txn.ignored,
            finished: self.finished,
            read_ts: self.read_ts,
            uncertainty: self.uncertainty(txn),
            locking,
        }
    }

    /// What was written on this node after the transaction took its first reading of this node's clock was not
    /// yet acknowledged when the transaction began. A reading from before the lease says nothing about what the
    /// earlier holder wrote, all of which lies below the start of the lease.
    fn uncertainty(&self, txn: &TxnMeta) -> Uncertainty {
        if self.server.env.mutation(Mutant::IgnoreUncertainty) {
            return Uncertainty::NONE;
        }
        let global_limit = Timestamp::from_raw(txn.global_limit);
        // Only a reading of this very node's clock counts.
        let own = self.server.env.node_id.0;
        let observed = self.request.observed.iter().find(|observed| observed.node_id == own);
        let local_limit = observed.map_or(global_limit, |observed| {
            let known = Timestamp::from_raw(observed.ts).max(self.eval.lease.start_ts());
            global_limit.min(known)
        });
        Uncertainty { global_limit, local_limit }
    }

    /// May the key be locked now? False: it is left out.
    pub(super) fn may_lock(&self, key: &Bytes, txn: &TxnMeta, mode: Mode) -> Result<bool, Stop> {
        self.not_ended(txn)?;
        if self.server.locks.admits(key, &txn.id, mode.strength, self.place) {
            return Ok(true);
        }
        let in_the_way = || self.server.locks.in_the_way(key, &txn.id, mode.strength);
        if mode.policy == WaitPolicy::Skip
            && in_the_way().iter().all(|holder| self.alive.contains(&holder.txn.id))
        {
            return Ok(false);
        }
        Err(Stop::Conflict(Conflict::Locked(key.clone(), mode)))
    }

    pub(super) fn lock(&mut self, key: &Bytes, txn: &TxnMeta, mode: Mode) {
        let txn = self.owner.get_or_insert_with(|| owned(txn));
        if self.server.locks.acquire(key, txn, (mode.number, mode.strength), self.now) {
            self.locked.insert(key.clone());
        }
    }

    /// Nobody would release what was locked now.
    pub(super) fn not_ended(&self, txn: &TxnMeta) -> Result<(), Stop> {
        match self.server.ended.has(&txn.id) {
            true => Err(error(ErrorKind::Aborted, Timestamp::ZERO, "the transaction is over")),
            false => Ok(()),
        }
    }

    /// Intents are in the way, unless they are left out: then their keys are in no row.
    pub(super) fn no_conflicts(
        &self,
        outcome: &mut Outcome,
        mode: Option<Mode>,
    ) -> Result<(), Stop> {
        if outcome.conflicts.is_empty() {
            return Ok(());
        }
        self.discovered(&outcome.conflicts);
        let is_alive = |(_, intent): &(Bytes, Intent)| self.alive.contains(&intent.txn.id);
        if mode.is_some_and(|mode| mode.policy == WaitPolicy::Skip)
            && outcome.conflicts.iter().all(is_alive)
        {
            let left_out: BTreeSet<_> = outcome.conflicts.iter().map(|(key, _)| &key[..]).collect();
            outcome.rows.retain(|key| !left_out.contains(key));
            outcome.newer.retain(|key| !left_out.contains(&key[..]));
            return Ok(());
        }
        let found = outcome.conflicts.clone();
        Err(Stop::Conflict(Conflict::Intents { found, mode }))
    }

    pub(super) fn no_move(&self, outcome: &Outcome) -> Result<(), Stop> {
        match outcome.uncertain {
            None => Ok(()),
            Some(ts) => Err(self.must_move(ts, "a newer version may have to be seen")),
        }
    }

    pub(super) fn response(&self, outcome: Outcome) -> Response {
        let found = outcome.rows.finish();
        let (listed, rows) = match self.request.packs_rows {
            true => (Vec::new(), found.packed()),
            false => (found.to_vec(), Bytes::new()),
        };
        Response {
            listed,
            rows,
            resume: outcome.resume.unwrap_or_default(),
            own_sequence: outcome.own_sequence,
            ..Response::default()
        }
    }
}
