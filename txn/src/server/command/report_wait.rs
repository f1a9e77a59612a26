//! Tells for whom the batch's transaction waits. Changes memory only.

use super::{Command, Within};
use crate::api::{Response, Wait};
use crate::server::evaluation::{Evaluation, Stop};
use crate::server::plan::{Plan, check_txn};

impl Command for Wait {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        check_txn(&self.holder)?;
        plan.memory(&batch.anchored()?.anchor)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        evaluation.server.note_report(evaluation.txn()?, self);
        Ok(Response::default())
    }
}
