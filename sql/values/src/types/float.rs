//! `real` and `double precision`. As text they are the shortest digits that read back the same.

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Form, Measure, TypeDef};
use super::text::{invalid_syntax, trim};
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::{SqlError, SqlResult, SqlState};

pub(super) static FLOAT4: TypeDef = TypeDef {
    array_oid: 1021,
    name: "real",
    len: 4,
    category: 'N',
    functions: [(200, "float4in"), (201, "float4out"), (2424, "float4recv"), (2425, "float4send")],
    measure: |_| bits(24),
    examples: &["-Infinity", "-1.5", "0", "1e-20", "Infinity", "NaN"],
    ..TypeDef::base(SqlType::Float4, 700, "float4", Form::Float4, FLOAT4_CODEC)
};

pub(super) static FLOAT8: TypeDef = TypeDef {
    array_oid: 1022,
    name: "double precision",
    aliases: &["float"],
    len: 8,
    align: 'd',
    category: 'N',
    preferred: true,
    functions: [(214, "float8in"), (215, "float8out"), (2426, "float8recv"), (2427, "float8send")],
    measure: |_| bits(53),
    examples: &["-Infinity", "-1.5", "0", "1e-200", "Infinity", "NaN"],
    ..TypeDef::base(SqlType::Float8, 701, "float8", Form::Float8, FLOAT8_CODEC)
};

const FLOAT4_CODEC: Codec = Codec {
    parse: |_, text, _| parse_f32(text).map(Datum::Float4),
    write,
    receive: |_, bytes, _| Ok(Datum::Float4(f32::from_be_bytes(wire::exactly(bytes)?))),
    send,
};

const FLOAT8_CODEC: Codec = Codec {
    parse: |_, text, _| parse_f64(text).map(Datum::Float8),
    receive: |_, bytes, _| Ok(Datum::Float8(f64::from_be_bytes(wire::exactly(bytes)?))),
    ..FLOAT4_CODEC
};

fn bits(precision: i32) -> Measure {
    Measure::Number { precision: Some(precision), radix: 2, scale: None }
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    match value {
        Datum::Float4(value) => write_f32_in(out, *value, format.style.float_digits),
        Datum::Float8(value) => write_f64_in(out, *value, format.style.float_digits),
        other => other.write_as_it_is(ty, format, out),
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Float4(value) => out.put_f32(*value),
        Datum::Float8(value) => out.put_f64(*value),
        other => other.send_as_it_is(ty, out),
    }
}

/// Decimal exponents from which on figures are written with an exponent: as many as the type's decimal digits.
const F32_PLAIN_MAX: i32 = 6;
const F64_PLAIN_MAX: i32 = 15;

fn special(text: &str) -> Option<f64> {
    let (sign, name) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("infinity") || is("inf") {
        Some(sign * f64::INFINITY)
    } else if is("nan") {
        Some(f64::NAN)
    } else {
        None
    }
}

/// True iff it is a number in figures: what else Rust would take is not for us.
fn in_figures(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
}

fn has_nonzero_digit(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or("");
    mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b))
}

fn out_of_range(ty: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{text}\" is out of range for type {ty}"),
    )
}

/// Reads `double precision`.
pub(crate) fn parse_f64(text: &str) -> SqlResult<f64> {
    let ty = "double precision";
    let bare = trim(text);
    if let Some(value) = special(bare) {
        return Ok(value);
    }
    let parsed =
        Some(bare).filter(|bare| in_figures(bare)).and_then(|bare| bare.parse::<f64>().ok());
    let value = parsed.ok_or_else(|| invalid_syntax(ty, text))?;
    if value.is_infinite() || (value == 0.0 && has_nonzero_digit(bare)) {
        return Err(out_of_range(ty, bare));
    }
    Ok(value)
}

/// Reads `real`.
pub(crate) fn parse_f32(text: &str) -> SqlResult<f32> {
    let ty = "real";
    let bare = trim(text);
    if let Some(value) = special(bare) {
        return Ok(value as f32);
    }
    let parsed =
        Some(bare).filter(|bare| in_figures(bare)).and_then(|bare| bare.parse::<f32>().ok());
    let value = parsed.ok_or_else(|| invalid_syntax(ty, text))?;
    if value.is_infinite() || (value == 0.0 && has_nonzero_digit(bare)) {
        return Err(out_of_range(ty, bare));
    }
    Ok(value)
}

/// Appends `double precision`.
pub fn write_f64(out: &mut String, value: f64) {
    if value.is_finite() {
        write_figures(out, &format!("{value:e}"), F64_PLAIN_MAX);
    } else {
        out.push_str(name(value));
    }
}

/// Appends `real`.
pub(crate) fn write_f32(out: &mut String, value: f32) {
    if value.is_finite() {
        write_figures(out, &format!("{value:e}"), F32_PLAIN_MAX);
    } else {
        out.push_str(name(f64::from(value)));
    }
}

/// As [`write_f64`] with `extra_float_digits` above zero; else with so many digits fewer than the type always keeps.
pub(crate) fn write_f64_in(out: &mut String, value: f64, extra: i8) {
    if extra > 0 || !value.is_finite() {
        return write_f64(out, value);
    }
    write_rounded(out, value, F64_PLAIN_MAX + i32::from(extra));
}

/// As [`write_f64_in`], of `real`.
pub(crate) fn write_f32_in(out: &mut String, value: f32, extra: i8) {
    if extra > 0 || !value.is_finite() {
        return write_f32(out, value);
    }
    write_rounded(out, f64::from(value), F32_PLAIN_MAX + i32::from(extra));
}

/// With so many digits, as C's `%g`.
fn write_rounded(out: &mut String, value: f64, digits: i32) {
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    write_figures(out, &format!("{mantissa}e{exponent}"), digits);
}

fn name(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// From `d.ddde±n` to PostgreSQL's form: plain within bounds, else with an exponent of two digits at least.
fn write_figures(out: &mut String, scientific: &str, plain_max: i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    out.push_str(sign);
    if !(-4..plain_max).contains(&exponent) {
        out.push_str(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("e{sign}{:02}", exponent.abs()));
        return;
    }
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        out.push_str("0.");
        (1..-exponent).for_each(|_| out.push('0'));
        out.push_str(&digits);
        return;
    }
    let point = exponent as usize + 1;
    if digits.len() <= point {
        out.push_str(&digits);
        (digits.len()..point).for_each(|_| out.push('0'));
    } else {
        out.push_str(&digits[..point]);
        out.push('.');
        out.push_str(&digits[point..]);
    }
}
