//! System tables about sequences: what they are, and what goes with what because of them.

use std::sync::Arc;

use sql_catalog::descriptor::sequence::{SequenceDescriptor, relations_in, with_names};
use sql_catalog::descriptor::{ColumnDescriptor, Identity, TableDescriptor, TableId, TableKind};
use sql_catalog::function::EvalContext;
use sql_catalog::system::default_oid;
use sql_values::error::SqlResult;
use sql_values::types::{Datum, SqlType};

use super::{Builder, SystemTables, all_tables, letter, oids, schema_oid, text};

/// Every sequence.
fn sequences(ctx: &EvalContext<'_>) -> SqlResult<Vec<(Arc<TableDescriptor>, SequenceDescriptor)>> {
    let tables = ctx.catalog.tables("public")?.into_iter();
    let sequence = |table: Arc<TableDescriptor>| {
        let sequence = *table.sequence()?;
        Some((table, sequence))
    };
    Ok(tables.filter_map(sequence).collect())
}

/// Every table, with its defaults as people read them.
pub(super) fn shown_tables(ctx: &EvalContext<'_>) -> SqlResult<Vec<Arc<TableDescriptor>>> {
    let mut tables = all_tables(ctx)?;
    for table in &mut tables {
        let named = |column: &ColumnDescriptor| {
            column.default.as_deref().is_some_and(|default| !relations_in(default).is_empty())
        };
        if table.columns.iter().any(named) {
            let mut shown = (**table).clone();
            for default in shown.columns.iter_mut().filter_map(|column| column.default.as_mut()) {
                let name = |oid| ctx.output(SqlType::RegClass, &Datum::Oid(oid)).ok();
                *default = with_names(default, name);
            }
            *table = Arc::new(shown);
        }
    }
    Ok(tables)
}

/// What an identity column has in `information_schema.columns`.
pub(super) fn identity(
    ctx: &EvalContext<'_>,
    column: &ColumnDescriptor,
) -> SqlResult<Vec<(&'static str, Datum)>> {
    let no = vec![("is_identity", text("NO")), ("identity_cycle", text("NO"))];
    let Some(identity) = column.identity else { return Ok(no) };
    let found = column.default.as_deref().map(relations_in).unwrap_or_default();
    let Some(id) = found.first() else { return Ok(no) };
    let table = ctx.catalog.table_by_id(TableId(*id))?;
    let Some(sequence) = table.as_ref().and_then(|table| table.sequence()) else { return Ok(no) };
    Ok(vec![
        ("is_identity", text("YES")),
        (
            "identity_generation",
            text(match identity {
                Identity::Always => "ALWAYS",
                Identity::ByDefault => "BY DEFAULT",
            }),
        ),
        ("identity_start", number(sequence.start)),
        ("identity_increment", number(sequence.increment)),
        ("identity_maximum", number(sequence.max)),
        ("identity_minimum", number(sequence.min)),
        ("identity_cycle", text(if sequence.cycle { "YES" } else { "NO" })),
    ])
}

fn number(value: i64) -> Datum {
    text(value.to_string())
}

