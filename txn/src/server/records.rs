//! The life of a transaction record: heartbeats, the end, questions, removal.
//!
//! - I1. A record is created only while the markers allow it, and only by its coordinator.
//! - I2. A finished record never changes.
//! - I3. A commit is at one timestamp for reads and writes, and below its deadline.
//! - I4. A commit in one phase leaves no record: that of a beat goes with the batch that commits.
//!
//! HAZARD: an answer `Aborted` to a commit means that *this* delivery did not commit, and that none will from
//! now on. After an earlier delivery with unknown outcome, and a change of lease in between, that one may have.

use bytes::Bytes;
use kv::clock::Timestamp;

use super::evaluation::{Effect, Evaluation, NewVersion, Stop, error};
use super::markers::{Creation, committed_record};
use crate::api::{
    CollectTxn, EndTxn, ErrorKind, Heartbeat, QueryTxn, Response, TxnMeta, TxnRecord, TxnStatus,
};
use crate::mvcc::{self, Finished, Version, record};

/// Without the keys, which may be many: no asker needs them.
pub(super) fn answer(record: TxnRecord) -> Response {
    let record = TxnRecord { keys: Vec::new(), spans: Vec::new(), ..record };
    Response { record: Some(Box::new(record)), ..Response::default() }
}

fn aborted() -> Stop {
    error(ErrorKind::Aborted, Timestamp::ZERO, "the transaction was aborted by another")
}

/// True iff the record will never change.
pub(super) fn is_finished(record: &TxnRecord) -> bool {
    matches!(record.status(), TxnStatus::Committed | TxnStatus::Aborted)
}

