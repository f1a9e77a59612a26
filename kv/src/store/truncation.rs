//! How much of its log a leader keeps for the others.
//!
//! - T1. What is not applied here stays; so does what a store's engine is not durable with, which each store sees to by itself
//!   (I4 of `kv::log`).
//! - T2. A replica that follows keeps what it lacks, and so does one to which a snapshot is on its way, from the snapshot on: but
//!   no more than [`Bounds::patience`] times the bounds.
//! - T3. One of which the leader does not know yet what it has keeps everything for so many looks; then it counts as gone.
//! - T4. One that is gone keeps nothing once the log is beyond its bounds. It gets a snapshot when it is back.
//! - T5. A log that is within its bounds is left alone, until what it has is old: then what nobody needs goes.

use crate::raft::{Follower, FollowerState};
use crate::store::StoreConfig;

/// See [`Bounds`].
const PATIENCE: u64 = 4;
/// Ten minutes of a second each.
const LOOKS: u64 = 600;
const PROBING_LOOKS: u64 = 10;

/// Bounds of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// How many times its bounds a log may have for replicas that are there and slow.
    pub(crate) patience: u64,
    /// Looks for which a log within its bounds is left alone.
    pub(crate) looks: u64,
    /// Looks after which a replica of which nothing is known counts as gone.
    pub(crate) probing_looks: u64,
}

impl Bounds {
    /// As a store's settings have them.
    pub(crate) fn of(config: &StoreConfig) -> Bounds {
        Bounds {
            entries: config.log_entries_max,
            bytes: config.log_bytes_max,
            patience: PATIENCE,
            looks: LOOKS,
            probing_looks: PROBING_LOOKS,
        }
    }
}

/// What a log has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Index of the entry before the first.
    pub(crate) truncated: u64,
    pub(crate) applied: u64,
    /// Bytes of its entries, about.
    pub(crate) bytes: u64,
    /// Looks since it was truncated last.
    pub(crate) looks: u64,
}

impl Length {
    /// True iff the log has so many times its bounds.
    pub(crate) fn is_beyond(&self, bounds: &Bounds, times: u64) -> bool {
        let entries = self.applied.saturating_sub(self.truncated);
        entries >= bounds.entries.saturating_mul(times)
            || self.bytes >= bounds.bytes.saturating_mul(times)
    }
}

/// The last index that may go now, if some may and it is worth it. `probed` says for how many looks a replica's state has not
/// been known.
pub(crate) fn cut(
    bounds: &Bounds,
    length: &Length,
    followers: impl Iterator<Item = (Follower, u64)>,
) -> Option<u64> {
    let is_beyond = |times| length.is_beyond(bounds, times);
    let is_old = length.looks >= bounds.looks;
    if !is_beyond(1) && !is_old {
        return None;
    }
    let is_patient = !is_beyond(bounds.patience);
    let needs = |(follower, probed): (Follower, u64)| match follower.state {
        FollowerState::Gone if is_beyond(1) => None,
        FollowerState::Probed if probed >= bounds.probing_looks && is_beyond(1) => None,
        FollowerState::Probed => is_patient.then_some(length.truncated),
        // Within the bounds one that is gone is not given up yet.
        FollowerState::Gone | FollowerState::Follows | FollowerState::TakesSnapshot => {
            is_patient.then_some(follower.has)
        }
    };
    let index = followers.filter_map(needs).min().unwrap_or(u64::MAX).min(length.applied);
    (index > length.truncated).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { entries: 100, bytes: 1_000, patience: 4, looks: 600, probing_looks: 10 };

    fn cut_of(
        applied: u64,
        bytes: u64,
        looks: u64,
        followers: &[(FollowerState, u64, u64)],
    ) -> u64 {
        let length = Length { truncated: 10, applied, bytes, looks };
        let followers =
            followers.iter().map(|&(state, has, probed)| (Follower { state, has }, probed));
        cut(&BOUNDS, &length, followers).unwrap_or(0)
    }

    #[test]
    fn a_log_within_its_bounds_is_left_alone_until_it_is_old() {
        use FollowerState::{Follows, Gone};
        assert_eq!(cut_of(109, 999, 599, &[(Follows, 109, 0)]), 0);
        assert_eq!(cut_of(110, 0, 0, &[(Follows, 105, 0)]), 105, "so many entries");
        assert_eq!(cut_of(20, 1_000, 0, &[(Follows, 15, 0)]), 15, "so many bytes");
        assert_eq!(cut_of(20, 0, 600, &[(Follows, 15, 0), (Gone, 12, 0)]), 12, "so old");
    }

    #[test]
    fn who_is_gone_keeps_nothing_and_who_is_slow_a_few_times_the_bounds() {
        use FollowerState::{Follows, Gone, Probed, TakesSnapshot};
        assert_eq!(cut_of(110, 0, 0, &[(Gone, 12, 0), (Follows, 108, 0)]), 108);
        assert_eq!(cut_of(110, 0, 0, &[(TakesSnapshot, 50, 0), (Follows, 108, 0)]), 50);
        assert_eq!(cut_of(110, 0, 0, &[(Follows, 11, 0)]), 11);
        assert_eq!(cut_of(409, 0, 0, &[(Follows, 11, 0)]), 11);
        assert_eq!(cut_of(410, 0, 0, &[(Follows, 11, 0)]), 410, "four times the bounds");
        assert_eq!(cut_of(110, 4_000, 0, &[(TakesSnapshot, 50, 0)]), 110, "in bytes, too");
        assert_eq!(cut_of(110, 0, 0, &[(Probed, 0, 9), (Follows, 108, 0)]), 0);
        assert_eq!(cut_of(110, 0, 0, &[(Probed, 0, 10), (Follows, 108, 0)]), 108);
    }
}
