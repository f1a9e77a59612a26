//! Hybrid logical time.
//!
//! Promised: [`Clock::now`] never returns the same timestamp twice nor a smaller one within a process; it is
//! at least every timestamp that [`Clock::update`] accepted, and at least this node's physical time.
//!
//! A timestamp is 42 bits of milliseconds since hlc-gen's epoch and 22 bits of counter. hlc-gen generates;
//! the drift check is ours, because hlc-gen's has no way around it when a persisted bound is restored.
//!
//! HAZARD: uncertainty intervals, leases and the single-key guarantee all assume that no two clocks of the
//! cluster differ by more than [`Clock::max_offset`]. A message from beyond it is refused.

mod timestamp;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use hlc_gen::source::ManualClock;
use hlc_gen::{HlcGenerator, HlcTimestamp};

pub use timestamp::Timestamp;

use crate::env::TimeSource;

/// A remote timestamp lies too far ahead of this node's physical clock to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("remote clock is {ahead_ms} ms ahead, more than the maximum offset of {max_offset_ms} ms")]
pub struct ClockError {
    /// How far ahead, in milliseconds.
    pub ahead_ms: u64,
    /// The bound, in milliseconds.
    pub max_offset_ms: u64,
}

/// A node's hybrid logical clock and its timers. Cheap to clone; clones share the state.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Arc<dyn TimeSource>,
    max_offset: Duration,
    /// The generator's three steps (set physical time, update, read) must not interleave.
    hlc: Mutex<HlcGenerator<ManualClock>>,
}

impl Clock {
    /// A clock over `source`. `max_offset` is one value for the whole cluster.
    pub fn new(source: Arc<dyn TimeSource>, max_offset: Duration) -> Self {
        let hlc = HlcGenerator::<ManualClock>::manual(0);
        Clock(Arc::new(Inner { source, max_offset, hlc: Mutex::new(hlc) }))
    }

    /// The largest difference between any two clocks of the cluster.
    pub fn max_offset(&self) -> Duration {
        self.0.max_offset
    }

    /// A new timestamp, greater than every earlier one of this clock.
    pub fn now(&self) -> Timestamp {
        let hlc = self.0.hlc.lock().expect("no panic while the clock is held");
        self.set_physical(&hlc);
        // A physical clock that went back is ignored: the generator keeps the larger reading.
        match hlc.next_timestamp() {
            Some(ts) => Timestamp::from_raw(ts.as_u64()),
            // 2^22 readings within one millisecond: borrow from the next.
            None => {
                let next = Timestamp::from_raw(hlc.timestamp().as_u64()).next_millisecond();
                forward(&hlc, next);
                Timestamp::from_raw(hlc.timestamp().as_u64())
            }
        }
    }

    fn set_physical(&self, hlc: &HlcGenerator<ManualClock>) {
        let wall = self.0.source.wall_ms().max(Timestamp::ZERO.wall_ms());
        hlc.set_current_timestamp(
            i64::try_from(wall).expect("a wall clock before the year 292 million"),
        );
    }

    /// Makes every later reading greater than `remote`. Refuses, without effect, a timestamp that is further
    /// ahead of the physical clock than the maximum offset: one broken clock must not drag the others along.
    pub fn update(&self, remote: Timestamp) -> Result<(), ClockError> {
        let wall = self.0.source.wall_ms();
        let max_offset_ms = self.0.max_offset.as_millis() as u64;
        let ahead_ms = remote.wall_ms().saturating_sub(wall);
        if ahead_ms > max_offset_ms {
            return Err(ClockError { ahead_ms, max_offset_ms });
        }
        let hlc = self.0.hlc.lock().expect("no panic while the clock is held");
        self.set_physical(&hlc);
        forward(&hlc, remote);
        Ok(())
    }

    /// Time since an arbitrary start, for timeouts on this node.
    pub fn monotonic(&self) -> Duration {
        self.0.source.monotonic()
    }

    /// Completes after `duration` of this node's time.
    pub fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.source.sleep(duration)
    }

    /// `future`'s output, or `None` when `limit` of this node's time passes first.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let future = std::pin::pin!(future);
        match futures::future::select(future, self.sleep(limit)).await {
            futures::future::Either::Left((value, _)) => Some(value),
            futures::future::Either::Right(_) => None,
        }
    }
}

/// Makes the generator's state at least `to`; a full counter moves on to the next millisecond.
fn forward(hlc: &HlcGenerator<ManualClock>, to: Timestamp) {
    let state = |ts: Timestamp| {
        HlcTimestamp::from_parts(ts.wall_ms() as i64, ts.counter())
            .expect("a timestamp has 42 bits of milliseconds and 22 of counter")
    };
    if hlc.update(&state(to)).is_err() {
        let base = to.max(Timestamp::from_raw(hlc.timestamp().as_u64()));
        hlc.update(&state(base.next_millisecond()))
            .expect("the counter starts anew in a later millisecond");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct ManualSource(AtomicU64);

    impl TimeSource for ManualSource {
        fn wall_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.wall_ms())
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    const T0: u64 = 1_800_000_000_000;

    fn clock() -> (Arc<ManualSource>, Clock) {
        let source = Arc::new(ManualSource(AtomicU64::new(T0)));
        (source.clone(), Clock::new(source, Duration::from_millis(500)))
    }

    #[test]
    fn readings_increase_while_the_physical_clock_stands_still_or_goes_back() {
        let (source, clock) = clock();
        let first = clock.now();
        assert_eq!(first.wall_ms(), T0);
        assert!(clock.now() > first);
        source.0.store(T0 - 1_000, Ordering::Relaxed);
        let second = clock.now();
        assert!(second > first && second.wall_ms() == T0);
    }

    #[test]
    fn a_full_counter_borrows_from_the_next_millisecond() {
        let (_, clock) = clock();
        let full = clock.now().next_millisecond().prev().expect("not zero");
        clock.update(full).expect("within the offset");
        assert!(clock.now() > full);
        assert_eq!(clock.now().wall_ms(), T0 + 1);
    }

    #[test]
    fn an_update_beyond_the_maximum_offset_is_refused_without_effect() {
        let (_, clock) = clock();
        let near = Timestamp::from_wall_ms(T0 + 500);
        clock.update(near).expect("exactly the offset is allowed");
        assert!(clock.now() > near);
        let far = Timestamp::from_wall_ms(T0 + 501);
        assert_eq!(clock.update(far), Err(ClockError { ahead_ms: 501, max_offset_ms: 500 }));
        assert!(clock.now() < far);
    }
}
