//! The real world: the operating system's clock, randomness, threads and sockets.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where the real world's clock, threads and sockets come in"
)]

pub mod http;
pub mod listener;
pub mod node;
pub mod process;
mod rng;
pub mod setup;
mod tasks;
mod time;
pub mod transport;

pub use rng::os_rng;
pub use tasks::RealScope;
use tasks::WorkRuntime;
pub use time::RealTime;
