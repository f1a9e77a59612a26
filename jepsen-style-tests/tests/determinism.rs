//! A seed is a function of its number: run twice, it leaves the same bytes.

#![expect(clippy::disallowed_methods, reason = "each seed runs on a thread of its own")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use jepsen_style_tests::client::Through;
use jepsen_style_tests::sim::{SeedOptions, run_seed};

/// Long enough for elections, crashes, splits and lease changes; the command line runs the full length.
const DURATION: Duration = Duration::from_secs(15);
/// A trace of so much time has more lines than this.
const LINES_MIN: usize = 10_000;

fn trace(seed: u64, through: Through) -> Vec<u8> {
    let through = Some(through);
    let options =
        SeedOptions { seed, through, trace: true, duration: DURATION, ..SeedOptions::default() };
    run_seed(&options).trace
}

fn runs_alike(through: Through) {
    // Not on one thread: whatever a thread or its address space brings along must not show. Nor must what the process
    // counts: the names of prepared statements differ between the runs.
    let seeds = [1, 2, 3];
    let run = || seeds.map(|seed| std::thread::spawn(move || trace(seed, through)));
    let traces: Vec<Vec<Vec<u8>>> =
        (0..2).map(|_| run().into_iter().map(|thread| thread.join().unwrap()).collect()).collect();
    for (seed, (first, second)) in seeds.iter().zip(traces[0].iter().zip(&traces[1])) {
        let lines = first.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines > LINES_MIN, "seed {seed} left only {lines} lines");
        if first != second {
            let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
            let differing =
                first.lines().zip(second.lines()).enumerate().find(|(_, (a, b))| a != b);
            panic!("seed {seed} differs at {differing:?}");
        }
    }
    assert_ne!(traces[0][0], traces[0][1]);
}

#[test]
fn the_same_seed_twice_gives_the_same_trace_byte_for_byte() {
    runs_alike(Through::Kv);
}

#[test]
fn the_same_seed_twice_gives_the_same_trace_through_sql() {
    runs_alike(Through::Sql);
}
