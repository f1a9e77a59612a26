//! A catalog for the tests of whatever plans and runs statements. No part of a database: a dependency of tests alone.

use std::sync::Arc;

use sql_catalog::CatalogView;
use sql_catalog::descriptor::*;
use sql_values::error::SqlResult;
use sql_values::types::SqlType;

/// A catalog that never changes.
pub struct TestCatalog {
    tables: Vec<Arc<TableDescriptor>>,
}

/// Describes a table: columns with types (`!` after a name is NOT NULL), then keys.
struct Maker {
    table: TableDescriptor,
}

impl Maker {
    fn new(id: u32, schema: &str, name: &str, columns: &[(&str, &str)]) -> Self {
        let columns: Vec<ColumnDescriptor> = columns
            .iter()
            .enumerate()
            .map(|(index, (name, ty))| ColumnDescriptor {
                id: ColumnId(index as u16 + 1),
                name: name.trim_end_matches('!').to_owned(),
                ty: sql_parse::parse_type(ty).expect("a type of PostgreSQL's"),
                not_null: name.ends_with('!'),
                default: None,
                missing: None,
                identity: None,
                hidden: name.starts_with("__"),
            })
            .collect();
        let table = TableDescriptor {
            id: TableId(id),
            version: 1,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind: if schema == "public" { TableKind::Stored } else { TableKind::Virtual },
            next_column: columns.len() as u16 + 1,
            columns,
            indexes: Vec::new(),
            building: Vec::new(),
            checks: Vec::new(),
            next_index: 1,
        };
        Maker { table }
    }

    fn index(mut self, name: &str, columns: &[&str], unique: bool) -> Self {
        let id = IndexId(self.table.next_index);
        self.table.next_index += 1;
        let key = columns
            .iter()
            .map(|column| {
                let name = column.trim_start_matches('-');
                let found = self.table.columns.iter().find(|c| c.name == name);
                let found = found.expect("a column of the table");
                (found.id, column.starts_with('-'))
            })
            .collect();
        let oid = self.table.id.0 * 100 + id.0;
        let name = name.to_owned();
        self.table.indexes.push(IndexDescriptor { id, oid, name, unique, constraint: unique, key });
        self
    }

    fn default(mut self, column: &str, text: &str) -> Self {
        let found = self.table.columns.iter_mut().find(|c| c.name == column);
        let found = found.expect("a column of the table");
        found.default = Some(text.to_owned());
        self
    }

    fn check(mut self, name: &str, text: &str) -> Self {
        self.table.checks.push(CheckDescriptor { name: name.to_owned(), expr: text.to_owned() });
        self
    }
}

impl TestCatalog {
    /// The tables: what pgbench has, three of our own, and two of the system's.
    pub fn new() -> Self {
        let public = |id, name, columns: &[(&str, &str)]| Maker::new(id, "public", name, columns);
        let makers =
            vec![
                public(
                    16384,
                    "pgbench_accounts",
                    &[("aid!", "int"), ("bid", "int"), ("abalance", "int"), ("filler", "char(84)")],
                )
                .index("pgbench_accounts_pkey", &["aid"], true),
                public(
                    16385,
                    "pgbench_branches",
                    &[("bid!", "int"), ("bbalance", "int"), ("filler", "char(88)")],
                )
                .index("pgbench_branches_pkey", &["bid"], true),
                public(
                    16386,
                    "pgbench_tellers",
                    &[("tid!", "int"), ("bid", "int"), ("tbalance", "int"), ("filler", "char(84)")],
                )
                .index("pgbench_tellers_pkey", &["tid"], true),
                public(
                    16387,
                    "pgbench_history",
                    &[
                        ("tid", "int"),
                        ("bid", "int"),
                        ("aid", "int"),
                        ("delta", "int"),
                        ("mtime", "timestamp"),
                        ("filler", "char(22)"),
                        ("__rowid!", "uuid"),
                    ],
                )
                .index("pgbench_history_rowid", &["__rowid"], true)
                .default("__rowid", "gen_random_uuid()"),
                public(
                    16390,
                    "t",
                    &[
                        ("a!", "int"),
                        ("b", "text"),
                        ("c", "bigint"),
                        ("d", "numeric(10,2)"),
                        ("e", "timestamptz"),
                        ("f", "varchar(10)"),
                        ("g", "bool"),
                    ],
                )
                .index("t_pkey", &["a"], true)
                .index("t_c_key", &["c"], true)
                .index("t_b_c", &["b", "-c"], false)
                .default("d", "0")
                .default("e", "now()")
                .check("t_d_check", "d >= 0"),
                public(16391, "u", &[("k!", "int"), ("a", "int"), ("v", "text")])
                    .index("u_pkey", &["k"], true)
                    .index("u_a", &["a"], false),
                public(16392, "w", &[("x!", "int"), ("y!", "text"), ("z", "double precision")])
                    .index("w_pkey", &["x", "y"], true),
                Maker::new(
                    1259,
                    "pg_catalog",
                    "pg_class",
                    &[
                        ("oid!", "oid"),
                        ("relname!", "name"),
                        ("relnamespace!", "oid"),
                        ("relkind!", "\"char\""),
                    ],
                ),
                Maker::new(
                    2615,
                    "pg_catalog",
                    "pg_namespace",
                    &[("oid!", "oid"), ("nspname!", "name")],
                ),
            ];
        TestCatalog { tables: makers.into_iter().map(|maker| Arc::new(maker.table)).collect() }
    }
}

impl Default for TestCatalog {
    fn default() -> Self {
        TestCatalog::new()
    }
}

impl CatalogView for TestCatalog {
    fn version(&self) -> u64 {
        1
    }

    fn table(&self, schema: Option<&str>, name: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        let fits = |table: &&Arc<TableDescriptor>| {
            table.name == name && schema.is_none_or(|schema| table.schema == schema)
        };
        Ok(self.tables.iter().find(fits).cloned())
    }

    fn table_by_id(&self, id: TableId) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(self.tables.iter().find(|table| table.id == id).cloned())
    }

    fn tables(&self, schema: &str) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        Ok(self.tables.iter().filter(|table| table.schema == schema).cloned().collect())
    }

    fn search_path(&self) -> Vec<String> {
        vec!["pg_catalog".into(), "public".into()]
    }

    fn database(&self) -> &str {
        "meridian"
    }

    fn user(&self) -> &str {
        "root"
    }

    fn type_named(&self, text: &str) -> SqlResult<SqlType> {
        sql_parse::parse_type(text)
    }
}
