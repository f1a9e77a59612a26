//! Randomness from the root seed.

use std::sync::Arc;

use kv::env::Rng;

use crate::rng::Stream;

/// The generator of one purpose: independent of that of every other purpose, the same in every run.
pub fn sim_rng(root: u64, purpose: &str) -> Arc<dyn Rng> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&root.to_le_bytes());
    // FNV-1a: any fixed hash will do to tell the few purposes of a run apart.
    let stream = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Arc::new(Stream::new(seed, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_are_independent_and_repeatable() {
        let draw = |root, purpose| sim_rng(root, purpose).next_u64();
        assert_eq!(draw(1, "n1"), draw(1, "n1"));
        assert_ne!(draw(1, "n1"), draw(1, "n2"));
        assert_ne!(draw(1, "n1"), draw(2, "n1"));
    }
}
