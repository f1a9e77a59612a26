//! What exists: schemas, tables, columns, indexes, constraints.
//!
//! Descriptors live in the system range (`keys`) and are versioned: leases (`lease`) are on one version of a table at a
//! time, and a transaction's commit carries the ends of those that it used. A change waits behind a closed gate (`gate`)
//! until none is left. What a transaction creates is visible to itself at once.

pub(crate) mod build;
mod codec;
mod debris;
mod gate;
mod keys;
pub mod lease;
pub(crate) mod links;
pub(crate) mod sequence;
pub mod store;
#[cfg(test)]
mod testing;
pub mod view;

pub use sql_catalog::{CatalogView, descriptor};
