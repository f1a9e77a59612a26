//! Casts: the functions among them, `pg_cast`, and how a plan's cast is run.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, Interval, NAME_MAX, Numeric, SqlType, TypeId, cut_bytes, datetime};

use super::arithmetic::{float_overflow, float_underflow, out_of_range};
use super::signature::*;
use super::{Body, Cast, CastContext, CastMethod, EvalContext, Function, ParamType};

/// Bytes of the longest text of a value of bounded length: a timestamp's with its zone, an interval's.
const SHORT_TEXT: usize = 80;

/// Casts a value as a plan's `Expr::Cast` means it: by function, representation, or text; elements of arrays one by
/// one; then the target's modifier. NULL stays NULL.
pub fn cast(
    ctx: &EvalContext<'_>,
    value: Datum,
    from: SqlType,
    to: SqlType,
    explicit: bool,
) -> SqlResult<Datum> {
    if value.is_null() {
        return Ok(value);
    }
    let (from, target) = (from.base(), to.base());
    if from == target {
        // A parameter's text, which only now can be looked up.
        if let (true, Datum::Text(text)) = (target.holds_names(), &value) {
            return input(ctx, target, text);
        }
        return value.apply_modifier(to, explicit);
    }
    let found = ctx.functions.cast(from, target).map(|cast| cast.method);
    let converted = match (found, from.element(), target.element()) {
        (Some(CastMethod::Function(oid)), ..) => {
            match ctx.functions.function(oid).map(|f| f.body) {
                Some(Body::Scalar(body)) => body(ctx, &[value])?,
                _ => return Err(SqlError::internal(format!("cast function {oid} is missing"))),
            }
        }
        (Some(CastMethod::Binary), ..) => relabel(value, target)?,
        (_, Some(from_element), Some(to_element)) => {
            let Datum::Array(values) = &value else {
                return Err(SqlError::internal("an array's value is none"));
            };
            ctx.reserve_elements(values.len())?;
            let cast_one = |v: &Datum| cast(ctx, v.clone(), from_element, to_element, explicit);
            Datum::Array(values.iter().map(cast_one).collect::<SqlResult<_>>()?)
        }
        _ => {
            let text = output(ctx, from, &value)?;
            input(ctx, target, &text)?
        }
    };
    converted.apply_modifier(to, explicit)
}

/// The same bits as another type.
fn relabel(value: Datum, to: SqlType) -> SqlResult<Datum> {
    Ok(match value {
        Datum::Int4(value) if to.is_oid() => Datum::Oid(value as u32),
        Datum::Oid(value) if to == SqlType::Int4 => Datum::Int4(value as i32),
        other => other,
    })
}

/// Text of a value of a type. Like [`Datum::to_text`], but `reg` types show names.
pub fn output(ctx: &EvalContext<'_>, ty: SqlType, value: &Datum) -> SqlResult<String> {
    if let Datum::Oid(oid) = value
        && let Some(name) = super::system::reg_name(ctx, ty, *oid)?
    {
        return Ok(name);
    }
    if let (Datum::Array(values), Some(element)) = (value, ty.element())
        && element.is_named()
    {
        ctx.reserve_elements(values.len())?;
        let name = |value: &Datum| match value {
            Datum::Null => Ok(Datum::Null),
            value => output(ctx, element, value).map(Datum::text),
        };
        let names = Datum::Array(values.iter().map(name).collect::<SqlResult<_>>()?);
        return output(ctx, TypeId::Text.array(), &names);
    }
    // Of a number or a date it is short, whatever they are; the text of many is not.
    if matches!(
        value,
        Datum::Text(_) | Datum::Bytea(_) | Datum::Packed(..) | Datum::Array(_) | Datum::Record(_)
    ) {
        ctx.reserve(shown_bytes(value))?;
    }
    Ok(value.to_text(ty, &ctx.text_format()))
}

/// Bytes of a value's text at most, quotes and escapes included.
fn shown_bytes(value: &Datum) -> usize {
    match value {
        Datum::Text(text) => 2 * text.len() + 2,
        Datum::Bytea(bytes) => 2 * bytes.len() + 3,
        // Whatever it is, a byte is no more than a few letters.
        Datum::Packed(_, bytes) => 8 * bytes.len() + SHORT_TEXT,
        // Four places a digit, and zeros up to the point.
        Datum::Numeric(number) => {
            let places = number.digits.len().max(number.weight.unsigned_abs().into());
            4 * places + usize::from(number.scale) + 8
        }
        // Within rows quotes are doubled once more.
        Datum::Array(items) | Datum::Record(items) => {
            items.iter().map(|item| 2 * shown_bytes(item) + 1).sum::<usize>() + 2
        }
        _ => SHORT_TEXT,
    }
}

