//! System tables: `pg_catalog` and `information_schema`, made from the catalog and the tables of types, functions and
//! operators whenever they are read.

mod columns;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::descriptor::{
    ColumnDescriptor, ColumnId, TableDescriptor, TableId, TableKind,
};
use crate::types::{ElementType, SqlType};

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
        checks: Vec::new(),
        next_index: 1,
    }
}

fn type_of(name: &str) -> SqlType {
    match name {
        "bool" => SqlType::Bool,
        "bytea" => SqlType::Bytea,
        "char" => SqlType::InternalChar,
        "float4" => SqlType::Float4,
        "int2" => SqlType::Int2,
        "int2vector" => SqlType::Int2Vector,
        "int4" => SqlType::Int4,
        "int8" => SqlType::Int8,
        "interval" => SqlType::Interval,
        "name" => SqlType::Name,
        "oid" => SqlType::Oid,
        "oidvector" => SqlType::OidVector,
        "regproc" => SqlType::RegProc,
        "timestamptz" => SqlType::TimestampTz,
        "varchar" => SqlType::Varchar(None),
        "_char" => SqlType::Array(ElementType::InternalChar),
        "_int2" => SqlType::Array(ElementType::Int2),
        "_name" => SqlType::Array(ElementType::Name),
        "_oid" => SqlType::Array(ElementType::Oid),
        "_text" => SqlType::Array(ElementType::Text),
        _ => SqlType::Text,
    }
}

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
