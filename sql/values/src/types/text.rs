//! Values as text: PostgreSQL's input and output functions.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;

use super::TextStyle;
use super::datetime::{self, Interval, IntervalFields, Zone};
use super::{Datum, Numeric, SqlType, array, float};
use crate::error::{SqlError, SqlResult, SqlState};

/// What text depends on beside the value.
#[derive(Clone, Debug)]
pub struct TextFormat {
    /// The session's time zone.
    pub zone: Zone,
    /// When the transaction began, for `now` and `today`: microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// What the session chooses of the form.
    pub style: TextStyle,
}

impl TextFormat {
    /// In UTC, at the epoch: for text that depends on neither.
    pub const UTC: TextFormat = TextFormat { zone: Zone::UTC, now: 0, style: TextStyle::DEFAULT };

    /// In a zone by its name. One that is not known is UTC: the setting was checked when it was set.
    pub fn new(time_zone: &str, now: i64) -> TextFormat {
        let zone = Zone::of_setting(time_zone).unwrap_or(Zone::UTC);
        TextFormat { zone, now, style: TextStyle::DEFAULT }
    }

    /// The same in another form.
    pub fn with_style(self, style: TextStyle) -> TextFormat {
        TextFormat { style, ..self }
    }
}

/// Bytes that a `name` has at most.
pub const NAME_MAX: usize = 63;

/// The error for text that is not of a type.
pub(crate) fn invalid_syntax(ty: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {ty}: \"{text}\""),
    )
}

fn out_of_range(ty: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {ty}"),
    )
}

/// Blanks as C's isspace has them.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}

/// Reads a whole number of a type.
fn parse_int<T: TryFrom<i128>>(ty: &str, text: &str) -> SqlResult<T> {
    let bare = trim(text);
    let digits = bare.strip_prefix(['-', '+']).unwrap_or(bare);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid_syntax(ty, text));
    }
    let value = bare.parse::<i128>().ok();
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| out_of_range(ty, text))
}

