//! What the binder and functions see of the catalog: what the transaction knows, frozen for one statement.
//!
//! Names are looked up while binding, which cannot wait. So a view notes what it was asked for and does not know;
//! the session reads that and binds again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::{CatalogView, system};
use sql_values::error::SqlResult;
use sql_values::types::SqlType;

use super::store::{QualifiedName, TxnCatalog};

/// What was asked for and is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// A table by schema and name.
    Name(QualifiedName),
    /// A table by id.
    Id(TableId),
    /// Every table.
    Whole,
}

/// Who is asking, and where.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
    /// Schemas of unqualified names.
    pub search_path: Vec<String>,
}

/// The catalog at a statement.
pub struct StatementCatalog {
    identity: Identity,
    by_name: BTreeMap<QualifiedName, Arc<TableDescriptor>>,
    by_id: BTreeMap<TableId, Arc<TableDescriptor>>,
    whole: bool,
    /// Known not to exist.
    absent: BTreeSet<Missing>,
    missing: Mutex<BTreeSet<Missing>>,
}

impl StatementCatalog {
    /// What the transaction knows now; `absent` is known not to exist.
    pub fn new(catalog: &TxnCatalog, identity: Identity, absent: BTreeSet<Missing>) -> Self {
        let by_id: BTreeMap<_, _> =
            catalog.known().map(|table| (table.id, table.clone())).collect();
        let names =
            by_id.values().map(|table| ((table.schema.clone(), table.name.clone()), table.clone()));
        StatementCatalog {
            identity,
            by_name: names.collect(),
            whole: catalog.is_whole(),
            by_id,
            absent,
            missing: Mutex::default(),
        }
    }

    /// What was asked for in vain.
    pub fn take_missing(&self) -> BTreeSet<Missing> {
        std::mem::take(&mut *self.missing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn miss(&self, what: Missing) {
        if !self.whole && !self.absent.contains(&what) {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
        }
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<Arc<TableDescriptor>> {
        if system::is_virtual_schema(schema) {
            return system::table(schema, name);
        }
        if !system::exists(schema) {
            return None;
        }
        let qualified = (schema.to_owned(), name.to_owned());
        let found = self.by_name.get(&qualified).cloned();
        if found.is_none() {
            self.miss(Missing::Name(qualified));
        }
        found
    }
}

impl CatalogView for StatementCatalog {
    fn version(&self) -> u64 {
        // Plans name the versions that they were bound against (`Plan::tables`); no other change alters a meaning.
        0
    }

    fn table(&self, schema: Option<&str>, name: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(match schema {
            Some(schema) => self.in_schema(schema, name),
            None => {
                let path = &self.identity.search_path;
                path.iter().find_map(|schema| self.in_schema(schema, name))
            }
        })
    }

    fn table_by_id(&self, id: TableId) -> SqlResult<Option<Arc<TableDescriptor>>> {
        if let Some(table) = system::table_by_id(id) {
            return Ok(Some(table));
        }
        let found = self.by_id.get(&id).cloned();
        if found.is_none() {
            self.miss(Missing::Id(id));
        }
        Ok(found)
    }

    fn tables(&self, schema: &str) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        if system::is_virtual_schema(schema) {
            return Ok(system::tables(schema));
        }
        self.miss(Missing::Whole);
        let tables = self.by_name.values().filter(|table| table.schema == schema);
        Ok(tables.cloned().collect())
    }

    fn search_path(&self) -> Vec<String> {
        let path = &self.identity.search_path;
        path.iter().filter(|schema| system::exists(schema)).cloned().collect()
    }

    fn database(&self) -> &str {
        &self.identity.database
    }

    fn user(&self) -> &str {
        &self.identity.user
    }

    fn type_named(&self, text: &str) -> SqlResult<SqlType> {
        sql_parse::parse_type(text)
    }
}
