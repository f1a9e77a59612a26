//! Output, in the forms that DateStyle and IntervalStyle name.

use std::fmt::Write;

use super::calendar::{Civil, civil_from_days, days_from_civil};
use super::interval::Interval;
use super::{HOUR, MINUTE, SECOND};
use crate::types::{DateOrder, DateStyle, IntervalStyle, TextFormat, TextStyle};

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { { let _ = write!($out, $($arg)*); } };
}

fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

fn write_day(out: &mut String, (year, month, day): (i64, i64, i64), style: &TextStyle) {
    let year = shown_year(year);
    let (first, second) = if style.order == DateOrder::Dmy { (day, month) } else { (month, day) };
    match style.dates {
        DateStyle::Iso => put!(out, "{year:04}-{month:02}-{day:02}"),
        DateStyle::Sql => put!(out, "{first:02}/{second:02}/{year:04}"),
        DateStyle::German => put!(out, "{day:02}.{month:02}.{year:04}"),
        DateStyle::Postgres => put!(out, "{first:02}-{second:02}-{year:04}"),
    }
}

fn write_era(out: &mut String, year: i64) {
    if year <= 0 {
        out.push_str(" BC");
    }
}

/// Seconds and their fraction, without zeros at its end.
fn write_seconds(out: &mut String, micros: i64, width: usize) {
    put!(out, "{:0width$}", micros / SECOND);
    let fraction = micros % SECOND;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        put!(out, ".{}", digits.trim_end_matches('0'));
    }
}

fn infinity(negative: bool) -> &'static str {
    if negative { "-infinity" } else { "infinity" }
}

/// `date`.
pub fn write_date(out: &mut String, days: i32, style: &TextStyle) {
    if days == i32::MIN || days == i32::MAX {
        out.push_str(infinity(days < 0));
        return;
    }
    let day = civil_from_days(i64::from(days));
    write_day(out, day, style);
    write_era(out, day.0);
}

/// `time`.
pub fn write_time(out: &mut String, micros: i64) {
    put!(out, "{:02}:{:02}:", micros / HOUR, micros / MINUTE % 60);
    write_seconds(out, micros % MINUTE, 2);
}

/// `timestamp`.
pub fn write_timestamp(out: &mut String, micros: i64, style: &TextStyle) {
    if super::is_infinite(micros) {
        out.push_str(infinity(micros < 0));
        return;
    }
    let civil = Civil::from_micros(micros);
    write_moment(out, &civil, style);
    write_era(out, civil.year);
}

/// `timestamptz`, in a zone.
pub fn write_timestamptz(out: &mut String, micros: i64, format: &TextFormat) {
    if super::is_infinite(micros) {
        out.push_str(infinity(micros < 0));
        return;
    }
    let offset = format.zone.offset_at(micros);
    let civil = Civil::from_micros(micros.saturating_add(i64::from(offset) * SECOND));
    write_moment(out, &civil, &format.style);
    match format.style.dates {
        DateStyle::Iso => write_offset(out, offset),
        _ => put!(out, " {}", format.zone.abbreviation_at(micros)),
    }
    write_era(out, civil.year);
}

/// Day and time of day.
fn write_moment(out: &mut String, civil: &Civil, style: &TextStyle) {
    if style.dates != DateStyle::Postgres {
        write_day(out, (civil.year, civil.month, civil.day), style);
        out.push(' ');
        write_time(out, civil.micros);
        return;
    }
    // 2000-01-01 was a Saturday.
    let weekday = (days_from_civil(civil.year, civil.month, civil.day) + 6).rem_euclid(7);
    let weekday = WEEKDAYS[weekday as usize];
    let month = MONTHS[(civil.month - 1).clamp(0, 11) as usize];
    match style.order {
        DateOrder::Dmy => put!(out, "{weekday} {:02} {month} ", civil.day),
        _ => put!(out, "{weekday} {month} {:02} ", civil.day),
    }
    write_time(out, civil.micros);
    put!(out, " {:04}", shown_year(civil.year));
}

fn write_offset(out: &mut String, offset: i32) {
    let (sign, seconds) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    put!(out, "{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        put!(out, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        put!(out, ":{:02}", seconds % 60);
    }
}

/// `interval`.
pub fn write_interval(out: &mut String, interval: Interval, style: IntervalStyle) {
    match style {
        IntervalStyle::Postgres => write_plain(out, interval),
        IntervalStyle::Verbose => write_verbose(out, &Parts::of(interval)),
        IntervalStyle::Sql => write_sql(out, &Parts::of(interval)),
        IntervalStyle::Iso => write_iso(out, &Parts::of(interval)),
    }
}

/// An interval by its units; those of the months have one sign, those of the microseconds too.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// Microseconds below a minute.
    micros: i64,
}

