//! A handful of whole seeds, and the deliberate bugs that whole seeds must find. The command line runs many more.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Mutex;

use jepsen_style_tests::client::Through;
use jepsen_style_tests::sim::{SeedOptions, run_seed};
use kv::mutant::{Mutant, Sought};

/// An odd seed speaks SQL, an even one speaks to keys: here as on the command line.
#[test]
fn seeds_hold_what_is_promised() {
    for seed in 1..=2 {
        let report = run_seed(&SeedOptions { seed, ..SeedOptions::default() }).report;
        assert!(report.verdict.is_valid(), "seed {seed}: {:?}", report.verdict.violations());
        assert!(report.shortfalls().is_empty(), "seed {seed}: {:?}", report.shortfalls());
    }
}

/// Every deliberate bug is found by some seed, of those in which its row says that it must be. One schedule more or less
/// must not matter: whichever seed finds it first will do. What takes longest is begun first.
#[test]
fn every_deliberate_bug_is_found() {
    let mut sought: Vec<Mutant> = Mutant::ALL.to_vec();
    sought.sort_by_key(|mutant| std::cmp::Reverse(mutant.sought().1));
    let seeds =
        sought.iter().flat_map(|mutant| (1..=mutant.sought().1).map(|seed| (*mutant, seed)));
    let left = Mutex::new(seeds.collect::<VecDeque<_>>());
    let found = Mutex::new(Vec::new());
    let look = || {
        loop {
            let next = left.lock().unwrap().pop_front();
            let Some((mutant, seed)) = next else { return };
            let through = match mutant.sought().0 {
                Sought::Keys => Through::Kv,
                Sought::Sql => Through::Sql,
            };
            let (mutant, through) = (Some(mutant), Some(through));
            let options = SeedOptions { seed, mutant, through, ..SeedOptions::default() };
            let violations = run_seed(&options).report.verdict.violations().len();
            if violations > 0 {
                left.lock().unwrap().retain(|(other, _)| Some(*other) != mutant);
                found.lock().unwrap().push(mutant);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        (0..threads).for_each(|_| drop(scope.spawn(look)));
    });
    let found = found.into_inner().unwrap();
    for mutant in Mutant::ALL {
        assert!(found.contains(&Some(*mutant)), "{} goes unnoticed", mutant.name());
    }
}
