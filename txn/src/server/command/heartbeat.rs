//! Keeps a transaction alive.

use super::{Command, Within};
use crate::api::{Heartbeat, Response, TxnRecord, TxnStatus};
use crate::mvcc::record;
use crate::server::evaluation::{Evaluation, Stop};
use crate::server::markers::{Creation, committed_record};
use crate::server::plan::Plan;
use crate::server::records::{aborted, answer, is_finished};

impl Command for Heartbeat {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        let txn = batch.anchored()?;
        plan.record(&txn.anchor, &txn.id, txn.min_ts, true)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        let found = record::get(&evaluation.eval.snapshot, &txn.anchor, &txn.id)?;
        let mut record = match found {
            Some(found) if is_finished(&found) => return Ok(answer(found)),
            Some(found) => found,
            None => match evaluation.server.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
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
        let alive = self.now.min(evaluation.now.raw());
        record.heartbeat_ts = record.heartbeat_ts.max(alive);
        evaluation.put_record(txn, &record);
        Ok(answer(record))
    }
}
