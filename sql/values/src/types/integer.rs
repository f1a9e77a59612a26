//! `smallint`, `integer` and `bigint`.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Form, Measure, TypeDef};
use super::text::{invalid_syntax, trim};
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::{SqlError, SqlResult, SqlState};

pub(super) static INT2: TypeDef = TypeDef {
    array_oid: 1005,
    name: "smallint",
    len: 2,
    align: 's',
    category: 'N',
    functions: [(38, "int2in"), (39, "int2out"), (2404, "int2recv"), (2405, "int2send")],
    measure: |_| bits(16),
    examples: &["-32768", "-1", "0", "32767"],
    ..TypeDef::base(SqlType::Int2, 21, "int2", Form::Int2, INT2_CODEC)
};

pub(super) static INT4: TypeDef = TypeDef {
    array_oid: 1007,
    name: "integer",
    aliases: &["int"],
    len: 4,
    category: 'N',
    functions: [(42, "int4in"), (43, "int4out"), (2406, "int4recv"), (2407, "int4send")],
    measure: |_| bits(32),
    examples: &["-2147483648", "-1", "0", "2147483647"],
    ..TypeDef::base(SqlType::Int4, 23, "int4", Form::Int4, INT4_CODEC)
};

pub(super) static INT8: TypeDef = TypeDef {
    array_oid: 1016,
    name: "bigint",
    len: 8,
    align: 'd',
    category: 'N',
    functions: [(460, "int8in"), (461, "int8out"), (2408, "int8recv"), (2409, "int8send")],
    measure: |_| bits(64),
    examples: &["-9223372036854775808", "-1", "0", "9223372036854775807"],
    ..TypeDef::base(SqlType::Int8, 20, "int8", Form::Int8, INT8_CODEC)
};

const INT2_CODEC: Codec = Codec {
    parse: |_, text, _| parse("smallint", text).map(Datum::Int2),
    write,
    receive: |_, bytes, _| Ok(Datum::Int2(i16::from_be_bytes(wire::exactly(bytes)?))),
    send,
};

const INT4_CODEC: Codec = Codec {
    parse: |_, text, _| parse("integer", text).map(Datum::Int4),
    receive: |_, bytes, _| Ok(Datum::Int4(i32::from_be_bytes(wire::exactly(bytes)?))),
    ..INT2_CODEC
};

const INT8_CODEC: Codec = Codec {
    parse: |_, text, _| parse("bigint", text).map(Datum::Int8),
    receive: |_, bytes, _| Ok(Datum::Int8(i64::from_be_bytes(wire::exactly(bytes)?))),
    ..INT2_CODEC
};

fn bits(precision: i32) -> Measure {
    Measure::Number { precision: Some(precision), radix: 2, scale: Some(0) }
}

/// The error for a number that a type cannot hold.
pub(super) fn out_of_range(ty: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {ty}"),
    )
}

/// Reads a whole number of a type.
pub(super) fn parse<T: TryFrom<i128>>(ty: &str, text: &str) -> SqlResult<T> {
    let bare = trim(text);
    let digits = bare.strip_prefix(['-', '+']).unwrap_or(bare);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid_syntax(ty, text));
    }
    let value = bare.parse::<i128>().ok();
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| out_of_range(ty, text))
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        Datum::Int2(value) => write!(out, "{value}"),
        Datum::Int4(value) => write!(out, "{value}"),
        Datum::Int8(value) => write!(out, "{value}"),
        other => {
            other.write_as_it_is(ty, format, out);
            Ok(())
        }
    };
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Int2(value) => out.put_i16(*value),
        Datum::Int4(value) => out.put_i32(*value),
        Datum::Int8(value) => out.put_i64(*value),
        other => other.send_as_it_is(ty, out),
    }
}
