//! Values in PostgreSQL's binary formats: big-endian, without their length.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::datetime::{check_date, check_timestamp, is_infinite};
use super::{ARRAY_LEN_MAX, Datum, Numeric, SqlType, datetime};
use crate::error::{SqlError, SqlResult, SqlState};

/// Records nest at most so deep when read.
const DEPTH_MAX: u8 = 8;

fn invalid(what: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, what)
}

fn too_short() -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

fn exactly<const N: usize>(bytes: &[u8]) -> SqlResult<[u8; N]> {
    if bytes.len() > N {
        return Err(invalid("incorrect binary data format"));
    }
    bytes.try_into().map_err(|_| too_short())
}

fn text(bytes: &[u8]) -> SqlResult<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let bad = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let shown: Vec<String> = bad.iter().take(4).map(|b| format!("0x{b:02x}")).collect();
        SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })?;
    if text.contains('\0') {
        return Err(SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}

impl Datum {
    /// Reads a value of a type in binary format, and applies the type's modifier.
    pub fn from_binary(ty: SqlType, bytes: &[u8]) -> SqlResult<Datum> {
        read(ty, bytes, 0)?.apply_modifier(ty, false)
    }

    /// The value in binary format. NULL is empty: the caller knows.
    pub fn to_binary(&self, ty: SqlType) -> Bytes {
        let mut out = BytesMut::new();
        self.write_binary(ty, &mut out);
        out.freeze()
    }

    /// Appends the value in binary format.
    pub fn write_binary(&self, ty: SqlType, out: &mut BytesMut) {
        match self {
            Datum::Null => {}
            Datum::Bool(value) => out.put_u8(u8::from(*value)),
            Datum::Int2(value) => out.put_i16(*value),
            Datum::Int4(value) => out.put_i32(*value),
            Datum::Int8(value) => out.put_i64(*value),
            Datum::Float4(value) => out.put_f32(*value),
            Datum::Float8(value) => out.put_f64(*value),
            Datum::Numeric(value) => write_numeric(value, out),
            Datum::Text(value) if ty == SqlType::InternalChar && value.is_empty() => out.put_u8(0),
            Datum::Text(value) => out.put_slice(value.as_bytes()),
            Datum::Bytea(bytes) => out.put_slice(bytes),
            Datum::Date(value) => out.put_i32(*value),
            Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
                out.put_i64(*value);
            }
            Datum::Interval { months, days, micros } => {
                out.put_i64(*micros);
                out.put_i32(*days);
                out.put_i32(*months);
            }
            Datum::Uuid(bytes) => out.put_slice(bytes),
            Datum::Oid(value) => out.put_u32(*value),
            Datum::Array(values) => write_array(values, ty, out),
            Datum::Record(values) => {
                out.put_i32(values.len() as i32);
                for value in values.iter() {
                    let ty = value.natural_type();
                    out.put_u32(ty.oid());
                    write_sized(value, ty, out);
                }
            }
        }
    }
}

