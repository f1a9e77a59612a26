//! Hybrid logical time.
//!
//! Promised: [`Clock::now`] never returns the same timestamp twice nor a smaller one within a process; it is
//! at least every timestamp that [`Clock::update`] accepted, and at least this node's *steady time*.
//!
//! The steady time is the wall clock's as long as that goes on as the monotonic one does. When it jumps by more than the
//! maximum offset, either way, the steady time goes on from where it was: a wrong future must not get into timestamps,
//! which never go back. Who is right is found out by the other nodes ([`peers`]):
//!
//! - C1. A jump that a majority's wall clocks have made too is followed; one that a majority's steady time contradicts is
//!   not. A node alone follows after a minute, if the clock has not come back by then.
//! - C2. After a jump ahead the node does not serve before one of the two is known ([`Clock::distrust`]): perhaps it was
//!   stopped, and its monotonic clock with it, and its leases have ended meanwhile.
//! - C3. A clock whose steady time agrees with no majority is wrong, and the node stops ([`Clock::complaint`]).
//!
//! A timestamp is 42 bits of milliseconds since hlc-gen's epoch and 22 bits of counter. hlc-gen generates;
//! the drift check is ours, because hlc-gen's has no way around it when a persisted bound is restored.
//!
//! HAZARD: uncertainty intervals, leases and the single-key guarantee all assume that no two clocks of the
//! cluster differ by more than [`Clock::max_offset`]. A message from beyond it is refused.

mod peers;
mod source;
mod timestamp;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use hlc_gen::source::ManualClock;
use hlc_gen::{HlcGenerator, HlcTimestamp};

pub use peers::ClockReading;
pub use source::TimeSource;
pub use timestamp::Timestamp;

use crate::ids::NodeId;
use peers::{Peers, difference};

/// How long the wall clock of a node alone must stay where it has jumped to.
const ALONE_PATIENCE: Duration = Duration::from_secs(60);

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
    steady: Mutex<Steady>,
    /// The generator's three steps (set physical time, update, read) must not interleave.
    hlc: Mutex<HlcGenerator<ManualClock>>,
}

/// The steady time, and what may be wrong with it.
struct Steady {
    /// What the steady time was when it last followed the wall clock, and the monotonic time then.
    anchor_ms: u64,
    anchor_at: Duration,
    /// How far the wall clock has jumped away, and when that was seen.
    jump: Option<(i64, Duration)>,
    /// The jump, if there is one, was judged: the steady time is right.
    confirmed: bool,
    peers: Peers,
}

impl Clock {
    /// A clock over `source`. `max_offset` is one value for the whole cluster.
    pub fn new(source: Arc<dyn TimeSource>, max_offset: Duration) -> Self {
        let hlc = HlcGenerator::<ManualClock>::manual(0);
        let anchor_ms = source.wall_ms();
        let steady = Steady {
            anchor_ms,
            anchor_at: source.monotonic(),
            jump: None,
            confirmed: false,
            peers: Peers::new(anchor_ms),
        };
        let (hlc, steady) = (Mutex::new(hlc), Mutex::new(steady));
        Clock(Arc::new(Inner { source, max_offset, steady, hlc }))
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

    /// Microseconds since the Unix epoch, for people to read: the milliseconds are those of [`Clock::now`], so they
    /// never go back; the rest is the physical clock's where the two agree.
    pub fn now_us(&self) -> u64 {
        let physical = self.0.source.wall_us();
        let ms = self.now().wall_ms();
        if physical / 1_000 == ms { physical } else { ms.saturating_mul(1_000) }
    }

    fn set_physical(&self, hlc: &HlcGenerator<ManualClock>) {
        let wall = self.steady_ms().max(Timestamp::ZERO.wall_ms());
        hlc.set_current_timestamp(
            i64::try_from(wall).expect("a wall clock before the year 292 million"),
        );
    }

    fn steady(&self) -> MutexGuard<'_, Steady> {
        self.0.steady.lock().expect("no panic while the steady time is held")
    }

    /// The steady time, in milliseconds of the Unix epoch.
    fn steady_ms(&self) -> u64 {
        self.follow(&mut self.steady())
    }

