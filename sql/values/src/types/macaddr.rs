//! `macaddr`: addresses of six bytes, `08:00:2b:01:02:03`.

use std::fmt::Write;

use bytes::BufMut;

use super::definition::{Codec, Comparisons, Form, TypeDef};
use super::text::invalid_syntax;
use super::{Datum, SqlType, TypeId, wire};
use crate::error::{SqlError, SqlResult, SqlState};

pub(super) static MACADDR: TypeDef = TypeDef {
    array_oid: 1040,
    len: 6,
    functions: [
        (436, "macaddr_in"),
        (437, "macaddr_out"),
        (2494, "macaddr_recv"),
        (2495, "macaddr_send"),
    ],
    comparisons: Some(&Comparisons {
        less: (831, "macaddr_lt", 1222),
        less_equal: (832, "macaddr_le", 1223),
        equal: (830, "macaddr_eq", 1220),
        greater_equal: (834, "macaddr_ge", 1225),
        greater: (833, "macaddr_gt", 1224),
        not_equal: (835, "macaddr_ne", 1221),
        order: (836, "macaddr_cmp"),
    }),
    examples: &["00:00:00:00:00:00", "00:00:01:00:00:00", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"],
    ..TypeDef::base(SqlType::Macaddr, 829, "macaddr", Form::Packed, CODEC)
};

const CODEC: Codec = Codec {
    parse: |_, text, _| parse(text).map(packed),
    write: |value, ty, format, out| match value {
        Datum::Packed(TypeId::Macaddr, bytes) => {
            for (at, byte) in bytes.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(out, "{}{byte:02x}", if at > 0 { ":" } else { "" });
            }
        }
        other => other.write_as_it_is(ty, format, out),
    },
    receive: |_, bytes, _| wire::exactly(bytes).map(packed),
    send: |value, ty, out| match value {
        Datum::Packed(TypeId::Macaddr, bytes) => out.put_slice(bytes),
        other => other.send_as_it_is(ty, out),
    },
};

fn packed(bytes: [u8; 6]) -> Datum {
    Datum::Packed(TypeId::Macaddr, bytes.as_slice().into())
}

/// What stands between the six numbers, and how many digits a number has at most.
const SHAPES: [([&str; 5], usize); 7] = [
    ([":"; 5], usize::MAX),
    (["-"; 5], usize::MAX),
    (["", "", ":", "", ""], 2),
    (["", "", "-", "", ""], 2),
    (["", ".", "", ".", ""], 2),
    (["", "-", "", "-", ""], 2),
    ([""; 5], 2),
];

fn parse(text: &str) -> SqlResult<[u8; 6]> {
    let found = SHAPES.iter().find_map(|(between, width)| scan(text, between, *width));
    let numbers = found.ok_or_else(|| invalid_syntax("macaddr", text))?;
    let mut out = [0; 6];
    for (byte, number) in out.iter_mut().zip(numbers) {
        *byte = u8::try_from(number).map_err(|_| {
            SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("invalid octet value in \"macaddr\" value: \"{text}\""),
            )
        })?;
    }
    Ok(out)
}

/// Six hexadecimal numbers with this between them and nothing but blanks behind.
fn scan(text: &str, between: &[&str; 5], width: usize) -> Option<[i64; 6]> {
    let mut rest = text;
    let mut numbers = [0; 6];
    for (at, number) in numbers.iter_mut().enumerate() {
        if let Some(separator) = at.checked_sub(1).map(|at| between[at]) {
            rest = rest.strip_prefix(separator)?;
        }
        (*number, rest) = hexadecimal(rest, width)?;
    }
    blanks(rest).is_empty().then_some(numbers)
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}

/// A number as C's scanf takes it: behind blanks, with a sign and `0x` if there is room, in no more than `width` letters. And
/// what follows. One that is far too large is no byte either.
fn hexadecimal(text: &str, width: usize) -> Option<(i64, &str)> {
    let text = blanks(text);
    let end = text.char_indices().nth(width).map_or(text.len(), |(at, _)| at);
    let bare = text[..end].strip_prefix(['-', '+']).unwrap_or(&text[..end]);
    let is_negative = text.starts_with('-');
    let digits = bare.strip_prefix("0x").or(bare.strip_prefix("0X")).unwrap_or(bare);
    let behind = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let digits = &digits[..digits.len() - behind.len()];
    if digits.is_empty() {
        return None;
    }
    let number = i64::from_str_radix(digits, 16).unwrap_or(i64::MAX);
    let taken = end - behind.len();
    Some((if is_negative { -number } else { number }, &text[taken..]))
}
