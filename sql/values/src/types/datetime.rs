//! Dates, times and intervals: PostgreSQL's ranges, input, output and arithmetic.
//!
//! Everything counts from 2000-01-01 in the proleptic Gregorian calendar: days in an `i32`, microseconds in an `i64`,
//! whose extremes are the infinities. Time zones come from the bundled tz database, never from the machine.

mod abbreviation;
mod arithmetic;
mod calendar;
mod definition;
mod fields;
mod input;
mod interval;
mod output;
mod zone;

pub use abbreviation::abbreviations;
pub use arithmetic::{
    Source, add_interval_to_local, age, date_trunc, extract, timestamp_difference,
};
pub use calendar::{Civil, civil_from_days, days_from_civil, is_leap, month_days};
pub(super) use definition::{DATE, INTERVAL, TIME, TIMESTAMP, TIMESTAMPTZ};
pub use fields::{IntervalFields, IntervalModifier, MAX_TIME_DIGITS};
pub use input::make_date;
pub use input::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub(crate) use interval::parse_interval_in;
pub use interval::{Interval, parse_interval};
pub use output::{write_date, write_interval, write_time, write_timestamp, write_timestamptz};
pub use zone::Zone;

use crate::error::{SqlError, SqlState};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
pub const DAY: i64 = 24 * HOUR;

/// 4713-11-24 BC, the first day.
pub const DATE_MIN: i32 = -2_451_545;
/// The day after 5874897-12-31, the last one.
pub const DATE_END: i32 = 2_145_031_949;
/// The first timestamp, 4713-11-24 BC.
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// The first instant after the last timestamp: the year 294277.
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// `-infinity` and `infinity` of dates.
pub const DATE_INFINITIES: (i32, i32) = (i32::MIN, i32::MAX);
/// `-infinity` and `infinity` of timestamps.
pub const TIMESTAMP_INFINITIES: (i64, i64) = (i64::MIN, i64::MAX);

/// Days from 1970-01-01 to 2000-01-01.
pub const UNIX_EPOCH_DAYS: i64 = 10_957;

/// True iff it is one of the infinities.
pub fn is_infinite(timestamp: i64) -> bool {
    timestamp == i64::MIN || timestamp == i64::MAX
}

/// Microseconds rounded to so many digits of a second, away from zero at the half. Of times and timestamps, which are
/// far enough from the extremes.
pub fn round_micros(micros: i64, digits: u8) -> i64 {
    let size = 10_i64.pow(u32::from(MAX_TIME_DIGITS - digits.min(MAX_TIME_DIGITS)));
    let half = if micros >= 0 { size / 2 } else { -(size / 2) };
    (micros + half) / size * size
}

/// The timestamp, if it is within the range of PostgreSQL's.
pub fn check_timestamp(micros: i128) -> Option<i64> {
    let micros = i64::try_from(micros).ok()?;
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros).then_some(micros)
}

/// The date, if it is within the range of PostgreSQL's.
pub fn check_date(days: i64) -> Option<i32> {
    let days = i32::try_from(days).ok()?;
    (DATE_MIN..DATE_END).contains(&days).then_some(days)
}

/// The error for a timestamp beyond the range.
pub fn timestamp_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// The error for a date beyond the range.
pub fn date_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

/// The error for an interval beyond the range.
pub fn interval_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

#[cfg(test)]
mod tests;
