//! ISO output.

use std::fmt::Write;

use super::calendar::{Civil, civil_from_days};
use super::interval::Interval;
use super::zone::Zone;
use super::{HOUR, MINUTE, SECOND};

/// Writing to a string cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => { { let _ = write!($out, $($arg)*); } };
}

fn write_day(out: &mut String, year: i64, month: i64, day: i64) {
    let shown = if year > 0 { year } else { 1 - year };
    put!(out, "{shown:04}-{month:02}-{day:02}");
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
pub fn write_date(out: &mut String, days: i32) {
    if days == i32::MIN || days == i32::MAX {
        out.push_str(infinity(days < 0));
        return;
    }
    let (year, month, day) = civil_from_days(i64::from(days));
    write_day(out, year, month, day);
    write_era(out, year);
}

/// `time`.
pub fn write_time(out: &mut String, micros: i64) {
    put!(out, "{:02}:{:02}:", micros / HOUR, micros / MINUTE % 60);
    write_seconds(out, micros % MINUTE, 2);
}

/// `timestamp`.
pub fn write_timestamp(out: &mut String, micros: i64) {
    if super::is_infinite(micros) {
        out.push_str(infinity(micros < 0));
        return;
    }
    let civil = Civil::from_micros(micros);
    write_day(out, civil.year, civil.month, civil.day);
    out.push(' ');
    write_time(out, civil.micros);
    write_era(out, civil.year);
}

/// `timestamptz`, in a zone.
pub fn write_timestamptz(out: &mut String, micros: i64, zone: &Zone) {
    if super::is_infinite(micros) {
        out.push_str(infinity(micros < 0));
        return;
    }
    let offset = zone.offset_at(micros);
    let civil = Civil::from_micros(micros.saturating_add(i64::from(offset) * SECOND));
    write_day(out, civil.year, civil.month, civil.day);
    out.push(' ');
    write_time(out, civil.micros);
    write_offset(out, offset);
    write_era(out, civil.year);
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

/// `interval`, in PostgreSQL's own style.
pub fn write_interval(out: &mut String, interval: Interval) {
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
