//! System tables: `pg_catalog` and `information_schema`, made from the catalog and the tables of types, functions and
//! operators whenever they are read.

mod information;
mod objects;
mod relations;
mod sequences;

use std::collections::BTreeMap;
use std::sync::Arc;

use sql_catalog::descriptor::sequence::SequenceState;
use sql_catalog::descriptor::{ColumnDescriptor, TableDescriptor, TableId};
use sql_catalog::function::EvalContext;
use sql_catalog::system::tables;
use sql_exec::{Row, VirtualTables};
use sql_values::error::SqlResult;
use sql_values::types::{Datum, Form};

use crate::settings::Settings;

/// Makes the rows of system tables.
pub(crate) struct SystemTables<'a> {
    /// The session's settings.
    pub(crate) settings: &'a Settings,
    /// Where sequences stand, if the statement reads [`sql_catalog::system::SEQUENCES`].
    pub(crate) states: BTreeMap<TableId, SequenceState>,
}

/// OIDs of what always exists.
mod oids {
    pub(super) const PG_CLASS: u32 = 1_259;
    pub(super) const PG_ATTRDEF: u32 = 2_604;
    pub(super) const PG_NAMESPACE: u32 = 2_615;
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
    match column.ty.form() {
        Form::Bool => Datum::Bool(false),
        Form::Int2 => Datum::Int2(0),
        Form::Int4 => Datum::Int4(0),
        Form::Int8 => Datum::Int8(0),
        Form::Float4 => Datum::Float4(0.0),
        Form::Oid => Datum::Oid(0),
        Form::Array => Datum::Array(Arc::new([])),
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
            _ if self.relations(&mut rows, ctx)? || self.sequences(&mut rows, ctx)? => {}
            _ => self.objects(&mut rows, ctx)?,
        }
        Ok(rows.rows)
    }
}
