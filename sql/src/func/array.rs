//! Functions of arrays, and those that give rows.

use super::arithmetic::out_of_range;
use super::pattern::{RegexOptions, regex};
use super::signature::*;
use super::{EvalContext, Function, output};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::{ARRAY_LEN_MAX, Datum, Interval, Numeric, datetime};

/// Rows that a function gives at most: beyond, the memory of a statement is gone anyway.
const ROWS_MAX: usize = 50_000_000;

fn too_many() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "set-returning function gives too many rows")
}

fn values(args: &[Datum], at: usize) -> SqlResult<&[Datum]> {
    array(args, at).map(|values| &values[..])
}

fn length(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let values = values(args, 0)?;
    if int(args, 1)? != 1 || values.is_empty() {
        return Ok(Datum::Null);
    }
    Ok(Datum::Int4(values.len() as i32))
}

fn lower(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let empty = values(args, 0)?.is_empty() || int(args, 1)? != 1;
    Ok(if empty { Datum::Null } else { Datum::Int4(1) })
}

fn dimensions(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(if values(args, 0)?.is_empty() { Datum::Null } else { Datum::Int4(1) })
}

fn cardinality(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Int4(values(args, 0)?.len() as i32))
}

/// Equal, with NULL equal to itself.
fn same(a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => a.compare(b).is_eq(),
        (a, b) => a && b,
    }
}

fn position(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(values), wanted, rest @ ..] = args else { return Ok(Datum::Null) };
    let from = match rest.first() {
        Some(Datum::Null) => {
            return Err(SqlError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "initial position must not be null",
            ));
        }
        Some(start) => (start.as_i64().unwrap_or(1) - 1).max(0) as usize,
        None => 0,
    };
    let found = values.iter().skip(from).position(|value| same(value, wanted));
    Ok(found.map_or(Datum::Null, |at| Datum::Int4((from + at) as i32 + 1)))
}

fn positions(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(values), wanted] = args else { return Ok(Datum::Null) };
    let found = values.iter().enumerate().filter(|(_, value)| same(value, wanted));
    Ok(Datum::Array(found.map(|(at, _)| Datum::Int4(at as i32 + 1)).collect()))
}

fn remove(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(values), unwanted] = args else { return Ok(Datum::Null) };
    Ok(Datum::Array(values.iter().filter(|value| !same(value, unwanted)).cloned().collect()))
}

fn replace(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(values), from, to] = args else { return Ok(Datum::Null) };
    let change = |value: &Datum| if same(value, from) { to.clone() } else { value.clone() };
    Ok(Datum::Array(values.iter().map(change).collect()))
}

fn bounded(values: Vec<Datum>) -> SqlResult<Datum> {
    if values.len() > ARRAY_LEN_MAX {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("array size exceeds the maximum allowed ({ARRAY_LEN_MAX})"),
        ));
    }
    Ok(Datum::Array(values.into()))
}

/// The elements of an array that may be NULL.
fn elements(value: Option<&Datum>) -> &[Datum] {
    match value {
        Some(Datum::Array(values)) => values,
        _ => &[],
    }
}

fn append(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let mut out = elements(args.first()).to_vec();
    out.extend(args.get(1).cloned());
    bounded(out)
}

fn prepend(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let mut out: Vec<Datum> = args.first().cloned().into_iter().collect();
    out.extend_from_slice(elements(args.get(1)));
    bounded(out)
}

fn cat(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if args.iter().all(Datum::is_null) {
        return Ok(Datum::Null);
    }
    bounded([elements(args.first()), elements(args.get(1))].concat())
}

fn contains(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    includes(values(args, 0)?, values(args, 1)?)
}

fn contained(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    includes(values(args, 1)?, values(args, 0)?)
}

/// NULL is contained in nothing.
fn includes(outer: &[Datum], inner: &[Datum]) -> SqlResult<Datum> {
    let within = |value: &Datum| !value.is_null() && outer.iter().any(|other| same(value, other));
    Ok(Datum::Bool(inner.iter().all(within)))
}

fn overlap(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (values(args, 0)?, values(args, 1)?);
    let shared = |value: &Datum| !value.is_null() && b.iter().any(|other| same(value, other));
    Ok(Datum::Bool(a.iter().any(shared)))
}

fn to_string(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [Datum::Array(values), Datum::Text(separator), rest @ ..] = args else {
        return Ok(Datum::Null);
    };
    let null_text = match rest.first() {
        Some(Datum::Text(text)) => Some(text),
        _ => None,
    };
    let mut out = String::new();
    let mut first = true;
    for value in values.iter() {
        let text = match (value.is_null(), null_text) {
            (false, _) => output(ctx, value.natural_type(), value)?,
            (true, Some(text)) => text.to_string(),
            (true, None) => continue,
        };
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(&text);
    }
    Ok(Datum::text(out))
}