/// A value with its length before it; -1 is NULL.
fn write_sized(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    let at = out.len();
    out.put_i32(-1);
    if !value.is_null() {
        value.write_binary(ty, out);
        let len = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
}

fn write_numeric(value: &Numeric, out: &mut BytesMut) {
    out.put_u16(value.digits.len() as u16);
    out.put_i16(value.weight);
    out.put_u16(value.wire_sign());
    out.put_u16(value.scale);
    value.digits.iter().for_each(|digit| out.put_u16(*digit));
}

fn write_array(values: &[Datum], ty: SqlType, out: &mut BytesMut) {
    let element = ty.element().unwrap_or(SqlType::Text);
    let dimensions = i32::from(!values.is_empty());
    out.put_i32(dimensions);
    out.put_i32(i32::from(values.iter().any(Datum::is_null)));
    out.put_u32(element.oid());
    if dimensions == 1 {
        out.put_i32(values.len() as i32);
        out.put_i32(ty.lower_bound());
    }
    values.iter().for_each(|value| write_sized(value, element, out));
}

fn read(ty: SqlType, bytes: &[u8], depth: u8) -> SqlResult<Datum> {
    Ok(match ty {
        SqlType::Bool => Datum::Bool(exactly::<1>(bytes)?[0] != 0),
        SqlType::Int2 => Datum::Int2(i16::from_be_bytes(exactly(bytes)?)),
        SqlType::Int4 => Datum::Int4(i32::from_be_bytes(exactly(bytes)?)),
        SqlType::Int8 => Datum::Int8(i64::from_be_bytes(exactly(bytes)?)),
        SqlType::Float4 => Datum::Float4(f32::from_be_bytes(exactly(bytes)?)),
        SqlType::Float8 => Datum::Float8(f64::from_be_bytes(exactly(bytes)?)),
        SqlType::Numeric(_) => Datum::Numeric(read_numeric(bytes)?),
        SqlType::InternalChar => match exactly::<1>(bytes)? {
            [0] => Datum::text(""),
            byte => Datum::text(text(&byte)?),
        },
        SqlType::Unknown
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Name => Datum::text(text(bytes)?),
        SqlType::Bytea => Datum::Bytea(Bytes::copy_from_slice(bytes)),
        SqlType::Date => {
            let days = i32::from_be_bytes(exactly(bytes)?);
            let infinite = days == i32::MIN || days == i32::MAX;
            if !infinite && check_date(i64::from(days)).is_none() {
                return Err(datetime::date_out_of_range());
            }
            Datum::Date(days)
        }
        SqlType::Time(_) => {
            let micros = i64::from_be_bytes(exactly(bytes)?);
            if !(0..=datetime::DAY).contains(&micros) {
                return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            Datum::Time(micros)
        }
        SqlType::Timestamp(_) => Datum::Timestamp(read_timestamp(bytes)?),
        SqlType::TimestampTz(_) => Datum::TimestampTz(read_timestamp(bytes)?),
        SqlType::Interval(_) => {
            let mut rest = &exactly::<16>(bytes)?[..];
            let (micros, days, months) = (rest.get_i64(), rest.get_i32(), rest.get_i32());
            Datum::Interval { months, days, micros }
        }
        SqlType::Uuid => Datum::Uuid(exactly(bytes)?),
        SqlType::Oid
        | SqlType::RegClass
        | SqlType::RegType
        | SqlType::RegProc
        | SqlType::RegNamespace => Datum::Oid(u32::from_be_bytes(exactly(bytes)?)),
        SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => {
            Datum::Array(read_array(ty, bytes)?)
        }
        SqlType::Record => Datum::Record(read_record(bytes, depth)?),
        SqlType::Void => Datum::text(""),
    })
}

fn read_timestamp(bytes: &[u8]) -> SqlResult<i64> {
    let micros = i64::from_be_bytes(exactly(bytes)?);
    if !is_infinite(micros) && check_timestamp(i128::from(micros)).is_none() {
        return Err(datetime::timestamp_out_of_range());
    }
    Ok(micros)
}

fn read_numeric(mut bytes: &[u8]) -> SqlResult<Numeric> {
    let short = |_| too_short();
    let count = usize::from(bytes.try_get_u16().map_err(short)?);
    let weight = bytes.try_get_i16().map_err(short)?;
    let sign = bytes.try_get_u16().map_err(short)?;
    let scale = bytes.try_get_u16().map_err(short)?;
    if bytes.len() != count * 2 {
        return Err(if bytes.len() < count * 2 {
            too_short()
        } else {
            invalid("incorrect binary data format")
        });
    }
    let digits = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    Numeric::from_wire(digits, weight, sign, scale)
}

/// A value with its length before it.
fn read_sized(ty: SqlType, bytes: &mut &[u8], depth: u8) -> SqlResult<Datum> {
    let len = bytes.try_get_i32().map_err(|_| too_short())?;
    if len == -1 {
        return Ok(Datum::Null);
    }
    let len = usize::try_from(len).map_err(|_| invalid("insufficient data left in message"))?;
    let (value, rest) = bytes.split_at_checked(len).ok_or_else(too_short)?;
    *bytes = rest;
    read(ty, value, depth)
}

fn read_array(ty: SqlType, mut bytes: &[u8]) -> SqlResult<Arc<[Datum]>> {
    let short = |_| too_short();
    let dimensions = bytes.try_get_i32().map_err(short)?;
    let flags = bytes.try_get_i32().map_err(short)?;
    let oid = bytes.try_get_u32().map_err(short)?;
    if !(0..=6).contains(&dimensions) {
        return Err(invalid(format!("invalid number of dimensions: {dimensions}")));
    }
    if !(0..=1).contains(&flags) {
        return Err(invalid("invalid array flags"));
    }
    let element = ty.element().unwrap_or(SqlType::Text);
    if oid != element.oid() {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({}) instead of expected {} ({})",
                SqlType::from_oid(oid).map_or("???".to_owned(), SqlType::name),
                element.oid(),
                element.name()
            ),
        ));
    }
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = bytes.try_get_i32().map_err(short)?;
            let lower = bytes.try_get_i32().map_err(short)?;
            if count > 0 && lower != ty.lower_bound() {
                return Err(SqlError::unsupported("an array whose subscripts do not begin with 1"));
            }
            usize::try_from(count).map_err(|_| invalid("invalid array size"))?
        }
        _ => return Err(SqlError::unsupported("an array of more than one dimension")),
    };
    // Each element has at least its length: a count that cannot be is refused before anything is reserved.
    if count > ARRAY_LEN_MAX || count > bytes.len() / 4 {
        return Err(too_short());
    }
    let values =
        (0..count).map(|_| read_sized(element, &mut bytes, 0)).collect::<SqlResult<_>>()?;
    if bytes.is_empty() { Ok(values) } else { Err(invalid("incorrect binary data format")) }
}

fn read_record(mut bytes: &[u8], depth: u8) -> SqlResult<Arc<[Datum]>> {
    if depth == DEPTH_MAX {
        return Err(SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "record is nested too deeply"));
    }
    let count = bytes.try_get_i32().map_err(|_| too_short())?;
    let count = usize::try_from(count).map_err(|_| invalid("wrong number of columns"))?;
    if count > bytes.len() / 8 {
        return Err(too_short());
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let oid = bytes.try_get_u32().map_err(|_| too_short())?;
        let ty = SqlType::from_oid(oid)
            .ok_or_else(|| invalid(format!("unknown type with oid {oid} in a record")))?;
        values.push(read_sized(ty, &mut bytes, depth + 1)?);
    }
    if bytes.is_empty() { Ok(values.into()) } else { Err(invalid("incorrect binary data format")) }
}
