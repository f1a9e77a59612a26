//! Writes an intent, or notes the version of a one-phase commit.
//!
//! - I1. A write lies above every read of its key by others (timestamp cache), above its newest version, also one that
//!   an erasure makes, and above what the range has closed.
//! - I2. A write delivered again changes nothing: its sequence number is known from the intent. One delivered
//!   after its transaction's end leaves an intent that nobody commits (`mvcc::Finished`, and the markers).

use kv::clock::Timestamp;
use kv::keys;

use super::{Command, Within};
use crate::api::{ErrorKind, Put, Response};
use crate::mvcc::{self, Intent, intent};
use crate::server::evaluation::{Conflict, Evaluation, Mode, NewVersion, Stop, error};
use crate::server::plan::Plan;

impl Command for Put {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        if self.sequence == 0 {
            return Err("a write without its sequence number".into());
        }
        batch.anchored()?;
        plan.put(&self.key, &keys::successor(&self.key))
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        if !evaluation.one_phase {
            evaluation.not_ended(txn)?;
        }
        let mode = Mode::WRITE;
        if !evaluation.ahead.is_free(&self.key)
            && !evaluation.server.locks.admits(&self.key, &txn.id, mode.strength, evaluation.place)
        {
            return Err(Stop::Conflict(Conflict::Locked(self.key.clone(), mode)));
        }
        let (stored, newest) = match evaluation.ahead.find(&self.key) {
            Some(found) => found,
            None => {
                let snapshot = &evaluation.eval.snapshot;
                (intent::get(snapshot, &self.key)?, mvcc::newest(snapshot, &self.key)?)
            }
        };
        let existing = evaluation.intents.remove(&self.key).or(stored);
        if let Some(foreign) = existing.as_ref().filter(|intent| intent.txn.id != txn.id) {
            let found = vec![(self.key.clone(), foreign.clone())];
            evaluation.discovered(&found);
            return Err(Stop::Conflict(Conflict::Intents { found, mode: Some(mode) }));
        }
        let above_reads = match evaluation.ahead.is_unread(&self.key) {
            true => Timestamp::ZERO,
            false => match evaluation.server.reads.max(&self.key) {
                // Everybody else read below the own read.
                (ts, Some(owner)) if owner == txn.id => ts,
                (ts, _) => ts.next(),
            },
        };
        let stored_ts = newest.as_ref().map_or(Timestamp::ZERO, |version| version.ts);
        let newest_ts = stored_ts.max(mvcc::erased_at(&evaluation.eval.snapshot, &self.key)?);
        let above_closed = evaluation.above_closed();
        let ts = evaluation.write_ts.max(above_reads).max(newest_ts.next()).max(above_closed);
        evaluation.write_ts = ts;
        if evaluation.one_phase {
            if existing.is_some() {
                let message = "a one-phase commit of a transaction that has intents";
                return Err(error(ErrorKind::Invalid, Timestamp::ZERO, message));
            }
            let newer =
                evaluation.versions.get(&self.key).is_some_and(|new| new.sequence > self.sequence);
            if !newer {
                let (sequence, value) = (self.sequence, self.value.clone());
                evaluation
                    .versions
                    .insert(self.key.clone(), NewVersion { sequence, value, newest });
            }
            return Ok(Response::default());
        }
        let intent = match existing {
            None => Intent::new(txn, ts, evaluation.now, self.sequence, self.value.clone()),
            Some(mut own) => {
                own.add(ts, evaluation.now, (self.sequence, self.value.clone()), txn.keep);
                evaluation.write_ts = evaluation.write_ts.max(own.ts());
                own
            }
        };
        evaluation.intents.insert(self.key.clone(), intent);
        Ok(Response::default())
    }
}
