//! Strings: `text`, `varchar`, `character`, `name`, `"char"` and `unknown`.

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Collation, Form, Measure, Modifier, TypeDef};
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::{SqlError, SqlResult, SqlState};

/// Bytes that a `name` has at most.
pub const NAME_MAX: usize = 63;
/// Bytes that PostgreSQL's modifiers of strings and numerics count for the length word.
pub(super) const TYPMOD_BIAS: i32 = 4;

pub(super) static TEXT: TypeDef = TypeDef {
    array_oid: 1009,
    category: 'S',
    preferred: true,
    collation: Collation::Default,
    functions: [(46, "textin"), (47, "textout"), (2414, "textrecv"), (2415, "textsend")],
    measure: |_| Measure::Characters(None),
    examples: &["", " a", "a", "a ", "é"],
    ..TypeDef::base(SqlType::Text, 25, "text", Form::Text, CODEC)
};

pub(super) static VARCHAR: TypeDef = TypeDef {
    array_oid: 1015,
    name: "character varying",
    category: 'S',
    collation: Collation::Default,
    functions: [
        (1046, "varcharin"),
        (1047, "varcharout"),
        (2432, "varcharrecv"),
        (2433, "varcharsend"),
    ],
    modifier: Some(&Modifier {
        typmod: |ty| length(ty).map_or(-1, typmod_of),
        with_typmod: |typmod| SqlType::Varchar(length_of(typmod)),
        name: |ty| format!("character varying({})", length(ty).unwrap_or(0)),
        stored: |ty| (length(ty).unwrap_or(0), 0),
        of_stored: |length, _| Some(SqlType::Varchar(Some(length))),
        functions: [(2915, "varchartypmodin"), (2916, "varchartypmodout")],
    }),
    fit: Some(|value, ty, explicit| match (ty, value) {
        (SqlType::Varchar(Some(max)), Datum::Text(text)) => match end_of(&text, max as usize) {
            None => Ok(Datum::Text(text)),
            Some(end) => cut(&text, end, explicit, ty).map(Datum::text),
        },
        (_, value) => Ok(value),
    }),
    measure: |ty| Measure::Characters(length(ty)),
    examples: &["", "a", "a ", "b"],
    ..TypeDef::base(SqlType::Varchar(None), 1043, "varchar", Form::Text, CODEC)
};

pub(super) static BPCHAR: TypeDef = TypeDef {
    array_oid: 1014,
    name: "character",
    aliases: &["char"],
    category: 'S',
    collation: Collation::Default,
    functions: [
        (1044, "bpcharin"),
        (1045, "bpcharout"),
        (2430, "bpcharrecv"),
        (2431, "bpcharsend"),
    ],
    modifier: Some(&Modifier {
        typmod: |ty| length(ty).map_or(-1, typmod_of),
        with_typmod: |typmod| SqlType::Char(length_of(typmod)),
        name: |ty| format!("character({})", length(ty).unwrap_or(0)),
        stored: |ty| (length(ty).unwrap_or(0), 0),
        of_stored: |length, _| Some(SqlType::Char(Some(length))),
        functions: [(2913, "bpchartypmodin"), (2914, "bpchartypmodout")],
    }),
    fit: Some(|value, ty, explicit| match (ty, value) {
        (SqlType::Char(Some(len)), Datum::Text(text)) => match end_of(&text, len as usize) {
            None => Ok(padded(text, len as usize)),
            Some(end) => cut(&text, end, explicit, ty).map(Datum::text),
        },
        (_, value) => Ok(value),
    }),
    measure: |ty| length(ty).map_or(Measure::None, |length| Measure::Characters(Some(length))),
    examples: &["", "a", "b"],
    ..TypeDef::base(SqlType::Char(None), 1042, "bpchar", Form::Padded, CODEC)
};

