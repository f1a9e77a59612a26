//! Simulated twins of what lies below kv: the disk, and the journal both simulated stores keep on it.
//!
//! They live here and not in `node` because [`crate::engine::sim::SimEngine`] and [`crate::log::sim::SimLog`]
//! must be comparable, in this crate's tests, with the stores they stand for.

pub mod disk;
pub(crate) mod journal;
#[cfg(test)]
pub(crate) mod testing;
