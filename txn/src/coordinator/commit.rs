//! Committing.
//!
//! Nothing written: nothing to commit. Everything on one range: one batch, one replicated command (one phase).
//! Otherwise (and not for deletions of spans, which have no intents) intents on every range, then the record at the anchor, whose writing is the commit (two phases).
//!
//! - M1. `phase` is `Committing` from before a commit leaves this node until its outcome is known, so that
//!   whatever happens meanwhile (this future dropped, say) nobody here takes the transaction for aborted.
//! - M2. A commit leaves with `read_ts == write_ts` and every read valid there. (One-phase with nothing read:
//!   the server chooses.)
//! - M3. After an unknown outcome only the record proves failure. A refusal of the repeated request does not:
//!   the first one may have committed, and others may have cleaned up behind it.
//! - M4. A one-phase commit takes the record that a beat may have made with it. So a record that is there after one
//!   with an unknown outcome says that it did not happen.
//!
//! Whether everything fits one command only the server knows, who sees the old versions that go into the history: it says
//! so, and then it takes two phases.
//!
//! A large commit is many batches of intents. Each has an operation's time, not all of them together: the transaction
//! is alive meanwhile (`heartbeat`), and what gets ahead is not given up.
//!
//! HAZARD: a one-phase commit leaves no record. Its anchor's lease holder remembers for a while that it happened,
//! which settles a lost answer; that it does not remember proves nothing. It is not sent again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::range::descriptor::RangeDescriptor;
use kv::seam::SendError;

use super::cleanup::Remains;
use super::deadline::CommitDeadline;
use super::error::TxnError;
use super::heartbeat::{aborted_error, status};
use super::sender::{Answer, Backoff, Patience, request};
use super::spans::named_or_covered;
use super::wait::LockWait;
use super::{Phase, Txn};
use crate::api::{
    BatchError, BatchRequest, EndTxn, ErrorKind, QueryTxn, RequestKind, Span, TxnMeta, TxnStatus,
};

/// A refresh that takes longer has not much time left until what it has moved to is closed (`StoreConfig::closed_lag`): the next
/// attempt could be too late again, and so on. A commit in two phases moves before it refreshes.
const SLOW_REFRESH: Duration = Duration::from_secs(1);

/// What an attempt to commit came to, when it did not fail.
enum Attempt {
    Committed(Timestamp),
    /// Nothing was committed: the transaction must be at least this late.
    MoveTo(Timestamp),
    /// Nothing was done: the range is another.
    Moved,
    /// Nothing was done: others are in the way.
    Waiting,
    /// Nothing was done: one command does not hold it.
    TooLarge,
}

impl Txn {
    pub(super) async fn try_commit(&mut self) -> Result<Timestamp, TxnError> {
        let deadline = self.op_deadline();
        if self.buffer.is_empty() && !self.flushed && self.erased.is_empty() {
            // All reads hold at one time: that is all there is to a transaction without writes.
            self.check_commit_deadline(self.state.read_ts())?;
            return Ok(self.state.read_ts());
        }
        let first = self.buffer.first_written().or(self.erased.first().map(|span| &span.start));
        if let Some(first) = first
            && self.state.meta.anchor.is_empty()
        {
            self.state.meta.anchor = first.clone();
        }
        // Nothing goes back any more (G6).
        self.buffer.release_all();
        let mut keys = self.held_keys(true);
        keys.insert(self.state.meta.anchor.clone());
        if !self.flushed
            && let Some(committed) = self.try_one_phase(&keys, deadline).await?
        {
            return Ok(committed);
        }
        if !self.erased.is_empty() {
            return Err(TxnError::retry("a span could not be deleted as a whole"));
        }
        self.two_phases(keys.into_iter().collect()).await
    }

