//! A catalog for tests, and golden files of plans.

use std::sync::Arc;

use crate::bind::Environment;
use crate::catalog::CatalogView;
use crate::catalog::descriptor::*;
use crate::error::SqlResult;
use crate::types::SqlType;

/// A catalog that never changes.
pub(crate) struct TestCatalog {
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
                ty: crate::parse::parse_type(ty).unwrap(),
                not_null: name.ends_with('!'),
                default: None,
                missing: None,
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
                let found = self.table.columns.iter().find(|c| c.name == name).unwrap();
                (found.id, column.starts_with('-'))
            })
            .collect();
        let oid = self.table.id.0 * 100 + id.0;
        let name = name.to_owned();
        self.table.indexes.push(IndexDescriptor { id, oid, name, unique, constraint: unique, key });
        self
    }

    fn default(mut self, column: &str, text: &str) -> Self {
        let found = self.table.columns.iter_mut().find(|c| c.name == column).unwrap();
        found.default = Some(text.to_owned());
        self
    }

    fn check(mut self, name: &str, text: &str) -> Self {
        self.table.checks.push(CheckDescriptor { name: name.to_owned(), expr: text.to_owned() });
        self
    }
}

impl TestCatalog {
    pub(crate) fn new() -> Self {
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
}

/// What a statement becomes: its columns, its parameters and its plan, or its error.
pub(crate) fn outcome(text: &str, raw: bool) -> SqlResult<Vec<String>> {
    let catalog = TestCatalog::new();
    let functions = crate::func::registry();
    let environment = Environment { catalog: &catalog, functions, parameters: &[] };
    let mut lines = Vec::new();
    for parsed in crate::parse::parse(text)? {
        let crate::parse::Statement::Query(query) = &parsed.statement else {
            lines.push(format!("{:?}", parsed.statement));
            continue;
        };
        let plan = if raw {
            crate::bind::bind_only(query, &environment)?
        } else {
            crate::bind::bind(query, &environment)?
        };
        let name = |ty: &SqlType| ty.name();
        let columns: Vec<String> =
            plan.columns.iter().map(|c| format!("{} {}", c.name, name(&c.ty))).collect();
        if !columns.is_empty() {
            lines.push(format!("columns: {}", columns.join(", ")));
        }
        if !plan.parameters.is_empty() {
            let parameters: Vec<String> = plan.parameters.iter().map(name).collect();
            lines.push(format!("parameters: {}", parameters.join(", ")));
        }
        let types = plan.root.types();
        let outputs: Vec<SqlType> = plan.columns.iter().map(|c| c.ty).collect();
        assert_eq!(types, outputs, "what {text} yields is not what it says");
        lines.extend(crate::explain::explain(&plan, functions));
    }
    Ok(lines)
}

fn described(text: &str, raw: bool) -> String {
    match outcome(text, raw) {
        Ok(lines) => lines.join("\n"),
        Err(error) => {
            let place = error.position.map_or_else(String::new, |place| format!(" at {place}"));
            let mut text = format!("error {}{place}: {}", error.state.0, error.message);
            for (what, more) in [("detail", error.detail), ("hint", error.hint)] {
                if let Some(more) = more {
                    text.push_str(&format!("\n{what}: {more}"));
                }
            }
            text
        }
    }
}

/// Statements, each followed by `----` and what becomes of it, up to a blank line. With MERIDIAN_GOLDEN=write the
/// files are written anew. Files named `bind_…` show plans as bound, the others as optimised.
#[test]
fn golden_plans() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/plan");
    let write = std::env::var("MERIDIAN_GOLDEN").is_ok_and(|value| value == "write");
    let files = ["bind_errors", "bind_select", "bind_write", "optimize"];
    let mut failures = Vec::new();
    for name in files {
        let path = format!("{folder}/{name}.txt");
        let text = std::fs::read_to_string(&path).unwrap();
        let raw = name.starts_with("bind_");
        let mut fresh = String::new();
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let block = block.trim_matches('\n');
            let statement = block.split("\n----").next().unwrap_or(block);
            if statement.lines().all(|line| line.starts_with('#')) {
                fresh.push_str(&format!("{statement}\n\n"));
                continue;
            }
            let now = described(statement, raw);
            let block_now = format!("{statement}\n----\n{now}");
            if block_now != block {
                failures.push(format!("{}:\n{block}\nbecame\n{block_now}", path));
            }
            fresh.push_str(&format!("{block_now}\n\n"));
        }
        if write {
            write_file(&path, fresh.trim_end());
        }
    }
    assert!(write || failures.is_empty(), "{}", failures.join("\n\n"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "golden files are written by hand of whoever runs the test"
)]
fn write_file(path: &str, text: &str) {
    std::fs::write(path, format!("{text}\n")).unwrap();
}