    /// The steady time; follows the wall clock while that does not jump.
    fn follow(&self, steady: &mut Steady) -> u64 {
        let (wall, at) = (self.0.source.wall_ms(), self.0.source.monotonic());
        let passed = at.saturating_sub(steady.anchor_at).as_millis();
        let expected = steady.anchor_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        let jump_ms = difference(wall, expected);
        let is_jump = u128::from(jump_ms.unsigned_abs()) > self.0.max_offset.as_millis();
        let since = steady.jump.map_or(at, |(_, since)| since);
        let alone = steady.peers.alone() && at.saturating_sub(since) > ALONE_PATIENCE;
        if !is_jump || alone {
            if steady.jump.take().is_some() {
                tracing::warn!(jump_ms, "the wall clock is followed again after a jump");
            }
            (steady.anchor_ms, steady.anchor_at, steady.confirmed) = (wall, at, false);
            return wall;
        }
        if steady.jump.is_none() {
            tracing::warn!(
                jump_ms,
                "the wall clock has jumped, and is not followed. Synchronize the clock (NTP, chrony)"
            );
        }
        steady.jump = Some((jump_ms, since));
        expected
    }

    /// The store's ranges are on so many nodes, this one included.
    pub fn set_members(&self, members: usize) {
        self.steady().peers.set_members(members);
    }

    /// What a message to `peer` says of this clock.
    pub fn reading_for(&self, peer: NodeId) -> ClockReading {
        let mut steady = self.steady();
        let steady_ms = self.follow(&mut steady);
        let jump_ms = steady.jump.map_or(0, |(jump, _)| jump);
        let (lead_ms, lead_course) = steady.peers.lead_of(peer);
        let course = steady.peers.course();
        ClockReading { steady_ms, jump_ms, lead_ms, course, lead_course }
    }

    /// A message from `peer` said this of its clock.
    pub fn observe(&self, peer: NodeId, reading: ClockReading) {
        let mut steady = self.steady();
        let steady_ms = self.follow(&mut steady);
        let now = self.0.source.monotonic();
        steady.peers.note(peer, reading, steady_ms, now);
        let Some((jump_ms, since)) = steady.jump else { return };
        if steady.peers.confirm_wall(jump_ms, since, now, self.0.max_offset) {
            tracing::warn!(jump_ms, "the wall clock's jump is followed: a majority shows its time");
            steady.anchor_ms = steady_ms.saturating_add_signed(jump_ms);
            (steady.anchor_at, steady.jump, steady.confirmed) = (now, None, false);
            steady.peers.forget();
        } else {
            steady.confirmed = steady.peers.confirm(since, now, self.0.max_offset);
        }
    }

    /// Why the node must not serve now, if so: C2.
    pub fn distrust(&self) -> Option<String> {
        let mut steady = self.steady();
        self.follow(&mut steady);
        match steady.jump {
            Some((jump_ms, _)) if jump_ms > 0 && !steady.confirmed && !steady.peers.alone() => {
                Some(format!("the clock of this node has jumped by {jump_ms} ms"))
            }
            _ => None,
        }
    }

    /// Why the node must stop, if so: C3.
    pub fn complaint(&self) -> Option<String> {
        let mut steady = self.steady();
        self.follow(&mut steady);
        steady.peers.complaint(self.0.source.monotonic(), self.0.max_offset)
    }

    /// Makes every later reading greater than `ts`, however far ahead: for what this node itself has promised in an
    /// earlier life, when nobody else's clock matters.
    pub fn forward(&self, ts: Timestamp) {
        forward(&self.0.hlc.lock().expect("no panic while the clock is held"), ts);
    }

