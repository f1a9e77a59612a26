//! System tables: `pg_catalog` and `information_schema`, made from the catalog and the tables of types, functions and
//! operators whenever they are read.

mod columns;
mod information;
mod objects;
mod relations;

pub(crate) use relations::{checked_table, row_type, table_of_row_type};

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor, TableId, TableKind};
use crate::error::SqlResult;
use crate::exec::{Row, VirtualTables};
use crate::func::EvalContext;
use crate::session::settings::Settings;
use crate::types::{Datum, ElementType, SqlType};

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
    match name {
        "bool" => SqlType::Bool,
        "bytea" => SqlType::Bytea,
        "char" => SqlType::InternalChar,
        "float4" => SqlType::Float4,
        "int2" => SqlType::Int2,
        "int2vector" => SqlType::Int2Vector,
        "int4" => SqlType::Int4,
        "int8" => SqlType::Int8,
        "interval" => SqlType::Interval(None),
        "name" => SqlType::Name,
        "oid" => SqlType::Oid,
        "oidvector" => SqlType::OidVector,
        "regproc" => SqlType::RegProc,
        "timestamptz" => SqlType::TimestampTz(None),
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

/// Makes the rows of system tables.
pub struct SystemTables<'a> {
    /// The session's settings.
    pub(crate) settings: &'a Settings,
}

/// OIDs of what always exists.
mod oids {
    pub(super) const OWNER: u32 = 10;
    pub(super) const PG_CATALOG: u32 = 11;
    pub(super) const PUBLIC: u32 = 2_200;
    pub(super) const INFORMATION_SCHEMA: u32 = 13_000;
    pub(super) const HEAP: u32 = 2;
    pub(super) const BTREE: u32 = 403;
    pub(super) const DATABASE: u32 = 5;
    pub(super) const TABLESPACE: u32 = 1_663;
    pub(super) const DEFAULT_COLLATION: u32 = 100;
    pub(super) const C_COLLATION: u32 = 950;
}

/// The oid of a schema that exists.
fn schema_oid(schema: &str) -> u32 {
    match schema {
        "pg_catalog" => oids::PG_CATALOG,
        "information_schema" => oids::INFORMATION_SCHEMA,
        _ => oids::PUBLIC,
    }
}

/// Every table, the system's too.
fn all_tables(ctx: &EvalContext<'_>) -> SqlResult<Vec<Arc<TableDescriptor>>> {
    let mut all = tables("pg_catalog");
    all.extend(tables("information_schema"));
    all.extend(ctx.catalog.tables("public")?);
    Ok(all)
}

/// A row under construction: values by column name, whatever the order; NULL where none is given.
struct Builder<'t> {
    table: &'t TableDescriptor,
    rows: Vec<Row>,
}

impl Builder<'_> {
    fn add(&mut self, values: &[(&str, Datum)]) {
        let row = self.table.columns.iter().map(|column| {
            let given = values.iter().find(|(name, _)| *name == column.name);
            given.map_or_else(|| default_of(column), |(_, value)| value.clone())
        });
        self.rows.push(row.collect());
    }
}

/// What a column has where nothing is said: NULL, or the nearest to it where that is not allowed.
fn default_of(column: &ColumnDescriptor) -> Datum {
    if !column.not_null {
        return Datum::Null;
    }
    match column.ty {
        SqlType::Bool => Datum::Bool(false),
        SqlType::Int2 => Datum::Int2(0),
        SqlType::Int4 => Datum::Int4(0),
        SqlType::Int8 => Datum::Int8(0),
        SqlType::Float4 => Datum::Float4(0.0),
        SqlType::Oid | SqlType::RegProc => Datum::Oid(0),
        SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => Datum::Array(Arc::new([])),
        _ => Datum::text(""),
    }
}

fn text(value: impl Into<Arc<str>>) -> Datum {
    Datum::text(value)
}

/// `"char"`.
fn letter(value: char) -> Datum {
    Datum::text(value.to_string())
}

impl VirtualTables for SystemTables<'_> {
    fn rows(&self, table: &TableDescriptor, ctx: &EvalContext<'_>) -> SqlResult<Vec<Row>> {
        let mut rows = Builder { table, rows: Vec::new() };
        match table.schema.as_str() {
            "information_schema" => self.information(&mut rows, ctx)?,
            _ if self.relations(&mut rows, ctx)? => {}
            _ => self.objects(&mut rows, ctx)?,
        }
        Ok(rows.rows)
    }
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
