//! Datums in keys: bytes whose order is the order of the values.

use std::sync::Arc;

use bytes::Bytes;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::numeric::NumericSign;
use sql_values::types::{Datum, Form, Interval, Numeric, SqlType, TypeId, datetime};

use super::{corrupted, ordered};

/// Before a value. Descending columns have every byte inverted, so that NULL comes first there.
const VALUE: u8 = 0x10;
/// NULL: after every value.
const NULL: u8 = 0xf0;
/// After the last element of an array: before every element.
const ARRAY_END: u8 = 0x01;

/// The two least bytes are escaped in strings, so that the terminator is less than whatever follows in a longer string.
const ESCAPE: u8 = 0x01;
const TERMINATOR: u8 = 0x01;
const ESCAPED_ZERO: u8 = 0x02;
const ESCAPED_ONE: u8 = 0x03;

const NUMERIC_NEGATIVE_INFINITY: u8 = 1;
const NUMERIC_NEGATIVE: u8 = 2;
const NUMERIC_ZERO: u8 = 3;
const NUMERIC_POSITIVE: u8 = 4;
const NUMERIC_INFINITY: u8 = 5;
const NUMERIC_NAN: u8 = 6;
/// After the last digit of a numeric: before every digit.
const NUMERIC_END: u8 = 0x01;

/// Digits of seven bits (see [`ordered`]) in what is of one length.
const WEIGHT_DIGITS: usize = 3;
const FLOAT_DIGITS: usize = 10;
const SPAN_DIGITS: usize = 11;
/// Makes an interval's microseconds positive: months, days and time together are less than 2^74.
const SPAN_ZERO: i128 = 1 << 75;

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
    match (ty.form(), value) {
        (Form::Bool, Datum::Bool(value)) => ordered::put_integer(out, u8::from(*value)),
        (Form::Int2, _) => {
            let value = value.as_i64().and_then(|v| i16::try_from(v).ok()).ok_or_else(mismatch)?;
            ordered::put_integer(out, value);
        }
        (Form::Int4, _) => {
            let value = value.as_i64().and_then(|v| i32::try_from(v).ok()).ok_or_else(mismatch)?;
            ordered::put_integer(out, value);
        }
        (Form::Int8, _) => ordered::put_integer(out, value.as_i64().ok_or_else(mismatch)?),
        (Form::Float4, Datum::Float4(_)) | (Form::Float8, Datum::Float8(_)) => {
            let value = value.as_f64().ok_or_else(mismatch)?;
            ordered::put_digits(out, float_bits(value).into(), FLOAT_DIGITS);
        }
        (Form::Numeric, Datum::Numeric(value)) => put_numeric(out, value),
        (Form::Padded, Datum::Text(text)) => {
            put_string(out, text.trim_end_matches(' ').as_bytes());
        }
        (Form::Text, Datum::Text(text)) => put_string(out, text.as_bytes()),
        (Form::Bytea, Datum::Bytea(bytes)) => put_string(out, bytes),
        (Form::Date, Datum::Date(days)) => ordered::put_integer(out, *days),
        (Form::Time, Datum::Time(micros))
        | (Form::Timestamp, Datum::Timestamp(micros))
        | (Form::TimestampTz, Datum::TimestampTz(micros)) => ordered::put_integer(out, *micros),
        (Form::Interval, Datum::Interval { months, days, micros }) => {
            let span = Interval { months: *months, days: *days, micros: *micros }.span();
            ordered::put_digits(out, (span + SPAN_ZERO) as u128, SPAN_DIGITS);
        }
        (Form::Uuid, Datum::Uuid(bytes)) => out.extend_from_slice(bytes),
        (Form::Oid, Datum::Oid(_) | Datum::Int4(_)) => {
            let oid = value.as_i64().unwrap_or(0) as u32;
            ordered::put_integer(out, oid);
        }
        (Form::Packed, Datum::Packed(of, bytes)) if of.def().oid == ty.oid() => {
            put_string(out, bytes);
        }
        (Form::Array, Datum::Array(values)) => {
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
        match byte {
            0x00 => out.extend_from_slice(&[ESCAPE, ESCAPED_ZERO]),
            0x01 => out.extend_from_slice(&[ESCAPE, ESCAPED_ONE]),
            byte => out.push(*byte),
        }
    }
    out.extend_from_slice(&[ESCAPE, TERMINATOR]);
}

