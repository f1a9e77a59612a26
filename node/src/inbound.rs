//! What arrives at a node: the receiving half of [`kv::env::Transport`], the same in both worlds.
//!
//! - I1. Every message between nodes carries a reading of its sender's hybrid logical clock, taken after the
//!   message was made. [`ClockGate`] admits it and moves the own clock beyond it before the message is seen.
//! - I2. A message from a clock beyond the maximum offset is refused without effect, and counted.
//! - I3. Before a node has registered its [`Inbound`], and after it was unregistered, nothing is delivered.
//! - I4. Every message says by how much its sender's clock is off the receiver's ([`ClockReading`]): a node whose clock
//!   agrees with no majority stops (`kv::clock`).
//! - I5. Whoever dials a node, or sends to it, hears its reading in a second or so, although what they send is refused and
//!   the node has nothing to say to them: the refusal says it, or what comes back on an open stream does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use kv::clock::{Clock, ClockReading, Timestamp};
use kv::ids::NodeId;
use kv::rpc::{RaftMessage, RpcRequest, RpcResponse};

/// Where a node takes what other nodes send. Implemented by the node's wiring.
pub trait Inbound: Send + Sync {
    /// Raft messages of a peer, in the order in which they arrived. Must not block.
    fn raft(&self, from: NodeId, messages: Vec<RaftMessage>);
    /// Answers one request. The future is polled in the node's task scope, and dropped with it.
    fn serve(&self, request: RpcRequest) -> BoxFuture<'static, RpcResponse>;
    /// Completes when the node cannot be relied on to answer, at once while that goes on: peers are to go elsewhere.
    fn stalled(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// The place where a node registers its [`Inbound`]; starts empty. Clones share it.
#[derive(Clone, Default)]
pub struct InboundSlot(Arc<RwLock<Option<Arc<dyn Inbound>>>>);

impl InboundSlot {
    /// From now on messages go to `inbound`.
    pub fn register(&self, inbound: Arc<dyn Inbound>) {
        self.replace(Some(inbound));
    }

    /// From now on messages are dropped.
    pub fn unregister(&self) {
        self.replace(None);
    }

    /// Who takes messages at this moment.
    pub fn get(&self) -> Option<Arc<dyn Inbound>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, inbound: Option<Arc<dyn Inbound>>) {
        // The old one is dropped after the lock: it may own whatever called us.
        let _old = std::mem::replace(
            &mut *self.0.write().unwrap_or_else(PoisonError::into_inner),
            inbound,
        );
    }
}

/// Admits messages by their clock reading (I1, I2).
pub struct ClockGate {
    clock: Clock,
    refused: AtomicU64,
}

impl ClockGate {
    /// A gate in front of the node with this clock.
    pub fn new(clock: Clock) -> Self {
        ClockGate { clock, refused: AtomicU64::new(0) }
    }

    /// The clock behind the gate.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// True iff a message that `from` sent at `ts` may be looked at. What it says of its sender's clock is noted either
    /// way: it is by messages that are refused that a wrong clock is found out (I4).
    pub fn admit(&self, from: NodeId, ts: Timestamp, reading: Option<ClockReading>) -> bool {
        if let Some(reading) = reading {
            self.clock.observe(from, reading);
        }
        match self.clock.update(ts) {
            Ok(()) => true,
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%from, %error, "message refused");
                false
            }
        }
    }

    /// How many messages were refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kv::clock::TimeSource;

    use super::*;

    struct Fixed;

    impl TimeSource for Fixed {
        fn wall_ms(&self) -> u64 {
            1_800_000_000_000
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn the_gate_moves_the_clock_ahead_and_refuses_what_is_too_far() {
        let gate = ClockGate::new(Clock::new(Arc::new(Fixed), Duration::from_millis(500)));
        let near = Timestamp::from_wall_ms(1_800_000_000_400);
        assert!(gate.admit(NodeId(2), near, None));
        assert!(gate.clock().now() > near);
        assert!(!gate.admit(NodeId(2), Timestamp::from_wall_ms(1_800_000_000_600), None));
        assert_eq!(gate.refused(), 1);
    }
}
