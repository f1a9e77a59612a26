//! Intervals: months, days and microseconds, which are kept apart.

use super::{DAY, HOUR, IntervalFields, MINUTE, SECOND};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::compare::interval_span;
use crate::types::{Datum, IntervalStyle};

/// Seconds in a day of 24 hours.
const DAY_SECONDS: f64 = 86_400.0;

/// An interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl From<Interval> for Datum {
    fn from(Interval { months, days, micros }: Interval) -> Datum {
        Datum::Interval { months, days, micros }
    }
}

impl Interval {
    /// An interval of microseconds alone.
    pub fn of_micros(micros: i64) -> Interval {
        Interval { months: 0, days: 0, micros }
    }

    /// With 30 days to a month and 24 hours to a day: what comparisons go by.
    pub fn span(self) -> i128 {
        interval_span(self.months, self.days, self.micros)
    }

    /// Each part with the opposite sign.
    pub fn checked_neg(self) -> Option<Interval> {
        Some(Interval {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    /// The sum of each part.
    pub fn checked_add(self, other: Interval) -> Option<Interval> {
        Some(Interval {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            micros: self.micros.checked_add(other.micros)?,
        })
    }

    /// Times a number: what is left of months goes to days, of days to microseconds, never back.
    pub fn checked_mul(self, factor: f64) -> Option<Interval> {
        self.scale(|part| part * factor)
    }

    /// Divided by a number that is not zero.
    pub fn checked_div(self, divisor: f64) -> Option<Interval> {
        self.scale(|part| part / divisor)
    }

    fn scale(self, by: impl Fn(f64) -> f64) -> Option<Interval> {
        // Rounded to millionths of a day and of a second, so that binary fractions do not leak.
        let rounded = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let months_exact = by(f64::from(self.months));
        let days_exact = by(f64::from(self.days));
        let months = to_i32(months_exact.trunc())?;
        let days = to_i32(days_exact.trunc())?;
        let month_rest = rounded((months_exact - f64::from(months)) * 30.0);
        let day_rest = days_exact - f64::from(days) + month_rest - month_rest.trunc();
        let mut seconds = rounded(day_rest * DAY_SECONDS);
        let mut days = days.checked_add(to_i32(month_rest.trunc())?)?;
        if seconds.abs() >= DAY_SECONDS {
            let whole = (seconds / DAY_SECONDS).trunc();
            days = days.checked_add(to_i32(whole)?)?;
            seconds -= whole * DAY_SECONDS;
        }
        let micros = by(self.micros as f64) + seconds * SECOND as f64;
        Some(Interval { months, days, micros: to_i64(micros.round_ties_even())? })
    }

    /// Whole days of 24 hours move from the microseconds to the days.
    pub fn justify_hours(self) -> Option<Interval> {
        let mut days = i64::from(self.days) + self.micros / DAY;
        let mut micros = self.micros % DAY;
        if days > 0 && micros < 0 {
            micros += DAY;
            days -= 1;
        } else if days < 0 && micros > 0 {
            micros -= DAY;
            days += 1;
        }
        Some(Interval { months: self.months, days: i32::try_from(days).ok()?, micros })
    }

    /// Both, and all signs are the same.
    pub fn justify(self) -> Option<Interval> {
        let (mut months, mut days) = (i64::from(self.months), i64::from(self.days));
        let mut micros = self.micros;
        let carry = |months: &mut i64, days: &mut i64| {
            *months += *days / 30;
            *days %= 30;
        };
        // First of the days alone, so that what moves to them later does not pass their bounds.
        if (days > 0 && micros > 0) || (days < 0 && micros < 0) {
            carry(&mut months, &mut days);
        }
        days += micros / DAY;
        micros %= DAY;
        carry(&mut months, &mut days);
        if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
            days += 30;
            months -= 1;
        } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
            days -= 30;
            months += 1;
        }
        if days > 0 && micros < 0 {
            micros += DAY;
            days -= 1;
        } else if days < 0 && micros > 0 {
            micros -= DAY;
            days += 1;
        }
        let (months, days) = (i32::try_from(months).ok()?, i32::try_from(days).ok()?);
        Some(Interval { months, days, micros })
    }

    /// Whole months of 30 days move from the days to the months.
    pub fn justify_days(self) -> Option<Interval> {
        let mut months = i64::from(self.months) + i64::from(self.days / 30);
        let mut days = self.days % 30;
        if months > 0 && days < 0 {
            days += 30;
            months -= 1;
        } else if months < 0 && days > 0 {
            days -= 30;
            months += 1;
        }
        Some(Interval { months: i32::try_from(months).ok()?, days, micros: self.micros })
    }
}

fn to_i32(value: f64) -> Option<i32> {
    (value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX)).then_some(value as i32)
}

