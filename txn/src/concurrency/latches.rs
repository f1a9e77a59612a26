//! Latches: what may be evaluated at the same time.
//!
//! Promise: between acquisition and release of a latch no conflicting request is evaluated or applied.
//!
//! Two requests conflict when spans of theirs overlap of which one is written. (Reads below a write's timestamp
//! could pass, but that timestamp is known only after evaluation.) A request waits for all conflicting ones
//! that came before it, so nobody starves and there is no cycle. A request takes all its latches at once.
//!
//! - I1. Dropping the guard, or the acquiring future, releases: requests may vanish at any await.
//!
//! A bulk load has thousands of spans in a request and several requests on their way: whether two of them conflict is
//! found by walking both in order, never by comparing all pairs.

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

/// The spans of a request: two lists, each ascending and without overlaps.
#[derive(Debug, Default)]
struct Footprint {
    reads: Vec<(Bytes, Bytes)>,
    writes: Vec<(Bytes, Bytes)>,
}

#[derive(Debug)]
struct Request {
    spans: Arc<Footprint>,
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
        let (guard, wait) = self.enter(&spans);
        if let Some(wait) = wait {
            // The sender lives as long as the entry, and the entry as long as the guard.
            let _ = wait.await;
        }
        guard
    }

    pub(crate) fn enter(&self, spans: &[LatchSpan]) -> (LatchGuard, Option<oneshot::Receiver<()>>) {
        let spans = Arc::new(Footprint::of(spans));
        let mut state = self.0.lock().expect("no panic under the latches' lock");
        let number = state.next;
        state.next += 1;
        let blockers = state.requests.values().filter(|r| r.spans.conflicts(&spans)).count();
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
            if later.blockers > 0 && gone.spans.conflicts(&later.spans) {
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

impl Footprint {
    fn of(spans: &[LatchSpan]) -> Self {
        let of_kind = |write| {
            let chosen = spans.iter().filter(|span| span.write == write);
            let mut chosen: Vec<_> =
                chosen.map(|span| (span.start.clone(), span.end.clone())).collect();
            chosen.sort_unstable();
            chosen.dedup_by(|next, last| {
                let overlaps = next.0 < last.1;
                if overlaps && last.1 < next.1 {
                    last.1 = next.1.clone();
                }
                overlaps
            });
            chosen
        };
        Footprint { reads: of_kind(false), writes: of_kind(true) }
    }

    fn conflicts(&self, other: &Footprint) -> bool {
        overlap(&self.writes, &other.writes)
            || overlap(&self.writes, &other.reads)
            || overlap(&self.reads, &other.writes)
    }
}

/// Both ascend and have no overlaps within. Skips by bisection whatever lies before the other's next span.
fn overlap(mut a: &[(Bytes, Bytes)], mut b: &[(Bytes, Bytes)]) -> bool {
    while let (Some(first), Some(other)) = (a.first(), b.first()) {
        if first.1 <= other.0 {
            a = &a[a.partition_point(|(_, end)| *end <= other.0)..];
        } else if other.1 <= first.0 {
            b = &b[b.partition_point(|(_, end)| *end <= first.0)..];
        } else {
            return true;
        }
    }
    false
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
    fn a_conflict_is_what_comparing_all_pairs_finds() {
        use crate::testing::TestRng;
        use kv::env::Rng;
        let rng = TestRng::new(3);
        let spans = || -> Vec<LatchSpan> {
            let span = |_| {
                let start = b'a' + rng.below(20) as u8;
                let end = start + 1 + rng.below(3) as u8;
                let (start, end) = (vec![start].into(), vec![end].into());
                LatchSpan { start, end, write: rng.below(3) == 0 }
            };
            (0..rng.below(5)).map(span).collect()
        };
        for _ in 0..5_000 {
            let (a, b) = (spans(), spans());
            let meets = |a: &LatchSpan, b: &LatchSpan| {
                (a.write || b.write) && a.start < b.end && b.start < a.end
            };
            let expected = a.iter().any(|a| b.iter().any(|b| meets(a, b)));
            assert_eq!(Footprint::of(&a).conflicts(&Footprint::of(&b)), expected, "{a:?} {b:?}");
        }
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
