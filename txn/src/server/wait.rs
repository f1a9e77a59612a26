//! Waiting for locks and intents, and what is done about those who hold them.
//!
//! Flow: in the queue, without latches; woken when the key is free. A transaction that waits is entered into the graph of
//! waits, where a deadlock is a circle. If that takes longer, everybody tells their own anchor for whom they wait, and
//! whoever waits first for a holder asks its anchor what became of it, and for whom it waits in turn, and so on. If
//! the holder is finished, its intents that were met are resolved here, and the batch is evaluated anew. After the time
//! that the batch allows the answer says that others are still in the way, and the gateway asks again: it alone knows
//! how long somebody wants to wait, and whether there still is somebody.
//!
//! - I1. Nobody is ended for being waited for: only the last in the order of a circle, and who shows no sign of life.
//! - I2. What a push found is remembered if it is final (`finished`). That a transaction is alive counts only for those
//!   who do not want to wait, and for this batch.
//! - I3. A wait ends: by a wake-up, by a resolution, as a deadlock's victim, or with the batch's time.
//! - I4. A circle of waits on this node is broken at once; one over several nodes by the reports and questions of those
//!   in it, within [`LAST_ROUND`] and a few messages. Only who has locks can be part of one: a transaction without an
//!   anchor is in no graph.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{self, Either};
use kv::clock::Timestamp;
use kv::ids::RangeId;
use kv::rpc::Refusal;
use tokio::sync::oneshot;

use super::evaluation::{Conflict, Mode, Stop, error};
use super::{Attempt, Inner};
use crate::api::{
    BatchError, BatchRequest, BreakWait, ErrorKind, PushTxn, Request, RequestKind, Response, Span,
    Ticket, TxnMeta, TxnRecord, Wait, WaitPolicy,
};
use crate::concurrency::{Blocked, Holder, Place, Search, Waiting};
use crate::mvcc::{Finished, Intent};

/// A batch waits at most so long for all its locks together; then it has to be asked again.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);
/// When somebody who waits first does something about it: longer than most locks last.
const FIRST_ROUND: Duration = Duration::from_millis(20);
/// Rounds come at most so much later, one after the other.
const LAST_ROUND: Duration = Duration::from_millis(160);
/// How long it is believed that somebody waits. Longer than two rounds, or a request and its repetition.
const REPORT: Duration = Duration::from_secs(1);
/// Transactions that one round asks about.
const CHASE_MAX: usize = 32;
const PUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a wait did not end well.
pub(super) enum Failed {
    Stop(Stop),
    Refused(Refusal),
}

/// What is waited for.
struct Obstacle<'a> {
    key: &'a Bytes,
    /// None: a plain reader waits for an intent.
    mode: Option<Mode>,
    /// Where the batch ends.
    end: &'a Bytes,
}

/// What one who waits hears.
enum Heard {
    /// It is worth another try.
    Woken,
    /// It is to give up.
    Doomed(String),
}

/// A wait in the graph.
struct Entered {
    holders: Vec<Bytes>,
    _waiting: Waiting,
    verdict: Option<oneshot::Receiver<String>>,
}

impl Inner {
    /// Waits until it is worth evaluating again.
    pub(super) async fn wait(
        self: &Arc<Self>,
        range: RangeId,
        (txn, end): (&TxnMeta, &Bytes),
        conflict: Conflict,
        attempt: &mut Attempt,
    ) -> Result<(), Failed> {
        match conflict {
            Conflict::Locked(key, mode) => {
                let obstacle = Obstacle { key: &key, mode: Some(mode), end };
                self.wait_for(range, txn, obstacle, attempt).await
            }
            Conflict::Intents { found, mode } => {
                let is_news = attempt.recall(self, &found);
                let Some((key, _)) = found.first() else { return Ok(()) };
                // A plain reader takes them for what they become.
                if mode.is_some() || !is_news {
                    self.wait_for(range, txn, Obstacle { key, mode, end }, attempt).await?;
                }
                if mode.is_none() {
                    self.sweep_met(range, end, &found, attempt);
                }
                Ok(())
            }
            Conflict::Refresh(found) => {
                if attempt.recall(self, &found) {
                    return Ok(());
                }
                let Some((_, intent)) = found.first() else { return Ok(()) };
                let pushed = self.push(txn, &intent.txn, intent.local_ts()).await;
                if attempt.learn(self, &intent.txn.id, pushed.map(|(record, _)| record)) {
                    return Ok(());
                }
                Err(Failed::Stop(error(
                    ErrorKind::RefreshFailed,
                    Timestamp::ZERO,
                    "what was read is being changed",
                )))
            }
        }
    }

