//! One attempt at a batch: from a snapshot to answers, a write batch, and what has to happen in memory.
//! Under latches; the families of commands are in the modules beside this one.
//!
//! A batch of very many requests gives way to others of its thread now and then. What it reads does not change meanwhile:
//! it is the snapshot's, and the latches hold off whoever would write it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::seam::{Eval, MAX_BATCH_BYTES, WriteBatch};

use super::Inner;
use super::ahead::Window;
use super::command;
use super::markers::{Creation, committed_record};
use super::plan::Plan;
use crate::api::{
    BatchError, BatchRequest, ErrorKind, LockMode, LockNumbers, LockStrength, Request, Response,
    Span, TxnMeta, WaitPolicy,
};
use crate::concurrency::{Place, owned};
use crate::mvcc::{Finished, Intent, Version, intent};

/// Requests between two times that others go first: about a millisecond of work.
const SLICE: usize = 512;

/// How a request wants to lock its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub(super) strength: LockStrength,
    pub(super) policy: WaitPolicy,
    pub(super) number: u32,
}

impl Mode {
    /// A write's: whoever deletes has locked the row more strongly before.
    pub(super) const WRITE: Mode =
        Mode { strength: LockStrength::NoKeyUpdate, policy: WaitPolicy::Block, number: 0 };

    /// A read's, if it is to lock.
    pub(super) fn of_read(lock: bool, mode: Option<LockMode>) -> Option<Mode> {
        let mode = mode.unwrap_or_default();
        let (strength, policy) = (mode.strength(), mode.policy());
        lock.then_some(Mode { strength, policy, number: mode.number })
    }
}

/// What is in the way of a batch.
#[derive(Debug)]
pub(super) enum Conflict {
    /// A lock, or an earlier request for it.
    Locked(Bytes, Mode),
    /// Intents. They are in the lock table now.
    Intents {
        /// By key.
        found: Vec<(Bytes, Intent)>,
        /// The batch wants to lock or write the first of the keys.
        mode: Option<Mode>,
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
    Stop::Error(BatchError {
        kind: kind as i32,
        retry_ts: retry_ts.raw(),
        message: message.into(),
        ..BatchError::default()
    })
}

/// The answers to a one-phase commit that took effect at `ts`.
pub(super) fn committed_answers(request: &BatchRequest, ts: Timestamp) -> Vec<Response> {
    let mut answers = vec![Response::default(); request.requests.len()];
    if let Some(last) = answers.last_mut() {
        last.record = Some(Box::new(committed_record(ts)));
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
    /// The transaction has ended so.
    Finished { id: Bytes, finished: Finished },
    /// The transaction is over, and has no lock on the keys any more.
    Release { id: Bytes, keys: Vec<Bytes> },
    /// The transaction has gone back to a savepoint before it locked the keys with these numbers.
    RollBack { id: Bytes, keys: Vec<Bytes>, numbers: LockNumbers },
}

/// What a one-phase commit makes of a key.
pub(super) struct NewVersion {
    /// Number of the write.
    pub(super) sequence: u32,
    /// None deletes.
    pub(super) value: Option<Bytes>,
    /// What it supersedes.
    pub(super) newest: Option<Version>,
}

/// An attempt.
pub(super) struct Evaluation<'a> {
    pub(super) server: &'a Inner,
    pub(super) eval: &'a Eval,
    pub(super) request: &'a BatchRequest,
    /// The request's place in the queue of a lock, if it has been waiting.
    pub(super) place: Option<&'a Place>,
    /// Transactions that are not finished, as far as is known.
    pub(super) alive: &'a BTreeSet<Bytes>,
    /// Transactions in the way that are known to be finished.
    pub(super) finished: &'a BTreeMap<Bytes, Finished>,
    /// Keys that this attempt has locked.
    pub(super) locked: BTreeSet<Bytes>,
    /// The transaction as the lock table keeps it, if this attempt has locked a key.
    pub(super) owner: Option<TxnMeta>,
    /// A reading of the clock, below the lease's stasis if the plan says that it is acted upon.
    pub(super) now: Timestamp,
    pub(super) read_ts: Timestamp,
    pub(super) write_ts: Timestamp,
    pub(super) one_phase: bool,
    /// Intents of this batch, not yet in `batch`.
    pub(super) intents: BTreeMap<Bytes, Intent>,
    /// Newest writes of a one-phase commit.
    pub(super) versions: BTreeMap<Bytes, NewVersion>,
    /// Spans that a one-phase commit deletes.
    pub(super) deleted: Vec<Span>,
    /// What is known of the writes that come next.
    pub(super) ahead: Window,
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
        (alive, finished): (&'a BTreeSet<Bytes>, &'a BTreeMap<Bytes, Finished>),
        (now, read_ts, write_ts): (Timestamp, Timestamp, Timestamp),
    ) -> Self {
        Evaluation {
            server,
            eval,
            request,
            place,
            alive,
            finished,
            locked: BTreeSet::new(),
            owner: None,
            now,
            read_ts,
            write_ts,
            one_phase: plan.one_phase,
            intents: BTreeMap::new(),
            versions: BTreeMap::new(),
            deleted: Vec::new(),
            ahead: Window::default(),
            batch: WriteBatch::default(),
            batch_ts: Timestamp::ZERO,
            reads: Vec::new(),
            answer_bytes: 0,
            move_to: Timestamp::ZERO,
            effects: Vec::new(),
        }
    }

