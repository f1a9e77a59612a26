//! What a statement may name: tables with their columns and indexes, and functions with their operators and casts. Data
//! and interfaces alone: who keeps the tables is `sql`'s affair (leases, gates), what the functions do is
//! `sql-functions`'. The modules stand in reading order.

pub mod descriptor;
pub mod function;
pub mod system;

use std::sync::Arc;

use sql_values::error::SqlResult;
use sql_values::types::SqlType;

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
    /// The type that a text means, with its modifier (`numeric(10,2)`, `int[]`).
    fn type_named(&self, text: &str) -> SqlResult<SqlType>;
}
