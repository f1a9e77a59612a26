//! `numeric` as a type.

use std::fmt::Write;

use bytes::{Buf, BufMut, BytesMut};

use super::Numeric;
use crate::error::SqlResult;
use crate::types::definition::{Codec, Form, Measure, Modifier, TypeDef};
use crate::types::string::TYPMOD_BIAS;
use crate::types::wire::{invalid, too_short};
use crate::types::{Datum, SqlType, TextFormat};

pub(in crate::types) static NUMERIC: TypeDef = TypeDef {
    array_oid: 1231,
    aliases: &["decimal", "dec"],
    category: 'N',
    functions: [
        (1701, "numeric_in"),
        (1702, "numeric_out"),
        (2460, "numeric_recv"),
        (2461, "numeric_send"),
    ],
    modifier: Some(&Modifier {
        typmod: |ty| {
            precision(ty).map_or(-1, |(precision, scale)| {
                ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + TYPMOD_BIAS
            })
        },
        with_typmod,
        name: |ty| {
            let (precision, scale) = precision(ty).unwrap_or_default();
            format!("numeric({precision},{scale})")
        },
        stored: |ty| {
            let (precision, scale) = precision(ty).unwrap_or_default();
            (precision.into(), scale.into())
        },
        of_stored: |precision, scale| {
            let precision = u16::try_from(precision).ok()?;
            Some(SqlType::Numeric(Some((precision, i16::try_from(scale).ok()?))))
        },
        functions: [(2917, "numerictypmodin"), (2918, "numerictypmodout")],
    }),
    fit: Some(|value, ty, _| match (ty, value) {
        (SqlType::Numeric(Some((precision, scale))), Datum::Numeric(value)) => {
            value.apply_modifier(precision, scale).map(Datum::Numeric)
        }
        (_, value) => Ok(value),
    }),
    measure: |ty| {
        let (precision, scale) = precision(ty).unzip();
        Measure::Number {
            precision: precision.map(i32::from),
            radix: 10,
            scale: scale.map(i32::from),
        }
    },
    examples: &[
        "-Infinity",
        "-10000.5",
        "-0.001",
        "0",
        "0.5",
        "1.50",
        "100000000",
        "Infinity",
        "NaN",
    ],
    ..TypeDef::base(SqlType::Numeric(None), 1700, "numeric", Form::Numeric, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, text, _| Numeric::parse(text).map(Datum::Numeric),
    write,
    receive: |_, bytes, _| receive(bytes).map(Datum::Numeric),
    send,
};

/// The declared precision and scale.
fn precision(ty: SqlType) -> Option<(u16, i16)> {
    match ty {
        SqlType::Numeric(modifier) => modifier,
        _ => None,
    }
}

fn with_typmod(typmod: i32) -> SqlType {
    let value = typmod.checked_sub(TYPMOD_BIAS).filter(|value| *value >= 0);
    SqlType::Numeric(value.map(|value| {
        // The scale is a signed number of 11 bits.
        let scale = ((value & 0x7ff) ^ 1024) - 1024;
        (u16::try_from(value >> 16).unwrap_or(0), scale as i16)
    }))
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    match value {
        // Writing to a string cannot fail.
        Datum::Numeric(value) => drop(write!(out, "{value}")),
        other => other.write_as_it_is(ty, format, out),
    }
}

fn receive(mut bytes: &[u8]) -> SqlResult<Numeric> {
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

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    let Datum::Numeric(value) = value else { return value.send_as_it_is(ty, out) };
    out.put_u16(value.digits.len() as u16);
    out.put_i16(value.weight);
    out.put_u16(value.wire_sign());
    out.put_u16(value.scale);
    value.digits.iter().for_each(|digit| out.put_u16(*digit));
}
