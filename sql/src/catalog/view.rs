//! What the binder and functions see of the catalog: what the transaction knows, frozen for one statement.
//!
//! Names are looked up while binding, which cannot wait. So a view notes what it was asked for and does not know;
//! the session reads that and binds again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
pub struct Identity<'a> {
    /// The user.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// Schemas of unqualified names.
    pub search_path: &'a [String],
}

/// Tables by schema and name.
type ByName<'a> = BTreeMap<(&'a str, &'a str), &'a Arc<TableDescriptor>>;

/// The catalog at a statement: nothing of it is copied.
pub struct StatementCatalog<'a> {
    catalog: &'a TxnCatalog,
    identity: Identity<'a>,
    /// Made for the first name that is looked up: a statement that has been bound seldom asks for one.
    by_name: OnceLock<ByName<'a>>,
    /// Known not to exist.
    absent: &'a BTreeSet<Missing>,
    missing: Mutex<BTreeSet<Missing>>,
}

impl<'a> StatementCatalog<'a> {
    /// What the transaction knows now; `absent` is known not to exist.
    pub fn new(
        catalog: &'a TxnCatalog,
        identity: Identity<'a>,
        absent: &'a BTreeSet<Missing>,
    ) -> Self {
        let (by_name, missing) = (OnceLock::new(), Mutex::default());
        StatementCatalog { catalog, identity, by_name, absent, missing }
    }

    /// What was asked for in vain.
    pub fn take_missing(&self) -> BTreeSet<Missing> {
        std::mem::take(&mut *self.missing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn by_name(&self) -> &ByName<'a> {
        self.by_name.get_or_init(|| {
            let tables = self.catalog.known();
            tables.map(|table| ((table.schema.as_str(), table.name.as_str()), table)).collect()
        })
    }

    fn miss(&self, what: Missing) {
        if !self.catalog.is_whole() && !self.absent.contains(&what) {
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
        let found = self.by_name().get(&(schema, name)).map(|table| Arc::clone(table));
        if found.is_none() {
            self.miss(Missing::Name((schema.to_owned(), name.to_owned())));
        }
        found
    }
}

impl CatalogView for StatementCatalog<'_> {
    fn version(&self) -> u64 {
        // Plans name the versions that they were bound against (`Plan::tables`); no other change alters a meaning.
        0
    }

    fn table(&self, schema: Option<&str>, name: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(match schema {
            Some(schema) => self.in_schema(schema, name),
            None => {
                let path = self.identity.search_path;
                path.iter().find_map(|schema| self.in_schema(schema, name))
            }
        })
    }

    fn table_by_id(&self, id: TableId) -> SqlResult<Option<Arc<TableDescriptor>>> {
        if let Some(table) = system::table_by_id(id) {
            return Ok(Some(table));
        }
        let found = self.catalog.known_by_id(id).cloned();
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
        let tables = self.by_name().values().filter(|table| table.schema == schema);
        Ok(tables.map(|table| Arc::clone(table)).collect())
    }

    fn search_path(&self) -> Vec<String> {
        let path = &self.identity.search_path;
        path.iter().filter(|schema| system::exists(schema)).cloned().collect()
    }

    fn database(&self) -> &str {
        self.identity.database
    }

    fn user(&self) -> &str {
        self.identity.user
    }

    fn type_named(&self, text: &str) -> SqlResult<SqlType> {
        sql_parse::parse_type(text)
    }
}
