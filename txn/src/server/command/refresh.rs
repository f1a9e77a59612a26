//! Checks that a span, read at an earlier time, still reads the same at the read timestamp.

use kv::clock::Timestamp;

use super::{Command, Within};
use crate::api::{ErrorKind, Refresh, Response};
use crate::mvcc::{self, Refreshed};
use crate::server::evaluation::{Conflict, Evaluation, Stop, error};
use crate::server::plan::Plan;

impl Command for Refresh {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        batch.txn()?;
        plan.reads = true;
        let from = Timestamp::from_raw(self.from_ts);
        plan.refreshes_from = Some(plan.refreshes_from.map_or(from, |ts| ts.min(from)));
        plan.span(&self.span, false)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        let (start, end) = (&self.span.start, &self.span.end);
        let from = Timestamp::from_raw(self.from_ts);
        let snapshot = &evaluation.eval.snapshot;
        let whose = (&txn.id[..], evaluation.finished);
        match mvcc::refresh(snapshot, whose, (start, end), from, evaluation.read_ts)? {
            Refreshed::Unchanged => {
                evaluation.reads.push((start.clone(), end.clone()));
                Ok(Response::default())
            }
            Refreshed::Changed(_) => Err(error(
                ErrorKind::RefreshFailed,
                Timestamp::ZERO,
                "what was read has been changed since",
            )),
            Refreshed::Intents(found) => {
                evaluation.discovered(&found);
                Err(Stop::Conflict(Conflict::Refresh(found)))
            }
        }
    }
}
