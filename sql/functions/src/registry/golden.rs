//! `testdata/values.tsv`: what PostgreSQL 15 answers, by inputs, casts, binary formats and function calls, in the time
//! zone America/New_York. Columns are separated by tabs, `\N` is NULL, `!` begins an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use sql_catalog::CatalogView;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::function::{Body, EvalContext, NoSession};
use sql_values::error::{SqlError, SqlResult};
use sql_values::interrupt::Interrupt;
use sql_values::memory::Pool;
use sql_values::types::{Datum, SqlType};

use super::*;
use crate::{cast as run_cast, input, output};

pub(super) struct NoCatalog;

impl CatalogView for NoCatalog {
    fn version(&self) -> u64 {
        1
    }
    fn table(&self, _: Option<&str>, _: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(None)
    }
    fn table_by_id(&self, _: TableId) -> SqlResult<Option<Arc<TableDescriptor>>> {
        Ok(None)
    }
    fn tables(&self, _: &str) -> SqlResult<Vec<Arc<TableDescriptor>>> {
        Ok(Vec::new())
    }
    fn search_path(&self) -> Vec<String> {
        vec!["pg_catalog".into(), "public".into()]
    }
    fn database(&self) -> &str {
        "postgres"
    }
    fn user(&self) -> &str {
        "postgres"
    }
    fn type_named(&self, text: &str) -> SqlResult<SqlType> {
        sql_parse::parse_type(text)
    }
}

/// A type with its modifier, as the file writes it: `numeric(4,2)`.
fn type_named(name: &str) -> SqlType {
    let (base, modifiers) = match name.split_once('(') {
        Some((base, rest)) => (base, rest.trim_end_matches(')')),
        None => (name, ""),
    };
    let numbers: Vec<i32> = modifiers.split(',').filter_map(|n| n.parse().ok()).collect();
    match (SqlType::from_name(base).expect(name), numbers.as_slice()) {
        (SqlType::Numeric(_), [p, s]) => SqlType::Numeric(Some((*p as u16, *s as i16))),
        (SqlType::Varchar(_), [n]) => SqlType::Varchar(Some(*n as u32)),
        (SqlType::Char(_), [n]) => SqlType::Char(Some(*n as u32)),
        (ty, _) => ty,
    }
}

fn literal(ctx: &EvalContext<'_>, field: &str) -> SqlResult<(SqlType, Datum)> {
    let (name, text) = field.split_once(':').expect(field);
    let ty = type_named(name);
    Ok((ty, if text == "\\N" { Datum::Null } else { input(ctx, ty, text)? }))
}

/// The type of a result: the signature's, or what the arguments make of it.
fn result_type(function: &Function, args: &[SqlType]) -> SqlType {
    use sql_catalog::function::ParamType::{AnyArray, AnyElement, Exact};
    let element = || {
        function.args.iter().zip(args).find_map(|(param, ty)| match param {
            AnyElement => Some(*ty),
            AnyArray => ty.element(),
            _ => None,
        })
    };
    match function.result {
        Exact(ty) => ty,
        AnyArray => element().and_then(SqlType::array).unwrap_or(SqlType::Unknown),
        _ => element().unwrap_or(SqlType::Unknown),
    }
}

fn shown(ctx: &EvalContext<'_>, ty: SqlType, value: &Datum) -> SqlResult<String> {
    if value.is_null() { Ok("\\N".to_owned()) } else { output(ctx, ty, value) }
}

fn call(ctx: &EvalContext<'_>, fields: &[&str]) -> SqlResult<String> {
    let oid: u32 = fields[0].parse().expect("an oid");
    let function = registry().function(oid).expect(fields[0]);
    assert_eq!(function.name, fields[1]);
    let (mut types, mut args) = (Vec::new(), Vec::new());
    for field in &fields[2..] {
        let (ty, value) = literal(ctx, field)?;
        types.push(ty);
        args.push(value);
    }
    let result = result_type(function, &types);
    match function.body {
        Body::Scalar(_) if function.strict && args.iter().any(Datum::is_null) => Ok("\\N".into()),
        Body::Scalar(body) => shown(ctx, result, &body(ctx, &args)?),
        Body::Set(body, _) => {
            let rows = body(ctx, &args)?.map(|row| shown(ctx, result, &row?[0]));
            Ok(rows.collect::<SqlResult<Vec<_>>>()?.join(" "))
        }
        Body::Sequence(_) => unreachable!("sequences are not recorded here"),
        Body::Aggregate(make) => {
            // The only argument is an array: one row an element.
            let mut state = make();
            if let Datum::Array(values) = &args[0] {
                for value in values.iter() {
                    let row: Vec<Datum> =
                        [value.clone()].into_iter().chain(args[1..].iter().cloned()).collect();
                    state.add(ctx, &row)?;
                }
            }
            let element = types[0].element().expect("an array");
            let result = match function.result {
                sql_catalog::function::ParamType::Exact(ty) => ty,
                sql_catalog::function::ParamType::AnyArray
                | sql_catalog::function::ParamType::AnyCompatibleArray => types[0],
                _ => element,
            };
            shown(ctx, result, &state.finish(ctx)?)
        }
    }
}

fn answer(ctx: &EvalContext<'_>, fields: &[&str]) -> SqlResult<String> {
    match fields[0] {
        "in" => {
            let ty = type_named(fields[1]);
            shown(ctx, ty, &input(ctx, ty, fields[2])?)
        }
        "cast" => {
            let (from, value) = literal(ctx, fields[1])?;
            let to = type_named(fields[2]);
            shown(ctx, to, &run_cast(ctx, value, from, to, true)?)
        }
        "bin" => {
            let (ty, value) = literal(ctx, fields[1])?;
            let bytes = value.to_binary(ty);
            let back = Datum::from_binary(ty, &bytes)?;
            assert_eq!(shown(ctx, ty, &back)?, shown(ctx, ty, &value)?, "{fields:?}");
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        "fn" => call(ctx, &fields[1..]),
        other => panic!("{other}"),
    }
}

#[test]
fn values_are_postgresqls() {
    let ctx = EvalContext {
        statement_time: 0,
        transaction_time: 0,
        clock: &|| 0,
        random: &|| 0,
        time_zone: "America/New_York",
        style: sql_values::types::TextStyle::DEFAULT,
        catalog: &NoCatalog,
        functions: registry(),
        session: &NoSession,
        backend_pid: 0,
        interrupt: &Interrupt::bounded(u32::MAX),
        memory: &Pool::new(usize::MAX),
    };
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    let file = include_str!("../../../testdata/values.tsv");
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (expected, fields) = fields.split_last().expect("a line has columns");
        *counts.entry(fields[0].to_owned()).or_insert(0) += 1;
        let found = match answer(&ctx, fields) {
            Ok(text) => text,
            Err(SqlError { state, message, .. }) => format!("!{} {message}", state.0),
        };
        if found != *expected {
            wrong.push(format!("{fields:?}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {counts:?}:\n{}", wrong.len(), wrong.join("\n"));
}
