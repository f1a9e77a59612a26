//! The lease holder's side of transactions: evaluates batches of requests.
//!
//! Promise: what the batches of all transactions read and write is equivalent to their running one after the
//! other, in the order of their commit timestamps, as long as coordinators commit at a timestamp at which all
//! their reads have been made or refreshed.
//!
//! Flow of a batch: checked and its spans declared ([`plan`]) → latches → may this replica serve? (`begin`) →
//! evaluated over a snapshot ([`evaluation`] and the [`command`]s) → in the way of another: latches off,
//! wait, from the top ([`wait`]) → what was read goes into the timestamp cache → proposed and applied
//! ([`in_flight`]) → what follows from it in memory → latches off → answer.
//!
//! - I1. Reads go into the timestamp cache after evaluation and before the latches are released.
//! - I2. A batch takes effect whole or not at all; an answer with an error says that it did not (but for locks
//!   of locking reads, which stay).
//! - I3. Every batch may be delivered again, or late, and changes nothing then that was not already decided.
//! - I4. The clock readings that are acted upon lie below the lease's expiration: what they leave behind in
//!   memory, a later lease's start covers; or whoever hands the lease over says what it is ([`summary`]).
//! - I5. Requests may be dropped at any await.
//! - I6. A transaction that is known to be over locks nothing any more.
//!
//! HAZARD: the answers name timestamps that coordinators act upon. A batch's answer must carry the clock's
//! reading from its beginning: one from the end would hide what was acknowledged meanwhile.
//!
//! Not done here: parallel commits, replicated locks of locking reads, follower reads.

mod ahead;
mod command;
mod evaluation;
mod finished;
mod in_flight;
mod markers;
mod plan;
mod propose;
mod read;
mod records;
mod resolve;
mod summary;
mod wait;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use kv::clock::Timestamp;
use kv::env::Env;
use kv::ids::RangeId;
use kv::keys::{self, Space};
use kv::mutant::Mutant;
use kv::range::command::MAX_COMMAND_BYTES;
use kv::range::descriptor::RangeDescriptor;
use kv::rpc::{Refusal, RefusalReason};
use kv::seam::{
    Access, ProposeError, RangeEvent, RangeObserver, RangeService, Ranges, Routing, Served,
};
use prost::Message;

use self::evaluation::{Evaluation, Stop, committed_answers};
use self::finished::FinishedTxns;
use self::in_flight::{InFlight, Quarantine};
use self::markers::{Creation, Markers};
use self::plan::Plan;
use self::wait::{Failed, MAX_WAIT};
use crate::api::{
    BatchError, BatchRequest, BatchResponse, Batches, ErrorKind, MAX_ONE_PHASE_WRITES, RequestKind,
    Response, TxnMeta,
};
use crate::concurrency::{
    Ended, LatchGuard, LatchSpan, Latches, LockTable, Place, TimestampCache, Waits,
};
use crate::mvcc::Finished;

/// Larger batches, as they are encoded, are refused: what they ask for would not go into one command.
const MAX_REQUEST_BYTES: usize = MAX_COMMAND_BYTES;
/// Longest wait for latches. They are held over one consensus round; longer means that the range is stuck.
const MAX_LATCH_WAIT: Duration = Duration::from_secs(10);
/// Spans that the timestamp cache remembers: more than the keys that a one-phase commit writes and has read one by one. To
/// forget some of those would make the commit move in time, and read all of them again.
const TIMESTAMP_CACHE: usize = 3 * MAX_ONE_PHASE_WRITES / 2;
/// The sequence of the first lease that a range ever had. What a split makes inherits its lease, and its sequence.
const FIRST_LEASE: u64 = 1;

/// The transaction server of a node.
pub struct Server(Arc<Inner>);

struct Inner {
    env: Env,
    ranges: Arc<dyn Ranges>,
    routing: Arc<dyn Routing<Batches>>,
    latches: Latches,
    /// Over transaction records. Acquired after `latches`.
    record_latches: Latches,
    locks: LockTable,
    waits: Waits,
    ended: Ended,
    reads: TimestampCache,
    markers: Markers,
    quarantine: Quarantine,
    finished: FinishedTxns,
    /// Transactions whose intents are being resolved because readers have met them.
    sweeps: Mutex<BTreeSet<Bytes>>,
}

