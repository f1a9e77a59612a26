//! The operating system's clocks.

use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
use kv::clock::TimeSource;

/// Wall clock, monotonic clock and tokio's timers.
pub struct RealTime {
    start: Instant,
}

impl RealTime {
    /// A source whose monotonic time begins now.
    #[expect(clippy::new_without_default, reason = "reading the clock is not a default")]
    pub fn new() -> Self {
        RealTime { start: Instant::now() }
    }
}

impl TimeSource for RealTime {
    fn wall_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970; the handshake with any other node refuses it.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn wall_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