    /// Sees to it that what finished transactions have left does not stay in the way of readers.
    fn sweep_met(
        self: &Arc<Self>,
        range: RangeId,
        end: &Bytes,
        found: &[(Bytes, Intent)],
        attempt: &Attempt,
    ) {
        let mut seen = BTreeSet::new();
        for (key, intent) in found {
            let id = &intent.txn.id;
            if let Some(finished) = attempt.finished.get(id)
                && seen.insert(id)
            {
                let span = Span { start: key.clone(), end: end.clone() };
                self.sweep(range, id, finished, span);
            }
        }
    }

    async fn wait_for(
        self: &Arc<Self>,
        range: RangeId,
        txn: &TxnMeta,
        obstacle: Obstacle<'_>,
        attempt: &mut Attempt,
    ) -> Result<(), Failed> {
        if let Some(mode) = obstacle.mode
            && mode.policy != WaitPolicy::Block
        {
            return self.ask(range, txn, obstacle, mode, attempt).await;
        }
        attempt.begin_waiting(obstacle.key, self.env.clock.monotonic());
        let mut pause = FIRST_ROUND;
        let mut entered: Option<Entered> = None;
        loop {
            let Some(mut blocked) = self.block(txn, &obstacle, attempt) else { return Ok(()) };
            let now = self.env.clock.monotonic();
            let Some(left) = attempt.deadline.checked_sub(now).filter(|left| !left.is_zero())
            else {
                return Err(Failed::Stop(attempt.still_waiting(obstacle.key, now)));
            };
            for holder in &blocked.holders {
                if self.resolve_finished(range, &obstacle, holder, attempt).await? {
                    return Ok(());
                }
            }
            let holders: Vec<_> = blocked.holders.iter().map(|h| h.txn.id.clone()).collect();
            if entered.as_ref().is_none_or(|entered| entered.holders != holders) {
                // The old wait is over first.
                drop(entered.take());
                entered = self.enter(txn, obstacle.key, &blocked, holders);
                pause = FIRST_ROUND;
            }
            let mut none = None;
            let verdict = entered.as_mut().map_or(&mut none, |entered| &mut entered.verdict);
            let heard = hear(&mut blocked.wake, verdict);
            let Some(heard) = self.env.clock.timeout(pause.min(left), heard).await else {
                let round = pin!(self.round(txn, obstacle.key, &blocked.holders, &blocked.asks));
                let heard = pin!(hear(&mut blocked.wake, verdict));
                match future::select(heard, round).await {
                    Either::Left((Heard::Woken, _)) => return Ok(()),
                    Either::Left((Heard::Doomed(detail), _)) => return Err(doomed(detail)),
                    Either::Right((learned, _)) => {
                        for (id, record) in learned {
                            attempt.learn(self, &id, Some(record));
                        }
                    }
                }
                pause = (pause * 2).min(LAST_ROUND);
                continue;
            };
            match heard {
                Heard::Woken => return Ok(()),
                Heard::Doomed(detail) => return Err(doomed(detail)),
            }
        }
    }

    fn block(
        &self,
        txn: &TxnMeta,
        obstacle: &Obstacle<'_>,
        attempt: &mut Attempt,
    ) -> Option<Blocked> {
        let (key, strength) = (obstacle.key, obstacle.mode.map(|mode| mode.strength));
        let has = |place: &Place| place.key() == key && place.strength() == strength;
        if !attempt.place.as_ref().is_some_and(has) {
            // The old place is left first: nobody holds two.
            attempt.place = None;
            let earlier = attempt.tickets.get(key).copied();
            attempt.place = Some(self.locks.enqueue(key, &txn.id, strength, earlier));
        }
        let place = attempt.place.as_ref().expect("entered above");
        self.locks.block(place, &txn.id)
    }

    /// Enters a wait into the graph, and looks for the circle that it may close.
    fn enter(
        &self,
        txn: &TxnMeta,
        key: &Bytes,
        blocked: &Blocked,
        ids: Vec<Bytes>,
    ) -> Option<Entered> {
        if txn.anchor.is_empty() || ids.is_empty() {
            return None;
        }
        let holders = blocked.holders.iter().map(|holder| holder.txn.clone()).collect();
        let (waiting, verdict) = self.waits.enter(txn, holders, key);
        self.break_circle(&txn.id);
        Some(Entered { holders: ids, _waiting: waiting, verdict: Some(verdict) })
    }

    /// Ends the deadlock that a transaction is part of, if it is and all of it is known.
    pub(super) fn break_circle(&self, txn_id: &[u8]) {
        let Search::Elsewhere(wait) = self.waits.search(txn_id, self.env.clock.monotonic()) else {
            return;
        };
        let (routing, clock) = (self.routing.clone(), self.env.clock.clone());
        let tell = async move {
            let deadline = clock.monotonic() + PUSH_TIMEOUT;
            let Ok(range) = routing.lookup(wait.key.clone(), deadline).await else { return };
            let request = alone(None, RequestKind::BreakWait(wait));
            // If it gets lost, the next round finds the circle again.
            let _ = routing.send(range, Arc::new(request), true, deadline).await;
        };
        self.env.tasks.spawn("break-deadlock", tell.boxed());
    }

