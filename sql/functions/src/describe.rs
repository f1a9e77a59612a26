//! Functions that clients describe objects with, and the one that changes a setting.

use sql_catalog::descriptor::TableId;
use sql_catalog::system::checked_table;
use sql_values::error::SqlResult;
use sql_values::types::Datum;

use super::signature::{BOOL, OID, REGCLASS, TEXT, boolean, oid, scalar, set, text};
use super::{Body, EvalContext, Function, ParamType, SetRows};

fn set_config(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (name, value, local) = (text(args, 0)?, text(args, 1)?, boolean(args, 2)?);
    ctx.session.change_setting(name, value, local)?;
    Ok(Datum::text(value))
}

fn always_null(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Null)
}

fn no_rows(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<SetRows> {
    Ok(Box::new(std::iter::empty()))
}

fn name_of(ty: ParamType) -> String {
    match ty {
        ParamType::Exact(ty) => ty.name(),
        ParamType::AnyElement => "anyelement".into(),
        ParamType::AnyArray => "anyarray".into(),
        ParamType::AnyNonArray => "anynonarray".into(),
        ParamType::AnyCompatible => "anycompatible".into(),
        ParamType::AnyCompatibleArray => "anycompatiblearray".into(),
        ParamType::Any => "\"any\"".into(),
    }
}

fn function_result(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(function) = ctx.functions.function(oid(args, 0)?) else { return Ok(Datum::Null) };
    let result = name_of(function.result);
    Ok(Datum::text(match function.body {
        Body::Set(..) => format!("SETOF {result}"),
        _ => result,
    }))
}

fn function_arguments(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(function) = ctx.functions.function(oid(args, 0)?) else { return Ok(Datum::Null) };
    let last = function.args.len().saturating_sub(1);
    let names = function.args.iter().enumerate().map(|(at, ty)| match at {
        at if at == last && function.variadic => format!("VARIADIC {}", name_of(*ty)),
        _ => name_of(*ty),
    });
    Ok(Datum::text(names.collect::<Vec<_>>().join(", ")))
}

/// The definition of a check, whose oid says which it is; none for others.
pub(super) fn check_definition(ctx: &EvalContext<'_>, oid: u32) -> SqlResult<Option<String>> {
    let Some((table, number)) = checked_table(oid) else { return Ok(None) };
    let table = ctx.catalog.table_by_id(TableId(table))?;
    let check = table.as_ref().and_then(|table| table.checks.get(number));
    Ok(check.map(|check| format!("CHECK (({}))", check.expr)))
}

/// By oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(2078, "set_config", &[TEXT, TEXT, BOOL], TEXT, set_config).volatile(),
    scalar(2162, "pg_get_function_arguments", &[OID], TEXT, function_arguments).stable(),
    scalar(2165, "pg_get_function_result", &[OID], TEXT, function_result).stable(),
    scalar(2730, "pg_get_triggerdef", &[OID, BOOL], TEXT, always_null).stable(),
    set(3425, "pg_partition_ancestors", &[REGCLASS], REGCLASS, no_rows, &["relid"]),
    scalar(6174, "pg_get_statisticsobjdef_columns", &[OID], TEXT, always_null).stable(),
];
