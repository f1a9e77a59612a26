//! What exists: schemas, tables, columns, indexes, constraints.
//!
//! Descriptors live in the system range (`keys`) and are versioned: leases (`lease`) are on one version of a table at a
//! time, and a transaction's commit carries the ends of those that it used. A change waits behind a closed gate (`gate`)
//! until none is left. What a transaction creates is visible to itself at once.

pub(crate) mod build;
mod codec;
mod debris;
pub mod descriptor;
mod gate;
mod keys;
pub mod lease;
pub mod store;
#[cfg(test)]
mod testing;
pub mod view;
pub mod virtuals;

use std::sync::Arc;

use crate::error::SqlResult;
use descriptor::{TableDescriptor, TableId};

/// The catalog as a statement sees it: an unchanging view at the transaction's time, with the transaction's own
/// changes over it. The binder asks nothing else about what exists.
pub trait CatalogView: Send + Sync {
    /// Grows with every change that may alter the meaning of a statement; part of the plan cache's key.
    fn version(&self) -> u64;
    /// The table with this name, in the given schema or else along the search path. System tables (`pg_catalog`,
    /// `information_schema`) are tables too.
    fn table(&self, schema: Option<&str>, name: &str) -> SqlResult<Option<Arc<TableDescriptor>>>;
    /// The table with this id.
    fn table_by_id(&self, id: TableId) -> SqlResult<Option<Arc<TableDescriptor>>>;
    /// Every table of a schema, by name.
    fn tables(&self, schema: &str) -> SqlResult<Vec<Arc<TableDescriptor>>>;
    /// Schemas in which unqualified names are looked up, `pg_catalog` included.
    fn search_path(&self) -> Vec<String>;
    /// The current database.
    fn database(&self) -> &str;
    /// The current user.
    fn user(&self) -> &str;
}
