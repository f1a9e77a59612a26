//! Transactions' signs of life, while they hold something that others may wait for.
//!
//! Most transactions end before their first beat is due, so what they cost until then is a place in a queue: one task looks
//! at it when the first beat of all is due, and is there only while somebody waits. A transaction whose beat is due gets a
//! task of its own. That ends when its handle is dropped, when the anchor says that the transaction is finished, or with
//! its node. A beat that is still on its way then does no harm: no record is created for a transaction that ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::{Either, FutureExt, select};
use tokio::sync::Notify;

use super::error::TxnError;
use super::sender::{Sender, request};
use crate::api::{
    BatchRequest, BatchResponse, ErrorKind, Heartbeat, RequestKind, TxnMeta, TxnStatus,
};

/// When a first beat is due (by the monotonic clock), and a number that tells those apart that are due together.
type Due = (Duration, u64);

/// The transactions of a gateway whose first beat is not due yet.
#[derive(Default)]
pub(crate) struct Pulses(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<Due, (TxnMeta, Arc<Signs>)>,
    /// There is a task that looks at them.
    is_watched: bool,
}

/// What a transaction and its heartbeat tell each other.
#[derive(Default)]
struct Signs {
    /// Another transaction, or the anchor's lease holder, has aborted it.
    aborted: AtomicBool,
    /// It needs no further beats.
    ended: AtomicBool,
    changed: Notify,
}

impl Signs {
    fn set(&self, sign: &AtomicBool) {
        sign.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    async fn until(&self, sign: &AtomicBool) {
        loop {
            // Before the look, or a change between look and wait would be missed.
            let changed = self.changed.notified();
            if sign.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

impl Pulses {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().expect("no panic under this lock")
    }

    /// Gives those whose first beat is due tasks of their own. Ends when nobody waits.
    async fn watch(sender: Sender) {
        let clock = &sender.env.clock;
        loop {
            let first = {
                let mut queue = sender.pulses.queue();
                let first = queue.waiting.keys().next().copied();
                queue.is_watched = first.is_some();
                first
            };
            let Some((due, _)) = first else { return };
            clock.sleep(due.saturating_sub(clock.monotonic())).await;
            let now = clock.monotonic();
            let due = {
                let mut queue = sender.pulses.queue();
                let later = queue.waiting.split_off(&(now, u64::MAX));
                std::mem::replace(&mut queue.waiting, later)
            };
            for (meta, signs) in due.into_values() {
                let sender_of_beats = sender.clone();
                let beats = async move {
                    let beats = std::pin::pin!(beat(sender_of_beats, meta, &signs));
                    // The end comes first: no beat begins after it.
                    select(std::pin::pin!(signs.until(&signs.ended)), beats).await;
                };
                sender.env.tasks.spawn("txn-heartbeat", beats.boxed());
            }
        }
    }
}

/// Keeps a transaction alive until it is dropped.
pub(crate) struct Pulse {
    pulses: Arc<Pulses>,
    due: Due,
    signs: Arc<Signs>,
}

impl Pulse {
    /// The first beat is due in an interval. The anchor must be set for good.
    pub(crate) fn start(sender: &Sender, meta: TxnMeta) -> Self {
        let signs = Arc::new(Signs::default());
        let due = sender.deadline_in(sender.config.heartbeat_interval);
        let (due, is_watched) = {
            let mut queue = sender.pulses.queue();
            queue.next += 1;
            let due = (due, queue.next);
            queue.waiting.insert(due, (meta, signs.clone()));
            (due, std::mem::replace(&mut queue.is_watched, true))
        };
        if !is_watched {
            sender.env.tasks.spawn("txn-pulses", Pulses::watch(sender.clone()).boxed());
        }
        Pulse { pulses: sender.pulses.clone(), due, signs }
    }

    /// Another transaction, or the anchor's lease holder, has aborted this one.
    pub(crate) fn is_aborted(&self) -> bool {
        self.signs.aborted.load(Ordering::SeqCst)
    }

    /// `future`'s output, unless the transaction is aborted first: whoever waits for a lock must hear of it.
    pub(crate) async fn unless_aborted<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, TxnError> {
        let abort = std::pin::pin!(self.signs.until(&self.signs.aborted));
        match select(std::pin::pin!(future), abort).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(_) => Err(aborted_error()),
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.signs.set(&self.signs.ended);
        self.pulses.queue().waiting.remove(&self.due);
    }
}

/// What an operation of an aborted transaction returns.
pub(crate) fn aborted_error() -> TxnError {
    TxnError::retry("the transaction was aborted by another")
}

/// Beats, and once an interval again.
async fn beat(sender: Sender, meta: TxnMeta, signs: &Signs) {
    let interval = sender.config.heartbeat_interval;
    loop {
        let now = sender.env.clock.now().raw();
        let batch = BatchRequest {
            txn: Some(meta.clone()),
            requests: vec![request(RequestKind::Heartbeat(Heartbeat { now }))],
            ..BatchRequest::default()
        };
        let deadline = sender.deadline_in(interval);
        let sent = sender.send_to_key(&meta.anchor, Arc::new(batch), true, deadline);
        match sent.await.ok().and_then(|answer| status(&answer.response)) {
            Some(TxnStatus::Aborted) => return signs.set(&signs.aborted),
            Some(TxnStatus::Committed) => return,
            Some(TxnStatus::Pending | TxnStatus::Unrecorded) | None => {}
        }
        sender.env.clock.sleep(interval).await;
    }
}

/// What a request to the anchor says of the transaction, if anything.
pub(crate) fn status(response: &BatchResponse) -> Option<TxnStatus> {
    if let Some(error) = &response.error {
        return (error.kind == ErrorKind::Aborted as i32).then_some(TxnStatus::Aborted);
    }
    let record = response.responses.first()?.record.as_ref()?;
    TxnStatus::try_from(record.status).ok()
}
