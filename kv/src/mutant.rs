//! The deliberate bugs by which the proof kit shows that it would find real ones: a row each.

/// Declares the deliberate bugs, one row each: the rule that it breaks, its name, and by which seeds it must be found.
macro_rules! mutants {
    ($($(#[$doc:meta])+ $mutant:ident $name:literal $through:ident $seeds:literal;)+) => {
        /// A deliberate bug, to show that the proof kit would find it. Never active in the real environment.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$doc])+ $mutant,)+ }

        impl Mutant {
            /// Every mutant.
            pub const ALL: &[Mutant] = &[$(Mutant::$mutant),+];

            /// Its name on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$mutant => $name,)+ }
            }

            /// Where it is looked for, and in how many seeds it must be found there.
            pub fn sought(self) -> (Sought, u64) {
                match self { $(Mutant::$mutant => (Sought::$through, $seeds),)+ }
            }
        }
    };
}

/// By which clients a mutant is looked for. What both would find is looked for through keys, which is quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Those that read and write keys.
    Keys,
    /// Those that speak SQL.
    Sql,
}

mutants! {
    /// The Raft log reports entries as durable before they are synced (breaks I1 of `kv::log`).
    AckBeforeFsync "ack-before-fsync" Sql 30;
    /// A transaction moves its read timestamp without checking what it has read (breaks T2 of `coordinator::state`).
    SkipReadRefresh "skip-read-refresh" Sql 30;
    /// Versions inside the uncertainty interval are treated as not yet written (breaks I1 of `mvcc::read`).
    IgnoreUncertainty "ignore-uncertainty" Keys 30;
    /// A new lease holder starts with an empty timestamp cache (breaks I3 of `timestamp_cache`).
    TimestampCacheLostOnLeaseChange "timestamp-cache-lost-on-lease-change" Keys 60;
    /// A replica serves without a valid lease (breaks I1 of `kv::seam`).
    StaleLeaseRead "stale-lease-read" Keys 30;
    /// A commit does not heed the end of the schema leases that it relies on (breaks L1 of `sql::catalog::lease`).
    CommitPastSchemaLease "commit-past-schema-lease" Sql 60;
    /// Who gets a lease handed over does not heed what was served under it (breaks I1 of `server::summary`).
    ReadSummaryLost "read-summary-lost" Keys 60;
    /// A lease holder closes timestamps over those who still write (breaks I1 of `range::tracker`).
    CloseOverWriters "close-over-writers" Keys 30;
    /// A node goes on with a clock that agrees with nobody's (breaks C2 and C3 of `kv::clock`).
    TrustWrongClock "trust-wrong-clock" Keys 60;
    /// A log is reset before the engine is durable with the snapshot (breaks S4 of `store::snapshot`).
    LogResetBeforeSync "log-reset-before-sync" Keys 60;
}
