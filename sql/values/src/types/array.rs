//! Arrays of one dimension, and the vectors of the catalog, which count from 0. As text: `{1,NULL,"a b"}`.

use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};

use super::definition::{Codec, Form, TypeDef};
use super::wire::{invalid, read_sized, too_short, write_sized};
use super::{Datum, SqlType, TextFormat};
use crate::error::{SqlError, SqlResult, SqlState};

/// Elements that an array has at most: what PostgreSQL's size bound of arrays comes to.
pub const ARRAY_LEN_MAX: usize = 134_217_727;

/// What arrays have in common. Their oids and names follow from their elements'.
pub(super) static ARRAY: TypeDef = TypeDef {
    category: 'A',
    functions: ARRAY_FUNCTIONS,
    fit: Some(fit),
    ..TypeDef::base(SqlType::Unknown, 0, "", Form::Array, CODEC)
};

/// The functions of every array type.
const ARRAY_FUNCTIONS: [super::definition::Named; 4] =
    [(750, "array_in"), (751, "array_out"), (2400, "array_recv"), (2401, "array_send")];

pub(super) static INT2VECTOR: TypeDef = TypeDef {
    category: 'A',
    functions: [
        (40, "int2vectorin"),
        (41, "int2vectorout"),
        (2410, "int2vectorrecv"),
        (2411, "int2vectorsend"),
    ],
    examples: &["1", "1 2"],
    ..TypeDef::base(SqlType::Int2Vector, 22, "int2vector", Form::Array, VECTOR_CODEC)
};

pub(super) static OIDVECTOR: TypeDef = TypeDef {
    category: 'A',
    functions: [
        (54, "oidvectorin"),
        (55, "oidvectorout"),
        (2420, "oidvectorrecv"),
        (2421, "oidvectorsend"),
    ],
    examples: &["1", "1 2"],
    ..TypeDef::base(SqlType::OidVector, 30, "oidvector", Form::Array, VECTOR_CODEC)
};

const CODEC: Codec = Codec {
    parse: |ty, text, format| parse_array(element(ty), text, format).map(Datum::Array),
    write: |value, ty, format, out| match value {
        Datum::Array(values) => write_array(values, ty, format, out),
        other => other.write_as_it_is(ty, format, out),
    },
    receive: |ty, bytes, _| receive(ty, bytes).map(Datum::Array),
    send,
};

const VECTOR_CODEC: Codec = Codec {
    parse: |ty, text, format| {
        let value = |part| Datum::parse_text(element(ty), part, format);
        text.split_ascii_whitespace().map(value).collect::<SqlResult<_>>().map(Datum::Array)
    },
    ..CODEC
};

fn element(ty: SqlType) -> SqlType {
    ty.element().unwrap_or(SqlType::Text)
}

fn fit(value: Datum, ty: SqlType, explicit: bool) -> SqlResult<Datum> {
    match value {
        Datum::Array(values) if ty.typmod() != -1 => {
            let of_element = |value: &Datum| value.clone().apply_modifier(element(ty), explicit);
            Ok(Datum::Array(values.iter().map(of_element).collect::<SqlResult<_>>()?))
        }
        value => Ok(value),
    }
}

