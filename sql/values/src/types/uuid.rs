//! `uuid`.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Comparisons, Form, TypeDef};
use super::text::invalid_syntax;
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::SqlResult;

pub(super) static UUID: TypeDef = TypeDef {
    array_oid: 2951,
    len: 16,
    align: 'c',
    functions: [(2952, "uuid_in"), (2953, "uuid_out"), (2961, "uuid_recv"), (2962, "uuid_send")],
    comparisons: Some(&Comparisons {
        less: (2954, "uuid_lt", 2974),
        less_equal: (2955, "uuid_le", 2976),
        equal: (2956, "uuid_eq", 2972),
        greater_equal: (2957, "uuid_ge", 2977),
        greater: (2958, "uuid_gt", 2975),
        not_equal: (2959, "uuid_ne", 2973),
        order: (2960, "uuid_cmp"),
    }),
    examples: &[
        "00000000-0000-0000-0000-000000000000",
        "0123e456-7890-abcd-ef01-234567890abc",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
    ..TypeDef::base(SqlType::Uuid, 2950, "uuid", Form::Uuid, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, text, _| parse(text).map(Datum::Uuid),
    write,
    receive: |_, bytes, _| Ok(Datum::Uuid(wire::exactly(bytes)?)),
    send,
};

fn parse(text: &str) -> SqlResult<[u8; 16]> {
    let error = || invalid_syntax("uuid", text);
    let bare =
        text.strip_prefix('{').map_or(Some(text), |t| t.strip_suffix('}')).ok_or_else(error)?;
    let mut out = [0u8; 16];
    let mut digits = 0usize;
    let bytes = bare.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        // A dash may follow every group of four digits.
        let after_group = digits > 0 && digits.is_multiple_of(4) && digits < 32;
        if *byte == b'-' && after_group && bytes[at - 1] != b'-' {
            continue;
        }
        let value = char::from(*byte).to_digit(16).ok_or_else(error)? as u8;
        let slot = out.get_mut(digits / 2).ok_or_else(error)?;
        *slot = *slot << 4 | value;
        digits += 1;
    }
    if digits == 32 { Ok(out) } else { Err(error()) }
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    let Datum::Uuid(bytes) = value else { return value.write_as_it_is(ty, format, out) };
    for (at, byte) in bytes.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{dash}{byte:02x}");
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Uuid(bytes) => out.put_slice(bytes),
        other => other.send_as_it_is(ty, out),
    }
}