/// A value of a type from text. Like [`Datum::parse_text`], but `reg` types take names.
pub fn input(ctx: &EvalContext<'_>, ty: SqlType, text: &str) -> SqlResult<Datum> {
    if let Some(oid) = super::system::reg_oid(ctx, ty, text)? {
        return Ok(Datum::Oid(oid));
    }
    if ty.is_named() && !super::system::is_number(text) {
        return Err(super::system::reg_missing(ctx, ty, text));
    }
    ctx.reserve(parsed_bytes(ty, text))?;
    if let Some(element) = ty.element().filter(|element| element.is_named()) {
        let names = TypeId::Text.array();
        let values = Datum::parse_text(names, text, &ctx.text_format())?;
        return cast(ctx, values, names, element.array().unwrap_or(names), false);
    }
    Datum::parse_text(ty, text, &ctx.text_format())
}

/// Bytes of a value at most that a text of so many bytes stands for.
pub fn parsed_bytes(ty: SqlType, text: &str) -> usize {
    if ty.element().is_none() {
        return text.len();
    }
    let separators = text.bytes().filter(|byte| matches!(byte, b',' | b' ')).count();
    text.len() + (separators + 1) * (2 * size_of::<Datum>() + 16)
}

fn to_int2(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = whole(args, "smallint")?;
    i16::try_from(value).map(Datum::Int2).map_err(|_| out_of_range("smallint"))
}

fn to_int4(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = whole(args, "integer")?;
    i32::try_from(value).map(Datum::Int4).map_err(|_| out_of_range("integer"))
}

fn to_int8(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    whole(args, "bigint").map(Datum::Int8)
}

/// A number as a whole one: floats to the nearest even, numerics away from zero.
fn whole(args: &[Datum], name: &str) -> SqlResult<i64> {
    match args.first() {
        Some(Datum::Bool(value)) => Ok(i64::from(*value)),
        Some(Datum::Numeric(value)) if name == "smallint" => value.to_i16().map(i64::from),
        Some(Datum::Numeric(value)) if name == "integer" => value.to_i32().map(i64::from),
        Some(Datum::Numeric(value)) => value.to_i64(),
        Some(Datum::Float4(_) | Datum::Float8(_)) => {
            let value = float(args, 0)?.round_ties_even();
            // The bound above is the first float that does not fit; NaN is within no bounds.
            if value >= i64::MIN as f64 && value < i64::MAX as f64 {
                Ok(value as i64)
            } else {
                Err(out_of_range(name))
            }
        }
        // One byte, as a signed number.
        Some(Datum::Text(text)) => Ok(text.bytes().next().map_or(0, |b| i64::from(b as i8))),
        _ => int(args, 0),
    }
}

fn to_float4(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (exact, value) = match args.first() {
        Some(Datum::Numeric(value)) => {
            let narrow = value.to_f32();
            if value.is_finite() && (narrow.is_infinite() || (narrow == 0.0 && !value.is_zero())) {
                return Err(numeric_to_float_error("real", value));
            }
            return Ok(Datum::Float4(narrow));
        }
        Some(Datum::Int8(value)) => return Ok(Datum::Float4(*value as f32)),
        _ => (float(args, 0)?, float(args, 0)? as f32),
    };
    if value.is_infinite() && !exact.is_infinite() {
        return Err(float_overflow());
    }
    if value == 0.0 && exact != 0.0 {
        return Err(float_underflow());
    }
    Ok(Datum::Float4(value))
}

fn to_float8(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if let Some(Datum::Numeric(value)) = args.first() {
        let wide = value.to_f64();
        if value.is_finite() && (wide.is_infinite() || (wide == 0.0 && !value.is_zero())) {
            return Err(numeric_to_float_error("double precision", value));
        }
        return Ok(Datum::Float8(wide));
    }
    Ok(Datum::Float8(float(args, 0)?))
}

fn numeric_to_float_error(name: &str, value: &Numeric) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{value}\" is out of range for type {name}"),
    )
}

fn to_numeric(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Numeric(match args.first() {
        Some(Datum::Float4(value)) => Numeric::from_f32(*value)?,
        Some(Datum::Float8(value)) => Numeric::from_f64(*value)?,
        _ => Numeric::from(int(args, 0)?),
    }))
}

fn to_bool(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(int(args, 0)? != 0))
}

fn to_oid(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    u32::try_from(int(args, 0)?).map(Datum::Oid).map_err(|_| out_of_range("OID"))
}

fn bool_text(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(if boolean(args, 0)? { "true" } else { "false" }))
}

