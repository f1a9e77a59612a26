//! ChaCha20 behind [`kv::env::Rng`], for both worlds; they differ only in where the seed comes from.

use std::sync::{Mutex, PoisonError};

use kv::env::Rng;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// One stream of random numbers.
pub(crate) struct Stream(Mutex<ChaCha20Rng>);

impl Stream {
    /// The stream `number` of the generator with this seed.
    pub(crate) fn new(seed: [u8; 32], number: u64) -> Self {
        let mut generator = ChaCha20Rng::from_seed(seed);
        generator.set_stream(number);
        Stream(Mutex::new(generator))
    }
}

impl Rng for Stream {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}
