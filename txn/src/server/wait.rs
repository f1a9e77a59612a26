//! Waiting for locks and intents, and what is done about those who hold them.
//!
//! Flow: in the queue, without latches; woken when the key is free. Whoever is first in it asks the holder's
//! anchor after 100 ms, then less and less often, what became of the transaction; everybody does after a second
//! of waiting for the same transaction, and then ends it if the order of transactions allows. If it is
//! finished, its intents that were met are resolved here, and the batch is evaluated anew.
//!
//! - I1. The time is counted for each holder: a long queue of quick transactions is no deadlock.
//! - I2. What a push found is remembered for this batch only, and only if it is final.
//! - I3. A wait ends: by a wake-up, by a resolution, or by [`MAX_WAIT`] with an error.

use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, Either};
use kv::clock::Timestamp;
use kv::ids::RangeId;
use kv::rpc::Refusal;
use prost::Message;

use super::evaluation::{Conflict, Stop, error};
use super::{Attempt, Inner};
use crate::api::{
    BatchRequest, BatchResponse, ErrorKind, PushTxn, Request, RequestKind, Resolve, TxnMeta,
    TxnRecord, TxnStatus,
};
use crate::concurrency::Holder;
use crate::mvcc::Intent;
use std::sync::Arc;

/// A batch waits at most so long for all its locks together.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(10);
const FIRST_PUSH: Duration = Duration::from_millis(100);
const LAST_PUSH: Duration = Duration::from_secs(1);
/// Waiting so long for one transaction is taken for a deadlock.
const DEADLOCK: Duration = Duration::from_secs(1);
const PUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a wait did not end well.
pub(super) enum Failed {
    Stop(Stop),
    Refused(Refusal),
}