    /// A wait's report, for the transaction's own anchor.
    pub(super) fn note_report(&self, txn: &TxnMeta, wait: &Wait) {
        let now = self.env.clock.monotonic();
        self.waits.report(txn, wait, now, now + REPORT);
        self.break_circle(&txn.id);
    }

    /// Ends the wait of a deadlock's victim.
    pub(super) fn note_break(&self, wait: &BreakWait) {
        self.waits.break_wait(wait);
    }

    /// What one who has waited for a while does about it. Returns which holders are finished.
    async fn round(
        &self,
        txn: &TxnMeta,
        key: &Bytes,
        holders: &[Holder],
        asks: &[Holder],
    ) -> Vec<(Bytes, TxnRecord)> {
        if !txn.anchor.is_empty() && !holders.is_empty() {
            let waits = holders.iter().take(CHASE_MAX).map(|holder| {
                let wait = Wait { holder: holder.txn.clone(), key: key.clone() };
                Request { kind: Some(RequestKind::ReportWait(Box::new(wait))) }
            });
            let request = BatchRequest {
                txn: Some(txn.clone()),
                requests: waits.collect(),
                ..BatchRequest::default()
            };
            // If it gets lost, the next round reports again.
            let _ = self.send(txn.anchor.clone(), request).await;
        }
        self.chase(txn, asks).await
    }

    /// Asks what became of the holders, for whom they wait, and so on, and looks for circles among all of them.
    async fn chase(&self, txn: &TxnMeta, holders: &[Holder]) -> Vec<(Bytes, TxnRecord)> {
        let mut finished = Vec::new();
        let mut seen = BTreeSet::new();
        let direct = holders.iter().map(|holder| (holder.txn.clone(), Some(holder.last_active)));
        let mut next: VecDeque<_> = direct.collect();
        while let Some((other, last_active)) = next.pop_front() {
            if seen.len() >= CHASE_MAX || other.id == txn.id || !seen.insert(other.id.clone()) {
                continue;
            }
            let now = self.env.clock.monotonic();
            // Who waits on this node is alive, and known to wait.
            if last_active.is_some() || self.waits.of(&other.id, now).is_empty() {
                let alive = last_active.unwrap_or_else(|| self.env.clock.now());
                let Some((record, waits)) = self.push(txn, &other, alive).await else { continue };
                if is_finished(&record) {
                    finished.push((other.id, record));
                    continue;
                }
                let now = self.env.clock.monotonic();
                waits.iter().for_each(|wait| {
                    self.waits.report(&other, wait, now, now + LAST_ROUND);
                });
            }
            let waits = self.waits.of(&other.id, self.env.clock.monotonic());
            next.extend(waits.into_iter().map(|wait| (wait.holder, None)));
        }
        seen.iter().for_each(|id| self.break_circle(id));
        finished
    }

    /// For those who do not want to wait: are the holders alive?
    async fn ask(
        self: &Arc<Self>,
        range: RangeId,
        txn: &TxnMeta,
        obstacle: Obstacle<'_>,
        mode: Mode,
        attempt: &mut Attempt,
    ) -> Result<(), Failed> {
        for holder in self.locks.in_the_way(obstacle.key, &txn.id, mode.strength) {
            let id = &holder.txn.id;
            if !attempt.finished.contains_key(id) && !attempt.alive.contains(id) {
                let pushed = self.push(txn, &holder.txn, holder.last_active).await;
                attempt.learn(self, id, pushed.map(|(record, _)| record));
            }
            if self.resolve_finished(range, &obstacle, &holder, attempt).await? {
                return Ok(());
            }
            // Also if there was no answer: it is not known to be finished.
            attempt.alive.insert(id.clone());
        }
        match mode.policy {
            WaitPolicy::Skip => Ok(()),
            WaitPolicy::Error | WaitPolicy::Block => {
                let ticket = Some(Ticket { key: obstacle.key.clone(), number: 0 });
                Err(Failed::Stop(Stop::Error(BatchError {
                    kind: ErrorKind::Locked as i32,
                    message: "the lock is not to be had at once".into(),
                    ticket,
                    ..BatchError::default()
                })))
            }
        }
    }

