//! Values without an Arrow form, as bytes: a tag for the kind of datum, then its parts, big-endian; lengths are four
//! bytes. Lives within one execution: nothing stores or sends it, so it carries no version.

use bytes::{Buf, BufMut, Bytes};
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;
use sql_values::types::numeric::{Numeric, NumericSign};

/// A value as bytes.
pub(super) fn encode(datum: &Datum) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put(&mut out, datum);
    out
}

/// A value from bytes that [`encode`] made.
pub(super) fn decode(mut bytes: &[u8]) -> SqlResult<Datum> {
    take(&mut bytes).ok_or_else(|| SqlError::internal("a value's bytes are cut"))
}

fn put(out: &mut Vec<u8>, datum: &Datum) {
    match datum {
        Datum::Null => out.put_u8(0),
        Datum::Bool(value) => {
            out.put_u8(1);
            out.put_u8(u8::from(*value));
        }
        Datum::Int2(value) => {
            out.put_u8(2);
            out.put_i16(*value);
        }
        Datum::Int4(value) => {
            out.put_u8(3);
            out.put_i32(*value);
        }
        Datum::Int8(value) => {
            out.put_u8(4);
            out.put_i64(*value);
        }
        Datum::Float4(value) => {
            out.put_u8(5);
            out.put_f32(*value);
        }
        Datum::Float8(value) => {
            out.put_u8(6);
            out.put_f64(*value);
        }
        Datum::Numeric(value) => {
            out.put_u8(7);
            out.put_u8(match value.sign {
                NumericSign::Positive => 0,
                NumericSign::Negative => 1,
                NumericSign::NaN => 2,
                NumericSign::Infinity => 3,
                NumericSign::NegativeInfinity => 4,
            });
            out.put_i16(value.weight);
            out.put_u16(value.scale);
            put_len(out, value.digits.len());
            value.digits.iter().for_each(|digit| out.put_u16(*digit));
        }
        Datum::Text(value) => {
            out.put_u8(8);
            put_len(out, value.len());
            out.put_slice(value.as_bytes());
        }
        Datum::Bytea(value) => {
            out.put_u8(9);
            put_len(out, value.len());
            out.put_slice(value);
        }
        Datum::Date(value) => {
            out.put_u8(10);
            out.put_i32(*value);
        }
        Datum::Time(value) => {
            out.put_u8(11);
            out.put_i64(*value);
        }
        Datum::Timestamp(value) => {
            out.put_u8(12);
            out.put_i64(*value);
        }
        Datum::TimestampTz(value) => {
            out.put_u8(13);
            out.put_i64(*value);
        }
        Datum::Interval { months, days, micros } => {
            out.put_u8(14);
            out.put_i32(*months);
            out.put_i32(*days);
            out.put_i64(*micros);
        }
        Datum::Uuid(value) => {
            out.put_u8(15);
            out.put_slice(value);
        }
        Datum::Oid(value) => {
            out.put_u8(16);
            out.put_u32(*value);
        }
        Datum::Array(items) => put_all(out, 17, items),
        Datum::Record(items) => put_all(out, 18, items),
    }
}

fn put_all(out: &mut Vec<u8>, tag: u8, items: &[Datum]) {
    out.put_u8(tag);
    put_len(out, items.len());
    items.iter().for_each(|item| put(out, item));
}

/// Values are bounded far below this by the memory of a statement.
fn put_len(out: &mut Vec<u8>, len: usize) {
    out.put_u32(len as u32);
}

fn take(from: &mut &[u8]) -> Option<Datum> {
    Some(match from.try_get_u8().ok()? {
        0 => Datum::Null,
        1 => Datum::Bool(from.try_get_u8().ok()? != 0),
        2 => Datum::Int2(from.try_get_i16().ok()?),
        3 => Datum::Int4(from.try_get_i32().ok()?),
        4 => Datum::Int8(from.try_get_i64().ok()?),
        5 => Datum::Float4(from.try_get_f32().ok()?),
        6 => Datum::Float8(from.try_get_f64().ok()?),
        7 => Datum::Numeric(take_numeric(from)?),
        8 => Datum::text(std::str::from_utf8(take_bytes(from)?).ok()?),
        9 => Datum::Bytea(Bytes::copy_from_slice(take_bytes(from)?)),
        10 => Datum::Date(from.try_get_i32().ok()?),
        11 => Datum::Time(from.try_get_i64().ok()?),
        12 => Datum::Timestamp(from.try_get_i64().ok()?),
        13 => Datum::TimestampTz(from.try_get_i64().ok()?),
        14 => Datum::Interval {
            months: from.try_get_i32().ok()?,
            days: from.try_get_i32().ok()?,
            micros: from.try_get_i64().ok()?,
        },
        15 => {
            let (uuid, rest) = from.split_first_chunk::<16>()?;
            *from = rest;
            Datum::Uuid(*uuid)
        }
        16 => Datum::Oid(from.try_get_u32().ok()?),
        17 => Datum::Array(take_all(from)?.into()),
        18 => Datum::Record(take_all(from)?.into()),
        _ => return None,
    })
}

fn take_numeric(from: &mut &[u8]) -> Option<Numeric> {
    let sign = match from.try_get_u8().ok()? {
        0 => NumericSign::Positive,
        1 => NumericSign::Negative,
        2 => NumericSign::NaN,
        3 => NumericSign::Infinity,
        _ => NumericSign::NegativeInfinity,
    };
    let weight = from.try_get_i16().ok()?;
    let scale = from.try_get_u16().ok()?;
    let len = from.try_get_u32().ok()?;
    let digits = (0..len).map(|_| from.try_get_u16().ok()).collect::<Option<_>>()?;
    Some(Numeric { sign, digits, weight, scale })
}

fn take_bytes<'b>(from: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = from.try_get_u32().ok()? as usize;
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(bytes)
}

fn take_all(from: &mut &[u8]) -> Option<Vec<Datum>> {
    let len = from.try_get_u32().ok()?;
    (0..len).map(|_| take(from)).collect()
}
