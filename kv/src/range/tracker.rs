//! The evaluations under way on a range: what may be promised of times gone by, and when a lease may be given away.
//!
//! ```text
//!  begin ──▶ slot: "I write at or above 70" ──▶ evaluated ──▶ proposed, with the slot ──▶ has its place in the log: slot gone
//!                                    60 is closed ──▶ 69 at most ─────────────────────────▶ what the lag allows
//! ```
//!
//! A timestamp is *closed* when nothing will be written at or below it any more. The lease holder's core closes one with each
//! command, in the order in which commands get their places, and says so in the command: whoever has applied it knows all
//! that there ever will be up to there. Before a lease is given away it is *revoked*: nobody begins under it any more, and
//! those who have begun are waited for.
//!
//! - I1. Whoever takes a slot writes above all that was closed before; nothing is closed at or above an open slot.
//! - I2. What is closed is never opened again: not by a lease of another's in between, either, whose commands say what it
//!   has closed.
//! - I3. Once a lease is revoked nobody takes a slot under it, and once the range is drained after that nobody has one.
//!
//! HAZARD: of a split's right side this knows only who has begun there. Whoever began on the left side before, and reads the
//! right side's keys, is kept track of by the latches of the transaction layer alone ([`crate::seam::RangeObserver`]).
//!
//! Two buckets suffice: what is in the older one holds closing up, and the younger one takes its place when it is empty. So
//! closing is late by two evaluations at most, and a slot costs two additions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::clock::Timestamp;

/// Who evaluates on a range of this store.
#[derive(Debug, Default)]
pub struct Tracker {
    open: AtomicU64,
    /// Leases through this sequence are revoked.
    revoked: AtomicU64,
    /// Somebody waits for the last slot to be given back.
    is_awaited: AtomicBool,
    left: Notify,
    writers: Mutex<Writers>,
}

#[derive(Debug, Default)]
struct Writers {
    closed: Timestamp,
    /// Number of the older bucket; the younger one has the next.
    oldest: u64,
    buckets: [Bucket; 2],
}

/// Slots, by what is known of all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// They write at or above it.
    min: Timestamp,
    count: u64,
}

/// The place of an evaluation. Given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    tracker: Arc<Tracker>,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    min: Timestamp,
    bucket: u64,
}

impl Tracker {
    /// A slot under the lease of this sequence, for an evaluation that writes at or above `min_write_ts`, or later where that
    /// is closed; or writes nothing. `None` when the lease is revoked.
    pub fn enter(self: &Arc<Self>, lease: u64, min_write_ts: Option<Timestamp>) -> Option<Slot> {
        // Counted first, and looked at then: who revokes does it the other way round.
        self.open.fetch_add(1, Ordering::SeqCst);
        let mut slot = Slot { tracker: self.clone(), writer: None };
        if self.is_revoked(lease) {
            return None;
        }
        slot.writer = min_write_ts.map(|ts| self.writers().enter(ts));
        Some(slot)
    }

    /// True iff nobody is to be served under the lease of this sequence any more, whatever it says of itself.
    pub fn is_revoked(&self, lease: u64) -> bool {
        lease <= self.revoked.load(Ordering::SeqCst)
    }

    /// Nobody begins under the lease of this sequence any more. False: that was so before.
    pub fn revoke(&self, lease: u64) -> bool {
        self.revoked.fetch_max(lease, Ordering::SeqCst) < lease
    }

    /// Takes [`Tracker::revoke`] back: the lease was not given away, and certainly will not be.
    pub fn restore(&self, lease: u64) {
        // If another was revoked meanwhile, that stays.
        let (before, order) = (lease.saturating_sub(1), Ordering::SeqCst);
        let _ = self.revoked.compare_exchange(lease, before, order, order);
    }

    /// Completes when no slot is open. To be called after [`Tracker::revoke`], by whom that has returned true.
    pub async fn drained(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
        loop {
            let left = self.left.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                self.is_awaited.store(false, Ordering::SeqCst);
                return;
            }
            left.await;
        }
    }

    /// Closes up to `target`, as far as open slots allow; says what is closed then.
    pub fn close(&self, target: Timestamp) -> Timestamp {
        let mut writers = self.writers();
        let allowed = match writers.oldest().count {
            0 => target,
            _ => target.min(writers.oldest().min.prev().unwrap_or_default()),
        };
        writers.closed = writers.closed.max(allowed);
        writers.closed
    }

    /// Somebody else, or this store in an earlier life, has closed up to `ts`.
    pub fn learn(&self, ts: Timestamp) {
        let mut writers = self.writers();
        writers.closed = writers.closed.max(ts);
    }

    fn writers(&self) -> MutexGuard<'_, Writers> {
        self.writers.lock().expect("no panic while slots are counted")
    }
}