fn malformed(text: &str, detail: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

/// The bounds before an array literal (`[1:3]=`), if it has them: what follows.
fn skip_bounds(text: &str) -> SqlResult<&str> {
    if !text.starts_with('[') {
        return Ok(text);
    }
    let (bounds, rest) = text
        .split_once('=')
        .ok_or_else(|| malformed(text, "Missing \"=\" after array dimensions."))?;
    let bounds = bounds.trim();
    let single = bounds.strip_prefix('[').and_then(|b| b.strip_suffix(']'));
    let Some(single) = single.filter(|b| !b.contains('[')) else {
        return Err(SqlError::unsupported("an array of more than one dimension"));
    };
    let lower = single.split_once(':').map_or("1", |(lower, _)| lower);
    if lower.trim() != "1" {
        return Err(SqlError::unsupported("an array whose subscripts do not begin with 1"));
    }
    Ok(rest.trim_start())
}

/// Reads an array literal.
fn parse_array(element: SqlType, text: &str, format: &TextFormat) -> SqlResult<Arc<[Datum]>> {
    let body = skip_bounds(text.trim())?;
    let Some(body) = body.strip_prefix('{') else {
        return Err(malformed(text, "Array value must start with \"{\" or dimension information."));
    };
    let mut values = Vec::new();
    let mut chars = body.chars().peekable();
    let end = "Unexpected end of input.";
    let skip_blanks = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        while chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            chars.next();
        }
    };
    skip_blanks(&mut chars);
    if chars.peek() == Some(&'}') {
        chars.next();
    } else {
        loop {
            skip_blanks(&mut chars);
            let mut word = String::new();
            let mut quoted = false;
            let mut in_quotes = false;
            // Blanks after an element do not count, unless they were quoted or escaped.
            let mut significant = 0;
            let closed = loop {
                match chars.next().ok_or_else(|| malformed(text, end))? {
                    '"' if in_quotes || !word.trim().is_empty() => {
                        return Err(malformed(text, "Unexpected array element."));
                    }
                    '"' => {
                        word.clear();
                        quoted = true;
                        in_quotes = true;
                        loop {
                            match chars.next().ok_or_else(|| malformed(text, end))? {
                                '"' => break,
                                '\\' => {
                                    word.push(chars.next().ok_or_else(|| malformed(text, end))?);
                                }
                                c => word.push(c),
                            }
                        }
                        significant = word.len();
                    }
                    '\\' => {
                        quoted = true;
                        word.push(chars.next().ok_or_else(|| malformed(text, end))?);
                        significant = word.len();
                    }
                    '{' if word.is_empty() && !quoted => {
                        return Err(SqlError::unsupported("an array of more than one dimension"));
                    }
                    '{' => return Err(malformed(text, "Unexpected \"{\" character.")),
                    ',' => break false,
                    '}' => break true,
                    c if c.is_ascii_whitespace() => word.push(c),
                    _ if in_quotes => return Err(malformed(text, "Unexpected array element.")),
                    c => {
                        word.push(c);
                        significant = word.len();
                    }
                }
            };
            word.truncate(significant);
            if word.is_empty() && !quoted {
                let found = if closed { '}' } else { ',' };
                return Err(malformed(text, &format!("Unexpected \"{found}\" character.")));
            }
            values.push(if !quoted && word.eq_ignore_ascii_case("null") {
                Datum::Null
            } else {
                Datum::parse_text(element, &word, format)?
            });
            if closed {
                break;
            }
        }
    }
    skip_blanks(&mut chars);
    if chars.next().is_some() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    Ok(values.into())
}

/// Appends an array literal; vectors are their elements with blanks between.
fn write_array(values: &[Datum], ty: SqlType, format: &TextFormat, out: &mut String) {
    let element = ty.element().unwrap_or(SqlType::Unknown);
    if ty.lower_bound() == 0 {
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            value.write_text(element, format, out);
        }
        return;
    }
    out.push('{');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if value.is_null() {
            out.push_str("NULL");
            continue;
        }
        let text = value.to_text(element, format);
        let special = |c: char| c.is_ascii_whitespace() || c == '\x0b' || "{}\",\\".contains(c);
        if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
            write_quoted(&text, true, out);
        } else {
            out.push_str(&text);
        }
    }
    out.push('}');
}

/// In quotes. Quotes and backslashes inside are escaped in arrays and doubled in rows.
pub(super) fn write_quoted(text: &str, escape: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push(if escape { '\\' } else { c });
        }
        out.push(c);
    }
    out.push('"');
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    let Datum::Array(values) = value else { return value.send_as_it_is(ty, out) };
    let element = element(ty);
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

fn receive(ty: SqlType, mut bytes: &[u8]) -> SqlResult<Arc<[Datum]>> {
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
    let element = element(ty);
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