fn from_string(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(Datum::Text(text)) = args.first() else { return Ok(Datum::Null) };
    let null_text = match args.get(2) {
        Some(Datum::Text(text)) => Some(text),
        _ => None,
    };
    let element = |part: &str| match null_text {
        Some(null) if **null == *part => Datum::Null,
        _ => Datum::text(part),
    };
    if text.is_empty() {
        return Ok(Datum::Array([].into()));
    }
    let parts: Vec<Datum> = match args.get(1) {
        Some(Datum::Text(separator)) if separator.is_empty() => vec![element(text)],
        Some(Datum::Text(separator)) => text.split(&**separator).map(element).collect(),
        _ => text.chars().map(|c| element(c.encode_utf8(&mut [0; 4]))).collect(),
    };
    bounded(parts)
}

fn unnest(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    Ok(values(args, 0)?.iter().map(|value| vec![value.clone()]).collect())
}

fn subscripts(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let len = if int(args, 1)? == 1 { values(args, 0)?.len() as i32 } else { 0 };
    let mut rows: Vec<Vec<Datum>> = (1..=len).map(|at| vec![Datum::Int4(at)]).collect();
    if args.len() > 2 && boolean(args, 2)? {
        rows.reverse();
    }
    Ok(rows)
}

fn step_is_zero() -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn series(args: &[Datum], make: fn(i64) -> Datum) -> SqlResult<Vec<Vec<Datum>>> {
    let (start, stop) = (int(args, 0)?, int(args, 1)?);
    let step = if args.len() > 2 { int(args, 2)? } else { 1 };
    if step == 0 {
        return Err(step_is_zero());
    }
    let mut rows = Vec::new();
    let mut next = Some(start);
    while let Some(value) = next.filter(|v| if step > 0 { *v <= stop } else { *v >= stop }) {
        if rows.len() == ROWS_MAX {
            return Err(too_many());
        }
        rows.push(vec![make(value)]);
        next = value.checked_add(step);
    }
    Ok(rows)
}

fn series_int4(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    // The values lie between two of the type.
    series(args, |value| Datum::Int4(value as i32))
}

fn series_int8(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    series(args, Datum::Int8)
}

fn series_numeric(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let one = Numeric::from(1);
    let (start, stop) = (numeric(args, 0)?, numeric(args, 1)?);
    let step = if args.len() > 2 { numeric(args, 2)? } else { &one };
    for (what, value) in [("start", start), ("stop", stop), ("step", step)] {
        if !value.is_finite() {
            let shown = if value.is_nan() { "NaN" } else { "infinity" };
            let noun = if what == "step" { "step size" } else { &format!("{what} value") };
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{noun} cannot be {shown}"),
            ));
        }
    }
    if step.is_zero() {
        return Err(step_is_zero());
    }
    let mut rows = Vec::new();
    let mut value = start.clone();
    loop {
        let order = value.compare(stop);
        if if step.is_negative() { order.is_lt() } else { order.is_gt() } {
            return Ok(rows);
        }
        if rows.len() == ROWS_MAX {
            return Err(too_many());
        }
        let next = value.add(step)?;
        rows.push(vec![Datum::Numeric(value)]);
        value = next;
    }
}

/// Timestamps from one to another, each so much later than the one before.
fn series_of_times(
    args: &[Datum],
    make: fn(i64) -> Datum,
    add: impl Fn(i64, Interval) -> SqlResult<i64>,
) -> SqlResult<Vec<Vec<Datum>>> {
    let (start, stop, step) = (micros(args, 0)?, micros(args, 1)?, interval(args, 2)?);
    if step.span() == 0 {
        return Err(step_is_zero());
    }
    let forward = step.span() > 0;
    let mut rows = Vec::new();
    let mut value = start;
    while if forward { value <= stop } else { value >= stop } {
        if rows.len() == ROWS_MAX {
            return Err(too_many());
        }
        rows.push(vec![make(value)]);
        if datetime::is_infinite(value) {
            return Err(out_of_range("timestamp"));
        }
        value = add(value, step)?;
    }
    Ok(rows)
}

fn series_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    series_of_times(args, Datum::Timestamp, datetime::add_interval_to_local)
}

fn series_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Vec<Vec<Datum>>> {
    let zone = ctx.zone();
    series_of_times(args, Datum::TimestampTz, |at, by| zone.add_interval(at, by))
}

/// Options of a function that finds one match only.
fn options(args: &[Datum], function: &str) -> SqlResult<RegexOptions> {
    let options = RegexOptions::of(if args.len() > 2 { text(args, 2)? } else { "" })?;
    if options.global {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{function}() does not support the \"global\" option"),
        ));
    }
    Ok(options)
}

fn regexp_split(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let expression = regex(text(args, 1)?, options(args, "regexp_split_to_array")?)?;
    let text = text(args, 0)?;
    let mut parts = Vec::new();
    let mut from = 0;
    for found in expression.find_iter(text) {
        // A match of nothing splits only between characters that another has not split.
        if found.start() < text.len() && found.end() > from {
            parts.push(Datum::text(&text[from..found.start()]));
            from = found.end();
        }
    }
    parts.push(Datum::text(&text[from..]));
    bounded(parts)
}

