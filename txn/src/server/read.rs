//! Gets, scans and refreshes.
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
use kv::keys;
use kv::mutant::Mutant;

use super::evaluation::{Conflict, Evaluation, Mode, Stop, error};
use crate::api::{ErrorKind, Get, Refresh, Response, Scan, TxnMeta, WaitPolicy};
use crate::concurrency::owned;
use crate::mvcc::{self, Intent, Order, Outcome, Reader, Refreshed, Uncertainty};

/// Rows of a scan that names no limit, and of one that names a greater.
const MAX_ROWS: usize = 10_000;
/// Once a batch's answers have so many bytes, further gets are left to be asked again.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl Evaluation<'_> {
    /// Reads a key.
    pub(super) fn get(&mut self, get: &Get) -> Result<Response, Stop> {
        let txn = self.txn()?;
        if self.answer_bytes >= MAX_ANSWER_BYTES {
            return Ok(Response { resume: get.key.clone(), ..Response::default() });
        }
        let mode = Mode::of_read(get.lock, get.mode);
        let skipped = Response { skipped: true, ..Response::default() };
        if let Some(mode) = mode
            && !self.may_lock(&get.key, txn, mode)?
        {
            return Ok(skipped);
        }
        let mut outcome = self.reader(txn, get.lock).get(&get.key)?;
        self.no_conflicts(&mut outcome, mode)?;
        if !outcome.conflicts.is_empty() {
            return Ok(skipped);
        }
        if let Some(mode) = mode {
            self.lock(&get.key, txn, mode);
        }
        if let Some(ts) = outcome.uncertain {
            self.move_to = self.move_to.max(ts);
            return Ok(Response::default());
        }
        self.answer_bytes += outcome.bytes;
        self.reads.push((get.key.clone(), keys::successor(&get.key)));
        Ok(self.response(outcome))
    }

    /// Reads a span.
    pub(super) fn scan(&mut self, scan: &Scan) -> Result<Response, Stop> {
        let txn = self.txn()?;
        let limit = match scan.limit as usize {
            0 => MAX_ROWS,
            limit => limit.min(MAX_ROWS),
        };
        let (start, end) = (&scan.span.start, &scan.span.end);
        let mode = Mode::of_read(scan.lock, scan.mode);
        let order = if scan.reverse { Order::Descending } else { Order::Ascending };
        let mut outcome = self.reader(txn, scan.lock).scan(start, end, order, limit)?;
        self.no_conflicts(&mut outcome, mode)?;
        if let Some(mode) = mode {
            let found = outcome.rows.iter().map(|(key, _)| Bytes::copy_from_slice(key));
            let keys: Vec<Bytes> = found.chain(outcome.newer.iter().cloned()).collect();
            let mut skipped = BTreeSet::new();
            for key in keys {
                match self.may_lock(&key, txn, mode)? {
                    true => self.lock(&key, txn, mode),
                    false => drop(skipped.insert(key)),
                }
            }
            if !skipped.is_empty() {
                outcome.rows.retain(|key| !skipped.contains(key));
            }
        }
        self.no_move(&outcome)?;
        if mode.is_some_and(|mode| mode.policy == WaitPolicy::Skip) {
            // What was left out was not read.
            let read = |(key, _): (&[u8], _)| (Bytes::copy_from_slice(key), keys::successor(key));
            self.reads.extend(outcome.rows.iter().map(read));
        } else {
            let (mut from, mut to) = (start.clone(), end.clone());
            if let Some(resume) = &outcome.resume {
                match order {
                    Order::Ascending => to = resume.clone(),
                    Order::Descending => from = resume.clone(),
                }
            }
            self.reads.push((from, to));
        }
        Ok(self.response(outcome))
    }

    /// Checks that a span, read at an earlier time, still reads the same at the read timestamp.
    pub(super) fn refresh(&mut self, refresh: &Refresh) -> Result<Response, Stop> {
        let txn = self.txn()?;
        let (start, end) = (&refresh.span.start, &refresh.span.end);
        let from = Timestamp::from_raw(refresh.from_ts);
        let snapshot = &self.eval.snapshot;
        let whose = (&txn.id[..], self.finished);
        match mvcc::refresh(snapshot, whose, (start, end), from, self.read_ts)? {
            Refreshed::Unchanged => {
                self.reads.push((start.clone(), end.clone()));
                Ok(Response::default())
            }
            Refreshed::Changed(_) => Err(error(
                ErrorKind::RefreshFailed,
                Timestamp::ZERO,
                "what was read has been changed since",
            )),
            Refreshed::Intents(found) => {
                self.discovered(&found);
                Err(Stop::Conflict(Conflict::Refresh(found)))
            }
        }
    }

    fn reader<'b>(&'b self, txn: &'b TxnMeta, locking: bool) -> Reader<'b> {
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
    fn may_lock(&self, key: &Bytes, txn: &TxnMeta, mode: Mode) -> Result<bool, Stop> {
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

    fn lock(&mut self, key: &Bytes, txn: &TxnMeta, mode: Mode) {
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
    fn no_conflicts(&self, outcome: &mut Outcome, mode: Option<Mode>) -> Result<(), Stop> {
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

    fn no_move(&self, outcome: &Outcome) -> Result<(), Stop> {
        match outcome.uncertain {
            None => Ok(()),
            Some(ts) => Err(self.must_move(ts, "a newer version may have to be seen")),
        }
    }

    fn response(&self, outcome: Outcome) -> Response {
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
