//! Timestamps: 42 bits of milliseconds since 2024-01-01 00:00 UTC, 22 bits of counter.

use std::fmt;
use std::time::Duration;

const COUNTER_BITS: u32 = 22;
const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
const MILLIS_MAX: u64 = (1 << 42) - 1;
/// hlc-gen's epoch in Unix milliseconds.
const EPOCH_UNIX_MS: u64 = 1_704_067_200_000;

/// A hybrid logical timestamp. Ordered as its number; zero is before every event.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Before every event.
    pub const ZERO: Timestamp = Timestamp(0);
    /// After every event. Not a legal write timestamp.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The timestamp with this bit pattern.
    pub const fn from_raw(raw: u64) -> Self {
        Timestamp(raw)
    }

    /// The bit pattern: milliseconds above, counter below.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The first timestamp of a millisecond, given since the Unix epoch. Earlier than 2024 saturates to zero.
    pub fn from_wall_ms(unix_ms: u64) -> Self {
        Timestamp(unix_ms.saturating_sub(EPOCH_UNIX_MS).min(MILLIS_MAX) << COUNTER_BITS)
    }

    /// Milliseconds since the Unix epoch, counter dropped.
    pub fn wall_ms(self) -> u64 {
        (self.0 >> COUNTER_BITS) + EPOCH_UNIX_MS
    }

    /// The counter within the millisecond.
    pub fn counter(self) -> u64 {
        self.0 & COUNTER_MAX
    }

    /// The least greater timestamp. Carries into the milliseconds.
    ///
    /// # Panics
    /// At [`Timestamp::MAX`], which no clock and no write can reach.
    pub fn next(self) -> Self {
        Timestamp(self.0.checked_add(1).expect("no event happens at the last timestamp"))
    }

    /// The greatest smaller timestamp, or `None` at zero.
    pub fn prev(self) -> Option<Self> {
        self.0.checked_sub(1).map(Timestamp)
    }

    /// The first timestamp of the following millisecond.
    pub fn next_millisecond(self) -> Self {
        Timestamp(((self.0 >> COUNTER_BITS) + 1) << COUNTER_BITS)
    }

    /// This timestamp moved ahead by `duration`, rounded down to milliseconds, counter kept. Saturates.
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(MILLIS_MAX).min(MILLIS_MAX);
        Timestamp(self.0.saturating_add(millis << COUNTER_BITS))
    }

    /// This timestamp moved back by `duration`, rounded down to milliseconds, counter kept. Saturates at zero.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(MILLIS_MAX).min(MILLIS_MAX);
        Timestamp(self.0.saturating_sub(millis << COUNTER_BITS))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> COUNTER_BITS, self.counter())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_and_prev_carry_between_counter_and_milliseconds() {
        let last = Timestamp::from_raw((7 << COUNTER_BITS) | COUNTER_MAX);
        assert_eq!(last.next(), Timestamp::from_raw(8 << COUNTER_BITS));
        assert_eq!(last.next().prev(), Some(last));
        assert_eq!(Timestamp::ZERO.prev(), None);
        assert_eq!(last.next_millisecond(), Timestamp::from_raw(8 << COUNTER_BITS));
    }

    #[test]
    fn wall_milliseconds_round_trip() {
        let ts = Timestamp::from_wall_ms(EPOCH_UNIX_MS + 12_345);
        assert_eq!(ts.wall_ms(), EPOCH_UNIX_MS + 12_345);
        assert_eq!(ts.saturating_add(Duration::from_millis(5)).wall_ms(), EPOCH_UNIX_MS + 12_350);
        assert_eq!(Timestamp::from_wall_ms(3), Timestamp::ZERO);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::from_secs(1)), Timestamp::MAX);
    }
}