fn text_same(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    text(args, 0).map(Datum::text)
}

/// `character` loses its padding when it becomes something else.
fn unpadded(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(text(args, 0)?.trim_end_matches(' ')))
}

fn to_name(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(cut_bytes(text(args, 0)?, NAME_MAX)))
}

fn unpadded_name(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(cut_bytes(text(args, 0)?, NAME_MAX).trim_end_matches(' ')))
}

fn to_char(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(cut_bytes(text(args, 0)?, 1)))
}

fn int_char(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = int(args, 0)?;
    match u8::try_from(value) {
        Ok(0) => Ok(Datum::text("")),
        Ok(byte) if byte.is_ascii() => Ok(Datum::text(char::from(byte).to_string())),
        _ => Err(out_of_range("\"char\"")),
    }
}

fn text_regclass(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    input(ctx, SqlType::RegClass, text(args, 0)?)
}

fn date_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    super::datetime::date_to_local(date(args, 0)?).map(Datum::Timestamp)
}

fn date_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let local = super::datetime::date_to_local(date(args, 0)?)?;
    ctx.zone().to_utc(local).map(Datum::TimestampTz)
}

fn timestamp_date(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Date(super::datetime::local_to_date(micros(args, 0)?)))
}

fn timestamptz_date(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let local = ctx.zone().to_local(micros(args, 0)?)?;
    Ok(Datum::Date(super::datetime::local_to_date(local)))
}

fn timestamp_time(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(local_time(micros(args, 0)?))
}

fn timestamptz_time(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(local_time(ctx.zone().to_local(micros(args, 0)?)?))
}

/// Infinities have no time.
fn local_time(micros: i64) -> Datum {
    if datetime::is_infinite(micros) {
        return Datum::Null;
    }
    Datum::Time(micros.rem_euclid(datetime::DAY))
}

fn timestamp_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().to_utc(micros(args, 0)?).map(Datum::TimestampTz)
}

fn timestamptz_timestamp(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().to_local(micros(args, 0)?).map(Datum::Timestamp)
}

fn time_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Interval::of_micros(micros(args, 0)?).into())
}

fn interval_time(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Time(interval(args, 0)?.micros.rem_euclid(datetime::DAY)))
}

const fn entry(from: ParamType, to: ParamType, context: CastContext, method: CastMethod) -> Cast {
    // Only exact types are in the table: a test walks it.
    let (ParamType::Exact(from), ParamType::Exact(to)) = (from, to) else {
        return Cast { from: SqlType::Unknown, to: SqlType::Unknown, context, method };
    };
    Cast { from, to, context, method }
}

const fn by(from: ParamType, to: ParamType, context: CastContext, function: u32) -> Cast {
    entry(from, to, context, CastMethod::Function(function))
}

const fn binary(from: ParamType, to: ParamType, context: CastContext) -> Cast {
    entry(from, to, context, CastMethod::Binary)
}

