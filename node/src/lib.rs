//! node: a process of the cluster, and the two worlds that it can live in.
//!
//! Everything that is not a pure function of its inputs is decided here: the real world (the operating
//! system's clock, randomness, tasks and sockets) in [`real`], and a simulated one in which a whole cluster
//! runs on one thread and one seed in [`sim`]. The crates below see only the traits of [`kv::env`].
//!
//! The modules in reading order, which is the order of use: each uses those above it alone.

mod rng;
pub mod scope;

pub mod inbound;
pub mod liveness;
pub mod node;

pub mod pg;
pub mod sessions;

pub mod real;
pub mod sim;