fn to_i64(value: f64) -> Option<i64> {
    // The upper bound is not a float: the one below 2^63 is the greatest that fits.
    (value >= i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
}

/// A unit that a number in an interval may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds"
        | "microsecon" => Unit::Micros(1),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds"
        | "millisecon" => Unit::Micros(1000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Micros(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Micros(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Micros(HOUR),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000),
        _ => return None,
    })
}

/// Parts of an interval while they are summed.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

/// A number as written: its whole part and its fraction, both with the sign.
#[derive(Clone, Copy)]
struct Number {
    whole: i64,
    fraction: f64,
}

impl Number {
    /// None if it is no number; the inner None if it is too large.
    fn parse(text: &str) -> Option<Option<Number>> {
        let (negative, bare) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let sign = if negative { -1 } else { 1 };
        let whole = if whole.is_empty() { Some(0) } else { whole.parse::<i64>().ok() };
        let fraction: f64 = format!("0.{fraction}0").parse().unwrap_or(0.0);
        Some(whole.map(|whole| Number { whole: whole * sign, fraction: fraction * sign as f64 }))
    }
}

impl Sum {
    fn add(&mut self, number: Number, unit: Unit) -> Option<()> {
        match unit {
            Unit::Micros(size) => {
                self.micros = self.micros.checked_add(number.whole.checked_mul(size)?)?;
                self.add_fraction_of_micros(number.fraction, size)
            }
            Unit::Days(size) => {
                self.days = self.days.checked_add(number.whole.checked_mul(size)?)?;
                self.add_fraction_of_days(number.fraction * size as f64)
            }
            Unit::Months(1) => {
                self.months = self.months.checked_add(number.whole)?;
                self.add_fraction_of_days(number.fraction * 30.0)
            }
            Unit::Months(size) => {
                self.months = self.months.checked_add(number.whole.checked_mul(size)?)?;
                let months = (number.fraction * size as f64).round_ties_even();
                self.months = self.months.checked_add(to_i64(months)?)?;
                Some(())
            }
        }
    }

    fn add_fraction_of_days(&mut self, days: f64) -> Option<()> {
        self.days = self.days.checked_add(to_i64(days.trunc())?)?;
        self.add_fraction_of_micros(days.fract(), DAY)
    }

    fn add_fraction_of_micros(&mut self, fraction: f64, size: i64) -> Option<()> {
        let micros = (fraction * size as f64).round_ties_even();
        self.micros = self.micros.checked_add(to_i64(micros)?)?;
        Some(())
    }

    /// The interval, if its parts fit.
    fn finish(&self, negated: bool) -> Option<Interval> {
        let sign = if negated { -1 } else { 1 };
        Some(Interval {
            months: i32::try_from(self.months.checked_mul(sign)?).ok()?,
            days: i32::try_from(self.days.checked_mul(sign)?).ok()?,
            micros: self.micros.checked_mul(sign)?,
        })
    }
}

/// What a number without a unit counts, by the fields of the type that is read.
fn default_unit(fields: IntervalFields) -> Unit {
    use IntervalFields as F;
    match fields {
        F::ALL => Unit::Micros(SECOND),
        _ if fields.has(F::SECOND) => Unit::Micros(SECOND),
        _ if fields.has(F::MINUTE) => Unit::Micros(MINUTE),
        _ if fields.has(F::HOUR) => Unit::Micros(HOUR),
        _ if fields.has(F::DAY) => Unit::Days(1),
        _ if fields.has(F::MONTH) => Unit::Months(1),
        _ => Unit::Months(12),
    }
}

