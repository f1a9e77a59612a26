//! `oid`, and the types whose oids name objects of the catalog.

use bytes::{BufMut, BytesMut};

use super::definition::{Codec, Form, TypeDef};
use super::integer::{out_of_range, parse as parse_int};
use super::text::trim;
use super::{Datum, SqlType, TextFormat, wire};
use crate::error::{SqlError, SqlResult, SqlState};

pub(super) static OID: TypeDef = TypeDef {
    array_oid: 1028,
    category: 'N',
    preferred: true,
    functions: [(1798, "oidin"), (1799, "oidout"), (2418, "oidrecv"), (2419, "oidsend")],
    ..named(SqlType::Oid, 26, "oid")
};

pub(super) static REGPROC: TypeDef = TypeDef {
    array_oid: 1008,
    functions: [
        (44, "regprocin"),
        (45, "regprocout"),
        (2444, "regprocrecv"),
        (2445, "regprocsend"),
    ],
    ..named(SqlType::RegProc, 24, "regproc")
};

pub(super) static REGCLASS: TypeDef = TypeDef {
    array_oid: 2210,
    functions: [
        (2218, "regclassin"),
        (2219, "regclassout"),
        (2452, "regclassrecv"),
        (2453, "regclasssend"),
    ],
    ..named(SqlType::RegClass, 2205, "regclass")
};

pub(super) static REGTYPE: TypeDef = TypeDef {
    array_oid: 2211,
    functions: [
        (2220, "regtypein"),
        (2221, "regtypeout"),
        (2454, "regtyperecv"),
        (2455, "regtypesend"),
    ],
    ..named(SqlType::RegType, 2206, "regtype")
};

pub(super) static REGNAMESPACE: TypeDef = TypeDef {
    array_oid: 4090,
    functions: [
        (4084, "regnamespacein"),
        (4085, "regnamespaceout"),
        (4087, "regnamespacerecv"),
        (4088, "regnamespacesend"),
    ],
    ..named(SqlType::RegNamespace, 4089, "regnamespace")
};

const fn named(ty: SqlType, oid: u32, typname: &'static str) -> TypeDef {
    TypeDef {
        len: 4,
        category: 'N',
        examples: &["1", "4294967294"],
        ..TypeDef::base(ty, oid, typname, Form::Oid, CODEC)
    }
}

const CODEC: Codec = Codec {
    parse: |ty, text, _| parse(ty, text).map(Datum::Oid),
    write,
    receive: |_, bytes, _| Ok(Datum::Oid(u32::from_be_bytes(wire::exactly(bytes)?))),
    send,
};

fn parse(ty: SqlType, text: &str) -> SqlResult<u32> {
    let bare = trim(text);
    if ty != SqlType::Oid && bare == "-" {
        return Ok(0);
    }
    if ty == SqlType::Oid || bare.bytes().all(|b| b.is_ascii_digit()) && !bare.is_empty() {
        // Negative ones wrap, as strtoul has it.
        let value: i64 = parse_int("oid", text)?;
        return u32::try_from(value)
            .or_else(|_| i32::try_from(value).map(|v| v as u32))
            .map_err(|_| out_of_range("oid", text));
    }
    // Names are looked up where the catalog is known, by the functions' `input`.
    Err(SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("the name \"{bare}\" of a {} cannot be looked up here", ty.name()),
    ))
}

/// Without a catalog, `reg` types but `regtype` show their number.
fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    let Datum::Oid(oid) = *value else { return value.write_as_it_is(ty, format, out) };
    match (ty, SqlType::from_oid(oid)) {
        (SqlType::RegType, Some(named)) => out.push_str(&named.name()),
        (SqlType::Oid, _) => out.push_str(&oid.to_string()),
        _ if oid == 0 => out.push('-'),
        _ => out.push_str(&oid.to_string()),
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Oid(value) => out.put_u32(*value),
        other => other.send_as_it_is(ty, out),
    }
}
