//! `information_schema`.

use sql_catalog::descriptor::{ColumnDescriptor, TableDescriptor, TableKind};
use sql_catalog::function::EvalContext;
use sql_values::error::SqlResult;
use sql_values::types::{Datum, Measure, SqlType};

use super::sequences::{identity, shown_tables};
use super::{Builder, SystemTables, all_tables, text};

impl SystemTables<'_> {
    /// Rows of a table; none if it is always empty.
    pub(super) fn information(
        &self,
        rows: &mut Builder<'_>,
        ctx: &EvalContext<'_>,
    ) -> SqlResult<()> {
        let database = text(ctx.catalog.database());
        let user = text(ctx.catalog.user());
        if rows.table.name == "schemata" {
            for schema in ["information_schema", "pg_catalog", "public"] {
                rows.add(&[
                    ("catalog_name", database.clone()),
                    ("schema_name", text(schema)),
                    ("schema_owner", user.clone()),
                ]);
            }
            return Ok(());
        }
        if rows.table.name == "sequences" {
            return self.information_sequences(rows, ctx);
        }
        if rows.table.name == "columns" {
            let tables = all_tables(ctx)?.into_iter().zip(shown_tables(ctx)?);
            for (table, shown) in tables.filter(|(table, _)| table.sequence().is_none()) {
                columns(rows, &database, &table, &shown, ctx)?;
            }
            return Ok(());
        }
        let add: fn(&mut Builder<'_>, &Datum, &TableDescriptor) = match rows.table.name.as_str() {
            "tables" => tables,
            "table_constraints" => constraints,
            "key_column_usage" | "constraint_column_usage" => key_columns,
            "check_constraints" => checks,
            _ => return Ok(()),
        };
        let tables = all_tables(ctx)?.into_iter();
        for table in tables.filter(|table| table.sequence().is_none()) {
            add(rows, &database, &table);
        }
        Ok(())
    }
}

fn yes(value: bool) -> Datum {
    text(if value { "YES" } else { "NO" })
}

fn visible(table: &TableDescriptor) -> impl Iterator<Item = &ColumnDescriptor> {
    table.columns.iter().filter(|column| !column.hidden)
}

fn tables(rows: &mut Builder<'_>, database: &Datum, table: &TableDescriptor) {
    let stored = table.kind == TableKind::Stored;
    let is_table = stored || (table.schema == "pg_catalog" && table.id.0 < 12_000);
    rows.add(&[
        ("table_catalog", database.clone()),
        ("table_schema", text(table.schema.as_str())),
        ("table_name", text(table.name.as_str())),
        ("table_type", text(if is_table { "BASE TABLE" } else { "VIEW" })),
        ("is_insertable_into", yes(stored)),
        ("is_typed", yes(false)),
    ]);
}

/// What a type's measure is in the columns of the view.
#[derive(Default)]
struct Sizes {
    characters: Option<i32>,
    octets: Option<i32>,
    precision: Option<i32>,
    radix: Option<i32>,
    scale: Option<i32>,
    seconds: Option<i32>,
}

/// What the view gives for the octets of strings of any length.
const OCTETS_MAX: i32 = 1 << 30;

fn sizes(ty: SqlType) -> Sizes {
    match (ty.def().measure)(ty) {
        Measure::None => Sizes::default(),
        Measure::Number { precision, radix, scale } => {
            Sizes { precision, radix: Some(radix), scale, ..Sizes::default() }
        }
        Measure::Characters(length) => {
            let characters = length.map(|length| i32::try_from(length).unwrap_or(i32::MAX));
            let octets = characters.map_or(OCTETS_MAX, |length| length.saturating_mul(4));
            Sizes { characters, octets: Some(octets), ..Sizes::default() }
        }
        Measure::Seconds(digits) => Sizes { seconds: Some(digits.into()), ..Sizes::default() },
    }
}

