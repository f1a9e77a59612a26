//! System tables about tables: `pg_class`, `pg_attribute`, `pg_index`, `pg_constraint` and what is made of them.

use std::sync::Arc;

use sql_catalog::descriptor::{
    ColumnDescriptor, Identity, IndexDescriptor, TableDescriptor, TableKind,
};
use sql_catalog::function::EvalContext;
use sql_catalog::system::{check_oid, default_oid, row_type};
use sql_functions::io;
use sql_values::error::SqlResult;
use sql_values::types::{Datum, NAME_MAX, SqlType, TypeId, cut_bytes};

use super::sequences::shown_tables;
use super::{Builder, SystemTables, all_tables, letter, objects, oids, schema_oid, text};

/// The types of a table's rows, and of arrays of them.
pub(super) fn row_types(rows: &mut Builder<'_>, table: &TableDescriptor) {
    let element = row_type(table);
    let array = element | 1;
    let functions = [io::of_type(SqlType::Record), io::of_type(TypeId::Text.array())];
    for (oid, is_array) in [(element, false), (array, true)] {
        let functions = functions[usize::from(is_array)];
        let name = format!("{}{}", if is_array { "_" } else { "" }, table.name);
        let letter_of = |plain, array| letter(if is_array { array } else { plain });
        let oid_of = |plain, array| Datum::Oid(if is_array { array } else { plain });
        rows.add(&[
            ("oid", Datum::Oid(oid)),
            ("typname", text(cut_bytes(&name, NAME_MAX))),
            ("typnamespace", Datum::Oid(schema_oid(&table.schema))),
            ("typowner", Datum::Oid(oids::OWNER)),
            ("typlen", Datum::Int2(-1)),
            ("typtype", letter_of('c', 'b')),
            ("typcategory", letter_of('C', 'A')),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", letter(',')),
            ("typrelid", oid_of(table.id.0, 0)),
            ("typelem", oid_of(0, element)),
            ("typarray", oid_of(array, 0)),
            ("typsubscript", Datum::Oid(functions.subscript)),
            ("typinput", Datum::Oid(functions.input)),
            ("typoutput", Datum::Oid(functions.output)),
            ("typreceive", Datum::Oid(functions.receive)),
            ("typsend", Datum::Oid(functions.send)),
            ("typanalyze", Datum::Oid(functions.analyze)),
            ("typalign", letter('d')),
            ("typstorage", letter('x')),
            ("typtypmod", Datum::Int4(-1)),
        ]);
    }
}

impl SystemTables<'_> {
    /// False if the table is another's.
    pub(super) fn relations(
        &self,
        rows: &mut Builder<'_>,
        ctx: &EvalContext<'_>,
    ) -> SqlResult<bool> {
        let add: fn(&mut Builder<'_>, &TableDescriptor) = match rows.table.name.as_str() {
            "pg_class" => class,
            "pg_attribute" => attributes,
            "pg_attrdef" => defaults,
            "pg_index" => indexes,
            "pg_constraint" => constraints,
            "pg_tables" => tables_view,
            "pg_indexes" => indexes_view,
            "pg_stat_user_tables" => stat_tables,
            _ => return Ok(false),
        };
        let tables = match rows.table.name.as_str() {
            "pg_attrdef" => shown_tables(ctx)?,
            _ => all_tables(ctx)?,
        };
        for table in tables {
            add(rows, &table);
        }
        Ok(true)
    }
}

fn is_stored(table: &TableDescriptor) -> bool {
    table.kind == TableKind::Stored
}

/// PostgreSQL has tables below, views above.
fn is_system_view(table: &TableDescriptor) -> bool {
    table.kind == TableKind::Virtual && (table.schema != "pg_catalog" || table.id.0 >= 12_000)
}

fn named_indexes(table: &TableDescriptor) -> impl Iterator<Item = &IndexDescriptor> {
    table.indexes.iter().filter(|index| !index.name.is_empty())
}

fn visible(table: &TableDescriptor) -> impl Iterator<Item = &ColumnDescriptor> {
    table.columns.iter().filter(|column| !column.hidden)
}

