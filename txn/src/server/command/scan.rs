//! Reads a span, with a lock on every row found if one is asked for.

use std::collections::BTreeSet;

use bytes::Bytes;
use kv::keys;

use super::{Command, Within};
use crate::api::{Response, Scan, WaitPolicy};
use crate::mvcc::Order;
use crate::server::evaluation::{Evaluation, Mode, Stop};
use crate::server::plan::Plan;

/// Rows of a scan that names no limit, and of one that names a greater.
const MAX_ROWS: usize = 10_000;

impl Command for Scan {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        match self.lock {
            true => batch.anchored()?,
            false => batch.txn()?,
        };
        plan.reads = true;
        plan.span(&self.span, self.lock)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let txn = evaluation.txn()?;
        let limit = match self.limit as usize {
            0 => MAX_ROWS,
            limit => limit.min(MAX_ROWS),
        };
        let (start, end) = (&self.span.start, &self.span.end);
        let mode = Mode::of_read(self.lock, self.mode);
        let order = if self.reverse { Order::Descending } else { Order::Ascending };
        let mut outcome = evaluation.reader(txn, self.lock).scan(start, end, order, limit)?;
        evaluation.no_conflicts(&mut outcome, mode)?;
        if let Some(mode) = mode {
            let found = outcome.rows.iter().map(|(key, _)| Bytes::copy_from_slice(key));
            let keys: Vec<Bytes> = found.chain(outcome.newer.iter().cloned()).collect();
            let mut skipped = BTreeSet::new();
            for key in keys {
                match evaluation.may_lock(&key, txn, mode)? {
                    true => evaluation.lock(&key, txn, mode),
                    false => drop(skipped.insert(key)),
                }
            }
            if !skipped.is_empty() {
                outcome.rows.retain(|key| !skipped.contains(key));
            }
        }
        evaluation.no_move(&outcome)?;
        if mode.is_some_and(|mode| mode.policy == WaitPolicy::Skip) {
            // What was left out was not read.
            let read = |(key, _): (&[u8], _)| (Bytes::copy_from_slice(key), keys::successor(key));
            evaluation.reads.extend(outcome.rows.iter().map(read));
        } else {
            let (mut from, mut to) = (start.clone(), end.clone());
            if let Some(resume) = &outcome.resume {
                match order {
                    Order::Ascending => to = resume.clone(),
                    Order::Descending => from = resume.clone(),
                }
            }
            evaluation.reads.push((from, to));
        }
        Ok(evaluation.response(outcome))
    }
}