fn parse_bool(text: &str) -> SqlResult<bool> {
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

fn parse_oid(ty: SqlType, text: &str) -> SqlResult<u32> {
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

fn parse_uuid(text: &str) -> SqlResult<[u8; 16]> {
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

fn parse_bytea(text: &str) -> SqlResult<Bytes> {
    let Some(hex) = text.strip_prefix("\\x") else { return parse_bytea_escape(text) };
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

fn parse_bytea_escape(text: &str) -> SqlResult<Bytes> {
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

fn write_bytea_escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
}

/// Cuts to so many bytes, not inside of a character.
pub fn cut_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

impl Datum {
    /// Reads a value of a type from text, as PostgreSQL's input functions do, and applies the type's modifier as an
    /// explicit cast does not: too long a string is an error.
    pub fn parse_text(ty: SqlType, text: &str, format: &TextFormat) -> SqlResult<Datum> {
        let value = match ty {
            SqlType::Unknown | SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => {
                Datum::text(text)
            }
            SqlType::Name => Datum::text(cut_bytes(text, NAME_MAX)),
            SqlType::InternalChar => Datum::text(cut_bytes(text, 1)),
            SqlType::Bool => Datum::Bool(parse_bool(text)?),
            SqlType::Int2 => Datum::Int2(parse_int("smallint", text)?),
            SqlType::Int4 => Datum::Int4(parse_int("integer", text)?),
            SqlType::Int8 => Datum::Int8(parse_int("bigint", text)?),
            SqlType::Float4 => Datum::Float4(float::parse_f32(text)?),
            SqlType::Float8 => Datum::Float8(float::parse_f64(text)?),
            SqlType::Numeric(_) => Datum::Numeric(Numeric::parse(text)?),
            SqlType::Bytea => Datum::Bytea(parse_bytea(text)?),
            SqlType::Date => Datum::Date(datetime::parse_date(text, format)?),
            SqlType::Time(_) => Datum::Time(datetime::parse_time(text, format)?),
            SqlType::Timestamp(_) => Datum::Timestamp(datetime::parse_timestamp(text, format)?),
            SqlType::TimestampTz(_) => {
                Datum::TimestampTz(datetime::parse_timestamptz(text, format)?)
            }
            SqlType::Interval(modifier) => {
                let fields = modifier.map_or(IntervalFields::ALL, |modifier| modifier.fields());
                datetime::parse_interval_in(text, fields, format.style.intervals)?.into()
            }
            SqlType::Uuid => Datum::Uuid(parse_uuid(text)?),
            SqlType::Oid
            | SqlType::RegClass
            | SqlType::RegType
            | SqlType::RegProc
            | SqlType::RegNamespace => Datum::Oid(parse_oid(ty, text)?),
            SqlType::Array(element) => {
                Datum::Array(array::parse_array(element.scalar(), text, format)?)
            }
            SqlType::Int2Vector => Datum::Array(parse_vector(SqlType::Int2, text, format)?),
            SqlType::OidVector => Datum::Array(parse_vector(SqlType::Oid, text, format)?),
            SqlType::Record => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "input of anonymous composite types is not implemented",
                ));
            }
            SqlType::Void => Datum::text(""),
        };
        value.apply_modifier(ty, false)
    }

    /// The value as text. NULL is empty: the caller knows.
    pub fn to_text(&self, ty: SqlType, format: &TextFormat) -> String {
        let mut out = String::new();
        self.write_text(ty, format, &mut out);
        out
    }

    /// Appends the value as text.
    pub fn write_text(&self, ty: SqlType, format: &TextFormat, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            Datum::Null => Ok(()),
            Datum::Bool(value) => out.write_str(if *value { "t" } else { "f" }),
            Datum::Int2(value) => write!(out, "{value}"),
            Datum::Int4(value) => write!(out, "{value}"),
            Datum::Int8(value) => write!(out, "{value}"),
            Datum::Float4(value) => {
                float::write_f32_in(out, *value, format.style.float_digits);
                Ok(())
            }
            Datum::Float8(value) => {
                float::write_f64_in(out, *value, format.style.float_digits);
                Ok(())
            }
            Datum::Numeric(value) => write!(out, "{value}"),
            Datum::Text(value) => out.write_str(value),
            Datum::Bytea(bytes) if format.style.escape_bytea => {
                write_bytea_escape(bytes, out);
                Ok(())
            }
            Datum::Bytea(bytes) => {
                out.push_str("\\x");
                bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
            Datum::Oid(value) => {
                write_oid(*value, ty, out);
                Ok(())
            }
            Datum::Uuid(bytes) => bytes.iter().enumerate().try_for_each(|(at, byte)| {
                let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                write!(out, "{dash}{byte:02x}")
            }),
            Datum::Date(days) => {
                datetime::write_date(out, *days, &format.style);
                Ok(())
            }
            Datum::Time(micros) => {
                datetime::write_time(out, *micros);
                Ok(())
            }
            Datum::Timestamp(micros) => {
                datetime::write_timestamp(out, *micros, &format.style);
                Ok(())
            }
            Datum::TimestampTz(micros) => {
                datetime::write_timestamptz(out, *micros, format);
                Ok(())
            }
            Datum::Interval { months, days, micros } => {
                let interval = Interval { months: *months, days: *days, micros: *micros };
                datetime::write_interval(out, interval, format.style.intervals);
                Ok(())
            }
            Datum::Array(values) => {
                array::write_array(values, ty, format, out);
                Ok(())
            }
            Datum::Record(values) => {
                array::write_record(values, format, out);
                Ok(())
            }
        };
    }
}

/// Without a catalog, `reg` types but `regtype` show their number.
fn write_oid(oid: u32, ty: SqlType, out: &mut String) {
    match (ty, SqlType::from_oid(oid)) {
        (SqlType::RegType, Some(named)) => out.push_str(&named.name()),
        (SqlType::Oid, _) => out.push_str(&oid.to_string()),
        (_, _) if oid == 0 && ty.is_oid() => out.push('-'),
        _ => out.push_str(&oid.to_string()),
    }
}

fn parse_vector(element: SqlType, text: &str, format: &TextFormat) -> SqlResult<Arc<[Datum]>> {
    text.split_ascii_whitespace().map(|part| Datum::parse_text(element, part, format)).collect()
}
