//! Functions about sequences. Where one stands, the executor asks of whoever runs the statement.

use sql_catalog::descriptor::sequence::SequenceDescriptor;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::function::{SequenceFn, SequenceRequest};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::signature::*;
use super::system::{qualified_in_full, table_of_text};
use super::{Body, EvalContext, Function, ParamType, Volatility};

const fn asks(
    oid: u32,
    name: &'static str,
    args: &'static [ParamType],
    body: SequenceFn,
) -> Function {
    Function {
        oid,
        name,
        args,
        variadic: false,
        result: INT8,
        strict: true,
        volatility: Volatility::Volatile,
        body: Body::Sequence(body),
        kernel: None,
    }
}

fn next(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SequenceRequest> {
    Ok(SequenceRequest::Next(oid(args, 0)?))
}

fn current(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SequenceRequest> {
    Ok(SequenceRequest::Current(oid(args, 0)?))
}

fn latest(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<SequenceRequest> {
    Ok(SequenceRequest::Latest)
}

fn last(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SequenceRequest> {
    Ok(SequenceRequest::Last(oid(args, 0)?))
}

fn put(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SequenceRequest> {
    let is_called = args.len() < 3 || boolean(args, 2)?;
    Ok(SequenceRequest::Set { id: oid(args, 0)?, value: int(args, 1)?, is_called })
}

/// The sequence that goes with a column.
fn serial_sequence(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let table = table_of_text(ctx, text(args, 0)?)?;
    let name = text(args, 1)?;
    let column = table.columns.iter().find(|column| column.name == name && !column.hidden);
    let column = column.ok_or_else(|| {
        let text = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        SqlError::new(SqlState::UNDEFINED_COLUMN, text)
    })?;
    let owns = |other: &TableDescriptor| {
        let owner = other.sequence().and_then(|sequence| sequence.owner);
        owner.is_some_and(|owner| owner.table == table.id && owner.column == column.id)
    };
    let found = ctx.catalog.tables(&table.schema)?.into_iter().find(|other| owns(other));
    Ok(found.map_or(Datum::Null, |sequence| Datum::text(qualified_in_full(&sequence))))
}

/// What a sequence is, as a record.
fn parameters(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let id = oid(args, 0)?;
    let table = ctx.catalog.table_by_id(TableId(id))?;
    let sequence = table.as_ref().and_then(|table| table.sequence().copied());
    let Some(SequenceDescriptor { ty, start, increment, min, max, cache, cycle, .. }) = sequence
    else {
        return Err(match table {
            Some(table) => {
                let text = format!("\"{}\" is not a sequence", table.name);
                SqlError::new(SqlState::WRONG_OBJECT_TYPE, text)
            }
            None => SqlError::internal(format!("cache lookup failed for sequence {id}")),
        });
    };
    let numbers = [start, min, max, increment].map(Datum::Int8);
    let rest = [Datum::Bool(cycle), Datum::Int8(cache), Datum::Oid(ty.oid())];
    Ok(Datum::Record(numbers.into_iter().chain(rest).collect()))
}

/// By oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    asks(1574, "nextval", &[REGCLASS], next),
    asks(1575, "currval", &[REGCLASS], current),
    asks(1576, "setval", &[REGCLASS, INT8], put),
    scalar(1665, "pg_get_serial_sequence", &[TEXT, TEXT], TEXT, serial_sequence).stable(),
    asks(1765, "setval", &[REGCLASS, INT8, BOOL], put),
    asks(2559, "lastval", &[], latest),
    scalar(3078, "pg_sequence_parameters", &[OID], RECORD, parameters).stable(),
    asks(4032, "pg_sequence_last_value", &[REGCLASS], last),
];
