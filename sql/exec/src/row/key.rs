//! Datums in keys: bytes whose order is the order of the values.

use std::sync::Arc;

use bytes::Bytes;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::numeric::NumericSign;
use sql_values::types::{Datum, Interval, Numeric, SqlType, datetime};

use super::corrupted;

/// Before a value. Descending columns have every byte inverted, so that NULL comes first there.
const VALUE: u8 = 0x10;
/// NULL: after every value.
const NULL: u8 = 0xf0;
/// After the last element of an array: before every element.
const ARRAY_END: u8 = 0x00;

/// Zero bytes in strings are escaped, so that the terminator is less than whatever follows in a longer string.
const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
const TERMINATOR: u8 = 0x01;

const NUMERIC_NEGATIVE_INFINITY: u8 = 1;
const NUMERIC_NEGATIVE: u8 = 2;
const NUMERIC_ZERO: u8 = 3;
const NUMERIC_POSITIVE: u8 = 4;
const NUMERIC_INFINITY: u8 = 5;
const NUMERIC_NAN: u8 = 6;

/// Appends a value of a column of this type. An error if the value is not of the type, or the type has no order.
pub fn encode_key_datum(
    out: &mut Vec<u8>,
    ty: SqlType,
    value: &Datum,
    descending: bool,
) -> SqlResult<()> {
    let start = out.len();
    if value.is_null() {
        out.push(NULL);
    } else {
        out.push(VALUE);
        encode(out, ty, value)?;
    }
    if descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

fn encode(out: &mut Vec<u8>, ty: SqlType, value: &Datum) -> SqlResult<()> {
    let mismatch =
        || SqlError::internal(format!("{value:?} cannot be a key of type {}", ty.name()));
    match (ty, value) {
        (SqlType::Bool, Datum::Bool(value)) => out.push(u8::from(*value)),
        (SqlType::Int2, _) => {
            let value = value.as_i64().and_then(|v| i16::try_from(v).ok()).ok_or_else(mismatch)?;
            out.extend_from_slice(&(value ^ i16::MIN).to_be_bytes());
        }
        (SqlType::Int4, _) => {
            let value = value.as_i64().and_then(|v| i32::try_from(v).ok()).ok_or_else(mismatch)?;
            put_i32(out, value);
        }
        (SqlType::Int8, _) => put_i64(out, value.as_i64().ok_or_else(mismatch)?),
        (SqlType::Float4, Datum::Float4(_)) | (SqlType::Float8, Datum::Float8(_)) => {
            let value = value.as_f64().ok_or_else(mismatch)?;
            out.extend_from_slice(&float_bits(value).to_be_bytes());
        }
        (SqlType::Numeric(_), Datum::Numeric(value)) => put_numeric(out, value),
        (SqlType::Char(_), Datum::Text(text)) => {
            put_string(out, text.trim_end_matches(' ').as_bytes());
        }
        (_, Datum::Text(text)) if ty.is_text() => put_string(out, text.as_bytes()),
        (SqlType::Bytea, Datum::Bytea(bytes)) => put_string(out, bytes),
        (SqlType::Date, Datum::Date(days)) => put_i32(out, *days),
        (SqlType::Time(_), Datum::Time(micros))
        | (SqlType::Timestamp(_), Datum::Timestamp(micros))
        | (SqlType::TimestampTz(_), Datum::TimestampTz(micros)) => put_i64(out, *micros),
        (SqlType::Interval(_), Datum::Interval { months, days, micros }) => {
            let span = Interval { months: *months, days: *days, micros: *micros }.span();
            out.extend_from_slice(&(span ^ i128::MIN).to_be_bytes());
        }
        (SqlType::Uuid, Datum::Uuid(bytes)) => out.extend_from_slice(bytes),
        (_, Datum::Oid(_) | Datum::Int4(_)) if ty.is_oid() => {
            let oid = value.as_i64().unwrap_or(0) as u32;
            out.extend_from_slice(&oid.to_be_bytes());
        }
        (_, Datum::Array(values)) => {
            let element = ty.element().ok_or_else(mismatch)?;
            for value in values.iter() {
                encode_key_datum(out, element, value, false)?;
            }
            out.push(ARRAY_END);
        }
        _ => return Err(mismatch()),
    }
    Ok(())
}

fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&(value ^ i32::MIN).to_be_bytes());
}

fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
}

/// Bits in the order of values: zeros alike, NaN last.
fn float_bits(value: f64) -> u64 {
    let canonical = if value.is_nan() {
        f64::NAN.abs()
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    let bits = canonical.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn float_from_bits(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    for byte in bytes {
        out.push(*byte);
        if *byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[ESCAPE, TERMINATOR]);
}

/// The weight, then every digit plus one, then zero. Of a negative number, inverted.
fn put_numeric(out: &mut Vec<u8>, value: &Numeric) {
    let class = match value.sign {
        NumericSign::NegativeInfinity => NUMERIC_NEGATIVE_INFINITY,
        NumericSign::Infinity => NUMERIC_INFINITY,
        NumericSign::NaN => NUMERIC_NAN,
        _ if value.is_zero() => NUMERIC_ZERO,
        NumericSign::Negative => NUMERIC_NEGATIVE,
        NumericSign::Positive => NUMERIC_POSITIVE,
    };
    out.push(class);
    if class != NUMERIC_NEGATIVE && class != NUMERIC_POSITIVE {
        return;
    }
    let start = out.len();
    out.extend_from_slice(&(value.weight ^ i16::MIN).to_be_bytes());
    for digit in &value.digits {
        out.extend_from_slice(&(digit + 1).to_be_bytes());
    }
    out.extend_from_slice(&[0, 0]);
    if class == NUMERIC_NEGATIVE {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Bytes of a key as they were before a descending column inverted them.
struct Reader<'a, 'b> {
    rest: &'a mut &'b [u8],
    invert: u8,
}

impl Reader<'_, '_> {
    fn byte(&mut self) -> SqlResult<u8> {
        let (first, rest) =
            self.rest.split_first().ok_or_else(|| corrupted("a key is cut short"))?;
        *self.rest = rest;
        Ok(first ^ self.invert)
    }

    fn bytes<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        let mut out = [0; N];
        for slot in &mut out {
            *slot = self.byte()?;
        }
        Ok(out)
    }

    fn string(&mut self) -> SqlResult<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.byte()? {
                ESCAPE => match self.byte()? {
                    ESCAPED_ZERO => out.push(ESCAPE),
                    TERMINATOR => return Ok(out),
                    _ => return Err(corrupted("a key has an unknown escape")),
                },
                byte => out.push(byte),
            }
        }
    }

    fn numeric(&mut self) -> SqlResult<Numeric> {
        let class = self.byte()?;
        Ok(match class {
            NUMERIC_NEGATIVE_INFINITY => Numeric::NEGATIVE_INFINITY,
            NUMERIC_INFINITY => Numeric::INFINITY,
            NUMERIC_NAN => Numeric::NAN,
            NUMERIC_ZERO => Numeric::ZERO,
            NUMERIC_NEGATIVE | NUMERIC_POSITIVE => {
                let negative = class == NUMERIC_NEGATIVE;
                let invert = if negative { u16::MAX } else { 0 };
                let weight = (u16::from_be_bytes(self.bytes()?) ^ invert) as i16 ^ i16::MIN;
                let mut digits = Vec::new();
                loop {
                    match u16::from_be_bytes(self.bytes()?) ^ invert {
                        0 => break,
                        digit @ 1..=10_000 => digits.push(digit - 1),
                        _ => return Err(corrupted("a key has a digit out of range")),
                    }
                }
                let bounded = digits.first().is_some_and(|d| *d != 0)
                    && digits.last().is_some_and(|d| *d != 0);
                // As many places as the last digit has.
                let scale = (digits.len() as i64 - 1 - i64::from(weight)).max(0) * 4;
                if !bounded || scale > 16_384 {
                    return Err(corrupted("a key has a numeric out of range"));
                }
                let sign = if negative { NumericSign::Negative } else { NumericSign::Positive };
                Numeric { sign, digits, weight, scale: scale as u16 }.trim_scale()
            }
            _ => return Err(corrupted("a key has an unknown numeric")),
        })
    }

    fn text(&mut self) -> SqlResult<Arc<str>> {
        let text = String::from_utf8(self.string()?);
        Ok(text.map_err(|_| corrupted("a key has text that is not UTF-8"))?.into())
    }

    fn datum(&mut self, ty: SqlType) -> SqlResult<Datum> {
        match self.byte()? {
            NULL => return Ok(Datum::Null),
            VALUE => {}
            _ => return Err(corrupted("a key has an unknown tag")),
        }
        self.value(ty)
    }

    fn i32(&mut self) -> SqlResult<i32> {
        Ok(i32::from_be_bytes(self.bytes()?) ^ i32::MIN)
    }

    fn i64(&mut self) -> SqlResult<i64> {
        Ok(i64::from_be_bytes(self.bytes()?) ^ i64::MIN)
    }

    fn value(&mut self, ty: SqlType) -> SqlResult<Datum> {
        Ok(match ty {
            SqlType::Bool => match self.byte()? {
                0 => Datum::Bool(false),
                1 => Datum::Bool(true),
                _ => return Err(corrupted("a key has an unknown boolean")),
            },
            SqlType::Int2 => Datum::Int2(i16::from_be_bytes(self.bytes()?) ^ i16::MIN),
            SqlType::Int4 => Datum::Int4(self.i32()?),
            SqlType::Int8 => Datum::Int8(self.i64()?),
            SqlType::Float4 => {
                Datum::Float4(float_from_bits(u64::from_be_bytes(self.bytes()?)) as f32)
            }
            SqlType::Float8 => Datum::Float8(float_from_bits(u64::from_be_bytes(self.bytes()?))),
            SqlType::Numeric(_) => Datum::Numeric(self.numeric()?),
            SqlType::Char(_) => Datum::Text(self.text()?).apply_modifier(ty, true)?,
            SqlType::Bytea => Datum::Bytea(Bytes::from(self.string()?)),
            SqlType::Date => Datum::Date(self.i32()?),
            SqlType::Time(_) => Datum::Time(self.i64()?),
            SqlType::Timestamp(_) => Datum::Timestamp(self.i64()?),
            SqlType::TimestampTz(_) => Datum::TimestampTz(self.i64()?),
            SqlType::Interval(_) => {
                interval_of(i128::from_be_bytes(self.bytes()?) ^ i128::MIN)?.into()
            }
            SqlType::Uuid => Datum::Uuid(self.bytes()?),
            _ if ty.is_text() => Datum::Text(self.text()?),
            _ if ty.is_oid() => Datum::Oid(u32::from_be_bytes(self.bytes()?)),
            _ => {
                let element =
                    ty.element().ok_or_else(|| corrupted("a type cannot be part of a key"))?;
                let mut values = Vec::new();
                loop {
                    match self.byte()? {
                        ARRAY_END => break,
                        NULL => values.push(Datum::Null),
                        VALUE => values.push(self.value(element)?),
                        _ => return Err(corrupted("a key has an unknown tag")),
                    }
                }
                Datum::Array(values.into())
            }
        })
    }
}

/// An interval of this span: of those that are equal, the one with the least time and days.
fn interval_of(span: i128) -> SqlResult<Interval> {
    let month = 30 * i128::from(datetime::DAY);
    let day = i128::from(datetime::DAY);
    let invalid = |_| corrupted("a key has an interval out of range");
    // What months cannot hold, days and time can.
    let months = (span / month).clamp(i128::from(i32::MIN), i128::from(i32::MAX));
    let rest = span - months * month;
    let days = (rest / day).clamp(i128::from(i32::MIN), i128::from(i32::MAX));
    Ok(Interval {
        months: months as i32,
        days: days as i32,
        micros: i64::try_from(rest - days * day).map_err(invalid)?,
    })
}

/// Takes a value of a column of this type off the front.
pub fn decode_key_datum(rest: &mut &[u8], ty: SqlType, descending: bool) -> SqlResult<Datum> {
    Reader { rest, invert: if descending { 0xff } else { 0 } }.datum(ty)
}
