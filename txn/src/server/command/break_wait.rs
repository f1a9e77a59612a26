//! Ends a wait that is part of a deadlock. Changes memory only.

use super::{Command, Within};
use crate::api::{BreakWait, Response};
use crate::server::evaluation::{Evaluation, Stop};
use crate::server::plan::{Plan, check_id};

impl Command for BreakWait {
    fn declare(&self, plan: &mut Plan, _: Within<'_>) -> Result<(), String> {
        check_id(&self.waiter)?;
        plan.memory(&self.key)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        evaluation.server.note_break(self);
        Ok(Response::default())
    }
}
