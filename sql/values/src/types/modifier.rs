//! Modifiers: lengths of strings, precision and scale of numerics, digits of times, fields of intervals.

use super::datetime::{
    Interval, check_timestamp, is_infinite, round_micros, timestamp_out_of_range,
};
use super::text::cut_bytes;
use super::{Datum, SqlType};
use crate::error::{SqlError, SqlResult, SqlState};

impl Datum {
    /// Makes a value of the base type fit the type's modifier. An explicit cast cuts strings; otherwise only blanks
    /// are cut, and more is an error.
    pub fn apply_modifier(self, ty: SqlType, explicit: bool) -> SqlResult<Datum> {
        match (ty, self) {
            (SqlType::Varchar(Some(max)), Datum::Text(text)) => match end_of(&text, max as usize) {
                None => Ok(Datum::Text(text)),
                Some(end) => cut(&text, end, explicit, ty).map(Datum::text),
            },
            (SqlType::Char(Some(len)), Datum::Text(text)) => {
                let len = len as usize;
                if let Some(end) = end_of(&text, len) {
                    return cut(&text, end, explicit, ty).map(Datum::text);
                }
                let missing = len - text.chars().count();
                if missing == 0 {
                    return Ok(Datum::Text(text));
                }
                let mut padded = String::with_capacity(text.len() + missing);
                padded.push_str(&text);
                padded.extend(std::iter::repeat_n(' ', missing));
                Ok(Datum::text(padded))
            }
            (SqlType::Numeric(Some((precision, scale))), Datum::Numeric(value)) => {
                value.apply_modifier(precision, scale).map(Datum::Numeric)
            }
            (SqlType::Time(Some(digits)), Datum::Time(micros)) => {
                Ok(Datum::Time(round_micros(micros, digits)))
            }
            (SqlType::Timestamp(Some(digits)), Datum::Timestamp(micros)) => {
                round_timestamp(micros, digits).map(Datum::Timestamp)
            }
            (SqlType::TimestampTz(Some(digits)), Datum::TimestampTz(micros)) => {
                round_timestamp(micros, digits).map(Datum::TimestampTz)
            }
            (SqlType::Interval(Some(modifier)), Datum::Interval { months, days, micros }) => {
                modifier.apply(Interval { months, days, micros }).map(Datum::from)
            }
            (SqlType::Array(element), Datum::Array(values)) if ty != ty.base() => {
                let of_element =
                    |value: &Datum| value.clone().apply_modifier(element.scalar(), explicit);
                Ok(Datum::Array(values.iter().map(of_element).collect::<SqlResult<_>>()?))
            }
            (SqlType::Name, Datum::Text(text)) if text.len() > super::text::NAME_MAX => {
                Ok(Datum::text(cut_bytes(&text, super::text::NAME_MAX)))
            }
            (_, value) => Ok(value),
        }
    }
}

fn round_timestamp(micros: i64, digits: u8) -> SqlResult<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    check_timestamp(round_micros(micros, digits).into()).ok_or_else(timestamp_out_of_range)
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