fn regexp_match(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let expression = regex(text(args, 1)?, options(args, "regexp_match")?)?;
    let Some(found) = expression.captures(text(args, 0)?) else { return Ok(Datum::Null) };
    // The groups, or the whole match if there are none.
    let first = usize::from(found.len() > 1);
    let part = |at: usize| found.get(at).map_or(Datum::Null, |part| Datum::text(part.as_str()));
    bounded((first..found.len()).map(part).collect())
}

fn dims(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let len = values(args, 0)?.len();
    Ok(if len == 0 { Datum::Null } else { Datum::text(format!("[1:{len}]")) })
}

/// Functions of arrays and of rows, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: [Function; 36] = [
    scalar(376, "string_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, from_string).lenient(),
    scalar(378, "array_append", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], ANY_COMPATIBLE_ARRAY, append).lenient(),
    scalar(379, "array_prepend", &[ANY_COMPATIBLE, ANY_COMPATIBLE_ARRAY], ANY_COMPATIBLE_ARRAY, prepend).lenient(),
    scalar(383, "array_cat", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE_ARRAY], ANY_COMPATIBLE_ARRAY, cat).lenient(),
    scalar(384, "array_to_string", &[ANY_ARRAY, TEXT, TEXT], TEXT, to_string).stable().lenient(),
    scalar(394, "string_to_array", &[TEXT, TEXT], TEXT_ARRAY, from_string).lenient(),
    scalar(395, "array_to_string", &[ANY_ARRAY, TEXT], TEXT, to_string).stable(),
    scalar(747, "array_dims", &[ANY_ARRAY], TEXT, dims),
    scalar(748, "array_ndims", &[ANY_ARRAY], INT4, dimensions),
    set(938, "generate_series", &[TIMESTAMP, TIMESTAMP, INTERVAL], TIMESTAMP, series_timestamp, &["generate_series"]),
    set(939, "generate_series", &[TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL], TIMESTAMPTZ, series_timestamptz, &["generate_series"]).stable(),
    set(1066, "generate_series", &[INT4, INT4, INT4], INT4, series_int4, &["generate_series"]),
    set(1067, "generate_series", &[INT4, INT4], INT4, series_int4, &["generate_series"]),
    set(1068, "generate_series", &[INT8, INT8, INT8], INT8, series_int8, &["generate_series"]),
    set(1069, "generate_series", &[INT8, INT8], INT8, series_int8, &["generate_series"]),
    set(1191, "generate_subscripts", &[ANY_ARRAY, INT4, BOOL], INT4, subscripts, &["generate_subscripts"]),
    set(1192, "generate_subscripts", &[ANY_ARRAY, INT4], INT4, subscripts, &["generate_subscripts"]),
    scalar(2091, "array_lower", &[ANY_ARRAY, INT4], INT4, lower),
    scalar(2092, "array_upper", &[ANY_ARRAY, INT4], INT4, length),
    scalar(2176, "array_length", &[ANY_ARRAY, INT4], INT4, length),
    set(2331, "unnest", &[ANY_ARRAY], ANY_ELEMENT, unnest, &["unnest"]),
    scalar(2747, "arrayoverlap", &[ANY_ARRAY, ANY_ARRAY], BOOL, overlap),
    scalar(2748, "arraycontains", &[ANY_ARRAY, ANY_ARRAY], BOOL, contains),
    scalar(2749, "arraycontained", &[ANY_ARRAY, ANY_ARRAY], BOOL, contained),
    scalar(2767, "regexp_split_to_array", &[TEXT, TEXT], TEXT_ARRAY, regexp_split),
    scalar(2768, "regexp_split_to_array", &[TEXT, TEXT, TEXT], TEXT_ARRAY, regexp_split),
    scalar(3167, "array_remove", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], ANY_COMPATIBLE_ARRAY, remove).lenient(),
    scalar(3168, "array_replace", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE, ANY_COMPATIBLE], ANY_COMPATIBLE_ARRAY, replace).lenient(),
    scalar(3179, "cardinality", &[ANY_ARRAY], INT4, cardinality),
    set(3259, "generate_series", &[NUMERIC, NUMERIC, NUMERIC], NUMERIC, series_numeric, &["generate_series"]),
    set(3260, "generate_series", &[NUMERIC, NUMERIC], NUMERIC, series_numeric, &["generate_series"]),
    scalar(3277, "array_position", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], INT4, position).lenient(),
    scalar(3278, "array_position", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE, INT4], INT4, position).lenient(),
    scalar(3279, "array_positions", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], INT4_ARRAY, positions).lenient(),
    scalar(3396, "regexp_match", &[TEXT, TEXT], TEXT_ARRAY, regexp_match),
    scalar(3397, "regexp_match", &[TEXT, TEXT, TEXT], TEXT_ARRAY, regexp_match),
];
