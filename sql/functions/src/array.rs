//! Functions of arrays, and those that give rows.

use std::sync::Arc;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, Interval, Numeric, datetime};

use super::arithmetic::out_of_range;
use super::signature::*;
use super::{EvalContext, Function, SetRows};

/// What a text that is an element needs beside its bytes.
const PART_BYTES: usize = size_of::<Datum>() + 32;

/// Elements that are compared between two counts of the work.
const COMPARED: usize = 256;

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

fn positions(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve_elements(elements(args.first()).len())?;
    let [Datum::Array(values), wanted] = args else { return Ok(Datum::Null) };
    let found = values.iter().enumerate().filter(|(_, value)| same(value, wanted));
    Ok(Datum::Array(found.map(|(at, _)| Datum::Int4(at as i32 + 1)).collect()))
}

fn remove(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve_elements(elements(args.first()).len())?;
    let [Datum::Array(values), unwanted] = args else { return Ok(Datum::Null) };
    Ok(Datum::Array(values.iter().filter(|value| !same(value, unwanted)).cloned().collect()))
}

fn replace(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.reserve_elements(elements(args.first()).len())?;
    let [Datum::Array(values), from, to] = args else { return Ok(Datum::Null) };
    let change = |value: &Datum| if same(value, from) { to.clone() } else { value.clone() };
    Ok(Datum::Array(values.iter().map(change).collect()))
}

/// The elements of an array that may be NULL.
fn elements(value: Option<&Datum>) -> &[Datum] {
    match value {
        Some(Datum::Array(values)) => values,
        _ => &[],
    }
}

fn append(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let values = elements(args.first());
    ctx.reserve_elements(values.len() + 1)?;
    let mut out = values.to_vec();
    out.extend(args.get(1).cloned());
    Ok(Datum::Array(out.into()))
}

fn prepend(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let values = elements(args.get(1));
    ctx.reserve_elements(values.len() + 1)?;
    let mut out: Vec<Datum> = args.first().cloned().into_iter().collect();
    out.extend_from_slice(values);
    Ok(Datum::Array(out.into()))
}

fn cat(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if args.iter().all(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let (a, b) = (elements(args.first()), elements(args.get(1)));
    ctx.reserve_elements(a.len() + b.len())?;
    Ok(Datum::Array([a, b].concat().into()))
}

fn contains(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    includes(ctx, values(args, 0)?, values(args, 1)?)
}

fn contained(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    includes(ctx, values(args, 1)?, values(args, 0)?)
}

/// NULL is contained in nothing.
fn includes(ctx: &EvalContext<'_>, outer: &[Datum], inner: &[Datum]) -> SqlResult<Datum> {
    for value in inner {
        if !is_among(ctx, value, outer)? {
            return Ok(Datum::Bool(false));
        }
    }
    Ok(Datum::Bool(true))
}

fn overlap(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (values(args, 0)?, values(args, 1)?);
    for value in a {
        if is_among(ctx, value, b)? {
            return Ok(Datum::Bool(true));
        }
    }
    Ok(Datum::Bool(false))
}

/// True iff a value that is not NULL is one of others. Who asks for each of many does so much work as both together
/// make: it is counted.
fn is_among(ctx: &EvalContext<'_>, value: &Datum, others: &[Datum]) -> SqlResult<bool> {
    if value.is_null() {
        return Ok(false);
    }
    for others in others.chunks(COMPARED) {
        ctx.spend(1 + others.len() / 64)?;
        if others.iter().any(|other| same(value, other)) {
            return Ok(true);
        }
    }
    Ok(false)
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
            (false, _) => ctx.output(value.natural_type(), value)?,
            (true, Some(text)) => text.to_string(),
            (true, None) => continue,
        };
        ctx.reserve_piece(separator.len() + text.len())?;
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(&text);
    }
    Ok(Datum::text(out))
}

fn from_string(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
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
    // A part costs more than its bytes: its place, and its text's own.
    let reserve = |parts: usize| {
        ctx.reserve_elements(parts)?;
        ctx.reserve(text.len().saturating_add(parts.saturating_mul(PART_BYTES)))
    };
    let parts: Vec<Datum> = match args.get(1) {
        Some(Datum::Text(separator)) if separator.is_empty() => vec![element(text)],
        Some(Datum::Text(separator)) => {
            reserve(text.matches(&**separator).count() + 1)?;
            text.split(&**separator).map(element).collect()
        }
        _ => {
            reserve(text.chars().count())?;
            text.chars().map(|c| element(c.encode_utf8(&mut [0; 4]))).collect()
        }
    };
    Ok(Datum::Array(parts.into()))
}

