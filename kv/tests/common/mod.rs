//! Shared by the tests of the stores.

use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use kv::env::Rng;

/// A seeded stream of numbers (SplitMix64).
pub(crate) struct Seeded(Mutex<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn index(&self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }
}

impl Rng for Seeded {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The result of a future that never waits.
pub(crate) fn now<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().expect("nothing here waits")
}