    /// None: it takes two phases, and nothing has been done.
    async fn try_one_phase(
        &mut self,
        keys: &BTreeSet<Bytes>,
        mut deadline: Duration,
    ) -> Result<Option<Timestamp>, TxnError> {
        let config = self.sender.config.clone();
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(None) };
        let written = self.buffer.len();
        let too_many = written.max(keys.len() - written) > config.one_phase_writes;
        let key_bytes: usize = keys.iter().map(Bytes::len).sum();
        if too_many || self.buffer.bytes() + key_bytes > config.one_phase_bytes {
            return Ok(None);
        }
        let mut backoff = Backoff::new();
        let mut wait = LockWait::default();
        let mut moves = 0;
        while moves <= config.max_refreshes {
            let range = self.sender.lookup(first, deadline).await.map_err(TxnError::from_send)?;
            let mut erased = self.erased.iter();
            if !range.contains_key(last) || !erased.all(|s| range.contains_span(&s.start, &s.end)) {
                return Ok(None);
            }
            let before = self.sender.env.clock.monotonic();
            self.move_reads(self.state.write_ts(), deadline).await?;
            if self.sender.env.clock.monotonic() > before + SLOW_REFRESH {
                break;
            }
            self.check_commit_deadline(self.state.write_ts())?;
            match self.one_phase(range, keys, &mut wait, deadline).await? {
                Attempt::Committed(ts) => return Ok(Some(ts)),
                Attempt::MoveTo(ts) => {
                    moves += 1;
                    self.state.forward_writes(ts);
                }
                Attempt::Moved if backoff.pause(&self.sender.env, deadline).await => {}
                Attempt::Moved => return Err(TxnError::Unavailable),
                // Who deletes key by key holds what it has, while it waits for the rest.
                Attempt::Waiting if !self.erased.is_empty() => return Ok(None),
                Attempt::Waiting => {
                    self.ensure_alive()?;
                    deadline = self.op_deadline();
                }
                Attempt::TooLarge => return Ok(None),
            }
        }
        // Overtaken time and again, or by the time that it takes to look what was read: intents will hold the others off.
        Ok(None)
    }

    async fn one_phase(
        &mut self,
        range: RangeDescriptor,
        keys: &BTreeSet<Bytes>,
        wait: &mut LockWait,
        deadline: Duration,
    ) -> Result<Attempt, TxnError> {
        let puts = self.buffer.send();
        let mut requests = Vec::with_capacity(puts.len() + self.erased.len() + 1);
        requests.extend(self.deletions());
        requests.extend(puts.into_iter().map(|put| request(RequestKind::Put(put))));
        // What it writes, the server unlocks without being told.
        let locked = keys.iter().filter(|key| self.buffer.get(key).is_none()).cloned().collect();
        let end = EndTxn { one_phase: true, ..self.end_txn((locked, Vec::new())) };
        requests.push(request(RequestKind::EndTxn(end)));
        let batch = wait.complete(self.state.batch(requests), self.wait_budget(wait)?);
        self.phase = Phase::Committing;
        match self.sender.send(range, Arc::new(batch), false, deadline).await {
            Ok(answer) => {
                self.state.learn(&answer);
                if wait.note(&answer.response, self.sender.env.clock.monotonic()) {
                    wait.turn();
                    self.phase = Phase::Open;
                    return Ok(Attempt::Waiting);
                }
                match &answer.response.error {
                    None => Ok(Attempt::Committed(self.recorded_ts(&answer))),
                    Some(error) => self.refused(error),
                }
            }
            Err(SendError::Unknown) => self.find_memory().await,
            Err(SendError::Moved) => {
                self.phase = Phase::Open;
                Ok(Attempt::Moved)
            }
            Err(error) => self.unsent(error),
        }
    }

    /// Settles a one-phase commit whose answer was lost, if the anchor's lease holder remembers it.
    async fn find_memory(&mut self) -> Result<Attempt, TxnError> {
        let deadline = self.sender.deadline_in(self.sender.config.op_timeout);
        let Ok(asked) = self.query(deadline).await else { return Err(TxnError::Ambiguous) };
        match status(&asked.response) {
            Some(TxnStatus::Committed) => Ok(Attempt::Committed(self.recorded_ts(&asked))),
            // M4, and no later delivery gets past it. (An error is not the record's word.)
            Some(TxnStatus::Aborted) if asked.response.error.is_none() => {
                self.phase = Phase::Open;
                Err(aborted_error())
            }
            _ => Err(TxnError::Ambiguous),
        }
    }

    async fn query(&self, deadline: Duration) -> Result<Answer, SendError> {
        let TxnMeta { id: txn_id, anchor, .. } = self.state.meta.clone();
        let query = QueryTxn { txn_id, anchor: anchor.clone() };
        let query = self.state.fixed_batch(vec![request(RequestKind::QueryTxn(query))]);
        self.sender.send_to_key(&anchor, Arc::new(query), true, deadline).await
    }

    async fn two_phases(&mut self, keys: Vec<Bytes>) -> Result<Timestamp, TxnError> {
        self.hold(&self.state.meta.anchor.clone());
        self.lay_intents().await?;
        for _ in 0..=self.sender.config.max_refreshes {
            let deadline = self.op_deadline();
            let ts = self.state.write_ts();
            self.move_reads(ts, deadline).await?;
            self.check_commit_deadline(ts)?;
            match self.end(&keys, deadline).await? {
                Attempt::Committed(ts) => {
                    // No beat may follow the collection of the record.
                    self.pulse = None;
                    let (meta, spans) = (self.state.meta.clone(), self.laid.clone());
                    let remains = Remains { meta, keys, spans, commit_ts: Some(ts), intents: true };
                    drop(remains.spawn(&self.sender));
                    return Ok(ts);
                }
                Attempt::MoveTo(ts) => self.state.forward_writes(ts),
                Attempt::Moved | Attempt::Waiting => {}
                Attempt::TooLarge => return Err(TxnError::TooLarge),
            }
        }
        Err(TxnError::retry("the commit timestamp was pushed again and again"))
    }

    /// Writes every buffered write as an intent. The anchor must be held.
    pub(super) async fn lay_intents(&mut self) -> Result<(), TxnError> {
        self.flushed = true;
        self.state.meta.sequence = self.buffer.sequence();
        self.state.meta.keep = self.buffer.kept();
        let patience = self.sender.config.op_timeout;
        let patience = Patience { each: patience, end: self.deadline.unwrap_or(Duration::MAX) };
        // Sent part by part. A batch that makes a command of too many bytes is two parts.
        let mut parts = vec![self.buffer.send()];
        let mut wait = LockWait::default();
        let mut moves = 0;
        while let Some(part) = parts.pop() {
            let budget = self.wait_budget(&wait)?;
            let (state, waits) = (&self.state, &wait);
            let sent = self.sender.fan_out(part, patience, |puts| {
                let puts = puts.iter().cloned();
                let batch = state.batch(puts.map(|put| request(RequestKind::Put(put))).collect());
                waits.complete(batch, budget)
            });
            let answers = self.unless_aborted(sent).await?.map_err(TxnError::from_send)?;
            let mut again = Vec::new();
            let mut move_to = Timestamp::ZERO;
            for (mut puts, answer) in answers {
                self.state.learn(&answer);
                if wait.note(&answer.response, self.sender.env.clock.monotonic()) {
                    again.extend(puts);
                    continue;
                }
                let Some(error) = &answer.response.error else { continue };
                match ErrorKind::try_from(error.kind) {
                    Ok(ErrorKind::RetryAt) => {
                        move_to = move_to.max(Timestamp::from_raw(error.retry_ts));
                        again.extend(puts);
                    }
                    Ok(ErrorKind::TooLarge) if puts.len() > 1 => {
                        parts.push(puts.split_off(puts.len() / 2));
                        parts.push(puts);
                    }
                    _ => return Err(TxnError::from_server(error)),
                }
            }
            wait.turn();
            if move_to > Timestamp::ZERO {
                if moves == self.sender.config.max_refreshes {
                    return Err(TxnError::retry("the writes were pushed again and again"));
                }
                moves += 1;
                self.move_reads(move_to, self.op_deadline()).await?;
            }
            if !again.is_empty() {
                // Divided anew, and that goes by the keys.
                again.sort_unstable_by(|a, b| (&a.key, a.sequence).cmp(&(&b.key, b.sequence)));
                parts.push(again);
            }
        }
        Ok(())
    }

    /// Writes the record.
    async fn end(&mut self, keys: &[Bytes], deadline: Duration) -> Result<Attempt, TxnError> {
        let held = named_or_covered(keys, &self.laid, &self.sender.config);
        let end = request(RequestKind::EndTxn(self.end_txn(held)));
        let batch = Arc::new(self.state.fixed_batch(vec![end]));
        self.phase = Phase::Committing;
        let anchor = self.state.meta.anchor.clone();
        match self.sender.send_to_key(&anchor, batch.clone(), false, deadline).await {
            Ok(answer) => {
                self.state.learn(&answer);
                match (&answer.response.error, status(&answer.response)) {
                    (Some(error), _) => self.refused(error),
                    (None, Some(TxnStatus::Aborted)) => {
                        self.phase = Phase::Open;
                        Err(aborted_error())
                    }
                    (None, _) => Ok(Attempt::Committed(self.recorded_ts(&answer))),
                }
            }
            Err(SendError::Unknown) => self.find_out(batch).await.map(Attempt::Committed),
            Err(error) => self.unsent(error),
        }
    }

    /// Settles a commit whose answer was lost: asks the record, and commits again while it does not know.
    async fn find_out(&mut self, end: Arc<BatchRequest>) -> Result<Timestamp, TxnError> {
        // Its own time: the lost answer may have taken all of the operation's.
        let deadline = self.sender.deadline_in(self.sender.config.op_timeout);
        let anchor = self.state.meta.anchor.clone();
        let mut backoff = Backoff::new();
        let mut refused = false;
        while backoff.pause(&self.sender.env, deadline).await {
            let Ok(asked) = self.query(deadline).await else { continue };
            // An error is not the record's word.
            if asked.response.error.is_none() {
                match status(&asked.response) {
                    Some(TxnStatus::Committed) => return Ok(self.recorded_ts(&asked)),
                    Some(TxnStatus::Aborted) => {
                        self.phase = Phase::Open;
                        return Err(aborted_error());
                    }
                    // No record, and none can be created any more: M3.
                    _ if refused => return Err(TxnError::Ambiguous),
                    _ => {}
                }
            }
            if let Ok(ended) = self.sender.send_to_key(&anchor, end.clone(), false, deadline).await
            {
                match (&ended.response.error, status(&ended.response)) {
                    (None, Some(TxnStatus::Aborted)) => {}
                    (None, _) => return Ok(self.recorded_ts(&ended)),
                    (Some(error), _) => refused |= error.kind == ErrorKind::Aborted as i32,
                }
            }
        }
        Err(TxnError::Ambiguous)
    }

    /// The commit timestamp in an answer that says that the transaction is committed.
    fn recorded_ts(&self, answer: &Answer) -> Timestamp {
        let record = answer.response.responses.last().and_then(|response| response.record.as_ref());
        match record.map(|record| record.commit_ts) {
            Some(ts) if ts != 0 => Timestamp::from_raw(ts),
            _ => self.state.write_ts(),
        }
    }

    /// The server certainly did not commit.
    fn refused(&mut self, error: &BatchError) -> Result<Attempt, TxnError> {
        self.phase = Phase::Open;
        if error.kind == ErrorKind::RetryAt as i32 {
            return Ok(Attempt::MoveTo(Timestamp::from_raw(error.retry_ts)));
        }
        if error.kind == ErrorKind::TooLarge as i32 {
            return Ok(Attempt::TooLarge);
        }
        Err(TxnError::from_server(error))
    }

    /// No server was certainly asked to commit.
    fn unsent(&mut self, error: SendError) -> Result<Attempt, TxnError> {
        self.phase = Phase::Open;
        Err(TxnError::from_send(error))
    }

    fn end_txn(&self, (keys, spans): (Vec<Bytes>, Vec<Span>)) -> EndTxn {
        let deadline = self.commit_deadline().map_or(0, Timestamp::raw);
        EndTxn { commit: true, one_phase: false, keys, deadline, spans }
    }

    /// The earliest of all, as of now.
    fn commit_deadline(&self) -> Option<Timestamp> {
        self.commit_deadlines.iter().map(CommitDeadline::get).min()
    }

    fn check_commit_deadline(&self, ts: Timestamp) -> Result<(), TxnError> {
        match self.commit_deadline() {
            Some(deadline) if ts >= deadline => Err(TxnError::DeadlineExceeded),
            _ => Ok(()),
        }
    }
}
