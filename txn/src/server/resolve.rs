//! Resolution of spans: what a large transaction leaves behind, found and resolved in portions.
//!
//! Flow: the intents of the transaction in the spans are looked up in a snapshot, up to a portion; then they are
//! resolved by name, under latches on these keys alone; the answer says where to go on.
//!
//! - I1. Every intent that was acknowledged before the transaction ended is in the snapshot, or resolved already: the
//!   replica serves, so it has applied whatever was acknowledged.
//! - I2. Each portion gets ahead, by a key at least, or by so many intents of others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::ids::RangeId;
use kv::rpc::{Refusal, RefusalReason};
use kv::seam::Access;

use super::{Inner, refusal};
use crate::api::{BatchError, BatchRequest, Request, RequestKind, Resolve, Span};
use crate::mvcc::{Finished, Order, intent};

/// Intents that are resolved in a portion.
const PORTION: usize = 1_000;
/// Intents that are looked at for them.
const VISITS: usize = 4_000;
/// Portions that a request which is in need of them does itself, before it looks whether they were enough.
const PORTIONS_AT_ONCE: usize = 10;
/// How long its own gateway has to do it first, and the reader to get out of the way.
const SWEEP_DELAY: Duration = Duration::from_secs(1);
/// Tasks that resolve what readers have met.
const MAX_SWEEPS: usize = 16;
/// Portions of such a task.
const SWEEP_PORTIONS: usize = 1_000;

/// The answer to a resolution: where to go on, empty when it is complete; or what is wrong with it.
type Answer = Result<Bytes, BatchError>;

impl Inner {
    /// The spans of a batch that is a resolution of spans.
    pub(super) fn resolved_spans(request: &BatchRequest) -> Option<&Resolve> {
        match &request.requests[..] {
            [Request { kind: Some(RequestKind::Resolve(resolve)) }]
                if !resolve.spans.is_empty() =>
            {
                Some(resolve)
            }
            _ => None,
        }
    }

    /// Resolves a portion of what a transaction has in spans of a range.
    pub(super) async fn resolve_spans(
        self: &Arc<Self>,
        range: RangeId,
        resolve: &Resolve,
    ) -> Result<Answer, Refusal> {
        if let Err(message) = check(resolve) {
            return Ok(Err(BatchError { message, ..BatchError::default() }));
        }
        let (keys, mut resume) = self.find_intents(range, resolve)?;
        if !keys.is_empty() {
            let portion = Resolve { keys, spans: Vec::new(), ..resolve.clone() };
            let answer = self.run_boxed(range, &of_one(portion)).await?;
            if let Some(error) = answer.error {
                return Ok(Err(error));
            }
            let full_at = answer.responses.into_iter().next().unwrap_or_default().resume;
            if !full_at.is_empty() {
                resume = full_at;
            }
        }
        // Locks of locking reads have nothing in the snapshot.
        for Span { start, end } in &resolve.spans {
            let end = if resume.is_empty() { end } else { end.min(&resume) };
            if start < end {
                self.locks.release_span(start, end, &resolve.txn_id);
            }
        }
        self.finished.learn(&resolve.txn_id, &Finished::of_resolution(resolve));
        Ok(Ok(resume))
    }

    /// Keys of a portion with intents of the transaction, and where to go on.
    fn find_intents(
        &self,
        range: RangeId,
        resolve: &Resolve,
    ) -> Result<(Vec<Bytes>, Bytes), Refusal> {
        let (Some(first), Some(last)) = (resolve.spans.first(), resolve.spans.last()) else {
            return Ok((Vec::new(), Bytes::new()));
        };
        let now = self.env.clock.now();
        let span = (&first.start[..], &last.end[..]);
        // Intents, wherever in time they are.
        let access = Access { span, ts: now, oldest_read: None, min_write_ts: None };
        let eval = self.ranges.begin(range, &access)?;
        let mut keys = Vec::new();
        let mut visits = 0;
        for span in &resolve.spans {
            for entry in intent::scan(&eval.snapshot, &span.start, &span.end, Order::Ascending) {
                let (key, found) = entry
                    .map_err(|error| refusal(RefusalReason::Unavailable, &error.to_string()))?;
                if keys.len() == PORTION || visits == VISITS {
                    return Ok((keys, key));
                }
                visits += 1;
                if found.txn.id == resolve.txn_id {
                    keys.push(key);
                }
            }
        }
        Ok((keys, Bytes::new()))
    }

    /// Resolves what a finished transaction has in a span of a range, all of it or a good part.
    pub(super) async fn resolve_for(
        self: &Arc<Self>,
        range: RangeId,
        id: &Bytes,
        finished: &Finished,
        span: Span,
    ) -> Result<(), Refusal> {
        self.resolve_portions(range, id, finished, span, PORTIONS_AT_ONCE).await
    }

    /// As [`Inner::resolve_for`], in the background, for a reader who does not need it: until somebody has done it, every
    /// reader looks at what is left.
    pub(super) fn sweep(
        self: &Arc<Self>,
        range: RangeId,
        id: &Bytes,
        finished: &Finished,
        span: Span,
    ) {
        let id = Bytes::copy_from_slice(id);
        {
            let mut sweeps = self.sweeps.lock().expect("no panic under this lock");
            if sweeps.len() >= MAX_SWEEPS || !sweeps.insert(id.clone()) {
                return;
            }
        }
        let (inner, finished) = (self.clone(), finished.clone());
        let sweep = async move {
            inner.env.clock.sleep(SWEEP_DELAY).await;
            // Whoever meets the rest begins anew.
            let _ = inner.resolve_portions(range, &id, &finished, span, SWEEP_PORTIONS).await;
            inner.sweeps.lock().expect("no panic under this lock").remove(&id);
        };
        self.env.tasks.spawn("resolve-met-intents", Box::pin(sweep));
    }

    async fn resolve_portions(
        self: &Arc<Self>,
        range: RangeId,
        id: &Bytes,
        finished: &Finished,
        mut span: Span,
        portions: usize,
    ) -> Result<(), Refusal> {
        for _ in 0..portions {
            let resolve = Resolve {
                txn_id: id.clone(),
                commit_ts: finished.commit_ts.unwrap_or_default().raw(),
                spans: vec![span.clone()],
                ignored: finished.ignored.clone(),
                ..Resolve::default()
            };
            match self.resolve_spans(range, &resolve).await? {
                Ok(resume) if !resume.is_empty() => span.start = resume,
                _ => break,
            }
        }
        Ok(())
    }
}

fn of_one(resolve: Resolve) -> BatchRequest {
    let requests = vec![Request { kind: Some(RequestKind::Resolve(Box::new(resolve))) }];
    BatchRequest { requests, ..BatchRequest::default() }
}

fn check(resolve: &Resolve) -> Result<(), String> {
    let is_ascending = resolve.spans.windows(2).all(|pair| pair[0].end <= pair[1].start);
    if !is_ascending || resolve.spans.iter().any(|span| span.start >= span.end) {
        return Err("spans that do not ascend".into());
    }
    if !resolve.keys.is_empty() {
        return Err("a resolution of keys and of spans".into());
    }
    Ok(())
}