/// The weight, then every digit of four decimals in two of seven bits, the first of them plus one, then the end. Of a
/// negative number, inverted.
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
    let weight = (value.weight ^ i16::MIN) as u16;
    ordered::put_digits(out, weight.into(), WEIGHT_DIGITS);
    for digit in &value.digits {
        let at = out.len();
        ordered::put_digits(out, (*digit).into(), 2);
        out[at] += NUMERIC_END;
    }
    out.push(NUMERIC_END);
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
                    ESCAPED_ZERO => out.push(0x00),
                    ESCAPED_ONE => out.push(0x01),
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
                let out_of_range = || corrupted("a key has a digit out of range");
                let invert = if negative { 0xff } else { 0 };
                let mut next = || Ok::<u8, SqlError>(self.byte()? ^ invert);
                let weight = ordered::take_digits(WEIGHT_DIGITS, &mut next)?;
                let weight = u16::try_from(weight).map_err(|_| out_of_range())?;
                let weight = weight as i16 ^ i16::MIN;
                let mut digits = Vec::new();
                loop {
                    let first = next()?;
                    if first == NUMERIC_END {
                        break;
                    }
                    let mut pair = [first.wrapping_sub(NUMERIC_END), next()?].into_iter();
                    let digit = ordered::take_digits(2, || pair.next().ok_or_else(out_of_range))?;
                    if digit >= 10_000 {
                        return Err(out_of_range());
                    }
                    digits.push(digit as u16);
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

    fn integer<T: TryFrom<i128>>(&mut self) -> SqlResult<T> {
        let value = ordered::take_integer(|| self.byte())?;
        T::try_from(value).map_err(|_| corrupted("a key has an integer out of range"))
    }

    fn float(&mut self) -> SqlResult<f64> {
        let bits = ordered::take_digits(FLOAT_DIGITS, || self.byte())?;
        let bits = u64::try_from(bits).map_err(|_| corrupted("a key has a float out of range"))?;
        Ok(float_from_bits(bits))
    }

    fn value(&mut self, ty: SqlType) -> SqlResult<Datum> {
        Ok(match ty.form() {
            Form::Bool => match self.integer()? {
                0u8 => Datum::Bool(false),
                1 => Datum::Bool(true),
                _ => return Err(corrupted("a key has an unknown boolean")),
            },
            Form::Int2 => Datum::Int2(self.integer()?),
            Form::Int4 => Datum::Int4(self.integer()?),
            Form::Int8 => Datum::Int8(self.integer()?),
            Form::Float4 => Datum::Float4(self.float()? as f32),
            Form::Float8 => Datum::Float8(self.float()?),
            Form::Numeric => Datum::Numeric(self.numeric()?),
            Form::Padded => Datum::Text(self.text()?).apply_modifier(ty, true)?,
            Form::Text => Datum::Text(self.text()?),
            Form::Bytea => Datum::Bytea(Bytes::from(self.string()?)),
            Form::Date => Datum::Date(self.integer()?),
            Form::Time => Datum::Time(self.integer()?),
            Form::Timestamp => Datum::Timestamp(self.integer()?),
            Form::TimestampTz => Datum::TimestampTz(self.integer()?),
            Form::Interval => {
                let span = ordered::take_digits(SPAN_DIGITS, || self.byte())?;
                interval_of(span as i128 - SPAN_ZERO)?.into()
            }
            Form::Uuid => Datum::Uuid(self.bytes()?),
            Form::Oid => Datum::Oid(self.integer()?),
            Form::Packed => {
                let id =
                    TypeId::of(ty).ok_or_else(|| corrupted("a type cannot be part of a key"))?;
                Datum::Packed(id, self.string()?.into())
            }
            Form::Record => return Err(corrupted("a type cannot be part of a key")),
            Form::Array => {
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
