//! Simulated twins of what lies below kv: the disk, and the journal both simulated stores keep on it.
//!
//! They live here and not in `node` because [`crate::sim::engine::SimEngine`] and [`crate::sim::log::SimLog`]
//! must be comparable, in this crate's tests, with the stores they stand for.

pub mod disk;
pub mod engine;
pub(crate) mod journal;
pub mod log;
#[cfg(test)]
pub(crate) mod testing;