impl Parts {
    fn of(Interval { months, days, micros }: Interval) -> Parts {
        Parts {
            years: i64::from(months / 12),
            months: i64::from(months % 12),
            days: i64::from(days),
            hours: micros / HOUR,
            minutes: micros / MINUTE % 60,
            micros: micros % MINUTE,
        }
    }

    fn all(&self) -> [i64; 6] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.micros]
    }
}

fn write_verbose(out: &mut String, parts: &Parts) {
    out.push('@');
    // The first part that is not zero says whether all is `ago`.
    let first = parts.all().into_iter().find(|part| *part != 0);
    let Some(first) = first else {
        out.push_str(" 0");
        return;
    };
    let sign = if first < 0 { -1 } else { 1 };
    let [years, months, days, hours, minutes, micros] = parts.all().map(|part| part * sign);
    let named =
        [(years, "year"), (months, "mon"), (days, "day"), (hours, "hour"), (minutes, "min")];
    for (value, name) in named.into_iter().filter(|(value, _)| *value != 0) {
        put!(out, " {value} {name}{}", if value == 1 { "" } else { "s" });
    }
    if micros != 0 {
        out.push_str(if micros < 0 { " -" } else { " " });
        write_seconds(out, micros.abs(), 1);
        out.push_str(if micros.abs() == SECOND { " sec" } else { " secs" });
    }
    if sign < 0 {
        out.push_str(" ago");
    }
}

fn write_sql(out: &mut String, parts: &Parts) {
    let has_negative = parts.all().iter().any(|part| *part < 0);
    let has_positive = parts.all().iter().any(|part| *part > 0);
    let [years, months, days, hours, minutes, micros] = parts.all().map(i64::abs);
    let has_months = years != 0 || months != 0;
    let has_time = days != 0 || hours != 0 || minutes != 0 || micros != 0;
    if !has_negative && !has_positive {
        out.push('0');
    } else if (has_negative && has_positive) || (has_months && has_time) {
        // Not an interval of the standard: each part says its sign.
        let sign = |negative: bool| if negative { '-' } else { '+' };
        let of_months = sign(parts.years < 0 || parts.months < 0);
        let of_time = sign(parts.hours < 0 || parts.minutes < 0 || parts.micros < 0);
        put!(out, "{of_months}{years}-{months} {}{days} ", sign(parts.days < 0));
        put!(out, "{of_time}{hours}:{minutes:02}:");
        write_seconds(out, micros, 2);
    } else {
        if has_negative {
            out.push('-');
        }
        if has_months {
            put!(out, "{years}-{months}");
            return;
        }
        if days != 0 {
            put!(out, "{days} ");
        }
        put!(out, "{hours}:{minutes:02}:");
        write_seconds(out, micros, 2);
    }
}

fn write_iso(out: &mut String, parts: &Parts) {
    let [years, months, days, hours, minutes, micros] = parts.all();
    if parts.all().iter().all(|part| *part == 0) {
        out.push_str("PT0S");
        return;
    }
    let put = |out: &mut String, value: i64, unit: char| {
        if value != 0 {
            put!(out, "{value}{unit}");
        }
    };
    out.push('P');
    put(out, years, 'Y');
    put(out, months, 'M');
    put(out, days, 'D');
    if hours != 0 || minutes != 0 || micros != 0 {
        out.push('T');
    }
    put(out, hours, 'H');
    put(out, minutes, 'M');
    if micros != 0 {
        out.push_str(if micros < 0 { "-" } else { "" });
        write_seconds(out, micros.abs(), 1);
        out.push('S');
    }
}

/// In PostgreSQL's own style.
fn write_plain(out: &mut String, interval: Interval) {
    let start = out.len();
    // After a negative part a positive one must say so.
    let mut after_negative = false;
    let parts = [
        (interval.months / 12, "year", "years"),
        (interval.months % 12, "mon", "mons"),
        (interval.days, "day", "days"),
    ];
    for (value, one, many) in parts {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(' ');
        }
        let sign = if after_negative && value > 0 { "+" } else { "" };
        put!(out, "{sign}{value} {}", if value == 1 { one } else { many });
        after_negative = value < 0;
    }
    if interval.micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(' ');
        }
        let sign = match interval.micros {
            i64::MIN..0 => "-",
            _ if after_negative => "+",
            _ => "",
        };
        let micros = interval.micros.unsigned_abs();
        let hour = HOUR as u64;
        put!(out, "{sign}{:02}:", micros / hour);
        let rest = (micros % hour) as i64;
        put!(out, "{:02}:", rest / MINUTE);
        write_seconds(out, rest % MINUTE, 2);
    }
}