fn columns(
    rows: &mut Builder<'_>,
    database: &Datum,
    table: &TableDescriptor,
    shown: &TableDescriptor,
    ctx: &EvalContext<'_>,
) -> SqlResult<()> {
    for ((column, shown), number) in visible(table).zip(visible(shown)).zip(1..) {
        let ty = column.ty;
        let sizes = sizes(ty);
        let or_null = |value: Option<i32>| value.map_or(Datum::Null, Datum::Int4);
        let name = if matches!(ty, SqlType::Array(_)) { "ARRAY".into() } else { ty.base().name() };
        let default = shown.default.as_deref().filter(|_| column.identity.is_none());
        let default = default.map_or(Datum::Null, text);
        let mut values = vec![
            ("table_catalog", database.clone()),
            ("table_schema", text(table.schema.as_str())),
            ("table_name", text(table.name.as_str())),
            ("column_name", text(column.name.as_str())),
            ("ordinal_position", Datum::Int4(number)),
            ("column_default", default),
            ("is_nullable", yes(!column.not_null)),
            ("data_type", text(name)),
            ("character_maximum_length", or_null(sizes.characters)),
            ("character_octet_length", or_null(sizes.octets)),
            ("numeric_precision", or_null(sizes.precision)),
            ("numeric_precision_radix", or_null(sizes.radix)),
            ("numeric_scale", or_null(sizes.scale)),
            ("datetime_precision", or_null(sizes.seconds)),
            ("udt_catalog", database.clone()),
            ("udt_schema", text("pg_catalog")),
            ("udt_name", text(ty.typname())),
            ("dtd_identifier", text(number.to_string())),
            ("is_self_referencing", yes(false)),
            ("is_generated", text("NEVER")),
            ("is_updatable", yes(table.kind == TableKind::Stored)),
        ];
        values.extend(identity(ctx, column)?);
        rows.add(&values);
    }
    Ok(())
}

fn constraint<'t>(
    database: &Datum,
    table: &'t TableDescriptor,
    name: &'t str,
) -> Vec<(&'t str, Datum)> {
    vec![
        ("constraint_catalog", database.clone()),
        ("constraint_schema", text(table.schema.as_str())),
        ("constraint_name", text(name)),
        ("table_catalog", database.clone()),
        ("table_schema", text(table.schema.as_str())),
        ("table_name", text(table.name.as_str())),
    ]
}

fn constraints(rows: &mut Builder<'_>, database: &Datum, table: &TableDescriptor) {
    let primary = table.primary().map(|index| index.id);
    let keys = table.indexes.iter().filter(|index| index.constraint).map(|index| {
        let kind = if Some(index.id) == primary { "PRIMARY KEY" } else { "UNIQUE" };
        (index.name.as_str(), kind)
    });
    let checks = table.checks.iter().map(|check| (check.name.as_str(), "CHECK"));
    for (name, kind) in keys.chain(checks) {
        let mut values = constraint(database, table, name);
        values.push(("constraint_type", text(kind)));
        values.push(("is_deferrable", yes(false)));
        values.push(("initially_deferred", yes(false)));
        values.push(("enforced", yes(true)));
        if kind == "UNIQUE" {
            values.push(("nulls_distinct", yes(true)));
        }
        rows.add(&values);
    }
}

fn key_columns(rows: &mut Builder<'_>, database: &Datum, table: &TableDescriptor) {
    for index in table.indexes.iter().filter(|index| index.constraint) {
        for ((id, _), number) in index.key.iter().zip(1..) {
            let Some(at) = table.position(*id) else { continue };
            let mut values = constraint(database, table, &index.name);
            values.push(("column_name", text(table.columns[at].name.as_str())));
            values.push(("ordinal_position", Datum::Int4(number)));
            rows.add(&values);
        }
    }
}

fn checks(rows: &mut Builder<'_>, database: &Datum, table: &TableDescriptor) {
    for check in &table.checks {
        let mut values = constraint(database, table, &check.name);
        values.push(("check_clause", text(format!("({})", check.expr))));
        rows.add(&values);
    }
}