impl Inner {
    /// Waits until it is worth evaluating again.
    pub(super) async fn wait(
        self: &Arc<Self>,
        range: RangeId,
        txn: &TxnMeta,
        conflict: Conflict,
        attempt: &mut Attempt,
    ) -> Result<(), Failed> {
        match conflict {
            Conflict::Locked(key) => self.wait_for(range, txn, &key, true, &[], attempt).await,
            Conflict::Intents { found, locking } => {
                let Some((key, _)) = found.first() else { return Ok(()) };
                self.wait_for(range, txn, key, locking, &found, attempt).await
            }
            Conflict::Refresh(found) => {
                let Some((key, intent)) = found.first() else { return Ok(()) };
                let holder = Holder {
                    txn: intent.txn.clone(),
                    last_active: intent.local_ts(),
                    intent: true,
                };
                if !attempt.finished.contains_key(&holder.txn.id) {
                    let record = self.push(txn, &holder, false).await;
                    attempt.learn(&holder.txn.id, record);
                }
                if self.resolve_finished(range, key, &holder, &found, attempt).await? {
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

    async fn wait_for(
        self: &Arc<Self>,
        range: RangeId,
        txn: &TxnMeta,
        key: &Bytes,
        locking: bool,
        found: &[(Bytes, Intent)],
        attempt: &mut Attempt,
    ) -> Result<(), Failed> {
        let mut pause = FIRST_PUSH;
        loop {
            // A reader's place is left at the end of each turn.
            let mut _reader = None;
            let blocked = if locking {
                if attempt.place.as_ref().is_none_or(|place| place.key() != key) {
                    // The old place is left first: nobody holds two.
                    attempt.place = None;
                    attempt.place = Some(self.locks.enqueue(key));
                }
                let place = attempt.place.as_ref().expect("entered above");
                self.locks.block(place, &txn.id)
            } else {
                self.locks.block_reader(key, &txn.id).map(|(blocked, place)| {
                    _reader = Some(place);
                    blocked
                })
            };
            let Some(mut blocked) = blocked else { return Ok(()) };
            let now = self.env.clock.monotonic();
            let Some(left) = attempt.deadline.checked_sub(now).filter(|left| !left.is_zero())
            else {
                let message = "waited too long for a lock";
                return Err(Failed::Stop(error(ErrorKind::LockTimeout, Timestamp::ZERO, message)));
            };
            if let Some(holder) = &blocked.holder
                && self.resolve_finished(range, key, holder, found, attempt).await?
            {
                return Ok(());
            }
            let id = blocked.holder.as_ref().map(|holder| holder.txn.id.clone());
            if attempt.blocked_by.as_ref().is_none_or(|(by, _)| Some(by) != id.as_ref()) {
                attempt.blocked_by = id.map(|id| (id, now));
                pause = FIRST_PUSH;
            }
            let nap = if blocked.first { pause } else { LAST_PUSH };
            if self.env.clock.timeout(nap.min(left), &mut blocked.wake).await.is_some() {
                return Ok(());
            }
            pause = (pause * 2).min(LAST_PUSH);
            let (Some(holder), Some((_, since))) = (&blocked.holder, &attempt.blocked_by) else {
                continue;
            };
            let force = self.env.clock.monotonic().saturating_sub(*since) >= DEADLOCK;
            let push = Box::pin(self.push(txn, holder, force));
            let record = match future::select(&mut blocked.wake, push).await {
                Either::Left(_) => return Ok(()),
                Either::Right((record, _)) => record,
            };
            let id = holder.txn.id.clone();
            attempt.learn(&id, record);
            if force && !attempt.finished.contains_key(&id) && self.is_doomed(txn).await {
                let message = "aborted by a transaction that waited for it";
                return Err(Failed::Stop(error(ErrorKind::Aborted, Timestamp::ZERO, message)));
            }
        }
    }

    /// Has somebody given up the waiting transaction itself?
    async fn is_doomed(&self, txn: &TxnMeta) -> bool {
        if txn.anchor.is_empty() {
            return false;
        }
        let now = self.env.clock.now();
        let own = Holder { txn: txn.clone(), last_active: now, intent: false };
        let record = self.push(txn, &own, false).await;
        record.is_some_and(|record| record.status() == TxnStatus::Aborted)
    }

    /// Asks the anchor's lease holder about a transaction. `None`: no answer this time.
    async fn push(&self, pusher: &TxnMeta, holder: &Holder, force: bool) -> Option<TxnRecord> {
        let push = PushTxn {
            pushee: holder.txn.clone(),
            last_active: holder.last_active.raw(),
            force,
            now: self.env.clock.now().raw(),
        };
        let request = BatchRequest {
            txn: Some(pusher.clone()),
            requests: vec![Request { kind: Some(RequestKind::PushTxn(push)) }],
            ..BatchRequest::default()
        };
        let deadline = self.env.clock.monotonic() + PUSH_TIMEOUT;
        let descriptor = self.routing.lookup(holder.txn.anchor.clone(), deadline).await.ok()?;
        let payload = Bytes::from(request.encode_to_vec());
        let sent = self.routing.send(descriptor, payload, true, deadline);
        let (answer, _) = sent.await.ok()?;
        let mut answer = BatchResponse::decode(answer).ok()?;
        answer.responses.pop()?.record
    }

    /// If the holder is known to be finished: resolves its intents among `found`, and the lock on `key`.
    async fn resolve_finished(
        self: &Arc<Self>,
        range: RangeId,
        key: &Bytes,
        holder: &Holder,
        found: &[(Bytes, Intent)],
        attempt: &Attempt,
    ) -> Result<bool, Failed> {
        let id = &holder.txn.id;
        let Some(commit_ts) = attempt.finished.get(id) else { return Ok(false) };
        let of_holder = found.iter().filter(|(_, intent)| intent.txn.id == *id);
        let mut keys: Vec<Bytes> = of_holder.map(|(key, _)| key.clone()).collect();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        let commit_ts = commit_ts.map_or(0, Timestamp::raw);
        let resolve = Resolve { txn_id: id.clone(), keys, commit_ts };
        let request = BatchRequest {
            requests: vec![Request { kind: Some(RequestKind::Resolve(resolve)) }],
            ..BatchRequest::default()
        };
        self.clone().run_boxed(range, request).await.map_err(Failed::Refused)?;
        Ok(true)
    }
}

impl Attempt {
    fn learn(&mut self, id: &Bytes, record: Option<TxnRecord>) {
        let Some(record) = record else { return };
        let commit_ts = match record.status() {
            TxnStatus::Committed => Some(Timestamp::from_raw(record.commit_ts)),
            TxnStatus::Aborted => None,
            TxnStatus::Pending | TxnStatus::Unrecorded => return,
        };
        self.finished.insert(id.clone(), commit_ts);
    }
}
