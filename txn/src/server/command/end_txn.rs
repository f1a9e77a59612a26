//! Commits or aborts.

use kv::clock::Timestamp;

use super::{Command, Within};
use crate::api::{EndTxn, ErrorKind, Response, TxnMeta, TxnRecord, TxnStatus};
use crate::mvcc::{self, Finished, Version, record};
use crate::server::evaluation::{Effect, Evaluation, NewVersion, Stop, error};
use crate::server::markers::{Creation, committed_record};
use crate::server::plan::Plan;
use crate::server::records::{aborted, answer, is_finished};

impl Command for EndTxn {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        if !batch.is_last {
            return Err("a transaction ends before its batch".into());
        }
        plan.one_phase = self.one_phase;
        let txn = batch.anchored()?;
        plan.record(&txn.anchor, &txn.id, txn.min_ts, true)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        let found = record::get(&evaluation.eval.snapshot, &txn.anchor, &txn.id)?;
        if let Some(found) = found.as_ref().filter(|found| is_finished(found)) {
            return match (self.commit, found.status()) {
                (true, TxnStatus::Aborted) => Err(aborted()),
                // The answer to an abort that comes too late says so.
                _ => Ok(answer(found.clone())),
            };
        }
        if found.is_none() {
            match evaluation.server.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
                Creation::Committed(ts) => return Ok(answer(committed_record(ts))),
                Creation::Refused if self.commit => return Err(aborted()),
                _ => {}
            }
        }
        if !self.commit {
            return Ok(answer(evaluation.abort(txn, found, self)));
        }
        if evaluation.write_ts != evaluation.read_ts {
            if !evaluation.request.can_forward {
                let message = "the reads have to move up to the writes";
                return Err(error(ErrorKind::RetryAt, evaluation.write_ts, message));
            }
            evaluation.read_ts = evaluation.write_ts;
        }
        if self.deadline != 0 && evaluation.write_ts.raw() >= self.deadline {
            let message = "the commit would have been after its deadline";
            return Err(error(ErrorKind::DeadlineExceeded, Timestamp::ZERO, message));
        }
        let committed = TxnRecord {
            keys: self.keys.clone(),
            spans: self.spans.clone(),
            ignored: txn.ignored.clone(),
            min_ts: txn.min_ts,
            priority: txn.priority,
            heartbeat_ts: found.as_ref().map_or(0, |found| found.heartbeat_ts),
            ..committed_record(evaluation.write_ts)
        };
        let mut keys = self.keys.clone();
        if self.one_phase {
            keys.extend(evaluation.versions.keys().cloned());
            evaluation.commit_versions()?;
            if found.is_some() {
                // A beat's. No later one makes another: the effect forbids it.
                record::remove(&mut evaluation.batch, txn.anchor.clone(), txn.id.clone());
                evaluation.batch_ts = evaluation.batch_ts.max(evaluation.now);
            }
            let (anchor, id) = (txn.anchor.clone(), txn.id.clone());
            evaluation.effects.push(Effect::Committed { anchor, id, ts: evaluation.write_ts });
        } else {
            evaluation.put_record(txn, &committed);
            evaluation.batch_ts = evaluation.batch_ts.max(evaluation.write_ts);
            if let Some(finished) = Finished::of_record(&committed) {
                evaluation.effects.push(Effect::Finished { id: txn.id.clone(), finished });
            }
        }
        evaluation.effects.push(Effect::Release { id: txn.id.clone(), keys });
        Ok(answer(committed))
    }
}

impl Evaluation<'_> {
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
}