impl SystemTables<'_> {
    /// Rows of `information_schema.sequences`: identity columns have theirs for themselves.
    pub(super) fn information_sequences(
        &self,
        rows: &mut Builder<'_>,
        ctx: &EvalContext<'_>,
    ) -> SqlResult<()> {
        for (table, sequence) in sequences(ctx)? {
            if sequence.owner.is_some_and(|owner| owner.identity) {
                continue;
            }
            let bits = match sequence.ty {
                SqlType::Int2 => 16,
                SqlType::Int4 => 32,
                _ => 64,
            };
            rows.add(&[
                ("sequence_catalog", text(ctx.catalog.database())),
                ("sequence_schema", text(table.schema.as_str())),
                ("sequence_name", text(table.name.as_str())),
                ("data_type", text(sequence.ty.name())),
                ("numeric_precision", Datum::Int4(bits)),
                ("numeric_precision_radix", Datum::Int4(2)),
                ("numeric_scale", Datum::Int4(0)),
                ("start_value", number(sequence.start)),
                ("minimum_value", number(sequence.min)),
                ("maximum_value", number(sequence.max)),
                ("increment", number(sequence.increment)),
                ("cycle_option", text(if sequence.cycle { "YES" } else { "NO" })),
            ]);
        }
        Ok(())
    }

    /// False if the table is another's.
    pub(super) fn sequences(
        &self,
        rows: &mut Builder<'_>,
        ctx: &EvalContext<'_>,
    ) -> SqlResult<bool> {
        match rows.table.name.as_str() {
            "pg_sequence" => {
                for (table, sequence) in sequences(ctx)? {
                    rows.add(&[
                        ("seqrelid", Datum::Oid(table.id.0)),
                        ("seqtypid", Datum::Oid(sequence.ty.oid())),
                        ("seqstart", Datum::Int8(sequence.start)),
                        ("seqincrement", Datum::Int8(sequence.increment)),
                        ("seqmax", Datum::Int8(sequence.max)),
                        ("seqmin", Datum::Int8(sequence.min)),
                        ("seqcache", Datum::Int8(sequence.cache)),
                        ("seqcycle", Datum::Bool(sequence.cycle)),
                    ]);
                }
            }
            "pg_sequences" => {
                for (table, sequence) in sequences(ctx)? {
                    let state = self.states.get(&table.id).filter(|state| state.is_called);
                    rows.add(&[
                        ("schemaname", text(table.schema.as_str())),
                        ("sequencename", text(table.name.as_str())),
                        ("sequenceowner", text(ctx.catalog.user())),
                        ("data_type", Datum::Oid(sequence.ty.oid())),
                        ("start_value", Datum::Int8(sequence.start)),
                        ("min_value", Datum::Int8(sequence.min)),
                        ("max_value", Datum::Int8(sequence.max)),
                        ("increment_by", Datum::Int8(sequence.increment)),
                        ("cycle", Datum::Bool(sequence.cycle)),
                        ("cache_size", Datum::Int8(sequence.cache)),
                        (
                            "last_value",
                            state.map_or(Datum::Null, |state| Datum::Int8(state.last_value)),
                        ),
                    ]);
                }
            }
            "pg_depend" => {
                for table in all_tables(ctx)? {
                    dependencies(rows, &table);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A thing in `pg_depend`: its catalog, oid, and column.
type Thing = (u32, u32, i32);

fn depends(rows: &mut Builder<'_>, what: Thing, on: Thing, kind: char) {
    rows.add(&[
        ("classid", Datum::Oid(what.0)),
        ("objid", Datum::Oid(what.1)),
        ("objsubid", Datum::Int4(what.2)),
        ("refclassid", Datum::Oid(on.0)),
        ("refobjid", Datum::Oid(on.1)),
        ("refobjsubid", Datum::Int4(on.2)),
        ("deptype", letter(kind)),
    ]);
}

fn dependencies(rows: &mut Builder<'_>, table: &TableDescriptor) {
    if table.kind == TableKind::Virtual {
        return;
    }
    let relation: Thing = (oids::PG_CLASS, table.id.0, 0);
    depends(rows, relation, (oids::PG_NAMESPACE, schema_oid(&table.schema), 0), 'n');
    if let Some(owner) = table.sequence().and_then(|sequence| sequence.owner) {
        let column = (oids::PG_CLASS, owner.table.0, i32::from(owner.column.0));
        depends(rows, relation, column, if owner.identity { 'i' } else { 'a' });
    }
    for column in table.columns.iter().filter(|column| !column.hidden) {
        let Some(default) = column.default.as_deref().filter(|_| column.identity.is_none()) else {
            continue;
        };
        let oid: Thing = (oids::PG_ATTRDEF, default_oid(table, column.id), 0);
        depends(rows, oid, (oids::PG_CLASS, table.id.0, i32::from(column.id.0)), 'a');
        for id in relations_in(default) {
            depends(rows, oid, (oids::PG_CLASS, id, 0), 'n');
        }
    }
}