    /// Makes every later reading greater than `remote`. Refuses, without effect, a timestamp that is further
    /// ahead of the steady time than the maximum offset: one broken clock must not drag the others along.
    pub fn update(&self, remote: Timestamp) -> Result<(), ClockError> {
        let wall = self.steady_ms();
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

    /// The wall clock, and the milliseconds by which the monotonic one is behind it.
    struct ManualSource(AtomicU64, AtomicU64);

    impl TimeSource for ManualSource {
        fn wall_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.wall_ms() - self.1.load(Ordering::Relaxed))
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    const T0: u64 = 1_800_000_000_000;

    fn clock() -> (Arc<ManualSource>, Clock) {
        let source = Arc::new(ManualSource(AtomicU64::new(T0), AtomicU64::new(T0 - 1_000_000)));
        (source.clone(), Clock::new(source, Duration::from_millis(500)))
    }

    impl ManualSource {
        /// The wall clock is moved, and no time passes.
        fn jump(&self, ms: i64) {
            for part in [&self.0, &self.1] {
                let moved = part.load(Ordering::Relaxed).saturating_add_signed(ms);
                part.store(moved, Ordering::Relaxed);
            }
        }

        /// Time passes on both clocks.
        fn pass(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::Relaxed);
        }
    }

    fn reading(steady_ms: u64, jump_ms: i64) -> ClockReading {
        ClockReading { steady_ms, jump_ms, ..ClockReading::default() }
    }

    #[test]
    fn a_wrong_future_does_not_get_into_timestamps() {
        let (source, clock) = clock();
        clock.set_members(3);
        clock.now();
        source.jump(45_000);
        source.pass(100);
        assert_eq!(clock.now().wall_ms(), T0 + 100);
        assert!(clock.distrust().is_some(), "it may have been asleep for 45 s");
        clock.observe(NodeId(2), reading(T0 + 100, 0));
        assert_eq!(clock.distrust(), None, "two of three say that it has not");
        assert_eq!(clock.reading_for(NodeId(2)).jump_ms, 45_000);
        source.jump(-45_000);
        source.pass(100);
        assert_eq!(clock.now().wall_ms(), T0 + 200);
        assert_eq!((clock.distrust(), clock.complaint()), (None, None));
    }

    #[test]
    fn a_step_back_does_not_stop_the_time() {
        let (source, clock) = clock();
        clock.set_members(3);
        clock.now();
        source.jump(-60_000);
        source.pass(5_000);
        assert_eq!(clock.now().wall_ms(), T0 + 5_000, "a lease must end");
        assert_eq!(clock.distrust(), None);
    }

    #[test]
    fn a_node_that_was_asleep_follows_what_the_others_show() {
        let (source, clock) = clock();
        clock.set_members(3);
        clock.now();
        // The monotonic clock stood still meanwhile.
        source.jump(3_600_000);
        assert!(clock.distrust().is_some());
        clock.observe(NodeId(3), reading(T0 + 3_600_000, 0));
        assert_eq!(clock.distrust(), None);
        assert_eq!(clock.now().wall_ms(), T0 + 3_600_000);
        // A jump of all clocks is followed by all, although nobody's steady time shows it.
        source.jump(7_200_000);
        clock.observe(NodeId(2), reading(T0 + 3_600_000, 7_200_000));
        assert_eq!(clock.now().wall_ms(), T0 + 10_800_000);
    }

    #[test]
    fn a_clock_that_agrees_with_nobody_is_wrong() {
        let (_, clock) = clock();
        clock.set_members(3);
        clock.observe(NodeId(2), reading(T0 + 700, 0));
        assert_eq!(clock.complaint(), None);
        assert_eq!(clock.reading_for(NodeId(2)).lead_ms, 700);
        // The other one has seen it the other way round; that is its own affair.
        let lead_course = clock.reading_for(NodeId(3)).course;
        clock.observe(NodeId(3), ClockReading { lead_ms: 650, lead_course, ..reading(T0, 0) });
        let said = clock.complaint().unwrap();
        assert!(said.contains("700 ms behind n2's and 650 ms ahead of n3's"), "{said}");
    }

    #[test]
    fn a_node_alone_follows_a_jump_after_a_while() {
        let (source, clock) = clock();
        clock.set_members(1);
        clock.now();
        source.jump(300_000);
        assert_eq!((clock.now().wall_ms(), clock.distrust()), (T0, None));
        source.pass(30_000);
        assert_eq!(clock.now().wall_ms(), T0 + 30_000);
        source.pass(31_000);
        assert_eq!(clock.now().wall_ms(), T0 + 361_000);
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
