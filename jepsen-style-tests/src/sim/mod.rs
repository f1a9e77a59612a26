//! The simulated world: a whole cluster, its clients and its faults on one thread and one seed.
//!
//! ```text
//!  seed ─▶ fault plan ─▶ nemesis ─┐
//!       ─▶ generators ─▶ clients ─┼─▶ cluster: three nodes, each with a disk, a clock, a scope ─▶ network
//!                                 ▼
//!                             histories ─▶ checkers ─▶ verdict
//! ```
//!
//! A seed is at least 60 simulated seconds. Faults come and go for four fifths of it; then everything is healed,
//! and the last fifth must show progress. At the end all replicas of a range must hold the same bytes at the
//! same applied index, and the checkers read the histories.
//!
//! - I1. The same seed gives the same run: nothing here asks the operating system for time, order or chance.
//! - I2. A client reports `fail` only when the database said that nothing was committed; a crash, a timeout and
//!   an unknown outcome are `info`.
//! - I3. Every seed ends, whatever a bug does to the cluster: each wait has a bound in simulated time, and what comes to
//!   none of its ends by then is a violation.

#![expect(
    clippy::disallowed_methods,
    reason = "the world outside the nodes has no clock but tokio's"
)]

mod clients;
mod cluster;
mod kv_client;
mod nemesis;
mod replicas;
mod seed;
mod sql_client;
#[cfg(test)]
mod tests;

pub use cluster::{Cluster, NODES};
pub use seed::{SeedOptions, SeedOutcome, run_seed};