/// The elements, whose array the rows keep.
fn unnest(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    let values = Arc::clone(array(args, 0)?);
    let row = move |at: usize| values.get(at).map(|value| Ok(vec![value.clone()]));
    Ok(Box::new((0..).map_while(row)))
}

fn subscripts(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    let len = if int(args, 1)? == 1 { values(args, 0)?.len() as i32 } else { 0 };
    let row = |at: i32| Ok(vec![Datum::Int4(at)]);
    if args.len() > 2 && boolean(args, 2)? {
        return Ok(Box::new((1..=len).rev().map(row)));
    }
    Ok(Box::new((1..=len).map(row)))
}

fn step_is_zero() -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn series(args: &[Datum], make: fn(i64) -> Datum) -> SqlResult<SetRows> {
    let (start, stop) = (int(args, 0)?, int(args, 1)?);
    let step = if args.len() > 2 { int(args, 2)? } else { 1 };
    if step == 0 {
        return Err(step_is_zero());
    }
    let within = move |value: &i64| if step > 0 { *value <= stop } else { *value >= stop };
    // Beyond the last number that there is, nothing comes.
    let values = std::iter::successors(Some(start), move |value| value.checked_add(step));
    Ok(Box::new(values.take_while(within).map(move |value| Ok(vec![make(value)]))))
}

fn series_int4(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    // The values lie between two of the type.
    series(args, |value| Datum::Int4(value as i32))
}

fn series_int8(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    series(args, Datum::Int8)
}

fn series_numeric(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
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
    let (start, stop, step) = (start.clone(), stop.clone(), step.clone());
    let is_last = move |value: &Numeric, down: bool| {
        let order = value.compare(&stop);
        if down { order.is_lt() } else { order.is_gt() }
    };
    let mut next = Some(Ok(start));
    Ok(Box::new(std::iter::from_fn(move || {
        let value = match next.take()? {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        if is_last(&value, step.is_negative()) {
            return None;
        }
        next = Some(value.add(&step));
        Some(Ok(vec![Datum::Numeric(value)]))
    })))
}

/// Timestamps from one to another, each so much later than the one before.
fn series_of_times(
    args: &[Datum],
    make: fn(i64) -> Datum,
    add: impl Fn(i64, Interval) -> SqlResult<i64> + Send + Sync + 'static,
) -> SqlResult<SetRows> {
    let (start, stop, step) = (micros(args, 0)?, micros(args, 1)?, interval(args, 2)?);
    if step.span() == 0 {
        return Err(step_is_zero());
    }
    let forward = step.span() > 0;
    let mut next = Some(Ok(start));
    Ok(Box::new(std::iter::from_fn(move || {
        let value = match next.take()? {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        if if forward { value > stop } else { value < stop } {
            return None;
        }
        next = Some(match datetime::is_infinite(value) {
            true => Err(out_of_range("timestamp")),
            false => add(value, step),
        });
        Some(Ok(vec![make(value)]))
    })))
}

fn series_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    series_of_times(args, Datum::Timestamp, datetime::add_interval_to_local)
}

fn series_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<SetRows> {
    let zone = ctx.zone();
    series_of_times(args, Datum::TimestampTz, move |at, by| zone.add_interval(at, by))
}

fn dims(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let len = values(args, 0)?.len();
    Ok(if len == 0 { Datum::Null } else { Datum::text(format!("[1:{len}]")) })
}

/// Functions of arrays and of rows, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
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
    scalar(3167, "array_remove", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], ANY_COMPATIBLE_ARRAY, remove).lenient(),
    scalar(3168, "array_replace", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE, ANY_COMPATIBLE], ANY_COMPATIBLE_ARRAY, replace).lenient(),
    scalar(3179, "cardinality", &[ANY_ARRAY], INT4, cardinality),
    set(3259, "generate_series", &[NUMERIC, NUMERIC, NUMERIC], NUMERIC, series_numeric, &["generate_series"]),
    set(3260, "generate_series", &[NUMERIC, NUMERIC], NUMERIC, series_numeric, &["generate_series"]),
    scalar(3277, "array_position", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], INT4, position).lenient(),
    scalar(3278, "array_position", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE, INT4], INT4, position).lenient(),
    scalar(3279, "array_positions", &[ANY_COMPATIBLE_ARRAY, ANY_COMPATIBLE], INT4_ARRAY, positions).lenient(),
];