    /// Evaluates the batch.
    pub(super) async fn run(&mut self) -> Result<Vec<Response>, Stop> {
        if self.one_phase
            && let Some(answer) = self.delivered_before()?
        {
            return Ok(answer);
        }
        let request = self.request;
        let mut responses = Vec::with_capacity(request.requests.len());
        for (number, slice) in request.requests.chunks(SLICE).enumerate() {
            if number > 0 {
                self.server.env.tasks.give_way().await;
            }
            self.look_ahead(slice)?;
            for one in slice {
                match self.one(one).await {
                    Ok(response) => responses.push(response),
                    Err(stop) => {
                        if let Stop::Conflict(_) = stop {
                            self.keep_writes()?;
                        }
                        return Err(stop);
                    }
                }
            }
        }
        if self.move_to != Timestamp::ZERO {
            return Err(self.must_move(self.move_to, "a newer version may have to be seen"));
        }
        for (key, intent) in std::mem::take(&mut self.intents) {
            self.batch_ts = self.batch_ts.max(intent.ts());
            intent::put(&mut self.batch, key, &intent);
            self.fits()?;
        }
        self.fits()?;
        Ok(responses)
    }

    /// Stops what would make a command that is too large to be replicated.
    pub(super) fn fits(&self) -> Result<(), Stop> {
        if self.batch.bytes() <= MAX_BATCH_BYTES {
            return Ok(());
        }
        let message = "the changes of the batch are too large for one command";
        Err(error(ErrorKind::TooLarge, Timestamp::ZERO, message))
    }

    async fn one(&mut self, request: &Request) -> Result<Response, Stop> {
        let unknown = || error(ErrorKind::Invalid, Timestamp::ZERO, "unknown kind of request");
        let kind = request.kind.as_ref().ok_or_else(unknown)?;
        command::evaluate(kind, self).await
    }

    /// Some of the batch's keys are not to be had yet. Those that are free stay so: or a batch of many keys, each of which
    /// is often locked, would never find all of them free. (A one-phase commit that fails cleans up after nothing.)
    fn keep_writes(&mut self) -> Result<(), Stop> {
        if self.one_phase || self.intents.is_empty() {
            return Ok(());
        }
        let txn = owned(self.txn()?);
        for key in self.intents.keys() {
            self.server.locks.acquire(key, &txn, (0, Mode::WRITE.strength), self.now);
        }
        Ok(())
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

    /// What a write must be at or above for what is closed. One that is too late moves to the present: by the time that its
    /// transaction has refreshed its reads, more is closed, and it would be too late again.
    pub(super) fn above_closed(&self) -> Timestamp {
        let min = self.eval.min_write_ts();
        if self.write_ts < min { min.max(self.now) } else { Timestamp::ZERO }
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