impl Evaluation<'_> {
    /// Commits or aborts.
    pub(super) fn end_txn(&mut self, end: &EndTxn) -> Result<Response, Stop> {
        let txn = self.txn()?;
        let found = record::get(&self.eval.snapshot, &txn.anchor, &txn.id)?;
        if let Some(found) = found.as_ref().filter(|found| is_finished(found)) {
            return match (end.commit, found.status()) {
                (true, TxnStatus::Aborted) => Err(aborted()),
                // The answer to an abort that comes too late says so.
                _ => Ok(answer(found.clone())),
            };
        }
        if found.is_none() {
            match self.server.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
                Creation::Committed(ts) => return Ok(answer(committed_record(ts))),
                Creation::Refused if end.commit => return Err(aborted()),
                _ => {}
            }
        }
        if !end.commit {
            return Ok(answer(self.abort(txn, found, end)));
        }
        if self.write_ts != self.read_ts {
            if !self.request.can_forward {
                let message = "the reads have to move up to the writes";
                return Err(error(ErrorKind::RetryAt, self.write_ts, message));
            }
            self.read_ts = self.write_ts;
        }
        if end.deadline != 0 && self.write_ts.raw() >= end.deadline {
            let message = "the commit would have been after its deadline";
            return Err(error(ErrorKind::DeadlineExceeded, Timestamp::ZERO, message));
        }
        let committed = TxnRecord {
            keys: end.keys.clone(),
            spans: end.spans.clone(),
            ignored: txn.ignored.clone(),
            min_ts: txn.min_ts,
            priority: txn.priority,
            heartbeat_ts: found.as_ref().map_or(0, |found| found.heartbeat_ts),
            ..committed_record(self.write_ts)
        };
        let mut keys = end.keys.clone();
        if end.one_phase {
            keys.extend(self.versions.keys().cloned());
            self.commit_versions()?;
            if found.is_some() {
                // A beat's. No later one makes another: the effect forbids it.
                record::remove(&mut self.batch, txn.anchor.clone(), txn.id.clone());
                self.batch_ts = self.batch_ts.max(self.now);
            }
            let (anchor, id) = (txn.anchor.clone(), txn.id.clone());
            self.effects.push(Effect::Committed { anchor, id, ts: self.write_ts });
        } else {
            self.put_record(txn, &committed);
            self.batch_ts = self.batch_ts.max(self.write_ts);
            if let Some(finished) = Finished::of_record(&committed) {
                self.effects.push(Effect::Finished { id: txn.id.clone(), finished });
            }
        }
        self.effects.push(Effect::Release { id: txn.id.clone(), keys });
        Ok(answer(committed))
    }

    fn commit_versions(&mut self) -> Result<(), Stop> {
        let versions = std::mem::take(&mut self.versions);
        self.batch.ops.reserve(2 * versions.len());
        for (key, NewVersion { value, newest, .. }) in versions {
            let version = Version::new(self.write_ts, self.now, value);
            mvcc::put_version_over(&mut self.batch, key, &version, newest.as_ref());
            self.batch_ts = self.write_ts;
            // With old versions that move into the history it may be more than the gateway knows.
            self.fits()?;
        }
        self.commit_deletions();
        Ok(())
    }

    fn abort(&mut self, txn: &TxnMeta, found: Option<TxnRecord>, end: &EndTxn) -> TxnRecord {
        let record = TxnRecord {
            status: TxnStatus::Aborted as i32,
            heartbeat_ts: self.now.raw(),
            keys: end.keys.clone(),
            spans: end.spans.clone(),
            min_ts: txn.min_ts,
            priority: txn.priority,
            ..TxnRecord::default()
        };
        if !end.keys.is_empty() || !end.spans.is_empty() {
            self.put_record(txn, &record);
        } else if found.is_some() {
            record::remove(&mut self.batch, txn.anchor.clone(), txn.id.clone());
            self.batch_ts = self.batch_ts.max(self.now);
        }
        self.refuse_record(txn.anchor.clone(), txn.id.clone(), txn.min_ts);
        self.effects.push(Effect::Release { id: txn.id.clone(), keys: end.keys.clone() });
        record
    }

    /// Keeps a transaction alive.
    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<Response, Stop> {
        let txn = self.txn()?;
        let found = record::get(&self.eval.snapshot, &txn.anchor, &txn.id)?;
        let mut record = match found {
            Some(found) if is_finished(&found) => return Ok(answer(found)),
            Some(found) => found,
            None => match self.server.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
                Creation::Committed(ts) => return Ok(answer(committed_record(ts))),
                Creation::Refused => return Err(aborted()),
                Creation::Allowed => TxnRecord {
                    status: TxnStatus::Pending as i32,
                    min_ts: txn.min_ts,
                    priority: txn.priority,
                    ..TxnRecord::default()
                },
            },
        };
        // A late delivery is an old sign of life; a clock that is ahead is not one of the future.
        let alive = heartbeat.now.min(self.now.raw());
        record.heartbeat_ts = record.heartbeat_ts.max(alive);
        self.put_record(txn, &record);
        Ok(answer(record))
    }

    /// Reads a record.
    pub(super) fn query_txn(&mut self, query: &QueryTxn) -> Result<Response, Stop> {
        let (anchor, id) = (&query.anchor, &query.txn_id);
        if let Some(found) = record::get(&self.eval.snapshot, anchor, id)? {
            return Ok(answer(found));
        }
        // Any marker with an owner blocks; one without may belong to another lease.
        Ok(answer(match self.server.markers.creation(anchor, id, 0) {
            Creation::Committed(ts) => committed_record(ts),
            _ => TxnRecord::default(),
        }))
    }

    /// Removes the record of a finished transaction.
    pub(super) fn collect_txn(&mut self, collect: &CollectTxn) -> Result<Response, Stop> {
        let (anchor, id) = (&collect.anchor, &collect.txn_id);
        let Some(found) = record::get(&self.eval.snapshot, anchor, id)? else {
            return Ok(Response::default());
        };
        if !is_finished(&found) {
            let message = "the record of an unfinished transaction cannot be collected";
            return Err(error(ErrorKind::Invalid, Timestamp::ZERO, message));
        }
        record::remove(&mut self.batch, anchor.clone(), id.clone());
        self.batch_ts = self.batch_ts.max(self.now);
        self.refuse_record(anchor.clone(), id.clone(), found.min_ts);
        Ok(answer(found))
    }

    /// Writes a record of the batch's, or a pushed, transaction.
    pub(super) fn put_record(&mut self, txn: &TxnMeta, record: &TxnRecord) {
        record::put(&mut self.batch, txn.anchor.clone(), txn.id.clone(), record);
        self.batch_ts = self.batch_ts.max(self.now);
    }

    /// The record must not be created any more, once this batch is applied.
    pub(super) fn refuse_record(&mut self, anchor: Bytes, id: Bytes, min_ts: u64) {
        let ts = self.now.max(Timestamp::from_raw(min_ts));
        self.effects.push(Effect::Refuse { anchor, id, ts });
    }
}