/// What a batch carries from one evaluation to the next.
struct Attempt {
    read_ts: Timestamp,
    write_ts: Timestamp,
    place: Option<Place>,
    /// Transactions in the way that are known to be finished.
    finished: BTreeMap<Bytes, Finished>,
    /// Transactions in the way that are not: for who does not want to wait.
    alive: BTreeSet<Bytes>,
    /// Places in queues from earlier deliveries.
    tickets: BTreeMap<Bytes, u64>,
    /// The key that is waited for, and since when.
    waiting: Option<(Bytes, Duration)>,
    /// No waiting for locks beyond it.
    deadline: Duration,
    /// The sender knows what `Waiting` is, and asks again.
    asks_again: bool,
    /// Keys that the batch has locked, and that were not its transaction's before.
    locked: BTreeSet<Bytes>,
}

impl Server {
    /// A server over this node's ranges. Register it as their observer before they serve.
    pub fn new(
        env: Env,
        ranges: Arc<dyn Ranges>,
        routing: Arc<dyn Routing<Batches>>,
    ) -> Arc<Server> {
        Arc::new(Server(Arc::new(Inner {
            env,
            ranges,
            routing,
            latches: Latches::default(),
            record_latches: Latches::default(),
            locks: LockTable::default(),
            waits: Waits::default(),
            ended: Ended::default(),
            reads: TimestampCache::new(TIMESTAMP_CACHE),
            markers: Markers::new(),
            quarantine: Quarantine::default(),
            finished: FinishedTxns::default(),
            sweeps: Mutex::default(),
        })))
    }

    /// Keys in the lock table.
    #[cfg(test)]
    pub(crate) fn locked_keys(&self) -> usize {
        self.0.locks.len()
    }
}

impl RangeService<Batches> for Server {
    fn execute(
        &self,
        range: RangeId,
        request: Arc<BatchRequest>,
    ) -> BoxFuture<'static, Result<BatchResponse, Refusal>> {
        let inner = self.0.clone();
        async move {
            if request.encoded_len() > MAX_REQUEST_BYTES {
                return Err(refusal(RefusalReason::Invalid, "the batch is too large"));
            }
            inner.run(range, &request).await
        }
        .boxed()
    }
}

impl RangeObserver for Server {
    fn hand_over(&self, range: &RangeDescriptor) -> BoxFuture<'static, Served> {
        let (inner, range) = (self.0.clone(), range.clone());
        async move {
            // Whoever has begun on these keys has latches, and keeps them until all is remembered that follows.
            let keys = (range.start.clone(), range.end.clone());
            let records = keys::engine_span(Space::RangeLocal, &range.start, &range.end);
            let whole = |(start, end)| vec![LatchSpan { start, end, write: true }];
            let latches = inner.latches.acquire(whole(keys)).await;
            let records = inner.record_latches.acquire(whole((records.start, records.end))).await;
            let summary = summary::of_range(&range, &inner.reads, &inner.markers);
            Served { summary, held: Box::new((latches, records)) }
        }
        .boxed()
    }

    fn on_event(&self, event: &RangeEvent) {
        let inner = &self.0;
        match event {
            RangeEvent::LeaseAcquired { descriptor, lease, summary } => {
                let (start, end) = (&descriptor.start, &descriptor.end);
                let began = lease.start_ts();
                if let Some(summary) = summary {
                    if !inner.env.mutation(Mutant::ReadSummaryLost) {
                        let range = (descriptor, lease);
                        summary::learn(summary, range, &inner.reads, &inner.markers);
                    }
                } else if !inner.env.mutation(Mutant::TimestampCacheLostOnLeaseChange) {
                    inner.reads.add(start, end, began, None);
                    // The markers are timestamp caches too: what is left of them would hide the loss. Before a range's
                    // first lease nobody has marked anything; a client may have begun its transaction then.
                    if lease.sequence > FIRST_LEASE {
                        inner.markers.lease_began(start, end, began);
                    }
                }
                inner.locks.clear(start, end);
                inner.quarantine.release_range(descriptor.id());
            }
            RangeEvent::LeaseLost { descriptor } | RangeEvent::Installed { descriptor } => {
                inner.locks.clear(&descriptor.start, &descriptor.end);
                inner.quarantine.release_range(descriptor.id());
            }
            // Everything is keyed by user key, and the lease goes on.
            RangeEvent::Split { .. } => {}
        }
    }
}

fn refusal(reason: RefusalReason, message: &str) -> Refusal {
    Refusal { reason: reason as i32, message: message.into(), ..Refusal::default() }
}

/// The answer to a resolution of spans.
fn span_answer(now: Timestamp, answer: Result<Bytes, BatchError>) -> BatchResponse {
    let (responses, error) = match answer {
        Ok(resume) => (vec![Response { resume, ..Response::default() }], None),
        Err(error) => (Vec::new(), Some(error)),
    };
    BatchResponse { now: now.raw(), responses, error, ..BatchResponse::default() }
}

