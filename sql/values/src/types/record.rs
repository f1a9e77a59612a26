//! `record`: anonymous rows. They do not know the types of their fields, which show by their representation.

use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};

use super::array::write_quoted;
use super::definition::{Codec, Form, TypeDef};
use super::wire::{invalid, read_sized, too_short, write_sized};
use super::{Datum, SqlType, TextFormat};
use crate::error::{SqlError, SqlResult, SqlState};

/// Records nest at most so deep when read.
const DEPTH_MAX: u8 = 8;

pub(super) static RECORD: TypeDef = TypeDef {
    category: 'P',
    pseudo: true,
    functions: [
        (2290, "record_in"),
        (2291, "record_out"),
        (2402, "record_recv"),
        (2403, "record_send"),
    ],
    ..TypeDef::base(SqlType::Record, 2249, "record", Form::Record, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, _, _| {
        Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "input of anonymous composite types is not implemented",
        ))
    },
    write: |value, ty, format, out| match value {
        Datum::Record(values) => write_record(values, format, out),
        other => other.write_as_it_is(ty, format, out),
    },
    receive: |_, bytes, depth| receive(bytes, depth).map(Datum::Record),
    send,
};

/// Appends a row: `(1,"a b",)`.
fn write_record(values: &[Datum], format: &TextFormat, out: &mut String) {
    out.push('(');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if value.is_null() {
            continue;
        }
        let text = value.to_text(value.natural_type(), format);
        let special = |c: char| c.is_ascii_whitespace() || c == '\x0b' || "()\",\\".contains(c);
        if text.is_empty() || text.contains(special) {
            write_quoted(&text, false, out);
        } else {
            out.push_str(&text);
        }
    }
    out.push(')');
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    let Datum::Record(values) = value else { return value.send_as_it_is(ty, out) };
    out.put_i32(values.len() as i32);
    for value in values.iter() {
        let ty = value.natural_type();
        out.put_u32(ty.oid());
        write_sized(value, ty, out);
    }
}

fn receive(mut bytes: &[u8], depth: u8) -> SqlResult<Arc<[Datum]>> {
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
