//! What is known of the other nodes' clocks, and whether the own one may be trusted.
//!
//! Every message says what its sender's clock shows, and by how much the receiver's is ahead of it as far as the sender
//! has seen. A message takes time and never less than none, so each is a lower bound: a clock that seems ahead is. Both
//! directions together find an offset of either sign, without any measuring of round trips; a slow network hides an
//! offset for as long as it is slow, but makes up none.
//!
//! - P1. A clock that does not agree with a majority of the cluster's nodes, itself included, is wrong: its node stops.
//!   Those in agreement go on, also when others of them are down.
//! - P2. Agreement ends at [`TOLERATED_PERCENT`] of the maximum offset: the node stops before the promise is broken.
//! - P3. What was seen before a jump of the own clock, in an earlier life of its node, or too long ago, says nothing. So a
//!   node numbers the *courses* of its clock, and whoever tells it of its lead says which one was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::NodeId;

/// Beyond this share of the maximum offset a node stops itself.
const TOLERATED_PERCENT: u64 = 80;
/// Observations older than this do not count. Peers show themselves twice a second on a stream, and every second or so
/// in refusing one.
const FRESH: Duration = Duration::from_secs(5);

/// What a message says of clocks, beside its hybrid reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// What the sender goes by, in milliseconds of the Unix epoch.
    pub steady_ms: u64,
    /// How far the sender's wall clock is ahead of that: a jump that it does not follow.
    pub jump_ms: i64,
    /// How far the receiver's clock is ahead of the sender's, at least, as the sender has seen it.
    pub lead_ms: i64,
    /// The course of the sender's clock: another one after each start, and each jump that was followed.
    pub course: u64,
    /// The course of the receiver's clock of which the lead was seen; zero is none.
    pub lead_course: u64,
}

struct Seen {
    at: Duration,
    course: u64,
    /// How far the peer is ahead, at least.
    ahead_ms: i64,
    /// How far the peer's wall clock is ahead of the own steady time.
    wall_ahead_ms: i64,
    /// How far the own clock is ahead, at least; the smallest number if the peer has not seen this course of it.
    behind_ms: i64,
}

/// The other nodes' clocks.
#[derive(Default)]
pub(super) struct Peers {
    /// Nodes of the cluster, this one included; zero while unknown.
    members: usize,
    /// Of the own clock.
    course: u64,
    seen: BTreeMap<NodeId, Seen>,
}

impl Peers {
    /// Nobody is known, and nobody has seen the own clock since `start_ms`.
    pub(super) fn new(start_ms: u64) -> Self {
        Peers { course: start_ms, ..Peers::default() }
    }

    pub(super) fn course(&self) -> u64 {
        self.course
    }

    pub(super) fn set_members(&mut self, members: usize) {
        self.members = members;
    }

    /// True iff nobody else's time matters.
    pub(super) fn alone(&self) -> bool {
        self.members <= 1
    }

    /// Notes a peer's reading, given what the own clock goes by at a moment of the monotonic one.
    pub(super) fn note(
        &mut self,
        peer: NodeId,
        reading: ClockReading,
        steady_ms: u64,
        at: Duration,
    ) {
        let ahead_ms = difference(reading.steady_ms, steady_ms);
        let wall_ahead_ms = ahead_ms.saturating_add(reading.jump_ms);
        let is_known = reading.lead_course == self.course;
        let behind_ms = if is_known { reading.lead_ms } else { i64::MIN };
        let seen = Seen { at, course: reading.course, ahead_ms, wall_ahead_ms, behind_ms };
        self.seen.insert(peer, seen);
    }

    /// How far a peer is ahead, at least, as far as is known, and in which course of its clock.
    pub(super) fn lead_of(&self, peer: NodeId) -> (i64, u64) {
        self.seen.get(&peer).map_or((0, 0), |seen| (seen.ahead_ms, seen.course))
    }

    /// The own clock goes by another time now: P3.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
        self.course += 1;
    }

    /// True iff a majority of the nodes, this one included, agrees with the own steady time, as seen since `since`.
    pub(super) fn confirm(&self, since: Duration, now: Duration, max_offset: Duration) -> bool {
        let tolerated = tolerated_ms(max_offset);
        let agree = self.fresh(since, now).filter(|(_, seen)| !seen.is_off(tolerated)).count();
        self.is_majority(agree + 1)
    }

    /// As [`Peers::confirm`], for a wall clock that is ahead of the steady time.
    pub(super) fn confirm_wall(
        &self,
        jump_ms: i64,
        since: Duration,
        now: Duration,
        max_offset: Duration,
    ) -> bool {
        let tolerated = tolerated_ms(max_offset);
        let agrees = |seen: &Seen| {
            seen.wall_ahead_ms.saturating_sub(jump_ms).unsigned_abs() <= tolerated.unsigned_abs()
        };
        let agree = self.fresh(since, now).filter(|(_, seen)| agrees(seen)).count();
        self.is_majority(agree + 1)
    }

    /// Why the own clock is wrong, if it is (P1).
    pub(super) fn complaint(&self, now: Duration, max_offset: Duration) -> Option<String> {
        let tolerated = tolerated_ms(max_offset);
        let off: Vec<(&NodeId, &Seen)> =
            self.fresh(Duration::ZERO, now).filter(|(_, seen)| seen.is_off(tolerated)).collect();
        if self.alone() || off.is_empty() || self.is_majority(self.members - off.len()) {
            return None;
        }
        let each: Vec<String> = off
            .iter()
            .map(|(peer, seen)| match seen.behind_ms > seen.ahead_ms {
                true => format!("{} ms ahead of {peer}'s", seen.behind_ms),
                false => format!("{} ms behind {peer}'s", seen.ahead_ms),
            })
            .collect();
        Some(format!(
            "the clock of this node is {}, of at most {} ms in a cluster",
            each.join(" and "),
            max_offset.as_millis()
        ))
    }

    fn is_majority(&self, nodes: usize) -> bool {
        nodes * 2 > self.members
    }

    fn fresh(
        &self,
        since: Duration,
        now: Duration,
    ) -> impl Iterator<Item = (&NodeId, &Seen)> + use<'_> {
        let since = since.max(now.saturating_sub(FRESH));
        self.seen.iter().filter(move |(_, seen)| seen.at >= since)
    }
}

