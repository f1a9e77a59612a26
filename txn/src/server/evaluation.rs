//! One attempt at a batch: from a snapshot to answers, a write batch, and what has to happen in memory.
//! Synchronous, under latches; the families of commands are in the modules beside this one.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::seam::{Eval, WriteBatch};

use super::Inner;
use super::markers::{Creation, committed_record};
use super::plan::Plan;
use crate::api::{BatchError, BatchRequest, ErrorKind, Request, RequestKind, Response, TxnMeta};
use crate::concurrency::Place;
use crate::mvcc::{Intent, intent};

/// What is in the way of a batch.
#[derive(Debug)]
pub(super) enum Conflict {
    /// A lock, or an earlier request for it.
    Locked(Bytes),
    /// Intents. They are in the lock table now.
    Intents {
        /// By key.
        found: Vec<(Bytes, Intent)>,
        /// The batch wants to lock or write the first of the keys.
        locking: bool,
    },
    /// Intents in a span that is refreshed: nobody waits for them, but if they are finished they may not count.
    Refresh(Vec<(Bytes, Intent)>),
}

/// Why an evaluation came to nothing.
#[derive(Debug)]
pub(super) enum Stop {
    /// Wait, and evaluate again.
    Conflict(Conflict),
    /// Evaluate again at this read timestamp.
    Forward(Timestamp),
    /// Answer with this.
    Error(BatchError),
    /// The engine failed.
    Engine(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Engine(error)
    }
}

/// An answer without effect.
pub(super) fn error(kind: ErrorKind, retry_ts: Timestamp, message: &str) -> Stop {
    Stop::Error(BatchError { kind: kind as i32, retry_ts: retry_ts.raw(), message: message.into() })
}

/// The answers to a one-phase commit that took effect at `ts`.
pub(super) fn committed_answers(request: &BatchRequest, ts: Timestamp) -> Vec<Response> {
    let mut answers = vec![Response::default(); request.requests.len()];
    if let Some(last) = answers.last_mut() {
        last.record = Some(committed_record(ts));
    }
    answers
}

/// What happens in this node's memory once the batch is applied, before the latches are released.
#[derive(Debug)]
pub(super) enum Effect {
    /// The transaction's record must not be created any more.
    Refuse { anchor: Bytes, id: Bytes, ts: Timestamp },
    /// The transaction committed in one phase.
    Committed { anchor: Bytes, id: Bytes, ts: Timestamp },
    /// The transaction has no lock on the keys any more.
    Release { id: Bytes, keys: Vec<Bytes> },
}

/// An attempt.
pub(super) struct Evaluation<'a> {
    pub(super) server: &'a Inner,
    pub(super) eval: &'a Eval,
    pub(super) request: &'a BatchRequest,
    /// The request's place in the queue of a lock, if it has been waiting.
    pub(super) place: Option<&'a Place>,
    /// A reading of the clock, below the lease's stasis if the plan says that it is acted upon.
    pub(super) now: Timestamp,
    pub(super) read_ts: Timestamp,
    pub(super) write_ts: Timestamp,
    pub(super) one_phase: bool,
    /// Intents of this batch, not yet in `batch`.
    pub(super) intents: BTreeMap<Bytes, Intent>,
    /// Newest writes of a one-phase commit.
    pub(super) versions: BTreeMap<Bytes, (u32, Option<Bytes>)>,
    pub(super) batch: WriteBatch,
    /// The highest timestamp in `batch`.
    pub(super) batch_ts: Timestamp,
    /// What was read, at `read_ts`.
    pub(super) reads: Vec<(Bytes, Bytes)>,
    /// Bytes of keys and values in the answers so far.
    pub(super) answer_bytes: usize,
    /// What the gets so far need the transaction to read at; zero if they are content.
    pub(super) move_to: Timestamp,
    pub(super) effects: Vec<Effect>,
}

