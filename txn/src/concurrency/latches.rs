//! Latches: what may be evaluated at the same time.
//!
//! Promise: between acquisition and release of a latch no conflicting request is evaluated or applied.
//!
//! Two requests conflict when spans of theirs overlap of which one is written. (Reads below a write's timestamp
//! could pass, but that timestamp is known only after evaluation.) A request waits for all conflicting ones
//! that came before it, so nobody starves and there is no cycle. A request takes all its latches at once.
//!
//! - I1. Dropping the guard, or the acquiring future, releases: requests may vanish at any await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot;

/// A span that a request reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatchSpan {
    /// First key.
    pub start: Bytes,
    /// End key, exclusive.
    pub end: Bytes,
    /// Written, or only read.
    pub write: bool,
}

/// The latches of a node.
#[derive(Clone, Debug, Default)]
pub struct Latches(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By order of arrival; held and waiting ones.
    requests: BTreeMap<u64, Request>,
}

#[derive(Debug)]
struct Request {
    spans: Arc<[LatchSpan]>,
    /// Earlier conflicting requests that are still there.
    blockers: usize,
    wake: Option<oneshot::Sender<()>>,
}

/// Held latches. Released on drop.
#[derive(Debug)]
pub struct LatchGuard {
    latches: Latches,
    number: u64,
}

impl Latches {
    /// Waits until all conflicting requests that came before are gone.
    pub async fn acquire(&self, spans: Vec<LatchSpan>) -> LatchGuard {
        let (guard, wait) = self.enter(spans.into());
        if let Some(wait) = wait {
            // The sender lives as long as the entry, and the entry as long as the guard.
            let _ = wait.await;
        }
        guard
    }

    pub(crate) fn enter(
        &self,
        spans: Arc<[LatchSpan]>,
    ) -> (LatchGuard, Option<oneshot::Receiver<()>>) {
        let mut state = self.0.lock().expect("no panic under the latches' lock");
        let number = state.next;
        state.next += 1;
        let blockers = state.requests.values().filter(|r| conflict(&r.spans, &spans)).count();
        let (wake, wait) = match blockers {
            0 => (None, None),
            _ => {
                let (wake, wait) = oneshot::channel();
                (Some(wake), Some(wait))
            }
        };
        state.requests.insert(number, Request { spans, blockers, wake });
        (LatchGuard { latches: self.clone(), number }, wait)
    }
}

impl Drop for LatchGuard {
    fn drop(&mut self) {
        let mut state = self.latches.0.lock().expect("no panic under the latches' lock");
        let Some(gone) = state.requests.remove(&self.number) else { return };
        for (_, later) in state.requests.range_mut(self.number..) {
            if later.blockers > 0 && conflict(&gone.spans, &later.spans) {
                later.blockers -= 1;
                if later.blockers == 0
                    && let Some(wake) = later.wake.take()
                {
                    let _ = wake.send(());
                }
            }
        }
    }
}

fn conflict(a: &[LatchSpan], b: &[LatchSpan]) -> bool {
    a.iter().any(|a| b.iter().any(|b| (a.write || b.write) && a.start < b.end && b.start < a.end))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn span(start: &'static str, end: &'static str, write: bool) -> Vec<LatchSpan> {
        vec![LatchSpan { start: start.into(), end: end.into(), write }]
    }

    #[test]
    fn reads_share_and_a_write_waits_its_turn() {
        let latches = Latches::default();
        let read = latches.acquire(span("a", "c", false)).now_or_never().unwrap();
        let shared = latches.acquire(span("b", "d", false)).now_or_never().unwrap();
        let mut write = Box::pin(latches.acquire(span("b", "b\0", true)));
        assert!(write.as_mut().now_or_never().is_none());
        // First come, first served: a later read does not pass the waiting write, one elsewhere does.
        let mut late = Box::pin(latches.acquire(span("a", "c", false)));
        assert!(late.as_mut().now_or_never().is_none());
        assert!(latches.acquire(span("x", "y", true)).now_or_never().is_some());
        drop(read);
        assert!(write.as_mut().now_or_never().is_none());
        drop(shared);
        let write = write.now_or_never().unwrap();
        assert!(late.as_mut().now_or_never().is_none());
        drop(write);
        assert!(late.now_or_never().is_some());
    }

    #[test]
    fn a_vanished_request_releases_its_latches_held_or_not() {
        let latches = Latches::default();
        let held = latches.acquire(span("a", "b", true)).now_or_never().unwrap();
        let mut waiting = Box::pin(latches.acquire(span("a", "b", true)));
        assert!(waiting.as_mut().now_or_never().is_none());
        let mut last = Box::pin(latches.acquire(span("a", "b", true)));
        assert!(last.as_mut().now_or_never().is_none());
        drop(waiting);
        drop(held);
        assert!(last.now_or_never().is_some());
        assert!(latches.0.lock().unwrap().requests.is_empty());
    }
}
