//! Deletions of whole spans, by the one-phase commits of their transactions.
//!
//! Such a commit writes an [`Erasure`] a span, whatever is in it, and needs no intent: its latches on the spans hold off
//! everybody else until it is applied.
//!
//! - I1. As a write of every key of the span, be it there or not: nobody else has a lock or an intent within, and the commit
//!   lies above all reads by others, all versions and all earlier erasures. So what it deletes is what a read of the
//!   span finds right before it, and the transaction's own reads hold there as those of any commit do.
//! - I2. Every lock within counts as one that a row's deletion would have to wait for.
//!
//! Bounds: every reader of a span goes through the erasures over it, so there are not many of them; and others wait while
//! the keys of the span are looked at, which are not too many either. Beyond them the answer is `TooLarge`, and the keys are
//! deleted one by one.

use futures::future::{BoxFuture, FutureExt};
use kv::clock::Timestamp;

use super::{Command, Within};
use crate::api::{DeleteSpan, ErrorKind, LockStrength, MAX_DELETED_KEYS, Response, WaitPolicy};
use crate::mvcc::{self, Erasure, Order, Times, intent};
use crate::server::evaluation::{Conflict, Evaluation, Mode, Stop, error};
use crate::server::plan::Plan;

/// Erasures that a range may have.
const MAX_ERASURES: usize = 1_024;
/// Erasures that a span may have over some of its keys.
const MAX_OVER_SPAN: usize = 64;
/// Bytes of a span's bounds, each. The range has them in memory.
const MAX_BOUND_BYTES: usize = 1 << 10;
/// Keys that are looked at between two times that others go first: about a millisecond.
const SLICE: usize = 4_096;

/// A row's deletion.
const DELETE: Mode = Mode { strength: LockStrength::Update, policy: WaitPolicy::Block, number: 0 };

impl Command for DeleteSpan {
    fn declare(&self, plan: &mut Plan, batch: Within<'_>) -> Result<(), String> {
        plan.deleted_spans += 1;
        batch.anchored()?;
        plan.put(&self.span.start, &self.span.end)
    }

    fn evaluate(&self, _: &mut Evaluation<'_>) -> Result<Response, Stop> {
        unreachable!("it takes long")
    }

    const TAKES_LONG: bool = true;

    fn evaluate_long<'e>(
        &'e self,
        evaluation: &'e mut Evaluation<'_>,
    ) -> BoxFuture<'e, Result<Response, Stop>> {
        note(self, evaluation).boxed()
    }
}

/// Notes the deletion of a span.
async fn note(delete: &DeleteSpan, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
    let txn = evaluation.txn()?;
    let (start, end) = (&delete.span.start, &delete.span.end);
    let snapshot = &evaluation.eval.snapshot;
    if start.len().max(end.len()) > MAX_BOUND_BYTES
        || snapshot.span_entries() >= MAX_ERASURES
        || snapshot.spans(start, end).count() >= MAX_OVER_SPAN
    {
        return Err(key_by_key("there are too many deletions of spans"));
    }
    let refused = evaluation.server.locks.first_refused(
        (start, end),
        &txn.id,
        DELETE.strength,
        evaluation.place,
    );
    if let Some(key) = refused {
        return Err(Stop::Conflict(Conflict::Locked(key, DELETE)));
    }
    if let Some(entry) = intent::scan(snapshot, start, end, Order::Ascending).next() {
        let (key, intent) = entry?;
        if intent.txn.id == txn.id {
            let message = "a one-phase commit of a transaction that has intents";
            return Err(error(ErrorKind::Invalid, Timestamp::ZERO, message));
        }
        let found = vec![(key, intent)];
        evaluation.discovered(&found);
        return Err(Stop::Conflict(Conflict::Intents { found, mode: Some(DELETE) }));
    }
    let above_reads = match evaluation.server.reads.max_of_span(start, end) {
        // Everybody else read below the own read.
        (ts, Some(owner)) if owner == txn.id => ts,
        (ts, _) => ts.next(),
    };
    let mut newest = Timestamp::ZERO;
    let mut from = Some(start.clone());
    let mut slices = 0;
    while let Some(start) = from {
        if slices * SLICE >= MAX_DELETED_KEYS {
            return Err(key_by_key("there are too many keys in the span"));
        }
        if slices > 0 {
            evaluation.server.env.tasks.give_way().await;
        }
        slices += 1;
        let (ts, rest) = mvcc::newest_ts_of_span(snapshot, (&start, end), SLICE)?;
        newest = newest.max(ts);
        from = rest;
    }
    let above_closed = evaluation.above_closed();
    evaluation.write_ts = evaluation.write_ts.max(above_reads).max(newest.next()).max(above_closed);
    evaluation.deleted.push(delete.span.clone());
    Ok(Response::default())
}

impl Evaluation<'_> {
    /// Writes what was noted, at the commit timestamp.
    pub(super) fn commit_deletions(&mut self) {
        let at = Times::new(self.write_ts, self.now);
        for span in std::mem::take(&mut self.deleted) {
            self.batch.put_span(&Erasure { start: span.start, end: span.end, at }.entry());
            self.batch_ts = self.write_ts;
        }
    }
}

fn key_by_key(why: &str) -> Stop {
    error(ErrorKind::TooLarge, Timestamp::ZERO, why)
}
