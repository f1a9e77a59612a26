//! Randomness: one root seed, one ChaCha8 stream for each purpose and number.
//!
//! Promised:
//! - R1. A stream is a pure function of (root seed, purpose, number), on every machine and in every build.
//! - R2. Streams are independent: drawing more from one never shifts another. So a change of the nemesis
//!   leaves the generator's operations of the same seed as they were.
//!
//! No other source of randomness exists in this crate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kv::env::Rng;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// A seeded stream of random numbers. Shared by reference: the state is behind a lock.
#[derive(Debug)]
pub struct SeedRng(Mutex<ChaCha8Rng>);

impl SeedRng {
    /// The stream number `n` (a node, a worker) of `purpose` under `root_seed`.
    pub fn stream(root_seed: u64, purpose: &str, n: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&root_seed.to_le_bytes());
        key[8..16].copy_from_slice(&n.to_le_bytes());
        key[16..].copy_from_slice(&fnv128(purpose.as_bytes()).to_le_bytes());
        SeedRng(Mutex::new(ChaCha8Rng::from_seed(key)))
    }

    /// A uniformly random number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty interval has no element");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// A uniformly random time from `low` to `high`, both included, in whole milliseconds.
    pub fn duration_between(&self, low: Duration, high: Duration) -> Duration {
        Duration::from_millis(self.between(low.as_millis() as u64, high.as_millis() as u64))
    }

    /// True in `percent` of 100 draws.
    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A uniformly random element of `items`, which is not empty.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Brings `items` into a uniformly random order.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

impl Rng for SeedRng {
    fn next_u64(&self) -> u64 {
        // A panic elsewhere cannot leave the generator half stepped: its state stays usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

/// FNV-1a in 128 bits: fixed by its specification, unlike std's hashers, so that R1 holds.
fn fnv128(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(root: u64, purpose: &str, n: u64) -> u64 {
        SeedRng::stream(root, purpose, n).next_u64()
    }

    #[test]
    fn the_same_stream_repeats_and_any_difference_in_its_name_changes_it() {
        assert_eq!(first(1, "nemesis", 0), first(1, "nemesis", 0));
        let base = first(1, "nemesis", 0);
        for other in [first(2, "nemesis", 0), first(1, "client", 0), first(1, "nemesis", 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_stream_is_fixed_for_ever() {
        // R1. If this fails, every recorded seed has lost its meaning.
        let rng = SeedRng::stream(42, "golden", 7);
        let drawn: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(drawn, GOLDEN);
    }

    const GOLDEN: [u64; 3] =
        [9_925_846_998_232_086_593, 5_544_864_019_034_950_995, 5_430_873_861_968_904_861];

    #[test]
    fn helpers_stay_in_their_bounds() {
        let rng = SeedRng::stream(3, "bounds", 0);
        let mut seen = [false; 4];
        for _ in 0..200 {
            seen[rng.between(2, 5) as usize - 2] = true;
            assert!(!rng.percent(0) && rng.percent(100));
            assert!([7, 8].contains(rng.pick(&[7, 8])));
        }
        assert_eq!(seen, [true; 4]);
        assert!(rng.between(9, 9) == 9);
        rng.between(0, u64::MAX);
        let mut items: Vec<u64> = (0..20).collect();
        rng.shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<u64>>());
    }
}