/// Reads an interval: PostgreSQL's verbose form, SQL's, or ISO 8601's. The fields that its type keeps say what a number
/// without a unit counts.
pub fn parse_interval(text: &str, fields: IntervalFields) -> SqlResult<Interval> {
    let invalid = || {
        SqlError::new(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type interval: \"{text}\""),
        )
    };
    let overflow = || {
        SqlError::new(
            SqlState::INTERVAL_FIELD_OVERFLOW,
            format!("interval field value out of range: \"{text}\""),
        )
    };
    let lower = text.trim().to_ascii_lowercase();
    if lower
        .strip_prefix('p')
        .is_some_and(|rest| rest.starts_with(|c: char| "-+.0123456789t".contains(c)))
    {
        return iso(&lower[1..]).ok_or_else(invalid)?.ok_or_else(overflow);
    }
    let words = words(&lower).ok_or_else(invalid)?;
    let mut sum = Sum::default();
    let mut negated = false;
    let mut seen = 0;
    let mut at = 0;
    while at < words.len() {
        let word = words[at];
        let next = words.get(at + 1).copied();
        at += 1;
        if word == "@" || (word == "and" && seen > 0) {
            continue;
        }
        if word == "ago" && at == words.len() && seen > 0 {
            negated = true;
            continue;
        }
        seen += 1;
        if word.contains(':') {
            let from_minutes = fields == IntervalFields::MINUTE | IntervalFields::SECOND;
            let micros = clock(word, from_minutes).ok_or_else(invalid)?.ok_or_else(overflow)?;
            sum.micros = sum.micros.checked_add(micros).ok_or_else(overflow)?;
            continue;
        }
        if let Some((years, months)) = years_and_months(word) {
            let months = months.and_then(|m| years?.checked_mul(12)?.checked_add(m));
            let signed = months.map(|m| if word.starts_with('-') { -m } else { m });
            sum.months = signed.and_then(|m| sum.months.checked_add(m)).ok_or_else(overflow)?;
            continue;
        }
        let number = Number::parse(word).ok_or_else(invalid)?.ok_or_else(overflow)?;
        let unit = match next {
            Some(word) if unit(word).is_some() => {
                at += 1;
                unit(word).ok_or_else(invalid)?
            }
            // A number before a time of day is one of days, the last one of seconds.
            Some(word) if word.contains(':') => Unit::Days(1),
            None => default_unit(fields),
            Some("ago") if at + 1 == words.len() => default_unit(fields),
            // `1 2` of days and hours.
            Some(_)
                if default_unit(fields) == Unit::Micros(HOUR)
                    && at + 1 == words.len()
                    && Number::parse(words[at]).is_some() =>
            {
                Unit::Days(1)
            }
            Some(_) => return Err(invalid()),
        };
        sum.add(number, unit).ok_or_else(overflow)?;
    }
    if seen == 0 {
        return Err(invalid());
    }
    // Years and months that fit one by one may not fit together.
    if i32::try_from(sum.months).is_err() && i32::try_from(sum.months / 12).is_ok() {
        return Err(super::interval_out_of_range());
    }
    sum.finish(negated).ok_or_else(overflow)
}

/// Reads an interval as a session of a style has it: where SQL's own form is the usual one, a sign at the beginning is for
/// all parts, unless another has one.
pub(crate) fn parse_interval_in(
    text: &str,
    fields: IntervalFields,
    style: IntervalStyle,
) -> SqlResult<Interval> {
    let interval = parse_interval(text, fields)?;
    let lower = text.trim().to_ascii_lowercase();
    if style != IntervalStyle::Sql || !lower.starts_with('-') {
        return Ok(interval);
    }
    let words = words(&lower).unwrap_or_default();
    let has_sign = |word: &&str| word.starts_with(['-', '+']);
    if words.iter().skip(1).any(has_sign) || words.contains(&"ago") {
        return Ok(interval);
    }
    let Interval { months, days, micros } = interval;
    Ok(Interval {
        months: months.checked_abs().map_or(months, |months| -months),
        days: days.checked_abs().map_or(days, |days| -days),
        micros: micros.checked_abs().map_or(micros, |micros| -micros),
    })
}

