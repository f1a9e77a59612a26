//! Help for this crate's tests: a seeded stream of numbers, and scripts.

use std::path::Path;
use std::sync::Mutex;

use crate::env::Rng;

/// A small deterministic generator (SplitMix64).
pub(crate) struct Seeded {
    state: Mutex<u64>,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
    }
}

impl Rng for Seeded {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock().expect("a test's generator");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Runs something for each file of a directory, by name.
#[expect(clippy::disallowed_methods, reason = "tests read their scripts")]
pub(crate) fn each_file(dir: &str, run: impl Fn(&Path) -> std::io::Result<()>) {
    let files = std::fs::read_dir(dir).expect("a directory of scripts");
    let mut paths: Vec<_> = files.map(|file| file.expect("a script").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {dir}");
    for path in paths {
        run(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
