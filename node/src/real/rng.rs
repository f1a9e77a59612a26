//! Randomness from the operating system.

use std::io;
use std::sync::Arc;

use kv::env::Rng;

use crate::rng::Stream;

/// A generator seeded from the operating system's entropy. Fails only where there is none.
pub fn os_rng() -> io::Result<Arc<dyn Rng>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(Arc::new(Stream::new(seed, 0)))
}