fn class(rows: &mut Builder<'_>, table: &TableDescriptor) {
    let is_view = is_system_view(table);
    let is_sequence = table.sequence().is_some();
    let kind = match () {
        () if is_sequence => 'S',
        () if is_view => 'v',
        () => 'r',
    };
    rows.add(&[
        ("oid", Datum::Oid(table.id.0)),
        ("relname", text(table.name.as_str())),
        ("relnamespace", Datum::Oid(schema_oid(&table.schema))),
        ("reltype", Datum::Oid(if is_sequence { 0 } else { row_type(table) })),
        ("relowner", Datum::Oid(oids::OWNER)),
        ("relam", Datum::Oid(if is_view || is_sequence { 0 } else { oids::HEAP })),
        ("relfilenode", Datum::Oid(table.id.0)),
        ("reltuples", Datum::Float4(if is_sequence { 1.0 } else { -1.0 })),
        ("relpages", Datum::Int4(i32::from(is_sequence))),
        ("relhasindex", Datum::Bool(named_indexes(table).next().is_some())),
        ("relpersistence", letter('p')),
        ("relkind", letter(kind)),
        ("relnatts", Datum::Int2(visible(table).count() as i16)),
        ("relchecks", Datum::Int2(table.checks.len() as i16)),
        ("relispopulated", Datum::Bool(true)),
        ("relreplident", letter(if is_stored(table) { 'd' } else { 'n' })),
    ]);
    for index in named_indexes(table) {
        rows.add(&[
            ("oid", Datum::Oid(index.oid)),
            ("relname", text(index.name.as_str())),
            ("relnamespace", Datum::Oid(schema_oid(&table.schema))),
            ("relowner", Datum::Oid(oids::OWNER)),
            ("relam", Datum::Oid(oids::BTREE)),
            ("relfilenode", Datum::Oid(index.oid)),
            ("relpersistence", letter('p')),
            ("relkind", letter('i')),
            ("relnatts", Datum::Int2(index.key.len() as i16)),
            ("relispopulated", Datum::Bool(true)),
            ("relreplident", letter('n')),
        ]);
    }
}

fn collation_of(ty: SqlType) -> u32 {
    objects::collation(ty.element().unwrap_or(ty).def().collation)
}

fn attribute(rows: &mut Builder<'_>, relation: u32, number: i16, column: &ColumnDescriptor) {
    let ty = column.ty;
    rows.add(&[
        ("attrelid", Datum::Oid(relation)),
        ("attname", text(column.name.as_str())),
        ("atttypid", Datum::Oid(ty.oid())),
        ("attstattarget", Datum::Int4(-1)),
        ("attlen", Datum::Int2(ty.typlen())),
        ("attnum", Datum::Int2(number)),
        ("attndims", Datum::Int4(i32::from(matches!(ty, SqlType::Array(_))))),
        ("attcacheoff", Datum::Int4(-1)),
        ("atttypmod", Datum::Int4(ty.typmod())),
        ("attbyval", Datum::Bool(ty.is_by_value())),
        ("attalign", letter(ty.def().align)),
        ("attstorage", letter(if ty.typlen() < 0 { 'x' } else { 'p' })),
        ("attcompression", text("")),
        ("attnotnull", Datum::Bool(column.not_null)),
        ("atthasdef", Datum::Bool(column.default.is_some() && column.identity.is_none())),
        (
            "attidentity",
            text(match column.identity {
                None => "",
                Some(Identity::Always) => "a",
                Some(Identity::ByDefault) => "d",
            }),
        ),
        ("attgenerated", text("")),
        ("attislocal", Datum::Bool(true)),
        ("attcollation", Datum::Oid(collation_of(ty))),
    ]);
}

fn attributes(rows: &mut Builder<'_>, table: &TableDescriptor) {
    for column in visible(table) {
        attribute(rows, table.id.0, column.id.0 as i16, column);
    }
    for index in named_indexes(table) {
        for ((id, _), number) in index.key.iter().zip(1..) {
            if let Some(at) = table.position(*id) {
                let column =
                    ColumnDescriptor { default: None, identity: None, ..table.columns[at].clone() };
                attribute(rows, index.oid, number, &column);
            }
        }
    }
}

fn defaults(rows: &mut Builder<'_>, table: &TableDescriptor) {
    for column in visible(table).filter(|column| column.identity.is_none()) {
        if let Some(default) = &column.default {
            rows.add(&[
                ("oid", Datum::Oid(default_oid(table, column.id))),
                ("adrelid", Datum::Oid(table.id.0)),
                ("adnum", Datum::Int2(column.id.0 as i16)),
                ("adbin", text(default.as_str())),
            ]);
        }
    }
}

fn numbers(index: &IndexDescriptor) -> Vec<Datum> {
    index.key.iter().map(|(id, _)| Datum::Int2(id.0 as i16)).collect()
}