impl Inner {
    /// For what runs a batch within a batch.
    fn run_boxed<'a>(
        self: &'a Arc<Self>,
        range: RangeId,
        request: &'a BatchRequest,
    ) -> BoxFuture<'a, Result<BatchResponse, Refusal>> {
        self.run(range, request).boxed()
    }

    async fn run(
        self: &Arc<Self>,
        range: RangeId,
        request: &BatchRequest,
    ) -> Result<BatchResponse, Refusal> {
        for one in &request.requests {
            if let Some(RequestKind::PushTxn(push)) = &one.kind {
                // A clock that is too far ahead is not followed.
                let _ = self.env.clock.update(Timestamp::from_raw(push.now));
            }
        }
        let now = self.env.clock.now();
        let txn = request.txn.clone().unwrap_or_default();
        let max_wait = request.max_wait_ms.map(|ms| Duration::from_millis(ms.into()));
        let tickets = request.tickets.iter().filter(|ticket| ticket.number != 0);
        let mut attempt = Attempt {
            read_ts: Timestamp::from_raw(txn.read_ts),
            write_ts: Timestamp::from_raw(txn.write_ts).max(Timestamp::from_raw(txn.read_ts)),
            place: None,
            finished: BTreeMap::new(),
            alive: BTreeSet::new(),
            tickets: tickets.map(|ticket| (ticket.key.clone(), ticket.number)).collect(),
            waiting: None,
            deadline: self.env.clock.monotonic() + max_wait.map_or(MAX_WAIT, |w| w.min(MAX_WAIT)),
            asks_again: max_wait.is_some(),
            locked: BTreeSet::new(),
        };
        if let Some(resolve) = Inner::resolved_spans(request) {
            let answer = self.resolve_spans(range, resolve).await?;
            return Ok(span_answer(now, answer));
        }
        let result = match command::plan(request) {
            Err(message) => Err(BatchError {
                kind: ErrorKind::Invalid as i32,
                message,
                ..BatchError::default()
            }),
            Ok(plan) => self.attempts(range, request, &txn, &plan, &mut attempt).await?,
        };
        let (responses, locked, error) = match result {
            Ok(responses) => (responses, Vec::new(), None),
            Err(mut error) => {
                if error.kind() == ErrorKind::Deadlock && !attempt.asks_again {
                    error.kind = ErrorKind::Aborted as i32;
                }
                (Vec::new(), attempt.locked.into_iter().collect(), Some(error))
            }
        };
        Ok(BatchResponse {
            now: now.raw(),
            read_ts: attempt.read_ts.raw(),
            write_ts: attempt.write_ts.raw(),
            responses,
            error,
            locked,
        })
    }

    async fn attempts(
        self: &Arc<Self>,
        range: RangeId,
        request: &BatchRequest,
        txn: &TxnMeta,
        plan: &Plan,
        attempt: &mut Attempt,
    ) -> Result<Result<Vec<Response>, BatchError>, Refusal> {
        loop {
            let guards = self.latch(plan).await?;
            let stop = match self.evaluate(range, request, plan, attempt, guards).await? {
                Ok((responses, proposal)) => {
                    if let Some(proposal) = proposal {
                        proposal.await.map_err(|error| match error {
                            ProposeError::Rejected(refusal) => refusal,
                            ProposeError::Unknown => {
                                refusal(RefusalReason::Unknown, "the proposal's outcome is unknown")
                            }
                        })?;
                    }
                    return Ok(Ok(responses));
                }
                Err(stop) => stop,
            };
            let stop = match stop {
                Stop::Conflict(conflict) => {
                    match self.wait(range, (txn, &plan.end), conflict, attempt).await {
                        Ok(()) => continue,
                        Err(Failed::Stop(stop)) => stop,
                        Err(Failed::Refused(refusal)) => return Err(refusal),
                    }
                }
                stop => stop,
            };
            match stop {
                Stop::Forward(ts) => {
                    attempt.read_ts = attempt.read_ts.max(ts);
                    attempt.write_ts = attempt.write_ts.max(ts);
                }
                Stop::Error(error) => {
                    let given_up = matches!(
                        error.kind(),
                        ErrorKind::LockTimeout
                            | ErrorKind::Aborted
                            | ErrorKind::DeadlineExceeded
                            | ErrorKind::Deadlock
                    );
                    if plan.one_phase && given_up {
                        return self.give_up(range, request, txn, plan, attempt, error).await;
                    }
                    return Ok(Err(error));
                }
                Stop::Engine(error) => {
                    self.ranges.damaged(&error);
                    return Err(refusal(RefusalReason::Unavailable, &error.to_string()));
                }
                Stop::Conflict(_) => unreachable!("waited for above"),
            }
        }
    }

    /// One evaluation under latches. Outer error: this replica may not serve. With a proposal, the latches are
    /// in it.
    #[allow(clippy::type_complexity)]
    async fn evaluate(
        self: &Arc<Self>,
        range: RangeId,
        request: &BatchRequest,
        plan: &Plan,
        attempt: &mut Attempt,
        guards: Vec<LatchGuard>,
    ) -> Result<Result<(Vec<Response>, Option<InFlight>), Stop>, Refusal> {
        let now = self.env.clock.now();
        // A transaction from a node whose clock is ahead may have begun later than it is here.
        let now_served = plan.acts.map(|at_least| now.max(at_least));
        let serve_ts = match now_served {
            Some(acts) if plan.reads => acts.max(attempt.read_ts),
            Some(acts) => acts,
            None => attempt.read_ts,
        };
        let access = Access {
            span: (&plan.start, &plan.end),
            ts: serve_ts,
            oldest_read: plan.reads.then(|| plan.refreshes_from.unwrap_or(attempt.read_ts)),
            min_write_ts: plan.writes.then_some(if plan.puts { attempt.write_ts } else { now }),
        };
        let eval = self.ranges.begin(range, &access)?;
        let times = (now, attempt.read_ts, attempt.write_ts);
        let place = attempt.place.as_ref();
        let others = (&attempt.alive, &attempt.finished);
        let mut evaluation = Evaluation::new(self, &eval, request, plan, place, others, times);
        let result = evaluation.run().await;
        attempt.locked.append(&mut evaluation.locked);
        let responses = match result {
            Ok(responses) => responses,
            Err(stop) => return Ok(Err(stop)),
        };
        let Evaluation { read_ts, write_ts, reads, batch, batch_ts, effects, .. } = evaluation;
        let owner = request.txn.as_ref().map(|txn| &txn.id);
        for (start, end) in &reads {
            self.reads.add(start, end, read_ts, owner);
        }
        attempt.read_ts = read_ts;
        attempt.write_ts = write_ts;
        if batch.is_empty() {
            self.apply(effects);
            drop(guards);
            return Ok(Ok((responses, None)));
        }
        let proposal = self.propose(range, eval, batch, batch_ts, effects, guards);
        Ok(Ok((responses, Some(proposal))))
    }

    async fn latch(&self, plan: &Plan) -> Result<Vec<LatchGuard>, Refusal> {
        let mut guards = Vec::new();
        for (latches, spans) in
            [(&self.latches, &plan.spans), (&self.record_latches, &plan.records)]
        {
            if !spans.is_empty() {
                guards.push(self.latch_in_time(latches, spans).await?);
            }
        }
        Ok(guards)
    }

    async fn latch_in_time(
        &self,
        latches: &Latches,
        spans: &[LatchSpan],
    ) -> Result<LatchGuard, Refusal> {
        let (guard, wait) = latches.enter(spans);
        if let Some(wait) = wait
            && self.env.clock.timeout(MAX_LATCH_WAIT, wait).await.is_none()
        {
            return Err(refusal(RefusalReason::Unavailable, "the range is stuck"));
        }
        Ok(guard)
    }

    /// Answers a one-phase commit with a failure. No other delivery of it may succeed after that, and if one
    /// already has, that is the answer.
    async fn give_up(
        &self,
        range: RangeId,
        request: &BatchRequest,
        txn: &TxnMeta,
        plan: &Plan,
        attempt: &mut Attempt,
        error: BatchError,
    ) -> Result<Result<Vec<Response>, BatchError>, Refusal> {
        let _guard = self.latch_in_time(&self.record_latches, &plan.records).await?;
        // A mark that is left where nobody serves any more would hold nobody off.
        let (now, min_ts) = (self.env.clock.now(), Timestamp::from_raw(txn.min_ts));
        let end = keys::successor(&txn.anchor);
        let access = Access {
            span: (&txn.anchor, &end),
            ts: now.max(min_ts),
            oldest_read: None,
            min_write_ts: None,
        };
        let _eval = self.ranges.begin(range, &access)?;
        match self.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
            Creation::Committed(ts) => {
                (attempt.read_ts, attempt.write_ts) = (ts, ts);
                return Ok(Ok(committed_answers(request, ts)));
            }
            Creation::Refused => {}
            Creation::Allowed => {
                self.markers.refuse(&txn.anchor, &txn.id, access.ts);
            }
        }
        Ok(Err(error))
    }
}
