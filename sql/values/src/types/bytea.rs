//! `bytea`.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::definition::{Codec, Form, TypeDef};
use super::{Datum, SqlType, TextFormat};
use crate::error::{SqlError, SqlResult, SqlState};

pub(super) static BYTEA: TypeDef = TypeDef {
    array_oid: 1001,
    functions: [(1244, "byteain"), (31, "byteaout"), (2412, "bytearecv"), (2413, "byteasend")],
    examples: &["\\x", "\\x00", "\\x0001", "\\x01", "\\xff"],
    ..TypeDef::base(SqlType::Bytea, 17, "bytea", Form::Bytea, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, text, _| parse(text).map(Datum::Bytea),
    write,
    receive: |_, bytes, _| Ok(Datum::Bytea(Bytes::copy_from_slice(bytes))),
    send,
};

fn parse(text: &str) -> SqlResult<Bytes> {
    let Some(hex) = text.strip_prefix("\\x") else { return parse_escape(text) };
    let invalid = |c: char| {
        SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid hexadecimal digit: \"{c}\""),
        )
    };
    let mut out = Vec::with_capacity(hex.len() / 2);
    let mut high: Option<u8> = None;
    for c in hex.chars() {
        if high.is_none() && matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let value = c.to_digit(16).ok_or_else(|| invalid(c))? as u8;
        match high.take() {
            Some(high) => out.push(high << 4 | value),
            None => high = Some(value),
        }
    }
    match high {
        None => Ok(out.into()),
        Some(_) => Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid hexadecimal data: odd number of digits",
        )),
    }
}

fn parse_escape(text: &str) -> SqlResult<Bytes> {
    let error = || {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
        } else if tail.first() == Some(&b'\\') {
            out.push(b'\\');
            rest = &tail[1..];
        } else {
            let octal = tail.get(..3).ok_or_else(error)?;
            let valid = octal.iter().all(|b| (b'0'..=b'7').contains(b)) && octal[0] <= b'3';
            if !valid {
                return Err(error());
            }
            out.push(octal.iter().fold(0u8, |sum, b| sum << 3 | (b - b'0')));
            rest = &tail[3..];
        }
    }
    Ok(out.into())
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    let Datum::Bytea(bytes) = value else { return value.write_as_it_is(ty, format, out) };
    if format.style.escape_bytea {
        return write_escape(bytes, out);
    }
    out.push_str("\\x");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
}

fn write_escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Bytea(bytes) => out.put_slice(bytes),
        other => other.send_as_it_is(ty, out),
    }
}
