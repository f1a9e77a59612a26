//! A proposal on its way, with the latches that must outlive it.
//!
//! - I1. Latches are held until the batch is applied here, or certainly never will be, even if the request
//!   that proposed it has been dropped: whoever is evaluated after must see it. A dropped [`InFlight`] hands
//!   its rest to a task of the node.
//! - I2. After an unknown outcome the latches stay until the lease under which the batch was evaluated has
//!   changed hands, or has passed its expiration as the evaluation knew it: by then the Raft log has settled
//!   whether the batch is in it, and a lease holder serves only with the log applied.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kv::env::TaskScope;
use kv::ids::RangeId;
use kv::seam::ProposeError;

use crate::concurrency::LatchGuard;

/// Longest time that latches are kept after an unknown outcome.
const MAX_QUARANTINE: Duration = Duration::from_secs(60);

/// A proposal that runs to its end even when nobody waits for it any more.
pub(super) struct InFlight {
    work: Option<BoxFuture<'static, Result<(), ProposeError>>>,
    tasks: Arc<dyn TaskScope>,
}

impl InFlight {
    pub(super) fn new(
        work: BoxFuture<'static, Result<(), ProposeError>>,
        tasks: Arc<dyn TaskScope>,
    ) -> Self {
        InFlight { work: Some(work), tasks }
    }
}

impl Future for InFlight {
    type Output = Result<(), ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.work.as_mut().expect("not polled after it is done");
        let result = std::task::ready!(work.poll_unpin(cx));
        self.work = None;
        Poll::Ready(result)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.tasks.spawn("finish-proposal", work.map(drop).boxed());
        }
    }
}

/// Latches of batches with an unknown outcome.
#[derive(Default)]
pub(super) struct Quarantine(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    next: u64,
    guards: BTreeMap<(RangeId, u64), Vec<LatchGuard>>,
}

impl Quarantine {
    /// Keeps latches of a range; returns their number.
    pub(super) fn keep(&self, range: RangeId, guards: Vec<LatchGuard>) -> u64 {
        let mut kept = self.0.lock().expect("no panic under the quarantine's lock");
        kept.next += 1;
        let number = kept.next;
        kept.guards.insert((range, number), guards);
        number
    }

    /// Releases some latches.
    pub(super) fn release(&self, range: RangeId, number: u64) {
        let released = {
            let mut kept = self.0.lock().expect("no panic under the quarantine's lock");
            kept.guards.remove(&(range, number))
        };
        drop(released);
    }

    /// Releases all latches of a range: its lease has changed hands.
    pub(super) fn release_range(&self, range: RangeId) {
        let released = {
            let mut kept = self.0.lock().expect("no panic under the quarantine's lock");
            let after = kept.guards.split_off(&(RangeId(range.0.saturating_add(1)), 0));
            let mut of_range = kept.guards.split_off(&(range, 0));
            kept.guards.extend(after);
            std::mem::take(&mut of_range)
        };
        drop(released);
    }
}

/// How long the latches stay, given what is left of the lease.
pub(super) fn quarantine_time(left_ms: u64) -> Duration {
    Duration::from_millis(left_ms.saturating_add(1)).min(MAX_QUARANTINE)
}
