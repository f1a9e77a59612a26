//! Array literals: `{1,NULL,"a b"}`. One dimension.

use std::sync::Arc;

use super::{Datum, SqlType, TextFormat};
use crate::error::{SqlError, SqlResult, SqlState};

/// Elements that an array has at most: what PostgreSQL's size bound of arrays comes to.
pub const ARRAY_LEN_MAX: usize = 134_217_727;

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
pub(crate) fn parse_array(
    element: SqlType,
    text: &str,
    format: &TextFormat,
) -> SqlResult<Arc<[Datum]>> {
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
pub(crate) fn write_array(values: &[Datum], ty: SqlType, format: &TextFormat, out: &mut String) {
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
fn write_quoted(text: &str, escape: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push(if escape { '\\' } else { c });
        }
        out.push(c);
    }
    out.push('"');
}

/// Appends a row: `(1,"a b",)`. Fields show by their representation: a record does not know its types.
pub(crate) fn write_record(values: &[Datum], format: &TextFormat, out: &mut String) {
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

impl Datum {
    /// The most usual type of its representation: for rows, which do not know their types.
    pub fn natural_type(&self) -> SqlType {
        match self {
            Datum::Null => SqlType::Unknown,
            Datum::Bool(_) => SqlType::Bool,
            Datum::Int2(_) => SqlType::Int2,
            Datum::Int4(_) => SqlType::Int4,
            Datum::Int8(_) => SqlType::Int8,
            Datum::Float4(_) => SqlType::Float4,
            Datum::Float8(_) => SqlType::Float8,
            Datum::Numeric(_) => SqlType::Numeric(None),
            Datum::Text(_) => SqlType::Text,
            Datum::Bytea(_) => SqlType::Bytea,
            Datum::Date(_) => SqlType::Date,
            Datum::Time(_) => SqlType::Time(None),
            Datum::Timestamp(_) => SqlType::Timestamp(None),
            Datum::TimestampTz(_) => SqlType::TimestampTz(None),
            Datum::Interval { .. } => SqlType::Interval(None),
            Datum::Uuid(_) => SqlType::Uuid,
            Datum::Oid(_) => SqlType::Oid,
            Datum::Array(values) => values
                .iter()
                .find(|value| !value.is_null())
                .and_then(|value| value.natural_type().array())
                .unwrap_or(SqlType::Array(super::ElementType::Text)),
            Datum::Record(_) => SqlType::Record,
        }
    }
}