/// Functions of casts, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(77, "int4", &[INTERNAL_CHAR], INT4, to_int4),
    scalar(78, "char", &[INT4], INTERNAL_CHAR, int_char),
    scalar(235, "float8", &[INT2], FLOAT8, to_float8),
    scalar(236, "float4", &[INT2], FLOAT4, to_float4),
    scalar(237, "int2", &[FLOAT8], INT2, to_int2),
    scalar(238, "int2", &[FLOAT4], INT2, to_int2),
    scalar(311, "float8", &[FLOAT4], FLOAT8, to_float8),
    scalar(312, "float4", &[FLOAT8], FLOAT4, to_float4),
    scalar(313, "int4", &[INT2], INT4, to_int4),
    scalar(314, "int2", &[INT4], INT2, to_int2),
    scalar(316, "float8", &[INT4], FLOAT8, to_float8),
    scalar(317, "int4", &[FLOAT8], INT4, to_int4),
    scalar(318, "float4", &[INT4], FLOAT4, to_float4),
    scalar(319, "int4", &[FLOAT4], INT4, to_int4),
    scalar(401, "text", &[BPCHAR], TEXT, unpadded),
    scalar(406, "text", &[NAME], TEXT, text_same),
    scalar(407, "name", &[TEXT], NAME, to_name),
    scalar(408, "bpchar", &[NAME], BPCHAR, text_same),
    scalar(409, "name", &[BPCHAR], NAME, unpadded_name),
    scalar(480, "int4", &[INT8], INT4, to_int4),
    scalar(481, "int8", &[INT4], INT8, to_int8),
    scalar(482, "float8", &[INT8], FLOAT8, to_float8),
    scalar(483, "int8", &[FLOAT8], INT8, to_int8),
    scalar(652, "float4", &[INT8], FLOAT4, to_float4),
    scalar(653, "int8", &[FLOAT4], INT8, to_int8),
    scalar(714, "int2", &[INT8], INT2, to_int2),
    scalar(754, "int8", &[INT2], INT8, to_int8),
    scalar(860, "bpchar", &[INTERNAL_CHAR], BPCHAR, text_same),
    scalar(944, "char", &[TEXT], INTERNAL_CHAR, to_char),
    scalar(946, "text", &[INTERNAL_CHAR], TEXT, text_same),
    scalar(1079, "regclass", &[TEXT], REGCLASS, text_regclass).stable(),
    scalar(1174, "timestamptz", &[DATE], TIMESTAMPTZ, date_timestamptz).stable(),
    scalar(1178, "date", &[TIMESTAMPTZ], DATE, timestamptz_date).stable(),
    scalar(1287, "oid", &[INT8], OID, to_oid),
    scalar(1288, "int8", &[OID], INT8, to_int8),
    scalar(1316, "time", &[TIMESTAMP], TIME, timestamp_time),
    scalar(1370, "interval", &[TIME], INTERVAL, time_interval),
    scalar(1400, "name", &[VARCHAR], NAME, to_name),
    scalar(1401, "varchar", &[NAME], VARCHAR, text_same),
    scalar(1419, "time", &[INTERVAL], TIME, interval_time),
    scalar(1740, "numeric", &[INT4], NUMERIC, to_numeric),
    scalar(1742, "numeric", &[FLOAT4], NUMERIC, to_numeric),
    scalar(1743, "numeric", &[FLOAT8], NUMERIC, to_numeric),
    scalar(1744, "int4", &[NUMERIC], INT4, to_int4),
    scalar(1745, "float4", &[NUMERIC], FLOAT4, to_float4),
    scalar(1746, "float8", &[NUMERIC], FLOAT8, to_float8),
    scalar(1779, "int8", &[NUMERIC], INT8, to_int8),
    scalar(1781, "numeric", &[INT8], NUMERIC, to_numeric),
    scalar(1782, "numeric", &[INT2], NUMERIC, to_numeric),
    scalar(1783, "int2", &[NUMERIC], INT2, to_int2),
    scalar(2019, "time", &[TIMESTAMPTZ], TIME, timestamptz_time).stable(),
    scalar(2024, "timestamp", &[DATE], TIMESTAMP, date_timestamp),
    scalar(2027, "timestamp", &[TIMESTAMPTZ], TIMESTAMP, timestamptz_timestamp).stable(),
    scalar(2028, "timestamptz", &[TIMESTAMP], TIMESTAMPTZ, timestamp_timestamptz).stable(),
    scalar(2029, "date", &[TIMESTAMP], DATE, timestamp_date),
    scalar(2557, "bool", &[INT4], BOOL, to_bool),
    scalar(2558, "int4", &[BOOL], INT4, to_int4),
    scalar(2971, "text", &[BOOL], TEXT, bool_text),
];

use CastContext::{Assignment, Explicit, Implicit};

