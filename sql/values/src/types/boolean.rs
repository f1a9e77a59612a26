//! `boolean`.

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Form, TypeDef};
use super::text::{invalid_syntax, trim};
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::SqlResult;

pub(super) static BOOL: TypeDef = TypeDef {
    array_oid: 1000,
    name: "boolean",
    len: 1,
    align: 'c',
    category: 'B',
    preferred: true,
    functions: [(1242, "boolin"), (1243, "boolout"), (2436, "boolrecv"), (2437, "boolsend")],
    examples: &["f", "t"],
    ..TypeDef::base(SqlType::Bool, 16, "bool", Form::Bool, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, text, _| parse(text).map(Datum::Bool),
    write,
    receive: |_, bytes, _| Ok(Datum::Bool(wire::exactly::<1>(bytes)?[0] != 0)),
    send,
};

fn parse(text: &str) -> SqlResult<bool> {
    let bare = trim(text).to_ascii_lowercase();
    let prefix_of = |word: &str, least: usize| bare.len() >= least && word.starts_with(&bare);
    if prefix_of("true", 1) || prefix_of("yes", 1) || bare == "on" || bare == "1" {
        return Ok(true);
    }
    if prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || bare == "0" {
        return Ok(false);
    }
    Err(invalid_syntax("boolean", text))
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    match value {
        Datum::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        other => other.write_as_it_is(ty, format, out),
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Bool(value) => out.put_u8(u8::from(*value)),
        other => other.send_as_it_is(ty, out),
    }
}
