//! One node's store: all its replicas, and how requests reach them.
//!
//! ```text
//!  messages, proposals, ticks          committed entries             results, events
//!  ───────────────▶ consensus loop ───────────────────▶ apply loop ───────────────────▶ waiters, observer
//!                    │  ▲ one log write, one fsync        │  one engine batch           (shared: who leads,
//!                    ▼  │ a turn for all groups           ▼  a task                      leases, bounds)
//!                   raft log                             engine ◀── sync loop: durable applied indexes
//! ```
//!
//! - The *core* ([`core`]) is sans-I/O: inputs and the time go in, effects come out.
//! - The *consensus loop* ([`driver`]) carries the effects out. It never waits for the engine: what that has no room for
//!   stays in the log ([`credit`]), and leaders go on leading.
//! - The *apply loop* ([`apply`]) owns the ranges' states and the engine.
//! - The *sync loop* ([`sync`]) makes the engine durable now and then, and tells the log how far.
//! - Leases change hands while they are good, as when a node is to end: [`hand_over`].
//! - A replica whose leader has cut off what it lacks gets a [`snapshot`].
//! - [`StoreHandle`] is what everybody else holds: [`crate::seam::Ranges`] for the transaction server, and
//!   administration for the node.
//!
//! - I1. Nobody is answered before the command is applied here, and it is applied only once committed.
//! - I2. An event reaches the observer before the range serves under it (the shared state changes after).
//! - I3. Any failure of log or engine stops the store, be it in a write or in a read of whoever ([`watched`]): the loops
//!   end, nobody is served any more, [`StoreHandle::failure`] says why. So does a disk that does not answer ([`stall`]).

pub(crate) mod apply;
pub(crate) mod core;
mod credit;
pub(crate) mod driver;
mod hand_over;
mod handle;
mod open;
pub(crate) mod proposal;
#[cfg(test)]
mod scripts;
mod shared;
mod snapshot;
mod stall;
mod sync;
#[cfg(test)]
mod tests;
mod truncation;
mod watched;

use std::time::Duration;

pub use credit::QueuedBytes;
pub use hand_over::Kept;
pub use handle::StoreHandle;
pub use open::{OpenError, Store};
pub(crate) use shared::SharedRef;
pub use stall::{ENDED_AFTER, SUSPECTED_AFTER};

/// Settings of a store, the same on every node.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Raft's unit of time. Elections take 10 to 20 of it, heartbeats 2.
    pub tick: Duration,
    /// How long a lease lasts from its last extension. Its last maximum offset serves nobody.
    pub lease_duration: Duration,
    /// How far behind the present a lease holder closes timestamps. What is written later than that after its transaction
    /// began moves up in time.
    pub closed_lag: Duration,
    /// Pause between two engine syncs.
    pub sync_interval: Duration,
    /// Entries in a group's log beyond which the leader keeps nothing for replicas that are gone.
    pub log_entries_max: u64,
    /// The same in bytes.
    pub log_bytes_max: u64,
    /// Bytes of a snapshot's part, about.
    pub snapshot_part_bytes: usize,
    /// How fast a snapshot is sent.
    pub snapshot_bytes_per_second: u64,
    /// How often lease holders tell the directory what they hold.
    pub report_interval: Duration,
}

impl StoreConfig {
    /// The defaults, with their reasons: elections end well within a second or two; a lease outlives an
    /// election, so that a leader that is back in time goes on serving.
    pub fn recommended() -> Self {
        StoreConfig {
            tick: Duration::from_millis(100),
            lease_duration: Duration::from_secs(4),
            closed_lag: Duration::from_secs(3),
            sync_interval: Duration::from_millis(500),
            log_entries_max: 4_096,
            log_bytes_max: 16 << 20,
            snapshot_part_bytes: crate::range::snapshot::PART_BYTES_MAX,
            snapshot_bytes_per_second: 64 << 20,
            report_interval: Duration::from_secs(10),
        }
    }
}