/// `pg_cast`, without the casts of a type to itself: those are of modifiers.
#[rustfmt::skip]
pub(super) static CASTS: &[Cast] = &[
    by(BOOL, INT4, Explicit, 2558),
    by(BOOL, TEXT, Assignment, 2971),
    by(BOOL, BPCHAR, Assignment, 2971),
    by(BOOL, VARCHAR, Assignment, 2971),
    by(INTERNAL_CHAR, INT4, Explicit, 77),
    by(INTERNAL_CHAR, TEXT, Implicit, 946),
    by(INTERNAL_CHAR, BPCHAR, Assignment, 860),
    by(INTERNAL_CHAR, VARCHAR, Assignment, 946),
    by(NAME, TEXT, Implicit, 406),
    by(NAME, BPCHAR, Assignment, 408),
    by(NAME, VARCHAR, Assignment, 1401),
    by(INT8, INT2, Assignment, 714),
    by(INT8, INT4, Assignment, 480),
    by(INT8, REGPROC, Implicit, 1287),
    by(INT8, OID, Implicit, 1287),
    by(INT8, FLOAT4, Implicit, 652),
    by(INT8, FLOAT8, Implicit, 482),
    by(INT8, NUMERIC, Implicit, 1781),
    by(INT8, REGCLASS, Implicit, 1287),
    by(INT8, REGTYPE, Implicit, 1287),
    by(INT8, REGNAMESPACE, Implicit, 1287),
    by(INT2, INT8, Implicit, 754),
    by(INT2, INT4, Implicit, 313),
    by(INT2, REGPROC, Implicit, 313),
    by(INT2, OID, Implicit, 313),
    by(INT2, FLOAT4, Implicit, 236),
    by(INT2, FLOAT8, Implicit, 235),
    by(INT2, NUMERIC, Implicit, 1782),
    by(INT2, REGCLASS, Implicit, 313),
    by(INT2, REGTYPE, Implicit, 313),
    by(INT2, REGNAMESPACE, Implicit, 313),
    by(INT4, BOOL, Explicit, 2557),
    by(INT4, INTERNAL_CHAR, Explicit, 78),
    by(INT4, INT8, Implicit, 481),
    by(INT4, INT2, Assignment, 314),
    binary(INT4, REGPROC, Implicit),
    binary(INT4, OID, Implicit),
    by(INT4, FLOAT4, Implicit, 318),
    by(INT4, FLOAT8, Implicit, 316),
    by(INT4, NUMERIC, Implicit, 1740),
    binary(INT4, REGCLASS, Implicit),
    binary(INT4, REGTYPE, Implicit),
    binary(INT4, REGNAMESPACE, Implicit),
    by(REGPROC, INT8, Assignment, 1288),
    binary(REGPROC, INT4, Assignment),
    binary(REGPROC, OID, Implicit),
    by(TEXT, INTERNAL_CHAR, Assignment, 944),
    by(TEXT, NAME, Implicit, 407),
    binary(TEXT, BPCHAR, Implicit),
    binary(TEXT, VARCHAR, Implicit),
    by(TEXT, REGCLASS, Implicit, 1079),
    by(OID, INT8, Assignment, 1288),
    binary(OID, INT4, Assignment),
    binary(OID, REGPROC, Implicit),
    binary(OID, REGCLASS, Implicit),
    binary(OID, REGTYPE, Implicit),
    binary(OID, REGNAMESPACE, Implicit),
    by(FLOAT4, INT8, Assignment, 653),
    by(FLOAT4, INT2, Assignment, 238),
    by(FLOAT4, INT4, Assignment, 319),
    by(FLOAT4, FLOAT8, Implicit, 311),
    by(FLOAT4, NUMERIC, Assignment, 1742),
    by(FLOAT8, INT8, Assignment, 483),
    by(FLOAT8, INT2, Assignment, 237),
    by(FLOAT8, INT4, Assignment, 317),
    by(FLOAT8, FLOAT4, Assignment, 312),
    by(FLOAT8, NUMERIC, Assignment, 1743),
    by(BPCHAR, INTERNAL_CHAR, Assignment, 944),
    by(BPCHAR, NAME, Implicit, 409),
    by(BPCHAR, TEXT, Implicit, 401),
    by(BPCHAR, VARCHAR, Implicit, 401),
    by(VARCHAR, INTERNAL_CHAR, Assignment, 944),
    by(VARCHAR, NAME, Implicit, 1400),
    binary(VARCHAR, TEXT, Implicit),
    binary(VARCHAR, BPCHAR, Implicit),
    by(VARCHAR, REGCLASS, Implicit, 1079),
    by(DATE, TIMESTAMP, Implicit, 2024),
    by(DATE, TIMESTAMPTZ, Implicit, 1174),
    by(TIME, INTERVAL, Implicit, 1370),
    by(TIMESTAMP, DATE, Assignment, 2029),
    by(TIMESTAMP, TIME, Assignment, 1316),
    by(TIMESTAMP, TIMESTAMPTZ, Implicit, 2028),
    by(TIMESTAMPTZ, DATE, Assignment, 1178),
    by(TIMESTAMPTZ, TIME, Assignment, 2019),
    by(TIMESTAMPTZ, TIMESTAMP, Assignment, 2027),
    by(INTERVAL, TIME, Assignment, 1419),
    by(NUMERIC, INT8, Assignment, 1779),
    by(NUMERIC, INT2, Assignment, 1783),
    by(NUMERIC, INT4, Assignment, 1744),
    by(NUMERIC, FLOAT4, Implicit, 1745),
    by(NUMERIC, FLOAT8, Implicit, 1746),
    by(REGCLASS, INT8, Assignment, 1288),
    binary(REGCLASS, INT4, Assignment),
    binary(REGCLASS, OID, Implicit),
    by(REGTYPE, INT8, Assignment, 1288),
    binary(REGTYPE, INT4, Assignment),
    binary(REGTYPE, OID, Implicit),
    by(REGNAMESPACE, INT8, Assignment, 1288),
    binary(REGNAMESPACE, INT4, Assignment),
    binary(REGNAMESPACE, OID, Implicit),
];
