//! Removes the record of a finished transaction.

use kv::clock::Timestamp;

use super::{Command, Within};
use crate::api::{CollectTxn, ErrorKind, Response};
use crate::mvcc::record;
use crate::server::evaluation::{Evaluation, Stop, error};
use crate::server::plan::Plan;
use crate::server::records::{answer, is_finished};

impl Command for CollectTxn {
    fn declare(&self, plan: &mut Plan, _: Within<'_>) -> Result<(), String> {
        plan.record(&self.anchor, &self.txn_id, 0, true)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let (anchor, id) = (&self.anchor, &self.txn_id);
        let Some(found) = record::get(&evaluation.eval.snapshot, anchor, id)? else {
            return Ok(Response::default());
        };
        if !is_finished(&found) {
            let message = "the record of an unfinished transaction cannot be collected";
            return Err(error(ErrorKind::Invalid, Timestamp::ZERO, message));
        }
        record::remove(&mut evaluation.batch, anchor.clone(), id.clone());
        evaluation.batch_ts = evaluation.batch_ts.max(evaluation.now);
        evaluation.refuse_record(anchor.clone(), id.clone(), found.min_ts);
        Ok(answer(found))
    }
}
