//! A simulated node's clocks: the world's time, with an offset and a rate of its own.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kv::clock::TimeSource;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The rate of a clock that runs as fast as the world: parts per million.
pub const RATE_TRUE_PPM: u64 = 1_000_000;

/// One node's time. Survives the node's crashes, as a machine's clock does. Clones share it.
///
/// `wall = base + offset + node time`, and `monotonic = node time`, which runs at `rate` times the world's
/// time. Changing the offset moves the wall clock only; changing the rate makes nothing jump.
#[derive(Clone)]
pub struct SimTime(Arc<Inner>);

struct Inner {
    base_wall_ms: u64,
    state: Mutex<State>,
    /// Wakes sleepers after a change of the rate. Not a `watch`, which wakes in random order.
    rate_changed: Notify,
}

struct State {
    offset_ms: i64,
    rate_ppm: u64,
    /// World time of the last change of the rate.
    anchor: Instant,
    /// Node time then.
    anchor_node: Duration,
}

impl SimTime {
    /// A true clock which shows `base_wall_ms` (since the Unix epoch) now. Within the paused runtime.
    pub fn new(base_wall_ms: u64) -> Self {
        let state = State {
            offset_ms: 0,
            rate_ppm: RATE_TRUE_PPM,
            anchor: Instant::now(),
            anchor_node: Duration::ZERO,
        };
        SimTime(Arc::new(Inner {
            base_wall_ms,
            state: Mutex::new(state),
            rate_changed: Notify::new(),
        }))
    }

    /// How far the wall clock is from its base plus the node's time.
    pub fn offset_ms(&self) -> i64 {
        self.0.state().offset_ms
    }

    /// Moves the wall clock, at once.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.0.state().offset_ms = offset_ms;
    }

    /// Changes how fast the node's time runs, from now on, also for those who sleep.
    ///
    /// # Panics
    /// When the rate is zero or above a thousand times the truth: to freeze a node, pause its scope.
    pub fn set_rate_ppm(&self, rate_ppm: u64) {
        assert!((1..=1_000 * RATE_TRUE_PPM).contains(&rate_ppm), "rate out of bounds: {rate_ppm}");
        {
            let mut state = self.0.state();
            let now = Instant::now();
            state.anchor_node = state.node_time(now);
            state.anchor = now;
            state.rate_ppm = rate_ppm;
        }
        self.0.rate_changed.notify_waiters();
    }
}

impl TimeSource for SimTime {
    fn wall_ms(&self) -> u64 {
        let state = self.0.state();
        let node_ms = u64::try_from(state.node_time(Instant::now()).as_millis())
            .expect("a simulation shorter than the age of the universe");
        (self.0.base_wall_ms + node_ms).saturating_add_signed(state.offset_ms)
    }

    fn monotonic(&self) -> Duration {
        self.0.state().node_time(Instant::now())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let inner = self.0.clone();
        let deadline = inner.state().node_time(Instant::now()).saturating_add(duration);
        Box::pin(async move {
            loop {
                let mut changed = pin!(inner.rate_changed.notified());
                changed.as_mut().enable();
                let left = {
                    let state = inner.state();
                    let left = deadline.saturating_sub(state.node_time(Instant::now()));
                    state.world_time(left)
                };
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep(left) => {}
                }
            }
        })
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn node_time(&self, now: Instant) -> Duration {
        self.anchor_node + scale(now - self.anchor, self.rate_ppm, RATE_TRUE_PPM)
    }

    /// The world's time in which at least `node` of this node's time passes.
    fn world_time(&self, node: Duration) -> Duration {
        let world = scale(node, RATE_TRUE_PPM, self.rate_ppm);
        // Rounded up, or a sleeper would wake before its deadline and spin.
        if node.is_zero() { world } else { world.saturating_add(Duration::from_nanos(1)) }
    }
}

/// `duration * numerator / denominator`; saturates at 584 years.
fn scale(duration: Duration, numerator: u64, denominator: u64) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(u128::from(numerator)) / u128::from(denominator);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 1_800_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn an_offset_moves_the_wall_clock_and_not_the_monotonic_one() {
        let time = SimTime::new(BASE);
        tokio::time::sleep(Duration::from_millis(10)).await;
        time.set_offset_ms(-300);
        assert_eq!((time.wall_ms(), time.monotonic().as_millis()), (BASE + 10 - 300, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_stretches_sleep_and_moves_nothing_at_its_change() {
        let time = SimTime::new(BASE);
        let world = Instant::now();
        time.set_rate_ppm(2 * RATE_TRUE_PPM);
        time.sleep(Duration::from_secs(1)).await;
        assert_eq!(world.elapsed().as_millis(), 501);
        let before = time.monotonic();
        time.set_rate_ppm(RATE_TRUE_PPM / 2);
        assert_eq!(time.monotonic(), before);
        time.sleep(Duration::from_secs(1)).await;
        assert_eq!(world.elapsed().as_millis(), 501 + 2_001);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_feels_a_change_of_the_rate() {
        let time = SimTime::new(BASE);
        let world = Instant::now();
        let sleeper = tokio::spawn(time.sleep(Duration::from_secs(10)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        time.set_rate_ppm(9 * RATE_TRUE_PPM);
        sleeper.await.expect("the sleeper does not panic");
        assert_eq!(world.elapsed().as_millis(), 2_001);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_sleep_does_not_overflow() {
        let time = SimTime::new(BASE);
        let sleeper = time.sleep(Duration::MAX);
        assert!(tokio::time::timeout(Duration::from_secs(1), sleeper).await.is_err());
    }
}
