//! Where physical time comes from.

use std::time::Duration;

use futures::future::BoxFuture;

/// A node's physical time and its timers. In the simulation each node's source has its own offset and rate.
pub trait TimeSource: Send + Sync {
    /// Milliseconds since the Unix epoch as this node believes; may jump either way.
    fn wall_ms(&self) -> u64;
    /// The same in microseconds, for people to read; no finer than milliseconds where the source is not.
    fn wall_us(&self) -> u64 {
        self.wall_ms().saturating_mul(1_000)
    }
    /// Time since an arbitrary start; never goes back. For timeouts only, never compared between nodes.
    fn monotonic(&self) -> Duration;
    /// Completes after `duration` of this node's time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}