impl Writers {
    fn oldest(&mut self) -> &mut Bucket {
        &mut self.buckets[(self.oldest % 2) as usize]
    }

    fn enter(&mut self, ts: Timestamp) -> Writer {
        let min = ts.max(self.closed.next());
        let oldest = self.oldest();
        let bucket = match oldest.count == 0 || min <= oldest.min {
            true => self.oldest,
            false => self.oldest + 1,
        };
        let place = &mut self.buckets[(bucket % 2) as usize];
        place.min = if place.count == 0 { min } else { place.min.min(min) };
        place.count += 1;
        Writer { min, bucket }
    }

    fn leave(&mut self, writer: &Writer) {
        self.buckets[(writer.bucket % 2) as usize].count -= 1;
        if self.oldest().count == 0 {
            self.oldest += 1;
        }
    }
}

impl Slot {
    /// What this evaluation writes, it writes at or above this. Zero for one that writes nothing.
    pub fn min_write_ts(&self) -> Timestamp {
        self.writer.as_ref().map_or(Timestamp::ZERO, |writer| writer.min)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            self.tracker.writers().leave(writer);
        }
        let others = self.tracker.open.fetch_sub(1, Ordering::SeqCst) - 1;
        if others == 0 && self.tracker.is_awaited.load(Ordering::SeqCst) {
            self.tracker.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::env::Rng;
    use crate::sim::testing::Seeded;

    fn ts(raw: u64) -> Timestamp {
        Timestamp::from_raw(raw)
    }

    #[test]
    fn nothing_is_closed_at_or_above_whoever_writes() {
        for seed in 0..200 {
            let rng = Seeded::new(seed);
            let tracker = Arc::new(Tracker::default());
            let mut slots: Vec<Slot> = Vec::new();
            let mut before = Timestamp::ZERO;
            for now in 0..200 {
                match rng.below(3) {
                    0 => {
                        let slot = tracker.enter(1, Some(ts(now.max(5) - rng.below(5)))).unwrap();
                        assert!(slot.min_write_ts() > before, "seed {seed}");
                        slots.push(slot);
                    }
                    1 if !slots.is_empty() => {
                        drop(slots.swap_remove(rng.below(slots.len() as u64) as usize));
                    }
                    _ => {
                        let closed = tracker.close(ts(now));
                        assert!(closed >= before, "seed {seed}");
                        let oldest = slots.iter().map(Slot::min_write_ts).min();
                        assert!(oldest.is_none_or(|oldest| closed < oldest), "seed {seed}");
                        before = closed;
                    }
                }
            }
            slots.clear();
            assert_eq!(tracker.close(ts(500)), ts(500), "nobody holds it up");
            assert_eq!(tracker.enter(1, Some(ts(7))).unwrap().min_write_ts(), ts(501));
            tracker.learn(ts(600));
            assert_eq!(tracker.close(ts(550)), ts(600), "what is closed stays closed");
        }
    }

    #[test]
    fn those_who_come_later_hold_up_closing_no_longer_than_two_generations() {
        let tracker = Arc::new(Tracker::default());
        let mut last = tracker.enter(1, Some(ts(1))).unwrap();
        for now in 2..100 {
            // There is always somebody.
            let next = tracker.enter(1, Some(ts(now))).unwrap();
            drop(std::mem::replace(&mut last, next));
            assert!(tracker.close(ts(now)) >= ts(now - 2));
        }
    }

    #[test]
    fn under_a_revoked_lease_nobody_begins_and_those_who_have_are_waited_for() {
        let tracker = Arc::new(Tracker::default());
        let (reader, writer) = (tracker.enter(3, None), tracker.enter(3, Some(ts(9))));
        assert!(tracker.revoke(3) && !tracker.revoke(3));
        assert!(tracker.enter(3, None).is_none() && tracker.enter(2, None).is_none());
        let mut drained = Box::pin(tracker.drained());
        assert!((&mut drained).now_or_never().is_none());
        drop(reader);
        assert!((&mut drained).now_or_never().is_none());
        drop(writer);
        assert!(drained.now_or_never().is_some());
        // The lease of another, and then the next of one's own.
        assert!(tracker.enter(5, None).is_some());
        tracker.restore(3);
        assert!(tracker.enter(3, None).is_some());
        assert!(tracker.revoke(5));
        tracker.restore(3);
        assert!(tracker.enter(5, None).is_none(), "that was another one");
    }
}