fn indexes(rows: &mut Builder<'_>, table: &TableDescriptor) {
    for index in named_indexes(table) {
        let key = index.key.iter();
        let types = key.clone().filter_map(|(id, _)| table.position(*id));
        let collations = types.map(|at| Datum::Oid(collation_of(table.columns[at].ty)));
        // Bit 0: descending; bit 1: NULLs first, which goes with it.
        let options =
            key.clone().map(|(_, descending)| Datum::Int2(if *descending { 3 } else { 0 }));
        let classes = key.map(|_| Datum::Oid(0));
        rows.add(&[
            ("indexrelid", Datum::Oid(index.oid)),
            ("indrelid", Datum::Oid(table.id.0)),
            ("indnatts", Datum::Int2(index.key.len() as i16)),
            ("indnkeyatts", Datum::Int2(index.key.len() as i16)),
            ("indisunique", Datum::Bool(index.unique)),
            ("indisprimary", Datum::Bool(is_primary(table, index))),
            ("indimmediate", Datum::Bool(true)),
            ("indisvalid", Datum::Bool(true)),
            ("indisready", Datum::Bool(true)),
            ("indislive", Datum::Bool(true)),
            ("indkey", Datum::Array(numbers(index).into())),
            ("indcollation", Datum::Array(collations.collect::<Vec<_>>().into())),
            ("indclass", Datum::Array(classes.collect::<Vec<_>>().into())),
            ("indoption", Datum::Array(options.collect::<Vec<_>>().into())),
        ]);
    }
}

fn is_primary(table: &TableDescriptor, index: &IndexDescriptor) -> bool {
    index.constraint && table.primary().is_some_and(|primary| primary.id == index.id)
}

fn constraints(rows: &mut Builder<'_>, table: &TableDescriptor) {
    let common = |oid: u32, name: &str, kind: char| {
        vec![
            ("oid", Datum::Oid(oid)),
            ("conname", text(name)),
            ("connamespace", Datum::Oid(schema_oid(&table.schema))),
            ("contype", letter(kind)),
            ("convalidated", Datum::Bool(true)),
            ("conrelid", Datum::Oid(table.id.0)),
            ("confupdtype", letter(' ')),
            ("confdeltype", letter(' ')),
            ("confmatchtype", letter(' ')),
            ("conislocal", Datum::Bool(true)),
        ]
    };
    for index in named_indexes(table).filter(|index| index.constraint) {
        let kind = if is_primary(table, index) { 'p' } else { 'u' };
        // The constraint and its index are one thing here, and share their oid.
        let mut values = common(index.oid, &index.name, kind);
        values.push(("conindid", Datum::Oid(index.oid)));
        values.push(("connoinherit", Datum::Bool(true)));
        values.push(("conkey", Datum::Array(numbers(index).into())));
        rows.add(&values);
    }
    for (number, check) in table.checks.iter().enumerate() {
        let mut values = common(check_oid(table, number), &check.name, 'c');
        values.push(("conkey", Datum::Array(Arc::new([]))));
        values.push(("conbin", text(check.expr.as_str())));
        rows.add(&values);
    }
}

fn tables_view(rows: &mut Builder<'_>, table: &TableDescriptor) {
    if !is_stored(table) && (table.id.0 >= 12_000 || table.sequence().is_some()) {
        return;
    }
    rows.add(&[
        ("schemaname", text(table.schema.as_str())),
        ("tablename", text(table.name.as_str())),
        ("tableowner", text("postgres")),
        ("hasindexes", Datum::Bool(named_indexes(table).next().is_some())),
        ("hasrules", Datum::Bool(false)),
        ("hastriggers", Datum::Bool(false)),
        ("rowsecurity", Datum::Bool(false)),
    ]);
}

fn indexes_view(rows: &mut Builder<'_>, table: &TableDescriptor) {
    for index in named_indexes(table) {
        rows.add(&[
            ("schemaname", text(table.schema.as_str())),
            ("tablename", text(table.name.as_str())),
            ("indexname", text(index.name.as_str())),
            ("indexdef", text(definition(table, index))),
        ]);
    }
}

/// CREATE INDEX as PostgreSQL writes it.
pub(crate) fn definition(table: &TableDescriptor, index: &IndexDescriptor) -> String {
    let columns = index.key.iter().filter_map(|(id, descending)| {
        let name = &table.columns[table.position(*id)?].name;
        Some(if *descending { format!("{name} DESC") } else { name.clone() })
    });
    format!(
        "CREATE {}INDEX {} ON {}.{} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        index.name,
        table.schema,
        table.name,
        columns.collect::<Vec<_>>().join(", ")
    )
}

fn stat_tables(rows: &mut Builder<'_>, table: &TableDescriptor) {
    if is_stored(table) {
        rows.add(&[
            ("relid", Datum::Oid(table.id.0)),
            ("schemaname", text(table.schema.as_str())),
            ("relname", text(table.name.as_str())),
        ]);
    }
}
