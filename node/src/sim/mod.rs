//! The simulated world: a whole cluster on one thread, one paused tokio runtime and one seed.
//!
//! Promised: the same seed gives the same run, byte for byte in the trace of [`SimNetwork`].
//!
//! The world owns the time (tokio's paused clock, which jumps to the next timer when nothing can run), and
//! each node sees it through its own [`SimTime`]. Messages go through one heap of events in [`SimNetwork`].
//! A node's tasks live in its [`SimScope`], which can crash and pause.
//!
//! ```text
//!   root seed ─▶ sim_rng("network"), sim_rng("n1"), sim_rng("nemesis") …
//!   n1: Env { SimTime, SimScope, SimTransport } ──send──▶ SimNetwork (heap by time) ──deliver──▶ n2: Inbound
//!                                                              ▲ cut, heal, profiles, crash
//!                                                           nemesis
//! ```
//!
//! - I1. No thread, no system clock and no randomness but the injected one.
//! - I2. Every order that can be seen is that of an ordered map, a queue or the event heap.
//!
//! HAZARD: the runtime must be current_thread and built with `start_paused(true)`. Pausing it later leaves a
//! moment of real time in every deadline, and two runs differ.
//! HAZARD: tokio picks the waiters of a `watch` channel and the branches of an unbiased `select!` at random.
//! Use `Notify`, `mpsc` and `oneshot`, and `biased`.
//! HAZARD: tokio's timers have a resolution of one millisecond, and round up. A delay below it costs one.

#![expect(
    clippy::disallowed_methods,
    reason = "the simulated world is built on tokio's paused clock"
)]

mod link;
mod nemesis;
mod network;
mod parcel;
mod rng;
mod tasks;
mod time;
mod transport;

pub use link::LinkProfile;
pub use network::{NetworkStats, SimNetwork, TraceSink};
pub use rng::sim_rng;
pub use tasks::SimScope;
pub use time::{RATE_TRUE_PPM, SimTime};
pub use transport::SimTransport;

#[cfg(test)]
mod tests;
