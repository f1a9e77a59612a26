//! System tables: `pg_catalog` and `information_schema`. What columns they have, and the ids that they show of things
//! which have none of their own; their rows are `sql::system`'s.

mod columns;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use sql_values::types::SqlType;

use crate::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor, TableId, TableKind};

/// The system tables, by schema and name.
type Tables = BTreeMap<(&'static str, &'static str), Arc<TableDescriptor>>;

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let schemas =
        [("pg_catalog", columns::PG_CATALOG), ("information_schema", columns::INFORMATION_SCHEMA)];
    let tables = schemas.into_iter().flat_map(|(schema, tables)| {
        tables.iter().map(move |(oid, name, columns)| {
            ((schema, *name), Arc::new(descriptor(*oid, schema, name, columns)))
        })
    });
    tables.collect()
});

fn descriptor(oid: u32, schema: &str, name: &str, columns: &str) -> TableDescriptor {
    let columns = columns.split(',').zip(1..).map(|(text, number)| {
        let (name, ty) = text.split_once(' ').unwrap_or((text, "text"));
        ColumnDescriptor {
            id: ColumnId(number),
            name: name.to_owned(),
            ty: type_of(ty.trim_end_matches('!')),
            not_null: ty.ends_with('!'),
            default: None,
            hidden: false,
            missing: None,
            identity: None,
        }
    });
    let columns: Vec<_> = columns.collect();
    TableDescriptor {
        id: TableId(oid),
        version: 1,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: TableKind::Virtual,
        next_column: columns.len() as u16 + 1,
        columns,
        indexes: Vec::new(),
        building: Vec::new(),
        checks: Vec::new(),
        next_index: 1,
    }
}

fn type_of(name: &str) -> SqlType {
    SqlType::from_typname(name).expect("the columns are of types that there are")
}

/// `pg_sequences`, which shows where all sequences stand.
pub const SEQUENCES: TableId = TableId(12_008);

/// True iff the schema is made of system tables.
pub fn is_virtual_schema(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}

/// The system table of this name.
pub fn table(schema: &str, name: &str) -> Option<Arc<TableDescriptor>> {
    TABLES.get(&(schema, name)).cloned()
}

/// The system table with this id.
pub fn table_by_id(id: TableId) -> Option<Arc<TableDescriptor>> {
    TABLES.values().find(|table| table.id == id).cloned()
}

/// The system tables of a schema, by name.
pub fn tables(schema: &str) -> Vec<Arc<TableDescriptor>> {
    TABLES.values().filter(|table| table.schema == schema).cloned().collect()
}

/// The schemas that there are. No others can be made yet.
pub fn exists(schema: &str) -> bool {
    schema == "public" || is_virtual_schema(schema)
}

/// OIDs of checks and defaults: they have none of their own, so they are made of the table's and a number. Far above
/// those that are given out.
const MADE: u32 = 1 << 31;
/// Where the numbers of defaults begin.
const DEFAULTS: usize = 512;

/// OIDs of the types of tables' rows, and of arrays of them: made likewise.
const ROWS: u32 = 1 << 30;

/// The oid of the type of a table's rows.
pub fn row_type(table: &TableDescriptor) -> u32 {
    ROWS | (table.id.0 << 1)
}

/// The table whose rows have this type, or arrays of them.
pub fn table_of_row_type(oid: u32) -> Option<(u32, bool)> {
    (oid & (MADE | ROWS) == ROWS).then_some(((oid & !ROWS) >> 1, oid & 1 == 1))
}

/// The oid of a check in `pg_constraint`, by its number.
pub fn check_oid(table: &TableDescriptor, number: usize) -> u32 {
    MADE | (table.id.0 << 10) | (number as u32 & 0x3ff)
}

/// The oid of a column's default in `pg_attrdef`.
pub fn default_oid(table: &TableDescriptor, column: ColumnId) -> u32 {
    check_oid(table, DEFAULTS + usize::from(column.0))
}

/// The table and number of a check, by the oid that it was given in `pg_constraint`.
pub fn checked_table(oid: u32) -> Option<(u32, usize)> {
    let number = oid & 0x3ff;
    (oid & MADE != 0 && number < DEFAULTS as u32).then_some(((oid & !MADE) >> 10, number as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_whole() {
        let class = table("pg_catalog", "pg_class").unwrap();
        assert_eq!(class.columns.len(), 33);
        assert_eq!(class.columns[1].name, "relname");
        let written = columns::PG_CATALOG.iter().chain(columns::INFORMATION_SCHEMA);
        for (_, name, text) in written {
            for column in text.split(',') {
                let ty = column.split_once(' ').expect(name).1.trim_end_matches('!');
                assert!(ty == "text" || type_of(ty) != SqlType::Text, "{name}: {ty}");
            }
        }
    }

    #[test]
    fn ids_are_distinct() {
        let ids: std::collections::BTreeSet<_> = TABLES.values().map(|table| table.id).collect();
        assert_eq!(ids.len(), TABLES.len());
        assert!(ids.iter().all(|id| id.0 < 16_384));
    }
}
