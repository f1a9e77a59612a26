//! Reads a key, with a lock on it if one is asked for.

use kv::keys;

use super::{Command, Within};
use crate::api::{Get, Response};
use crate::server::evaluation::{Evaluation, Mode, Stop};
use crate::server::plan::Plan;

/// Once a batch's answers have so many bytes, further gets are left to be asked again.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl Command for Get {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        match self.lock {
            true => batch.anchored()?,
            false => batch.txn()?,
        };
        plan.reads = true;
        plan.key(&self.key, self.lock)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        if evaluation.answer_bytes >= MAX_ANSWER_BYTES {
            return Ok(Response { resume: self.key.clone(), ..Response::default() });
        }
        let mode = Mode::of_read(self.lock, self.mode);
        let skipped = Response { skipped: true, ..Response::default() };
        if let Some(mode) = mode
            && !evaluation.may_lock(&self.key, txn, mode)?
        {
            return Ok(skipped);
        }
        let mut outcome = evaluation.reader(txn, self.lock).get(&self.key)?;
        evaluation.no_conflicts(&mut outcome, mode)?;
        if !outcome.conflicts.is_empty() {
            return Ok(skipped);
        }
        if let Some(mode) = mode {
            evaluation.lock(&self.key, txn, mode);
        }
        if let Some(ts) = outcome.uncertain {
            evaluation.move_to = evaluation.move_to.max(ts);
            return Ok(Response::default());
        }
        evaluation.answer_bytes += outcome.bytes;
        evaluation.reads.push((self.key.clone(), keys::successor(&self.key)));
        Ok(evaluation.response(outcome))
    }
}