    /// Asks the anchor's lease holder about a transaction: its record, and for whom it waits. `None`: no answer this time.
    async fn push(
        &self,
        pusher: &TxnMeta,
        pushee: &TxnMeta,
        last_active: Timestamp,
    ) -> Option<(TxnRecord, Vec<Wait>)> {
        let push = PushTxn {
            pushee: pushee.clone(),
            last_active: last_active.raw(),
            force: false,
            now: self.env.clock.now().raw(),
        };
        let request = alone(Some(pusher.clone()), RequestKind::PushTxn(Box::new(push)));
        let Response { record, waits, .. } = self.send(pushee.anchor.clone(), request).await?;
        Some((*record?, waits))
    }

    /// Sends a batch to the range of a key; the answer to its last request.
    async fn send(&self, key: Bytes, request: BatchRequest) -> Option<Response> {
        let deadline = self.env.clock.monotonic() + PUSH_TIMEOUT;
        let descriptor = self.routing.lookup(key, deadline).await.ok()?;
        let sent = self.routing.send(descriptor, Arc::new(request), true, deadline);
        let (mut answer, _) = sent.await.ok()?;
        answer.responses.pop()
    }

    /// If the holder is known to be finished: sees to it that it is in the way no more, if anybody minds, and not of the
    /// rest of the batch either.
    async fn resolve_finished(
        self: &Arc<Self>,
        range: RangeId,
        obstacle: &Obstacle<'_>,
        holder: &Holder,
        attempt: &Attempt,
    ) -> Result<bool, Failed> {
        let id = &holder.txn.id;
        let Some(finished) = attempt.finished.get(id) else { return Ok(false) };
        if obstacle.mode.is_some() {
            let span = Span { start: obstacle.key.clone(), end: obstacle.end.clone() };
            self.resolve_for(range, id, finished, span).await.map_err(Failed::Refused)?;
        }
        Ok(true)
    }
}

fn alone(txn: Option<TxnMeta>, kind: RequestKind) -> BatchRequest {
    BatchRequest { txn, requests: vec![Request { kind: Some(kind) }], ..BatchRequest::default() }
}

fn doomed(detail: String) -> Failed {
    Failed::Stop(error(ErrorKind::Deadlock, Timestamp::ZERO, &detail))
}

/// A wake-up comes first: then the circle is no more.
async fn hear(
    wake: &mut oneshot::Receiver<()>,
    verdict: &mut Option<oneshot::Receiver<String>>,
) -> Heard {
    poll_fn(|cx| {
        if wake.poll_unpin(cx).is_ready() {
            return Poll::Ready(Heard::Woken);
        }
        match verdict.as_mut().map(|verdict| verdict.poll_unpin(cx)) {
            Some(Poll::Ready(Ok(detail))) => Poll::Ready(Heard::Doomed(detail)),
            Some(Poll::Ready(Err(_))) => {
                *verdict = None;
                Poll::Pending
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    })
    .await
}

fn is_finished(record: &TxnRecord) -> bool {
    super::records::is_finished(record)
}

impl Attempt {
    /// Remembers what became of a transaction. True iff it is finished.
    fn learn(&mut self, server: &Inner, id: &Bytes, record: Option<TxnRecord>) -> bool {
        let Some(finished) = record.as_ref().and_then(Finished::of_record) else { return false };
        server.finished.learn(id, &finished);
        self.finished.insert(id.clone(), finished);
        true
    }

    /// Takes what this node knows of the owners of intents. True iff some of it is news.
    fn recall(&mut self, server: &Inner, found: &[(Bytes, Intent)]) -> bool {
        let mut is_news = false;
        for (_, intent) in found {
            let id = &intent.txn.id;
            if !self.finished.contains_key(id)
                && let Some(finished) = server.finished.recall(id)
            {
                self.finished.insert(id.clone(), finished);
                is_news = true;
            }
        }
        is_news
    }

    fn begin_waiting(&mut self, key: &Bytes, now: Duration) {
        if self.waiting.as_ref().is_none_or(|(waited, _)| waited != key) {
            self.waiting = Some((key.clone(), now));
        }
    }

    /// The batch's time is over.
    fn still_waiting(&self, key: &Bytes, now: Duration) -> Stop {
        if !self.asks_again {
            return error(ErrorKind::LockTimeout, Timestamp::ZERO, "waited too long for a lock");
        }
        let place = self.place.as_ref().filter(|place| place.key() == key);
        let number = place.map_or(0, Place::number);
        let since = self.waiting.as_ref().map_or(now, |(_, since)| *since);
        Stop::Error(BatchError {
            kind: ErrorKind::Waiting as i32,
            message: "others are still in the way".into(),
            ticket: Some(Ticket { key: key.clone(), number }),
            waited_ms: u32::try_from(now.saturating_sub(since).as_millis()).unwrap_or(u32::MAX),
            ..BatchError::default()
        })
    }
}