impl Seen {
    fn is_off(&self, tolerated_ms: i64) -> bool {
        self.ahead_ms.max(self.behind_ms) > tolerated_ms
    }
}

fn tolerated_ms(max_offset: Duration) -> i64 {
    i64::try_from(max_offset.as_millis() as u64 * TOLERATED_PERCENT / 100).unwrap_or(i64::MAX)
}

/// `a - b`, cut to what fits.
pub(super) fn difference(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a >= b { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_OFFSET: Duration = Duration::from_millis(500);
    const NOW: Duration = Duration::from_secs(100);
    const T0: u64 = 1_800_000_000_000;

    /// A node among `members`, which has seen its peers so far ahead (and, negative, so far behind).
    fn peers(members: usize, offsets: &[i64]) -> Peers {
        let mut peers = Peers::default();
        peers.set_members(members);
        for (n, offset) in offsets.iter().enumerate() {
            // What is behind is seen by the peer, since its messages take time.
            let reading = ClockReading {
                steady_ms: T0.saturating_add_signed(*offset),
                jump_ms: 0,
                lead_ms: -offset,
                course: 1,
                lead_course: 0,
            };
            peers.note(NodeId(n as u64 + 2), reading, T0, NOW);
        }
        peers
    }

    fn is_wrong(members: usize, offsets: &[i64]) -> bool {
        peers(members, offsets).complaint(NOW, MAX_OFFSET).is_some()
    }

    #[test]
    fn a_clock_is_wrong_when_it_agrees_with_no_majority() {
        assert!(!is_wrong(3, &[400, -400]), "up to four fifths is tolerated");
        assert!(!is_wrong(3, &[401, 0]), "the other one is wrong");
        assert!(is_wrong(3, &[401, 401]) && is_wrong(3, &[-45_000, -45_000]));
        assert!(!is_wrong(3, &[2_000]), "one is down: nobody knows who of the two is wrong");
        assert!(!is_wrong(5, &[401, -401, 0, 0]) && is_wrong(5, &[401, -401, 900, 0]));
        assert!(is_wrong(2, &[-401]), "of two both stop");
        assert!(!is_wrong(1, &[]) && !is_wrong(0, &[5_000]));
    }

    #[test]
    fn it_says_by_how_much_and_what_was_seen_long_ago_says_nothing() {
        let peers = peers(3, &[-612, -45_000]);
        let said = peers.complaint(NOW, MAX_OFFSET).unwrap();
        assert!(said.contains("612 ms ahead of n2's and 45000 ms ahead of n3's"), "{said}");
        assert_eq!(peers.complaint(NOW + FRESH * 2, MAX_OFFSET), None);
    }

    #[test]
    fn what_was_seen_of_an_earlier_life_says_nothing() {
        let mut peers = Peers::new(T0);
        peers.set_members(3);
        for lead_course in [T0 - 1, T0] {
            for peer in [2, 3] {
                let reading = ClockReading {
                    steady_ms: T0,
                    jump_ms: 0,
                    lead_ms: 900,
                    course: 7,
                    lead_course,
                };
                peers.note(NodeId(peer), reading, T0, NOW);
            }
            assert_eq!(peers.complaint(NOW, MAX_OFFSET).is_some(), lead_course == T0);
        }
        peers.forget();
        assert_eq!((peers.complaint(NOW, MAX_OFFSET), peers.course()), (None, T0 + 1));
    }

    #[test]
    fn a_jump_is_judged_by_what_was_seen_since() {
        let peers = peers(3, &[3_600_000, 10]);
        assert!(peers.confirm(NOW, NOW, MAX_OFFSET), "one agrees with the steady time");
        assert!(peers.confirm_wall(3_600_100, NOW, NOW, MAX_OFFSET), "and one with the wall");
        let later = NOW + Duration::from_millis(1);
        assert!(!peers.confirm(later, later, MAX_OFFSET));
        assert!(!peers.confirm_wall(3_600_100, later, later, MAX_OFFSET));
    }
}
