//! A handful of whole seeds, and the deliberate bugs that whole seeds must find. The command line runs many more.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use jepsen_style_tests::client::Through;
use jepsen_style_tests::sim::{SeedOptions, run_seed};
use kv::env::Mutant;

/// Seeds that a mutant may take before it counts as unnoticed.
const MUTANT_SEEDS: u64 = 30;
/// The same for the one that takes a cut, a schema change and a block that fit together: one seed in six has them.
const RARE_MUTANT_SEEDS: u64 = 60;

/// An odd seed speaks SQL, an even one speaks to keys: here as on the command line.
#[test]
fn seeds_hold_what_is_promised() {
    for seed in 1..=2 {
        let report = run_seed(&SeedOptions { seed, ..SeedOptions::default() }).report;
        assert!(report.verdict.is_valid(), "seed {seed}: {:?}", report.verdict.violations());
        assert!(report.shortfalls().is_empty(), "seed {seed}: {:?}", report.shortfalls());
    }
}

/// One schedule more or less must not matter: whichever of the seeds finds it first will do. All but the one of SQL are
/// found both ways; what takes many seeds goes through keys here, which is quicker.
fn is_found(mutant: Mutant, through: Through) {
    is_found_within(MUTANT_SEEDS, mutant, through);
}

fn is_found_within(seeds: u64, mutant: Mutant, through: Through) {
    let (mutant, through) = (Some(mutant), Some(through));
    let finds = |seed| {
        let options = SeedOptions { seed, mutant, through, ..SeedOptions::default() };
        !run_seed(&options).report.verdict.violations().is_empty()
    };
    assert!((1..=seeds).any(finds), "{mutant:?} goes unnoticed");
}

#[test]
fn an_acknowledgement_before_the_fsync_is_found() {
    is_found(Mutant::AckBeforeFsync, Through::Sql);
}

#[test]
fn a_skipped_read_refresh_is_found() {
    is_found(Mutant::SkipReadRefresh, Through::Sql);
}

#[test]
fn ignored_uncertainty_is_found() {
    is_found(Mutant::IgnoreUncertainty, Through::Kv);
}

#[test]
fn a_timestamp_cache_lost_on_a_lease_change_is_found() {
    is_found(Mutant::TimestampCacheLostOnLeaseChange, Through::Kv);
}

#[test]
fn a_commit_past_a_schema_lease_is_found() {
    is_found_within(RARE_MUTANT_SEEDS, Mutant::CommitPastSchemaLease, Through::Sql);
}

#[test]
fn a_read_under_a_stale_lease_is_found() {
    is_found(Mutant::StaleLeaseRead, Through::Kv);
}

#[test]
fn a_wrong_clock_that_is_trusted_is_found() {
    is_found(Mutant::TrustWrongClock, Through::Kv);
}
