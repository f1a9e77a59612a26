//! One direction between two nodes: how long a message takes, and what may befall it.

use std::time::Duration;

use kv::env::Rng;
use tokio::time::Instant;

use crate::liveness::RETRY_MAX;

/// What the network does to the messages of a directed link. Probabilities are in per mille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// Every message takes at least this.
    pub base: Duration,
    /// And a random time with this mean on top: roughly exponential, at most ten times the mean.
    pub tail: Duration,
    /// How many messages vanish.
    pub loss: u16,
    /// How many messages arrive twice.
    pub duplicate: u16,
    /// How many messages are taken out of the line and arrive later than those behind them. With zero a link
    /// delivers in the order of sending.
    pub reorder: u16,
    /// How much later at most.
    pub reorder_delay: Duration,
}

impl LinkProfile {
    /// A quiet local network: half a millisecond and a little, nothing lost, everything in order.
    pub const LAN: LinkProfile = LinkProfile {
        base: Duration::from_micros(500),
        tail: Duration::from_micros(250),
        loss: 0,
        duplicate: 0,
        reorder: 0,
        reorder_delay: Duration::ZERO,
    };

    /// A bad day: slow, lossy, repeating and out of order.
    pub const ROUGH: LinkProfile = LinkProfile {
        base: Duration::from_millis(1),
        tail: Duration::from_millis(10),
        loss: 20,
        duplicate: 20,
        reorder: 50,
        reorder_delay: Duration::from_millis(100),
    };

    fn delay(&self, rng: &dyn Rng) -> Duration {
        let unit = u64::try_from(self.tail.as_nanos() / 3 * 2).unwrap_or(u64::MAX / 32);
        if unit == 0 {
            return self.base;
        }
        // Coin tosses until the first head give the whole steps, with mean one; a uniform part fills the
        // steps. Both together have a mean of one and a half units.
        let steps = u64::from(rng.next_u64().trailing_zeros().min(10));
        let nanos = unit.saturating_mul(steps).saturating_add(rng.below(unit));
        self.base.saturating_add(Duration::from_nanos(nanos))
    }
}

impl Default for LinkProfile {
    fn default() -> Self {
        LinkProfile::LAN
    }
}

/// Messages of a link are kept in order within a lane: the real world has a connection for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Raft messages.
    Raft,
    /// Requests and answers.
    Calls,
    /// Requests that bring much, and for which nobody waits.
    Bulk,
}

/// State of one directed link.
pub(super) struct Link {
    pub(super) cut: bool,
    /// A cut that nobody is told of: nothing is refused, nothing is closed.
    pub(super) black_hole: bool,
    /// The other end was silent for too long: calls are refused until it is heard. When it is called next after this
    /// time, it is dialled, too.
    pub(super) silent_until: Option<Instant>,
    /// The other end's Raft messages were refused for its clock, and it was told so. Next after this time, as when it
    /// dials again.
    refused_until: Option<Instant>,
    pub(super) profile: LinkProfile,
    /// Raft messages under way, which are bounded.
    pub(super) raft_in_flight: usize,
    /// The latest arrival so far that keeps the order, per lane.
    last: [Option<Instant>; 3],
}

/// When a message arrives: once, twice, or not at all.
pub(super) enum Fate {
    Lost,
    Arrives(Instant),
    ArrivesTwice(Instant, Instant),
}

impl Link {
    pub(super) fn new(profile: LinkProfile) -> Self {
        Link {
            cut: false,
            black_hole: false,
            silent_until: None,
            refused_until: None,
            profile,
            raft_in_flight: 0,
            last: [None; 3],
        }
    }

    /// True iff the other end is to be told now that its Raft messages are refused: at most every [`RETRY_MAX`].
    pub(super) fn tells_refusal(&mut self) -> bool {
        let now = Instant::now();
        if self.refused_until.is_some_and(|until| now < until) {
            return false;
        }
        self.refused_until = Some(now + RETRY_MAX);
        true
    }

    /// Draws the fate of one message that is sent now.
    pub(super) fn send(&mut self, lane: Lane, rng: &dyn Rng) -> Fate {
        let profile = self.profile;
        if chance(rng, profile.loss) {
            return Fate::Lost;
        }
        let first = self.arrival(lane, rng);
        if chance(rng, profile.duplicate) {
            // The repetition is a straggler: it does not hold up the line.
            return Fate::ArrivesTwice(first, first + profile.delay(rng));
        }
        Fate::Arrives(first)
    }

    fn arrival(&mut self, lane: Lane, rng: &dyn Rng) -> Instant {
        let profile = self.profile;
        let due = Instant::now() + profile.delay(rng);
        if chance(rng, profile.reorder) {
            let extra = u64::try_from(profile.reorder_delay.as_nanos()).unwrap_or(u64::MAX);
            return due + Duration::from_nanos(rng.below(extra.max(1)));
        }
        let last = &mut self.last[lane as usize];
        let arrival = last.map_or(due, |last| last.max(due));
        *last = Some(arrival);
        arrival
    }
}

/// True `per_mille` times in a thousand. Draws nothing for zero.
pub(super) fn chance(rng: &dyn Rng, per_mille: u16) -> bool {
    per_mille > 0 && rng.below(1_000) < u64::from(per_mille)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::sim_rng;

    #[test]
    fn delays_have_roughly_the_mean_they_promise() {
        let rng = sim_rng(1, "delay");
        let profile = LinkProfile { tail: Duration::from_millis(30), ..LinkProfile::LAN };
        let total: Duration = (0..10_000).map(|_| profile.delay(&*rng) - profile.base).sum();
        let mean_us = total.as_micros() / 10_000;
        assert!((28_000..32_000).contains(&mean_us), "mean of {mean_us} us");
    }
}