impl<'a> Evaluation<'a> {
    /// An attempt that has not begun.
    pub(super) fn new(
        server: &'a Inner,
        eval: &'a Eval,
        request: &'a BatchRequest,
        plan: &Plan,
        place: Option<&'a Place>,
        (now, read_ts, write_ts): (Timestamp, Timestamp, Timestamp),
    ) -> Self {
        Evaluation {
            server,
            eval,
            request,
            place,
            now,
            read_ts,
            write_ts,
            one_phase: plan.one_phase,
            intents: BTreeMap::new(),
            versions: BTreeMap::new(),
            batch: WriteBatch::default(),
            batch_ts: Timestamp::ZERO,
            reads: Vec::new(),
            answer_bytes: 0,
            move_to: Timestamp::ZERO,
            effects: Vec::new(),
        }
    }

    /// Evaluates the batch.
    pub(super) fn run(&mut self) -> Result<Vec<Response>, Stop> {
        if self.one_phase
            && let Some(answer) = self.delivered_before()?
        {
            return Ok(answer);
        }
        let request = self.request;
        let responses =
            request.requests.iter().map(|one| self.one(one)).collect::<Result<_, _>>()?;
        if self.move_to != Timestamp::ZERO {
            return Err(self.must_move(self.move_to, "a newer version may have to be seen"));
        }
        for (key, intent) in std::mem::take(&mut self.intents) {
            self.batch_ts = self.batch_ts.max(intent.ts());
            intent::put(&mut self.batch, key, &intent);
        }
        Ok(responses)
    }

    fn one(&mut self, request: &Request) -> Result<Response, Stop> {
        match request.kind.as_ref() {
            Some(RequestKind::Get(get)) => self.get(get),
            Some(RequestKind::Scan(scan)) => self.scan(scan),
            Some(RequestKind::Put(put)) => self.put(put),
            Some(RequestKind::Refresh(refresh)) => self.refresh(refresh),
            Some(RequestKind::EndTxn(end)) => self.end_txn(end),
            Some(RequestKind::Heartbeat(heartbeat)) => self.heartbeat(heartbeat),
            Some(RequestKind::PushTxn(push)) => self.push_txn(push),
            Some(RequestKind::Resolve(resolve)) => self.resolve(resolve),
            Some(RequestKind::QueryTxn(query)) => self.query_txn(query),
            Some(RequestKind::CollectTxn(collect)) => self.collect_txn(collect),
            None => Err(error(ErrorKind::Invalid, Timestamp::ZERO, "unknown kind of request")),
        }
    }

    /// A one-phase commit may arrive a second time, or after its transaction was given up.
    fn delivered_before(&mut self) -> Result<Option<Vec<Response>>, Stop> {
        let txn = self.txn()?;
        match self.server.markers.creation(&txn.anchor, &txn.id, txn.min_ts) {
            Creation::Allowed => Ok(None),
            Creation::Refused => Err(error(
                ErrorKind::Aborted,
                Timestamp::ZERO,
                "the transaction has been given up, or the lease is younger than it",
            )),
            Creation::Committed(ts) => {
                (self.read_ts, self.write_ts) = (ts, ts);
                Ok(Some(committed_answers(self.request, ts)))
            }
        }
    }

    /// The batch's transaction.
    pub(super) fn txn(&self) -> Result<&'a TxnMeta, Stop> {
        let missing = || error(ErrorKind::Invalid, Timestamp::ZERO, "no transaction");
        self.request.txn.as_ref().ok_or_else(missing)
    }

    /// The transaction has to read at `ts`: forwards it here if nothing it read stands against it.
    pub(super) fn must_move(&self, ts: Timestamp, why: &str) -> Stop {
        if self.request.can_forward {
            Stop::Forward(ts)
        } else {
            error(ErrorKind::RetryAt, ts, why)
        }
    }

    /// Enters intents into the lock table, under the latches, so that a resolution comes after.
    pub(super) fn discovered(&self, found: &[(Bytes, Intent)]) {
        for (key, intent) in found {
            self.server.locks.discover(key, &intent.txn, intent.local_ts());
        }
    }
}
