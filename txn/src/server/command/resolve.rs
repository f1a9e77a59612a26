//! Turns intents of a finished transaction into versions, or removes them, and releases its locks: as many as go into one
//! command. (Of spans: [`crate::server::resolve`].)
//!
//! - I1. Intents may be resolved in any portions: a resolution stops where its command is full, and says where.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::seam::WriteBatch;

use super::{Command, Within};
use crate::api::{Resolve, Response};
use crate::mvcc::{self, Finished};
use crate::server::evaluation::{Effect, Evaluation, Stop};
use crate::server::plan::{Plan, check_id, check_ts};

/// Bytes of the command that a resolution makes, unless one key alone needs more: what others wait behind.
const RESOLVED_BYTES: usize = 2 << 20;

impl Command for Resolve {
    fn declare(&self, plan: &mut Plan, _: Within<'_>) -> Result<(), String> {
        check_id(&self.txn_id)?;
        check_ts(self.commit_ts)?;
        if self.keys.is_empty() || !self.spans.is_empty() {
            return Err("a resolution of no keys, or also of spans".into());
        }
        plan.resolves += 1;
        plan.acts = plan.acts.max(Some(Timestamp::ZERO));
        plan.writes = true;
        self.keys.iter().try_for_each(|key| plan.key(key, true))
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        if let Some(numbers) = self.rolled_back {
            let (id, keys) = (self.txn_id.clone(), self.keys.clone());
            evaluation.effects.push(Effect::RollBack { id, keys, numbers });
            return Ok(Response::default());
        }
        let finished = Finished::of_resolution(self);
        let mut keys = self.keys.clone();
        let mut resume = Bytes::new();
        for (at, key) in self.keys.iter().enumerate() {
            let mut changes = WriteBatch::default();
            let (snapshot, id) = (&evaluation.eval.snapshot, &self.txn_id);
            if !mvcc::resolve(snapshot, &mut changes, key, id, &finished)? {
                continue;
            }
            if !evaluation.batch.is_empty()
                && evaluation.batch.bytes() + changes.bytes() > RESOLVED_BYTES
            {
                resume = key.clone();
                keys.truncate(at);
                break;
            }
            evaluation.batch.append(changes);
            let commit_ts = finished.commit_ts.unwrap_or_default();
            evaluation.batch_ts = evaluation.batch_ts.max(evaluation.now).max(commit_ts);
        }
        let id = self.txn_id.clone();
        evaluation.effects.push(Effect::Release { id: id.clone(), keys });
        evaluation.effects.push(Effect::Finished { id, finished });
        Ok(Response { resume, ..Response::default() })
    }
}