pub(super) static NAME: TypeDef = TypeDef {
    array_oid: 1003,
    len: 64,
    align: 'c',
    category: 'S',
    collation: Collation::C,
    functions: [(34, "namein"), (35, "nameout"), (2422, "namerecv"), (2423, "namesend")],
    fit: Some(|value, _, _| match value {
        Datum::Text(text) if text.len() > NAME_MAX => Ok(Datum::text(cut_bytes(&text, NAME_MAX))),
        value => Ok(value),
    }),
    examples: &["", "a", "a ", "b"],
    ..TypeDef::base(
        SqlType::Name,
        19,
        "name",
        Form::Text,
        Codec { parse: |_, text, _| Ok(Datum::text(cut_bytes(text, NAME_MAX))), ..CODEC },
    )
};

pub(super) static INTERNAL_CHAR: TypeDef = TypeDef {
    array_oid: 1002,
    name: "\"char\"",
    len: 1,
    align: 'c',
    category: 'Z',
    functions: [(1245, "charin"), (33, "charout"), (2434, "charrecv"), (2435, "charsend")],
    examples: &["", "a", "b"],
    ..TypeDef::base(
        SqlType::InternalChar,
        18,
        "char",
        Form::Text,
        Codec {
            parse: |_, text, _| Ok(Datum::text(cut_bytes(text, 1))),
            receive: |_, bytes, _| match wire::exactly::<1>(bytes)? {
                [0] => Ok(Datum::text("")),
                byte => Ok(Datum::text(wire::text(&byte)?)),
            },
            send: |value, ty, out| match value {
                Datum::Text(value) if value.is_empty() => out.put_u8(0),
                value => send(value, ty, out),
            },
            ..CODEC
        },
    )
};

pub(super) static UNKNOWN: TypeDef = TypeDef {
    len: -2,
    category: 'X',
    pseudo: true,
    functions: [
        (109, "unknownin"),
        (110, "unknownout"),
        (2416, "unknownrecv"),
        (2417, "unknownsend"),
    ],
    ..TypeDef::base(SqlType::Unknown, 705, "unknown", Form::Text, CODEC)
};

pub(super) const CODEC: Codec = Codec {
    parse: |_, text, _| Ok(Datum::text(text)),
    write,
    receive: |_, bytes, _| Ok(Datum::text(wire::text(bytes)?)),
    send,
};

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    match value {
        Datum::Text(value) => out.push_str(value),
        other => other.write_as_it_is(ty, format, out),
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Text(value) => out.put_slice(value.as_bytes()),
        other => other.send_as_it_is(ty, out),
    }
}

/// The declared length.
fn length(ty: SqlType) -> Option<u32> {
    match ty {
        SqlType::Varchar(length) | SqlType::Char(length) => length,
        _ => None,
    }
}

fn typmod_of(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX - TYPMOD_BIAS) + TYPMOD_BIAS
}

fn length_of(typmod: i32) -> Option<u32> {
    typmod.checked_sub(TYPMOD_BIAS).and_then(|length| u32::try_from(length).ok())
}

/// Cuts to so many bytes, not inside of a character.
pub fn cut_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// With blanks up to so many characters.
fn padded(text: std::sync::Arc<str>, len: usize) -> Datum {
    let missing = len - text.chars().count();
    if missing == 0 {
        return Datum::Text(text);
    }
    let mut padded = String::with_capacity(text.len() + missing);
    padded.push_str(&text);
    padded.extend(std::iter::repeat_n(' ', missing));
    Datum::text(padded)
}

/// Where so many characters end, if the text is longer.
fn end_of(text: &str, chars: usize) -> Option<usize> {
    if text.len() <= chars {
        return None;
    }
    text.char_indices().nth(chars).map(|(at, _)| at)
}

fn cut(text: &str, end: usize, explicit: bool, ty: SqlType) -> SqlResult<&str> {
    let (kept, rest) = text.split_at(end);
    if explicit || rest.bytes().all(|b| b == b' ') {
        return Ok(kept);
    }
    Err(SqlError::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {}", ty.name()),
    ))
}