/// Cuts text into numbers, times and words.
fn words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        // A sign begins a number only after a blank or a time of day.
        let glued = text.len() > rest.len() && !text[..text.len() - rest.len()].ends_with(' ');
        let after = |word: &&str| word.contains(|c: char| c == '-' || c.is_ascii_alphabetic());
        if matches!(first, '-' | '+') && glued && words.last().is_some_and(after) {
            return None;
        }
        let numeric = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        let end = if first == '@' {
            1
        } else if first.is_ascii_alphabetic() {
            rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len())
        } else if first == '-' || first == '+' || numeric(first) {
            let body = &rest[1..];
            let mut end = body.find(|c: char| !numeric(c)).map_or(rest.len(), |at| at + 1);
            // Years and months: `1-2`.
            if rest[end..].starts_with('-')
                && !rest[..end].contains(':')
                && end > usize::from(!first.is_ascii_digit())
            {
                let tail = &rest[end + 1..];
                end += 1 + tail.find(|c: char| !numeric(c)).unwrap_or(tail.len());
            }
            end
        } else if first == ',' {
            rest = rest[1..].trim_start();
            continue;
        } else {
            return None;
        };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Some(words)
}

/// `1-2`: years and months, without a sign; None inside if too large.
fn years_and_months(word: &str) -> Option<(Option<i64>, Option<i64>)> {
    let bare = word.strip_prefix(['+', '-']).unwrap_or(word);
    let (years, months) = bare.split_once('-')?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(years) || !digits(months) {
        return None;
    }
    Some((years.parse().ok(), months.parse().ok().filter(|m| *m < 12)))
}

/// `[-]hh:mm[:ss[.f]]` or `mm:ss.f`, or `mm:ss` where that is meant; None inside if too large.
fn clock(word: &str, from_minutes: bool) -> Option<Option<i64>> {
    let (negative, bare) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let parts: Vec<&str> = bare.split(':').collect();
    let digits = |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] if from_minutes || seconds.contains('.') => ("0", minutes, seconds),
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let seconds =
        Number::parse(seconds).filter(|_| seconds.starts_with(|c: char| c.is_ascii_digit()))?;
    if !digits(&hours) || !digits(&minutes) {
        return None;
    }
    let total = || {
        let seconds = seconds?;
        let minutes = minutes.parse::<i64>().ok().filter(|m| *m < 60)?;
        if seconds.whole > 60 {
            return None;
        }
        let micros = (seconds.fraction * 1e6).round_ties_even() as i64 + seconds.whole * SECOND;
        let hours = hours.parse::<i64>().ok()?.checked_mul(HOUR)?;
        let total = hours.checked_add(minutes * MINUTE + micros)?;
        Some(if negative { -total } else { total })
    };
    Some(total())
}

/// ISO 8601 after the `P`: `1y2m3dt4h5m6s`, or `0001-02-03t04:05:06`; None inside if too large.
fn iso(text: &str) -> Option<Option<Interval>> {
    let (date, time) = match text.split_once('t') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut sum = Sum::default();
    let mut fits = true;
    let parts = date.trim_start_matches('-').split('-').count();
    if parts == 3 && !date.contains(|c: char| c.is_ascii_alphabetic()) {
        let mut numbers = date.trim_start_matches('-').split('-');
        for unit in [Unit::Months(12), Unit::Months(1), Unit::Days(1)] {
            let number = Number::parse(numbers.next()?)?;
            fits &= number.and_then(|number| sum.add(number, unit)).is_some();
        }
    } else {
        fits &= iso_fields(date, &mut sum, |letter| match letter {
            'y' => Some(Unit::Months(12)),
            'm' => Some(Unit::Months(1)),
            'w' => Some(Unit::Days(7)),
            'd' => Some(Unit::Days(1)),
            _ => None,
        })?;
    }
    if let Some(time) = time {
        if time.contains(':') {
            match clock(time, false)?.and_then(|micros| sum.micros.checked_add(micros)) {
                Some(micros) => sum.micros = micros,
                None => fits = false,
            }
        } else {
            fits &= iso_fields(time, &mut sum, |letter| match letter {
                'h' => Some(Unit::Micros(HOUR)),
                'm' => Some(Unit::Micros(MINUTE)),
                's' => Some(Unit::Micros(SECOND)),
                _ => None,
            })?;
        }
    }
    Some(if fits { sum.finish(false) } else { None })
}

fn iso_fields(mut text: &str, sum: &mut Sum, unit: impl Fn(char) -> Option<Unit>) -> Option<bool> {
    let mut fits = true;
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let number = Number::parse(&text[..end])?;
        let unit = unit(char::from(text.as_bytes()[end]))?;
        fits &= number.and_then(|number| sum.add(number, unit)).is_some();
        text = &text[end + 1..];
    }
    Some(fits)
}
