//! The real world: the operating system's clock, randomness, threads and sockets.

pub mod node;
mod rng;
mod tasks;
mod time;
pub mod transport;

pub use rng::os_rng;
pub use tasks::RealScope;
pub use time::RealTime;
