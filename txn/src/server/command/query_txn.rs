//! Reads a transaction's record.

use super::{Command, Within};
use crate::api::{QueryTxn, Response, TxnRecord};
use crate::mvcc::record;
use crate::server::evaluation::{Evaluation, Stop};
use crate::server::markers::{Creation, committed_record};
use crate::server::plan::Plan;
use crate::server::records::answer;

impl Command for QueryTxn {
    fn declare(&self, plan: &mut Plan, _: Within<'_>) -> Result<(), String> {
        plan.record(&self.anchor, &self.txn_id, 0, false)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let (anchor, id) = (&self.anchor, &self.txn_id);
        if let Some(found) = record::get(&evaluation.eval.snapshot, anchor, id)? {
            return Ok(answer(found));
        }
        // Any marker with an owner blocks; one without may belong to another lease.
        Ok(answer(match evaluation.server.markers.creation(anchor, id, 0) {
            Creation::Committed(ts) => committed_record(ts),
            _ => TxnRecord::default(),
        }))
    }
}
