//! Reading dates and times: ISO 8601 and what PostgreSQL accepts besides (months by name, `MM/DD/YYYY`, AM and PM,
//! eras, zones by name, `now` and its kin), in the order of the session's DateStyle.

use super::calendar::{Civil, days_from_civil, month_days};
use super::zone::{Zone, parse_offset};
use super::{DAY, HOUR, MINUTE, SECOND, check_date, check_timestamp};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::{DateOrder, TextFormat};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Longer text is no date: bounds the work before anything is looked at.
const TEXT_MAX: usize = 256;

/// Why text is no date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Syntax,
    Field,
    /// A month or day out of its bounds: perhaps day and month are exchanged.
    MonthOrDay,
    Zone,
}

/// A day by a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Now,
    /// So many days from today.
    Day(i64),
    Epoch,
    Infinity(bool),
}

/// What was found in a text.
#[derive(Debug, Default)]
struct Fields {
    order: DateOrder,
    /// Year as written, with its number of digits.
    year: Option<(i64, usize)>,
    month: Option<i64>,
    day: Option<i64>,
    /// Days since 2000, if given as a Julian day.
    julian: Option<i64>,
    /// Bare numbers beside a month's name.
    numbers: Vec<(i64, usize)>,
    micros: Option<i64>,
    /// AM is false, PM is true.
    afternoon: Option<bool>,
    before_christ: Option<bool>,
    zone: Option<Zone>,
    special: Option<Special>,
}

/// Sets a field that may occur once.
fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if field.is_some() {
        return Err(Refusal::Syntax);
    }
    *field = Some(value);
    Ok(())
}

/// A place in the text.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn eat(&mut self, prefix: char) -> bool {
        let eaten = self.rest.strip_prefix(prefix);
        self.rest = eaten.unwrap_or(self.rest);
        eaten.is_some()
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }
}

impl Fields {
    fn read(text: &str, order: DateOrder) -> Result<Fields, Refusal> {
        if text.len() > TEXT_MAX || !text.is_ascii() {
            return Err(Refusal::Syntax);
        }
        let lower = text.to_ascii_lowercase();
        let mut fields = Fields { order, ..Fields::default() };
        let mut scanner = Scanner { rest: &lower };
        let mut empty = true;
        // After a `t`, digits are a time.
        let mut time_next = false;
        loop {
            scanner.take(|c| c.is_ascii_whitespace() || c == ',');
            let Some(first) = scanner.peek() else { break };
            empty = false;
            if first.is_ascii_digit() {
                fields.number(&mut scanner, time_next)?;
                time_next = false;
            } else if first.is_ascii_alphabetic() {
                time_next = fields.word(&mut scanner)?;
            } else if first == '-' && scanner.rest[1..].starts_with("inf") {
                scanner.eat('-');
                let word = scanner.take(|c| c.is_ascii_alphabetic());
                if word != "infinity" && word != "inf" {
                    return Err(Refusal::Syntax);
                }
                once(&mut fields.special, Special::Infinity(false))?;
            } else if first == '-' || first == '+' {
                let sign = scanner.take(|c| c == '-' || c == '+');
                scanner.take(|c| c == ' ');
                let digits = scanner.take(|c| c.is_ascii_digit() || c == ':');
                let offset = parse_offset(&format!("{sign}{digits}")).ok_or(Refusal::Zone)?;
                if fields.micros.is_none() && fields.year.is_none() && fields.day.is_none() {
                    return Err(Refusal::Syntax);
                }
                once(&mut fields.zone, Zone::Fixed(offset))?;
            } else {
                return Err(Refusal::Syntax);
            }
        }
        if empty { Err(Refusal::Syntax) } else { Ok(fields) }
    }

    fn number(&mut self, scanner: &mut Scanner<'_>, time: bool) -> Result<(), Refusal> {
        let digits = scanner.take(|c| c.is_ascii_digit());
        let value: i64 = digits.parse().map_err(|_| Refusal::Field)?;
        let following = scanner.rest.as_bytes();
        let after = following.get(1).copied().unwrap_or(0);
        match following.first() {
            Some(b':') => return self.clock(value, scanner),
            Some(b'-' | b'/') if after.is_ascii_alphanumeric() && !self.has_date() => {
                return self.date(digits, scanner);
            }
            // A point delimits a date only if a second one follows.
            Some(b'.') if after.is_ascii_digit() && !self.has_date() && !time => {
                let tail = scanner.rest[1..].trim_start_matches(|c: char| c.is_ascii_digit());
                let of_year = digits.len() == 4 && scanner.rest.len() - tail.len() == 4;
                if tail.starts_with('.') || of_year {
                    return self.date(digits, scanner);
                }
            }
            _ => {}
        }
        if time || (self.has_date() && matches!(digits.len(), 4 | 6) && self.micros.is_none()) {
            let (hours, minutes, seconds) = match digits.len() {
                2 => (value, 0, 0),
                4 => (value / 100, value % 100, 0),
                6 => (value / 10_000, value / 100 % 100, value % 100),
                _ => return Err(Refusal::Syntax),
            };
            let fraction = fraction(scanner);
            return once(&mut self.micros, clock_micros(hours, minutes, seconds, fraction)?);
        }
        if !self.has_date() && self.month.is_none() && matches!(digits.len(), 6 | 8) {
            let (year, len) = (value / 10_000, digits.len() - 4);
            self.month = Some(value / 100 % 100);
            self.day = Some(value % 100);
            return once(&mut self.year, (year, len));
        }
        if self.numbers.len() == 2 {
            return Err(Refusal::Syntax);
        }
        self.numbers.push((value, digits.len()));
        Ok(())
    }

    fn has_date(&self) -> bool {
        self.year.is_some() || self.julian.is_some()
    }

    /// The rest of a delimited date after its first number.
    fn date(&mut self, first: &str, scanner: &mut Scanner<'_>) -> Result<(), Refusal> {
        let delimiter = scanner.peek().ok_or(Refusal::Syntax)?;
        scanner.eat(delimiter);
        let alphabetic = scanner.peek().is_some_and(|c| c.is_ascii_alphabetic());
        let second = if alphabetic {
            scanner.take(|c| c.is_ascii_alphabetic())
        } else {
            scanner.take(|c| c.is_ascii_digit())
        };
        let third = if scanner.eat(delimiter) { scanner.take(|c| c.is_ascii_digit()) } else { "" };
        let number = |digits: &str| digits.parse::<i64>().map_err(|_| Refusal::Field);
        if scanner.peek() == Some(delimiter) {
            return Err(Refusal::Syntax);
        }
        if third.is_empty() {
            // A year and the day of it.
            if first.len() == 4 && second.len() == 3 && !alphabetic {
                let year = number(first)?;
                let of_year = number(second)?;
                let days = days_from_civil(year, 1, 1) + of_year - 1;
                let (_, month, day) = super::civil_from_days(days);
                self.month = Some(month);
                self.day = Some(day);
                return once(&mut self.year, (year, 4));
            }
            return Err(Refusal::Syntax);
        }
        let (year, month, day) = match self.order {
            _ if first.len() > 2 => (first, second, third),
            DateOrder::Ymd => (first, second, third),
            _ if alphabetic => (third, second, first),
            DateOrder::Dmy => (third, second, first),
            DateOrder::Mdy => (third, first, second),
        };
        self.month = Some(if alphabetic {
            month_named(month).ok_or(Refusal::Syntax)?
        } else {
            number(month)?
        });
        self.day = Some(number(day)?);
        once(&mut self.year, (number(year)?, year.len()))
    }

    /// The rest of a time after its hours.
    fn clock(&mut self, hours: i64, scanner: &mut Scanner<'_>) -> Result<(), Refusal> {
        scanner.eat(':');
        let two = |scanner: &mut Scanner<'_>| -> Result<i64, Refusal> {
            let digits = scanner.take(|c| c.is_ascii_digit());
            if digits.is_empty() || digits.len() > 2 {
                return Err(if digits.is_empty() { Refusal::Syntax } else { Refusal::Field });
            }
            digits.parse().map_err(|_| Refusal::Syntax)
        };
        let minutes = two(scanner)?;
        let seconds = if scanner.eat(':') { two(scanner)? } else { 0 };
        let fraction = fraction(scanner);
        once(&mut self.micros, clock_micros(hours, minutes, seconds, fraction)?)
    }

    /// True iff a time must follow.
    fn word(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, Refusal> {
        let start = scanner.rest;
        let word = scanner.take(|c| c.is_ascii_alphabetic());
        match word {
            "t" if self.has_date() || scanner.peek().is_some_and(|c| c.is_ascii_digit()) => {
                return Ok(true);
            }
            "j" if scanner.peek().is_some_and(|c| c.is_ascii_digit()) => {
                let digits = scanner.take(|c| c.is_ascii_digit());
                let day: i64 = digits.parse().map_err(|_| Refusal::Field)?;
                once(&mut self.julian, day + i64::from(super::DATE_MIN))?;
            }
            "am" | "pm" => once(&mut self.afternoon, word == "pm")?,
            "bc" | "ad" => once(&mut self.before_christ, word == "bc")?,
            "now" => once(&mut self.special, Special::Now)?,
            "today" => once(&mut self.special, Special::Day(0))?,
            "tomorrow" => once(&mut self.special, Special::Day(1))?,
            "yesterday" => once(&mut self.special, Special::Day(-1))?,
            "epoch" => once(&mut self.special, Special::Epoch)?,
            "infinity" | "inf" => once(&mut self.special, Special::Infinity(true))?,
            "allballs" => once(&mut self.micros, 0)?,
            "at" | "on" => {}
            _ => {
                if let Some(month) = month_named(word) {
                    once(&mut self.month, month)?;
                    // `Jan-08-1999`
                    while self.numbers.len() < 2 && scanner.eat('-') {
                        let digits = scanner.take(|c| c.is_ascii_digit());
                        let value = digits.parse().map_err(|_| Refusal::Syntax)?;
                        self.numbers.push((value, digits.len()));
                    }
                } else if !named(&WEEKDAYS, word) {
                    scanner.rest = start;
                    let name = scanner.take(|c| c.is_ascii_alphanumeric() || "_/+-".contains(c));
                    let zone = Zone::find(name).or_else(|| {
                        // An abbreviation and a distance from it: `utc+3` is three hours west, by POSIX.
                        Zone::find(word).filter(|_| name == word)
                    });
                    let known = zone.is_some() || name.contains('/');
                    let zone = zone.ok_or(if known { Refusal::Zone } else { Refusal::Syntax })?;
                    once(&mut self.zone, zone)?;
                }
            }
        }
        Ok(false)
    }

    /// Days since 2000, if there is a date.
    fn days(&self) -> Result<Option<i64>, Refusal> {
        if let Some(days) = self.julian {
            return Ok(Some(days));
        }
        let (year, month, day) = match (self.year, self.month, self.numbers.as_slice()) {
            (Some(year), Some(month), []) => (year, month, self.day.ok_or(Refusal::Syntax)?),
            // Beside a month's name: the longer number is the year, else the second one.
            (None, Some(month), [a, b]) if self.day.is_none() => {
                if a.1 > 2 || self.order == DateOrder::Ymd {
                    (*a, month, b.0)
                } else {
                    (*b, month, a.0)
                }
            }
            (None, None, []) => return Ok(None),
            _ => return Err(Refusal::Syntax),
        };
        let (mut year, year_len) = year;
        if self.before_christ == Some(true) {
            if year <= 0 {
                return Err(Refusal::Field);
            }
            year = 1 - year;
        } else if year_len <= 2 {
            year += if year < 70 { 2000 } else { 1900 };
        } else if year == 0 {
            return Err(Refusal::Field);
        }
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(Refusal::MonthOrDay);
        }
        if day > month_days(year, month) || year > 10_000_000 {
            return Err(Refusal::Field);
        }
        Ok(Some(days_from_civil(year, month, day)))
    }

    /// Microseconds since midnight, if there is a time.
    fn time(&self) -> Result<Option<i64>, Refusal> {
        let Some(micros) = self.micros else {
            return if self.afternoon.is_some() { Err(Refusal::Syntax) } else { Ok(None) };
        };
        let Some(afternoon) = self.afternoon else { return Ok(Some(micros)) };
        let hours = micros / HOUR;
        if hours > 12 {
            return Err(Refusal::Field);
        }
        let hours_added = match (hours, afternoon) {
            (12, false) => -12,
            (12, true) => 0,
            (_, true) => 12,
            (_, false) => 0,
        };
        Ok(Some(micros + hours_added * HOUR))
    }
}

fn named(names: &[&str], word: &str) -> bool {
    position(names, word).is_some()
}

fn position(names: &[&str], word: &str) -> Option<usize> {
    names.iter().position(|name| {
        *name == word || (word.len() >= 3 && word.len() <= 4 && name.starts_with(word))
    })
}

fn month_named(word: &str) -> Option<i64> {
    position(&MONTHS, word).map(|at| at as i64 + 1)
}

/// A fraction of a second after a point, rounded to microseconds.
fn fraction(scanner: &mut Scanner<'_>) -> i64 {
    if !scanner.eat('.') {
        return 0;
    }
    let digits = scanner.take(|c| c.is_ascii_digit());
    let value: f64 = format!("0.{digits}0").parse().unwrap_or(0.0);
    (value * SECOND as f64).round_ties_even() as i64
}

fn clock_micros(hours: i64, minutes: i64, seconds: i64, fraction: i64) -> Result<i64, Refusal> {
    if hours > 24 || minutes > 59 || seconds > 60 {
        return Err(Refusal::Field);
    }
    let micros = hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction;
    // The end of the day is a time, nothing after it is.
    if micros > DAY { Err(Refusal::Field) } else { Ok(micros) }
}

fn refuse(refusal: Refusal, kind: &str, text: &str) -> SqlError {
    match refusal {
        Refusal::Syntax => SqlError::new(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {kind}: \"{text}\""),
        ),
        Refusal::Field => SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        ),
        Refusal::MonthOrDay => refuse(Refusal::Field, kind, text)
            .hint("Perhaps you need a different \"datestyle\" setting."),
        Refusal::Zone => SqlError::new(
            SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
            format!("time zone displacement out of range: \"{text}\""),
        ),
    }
}

fn out_of_range(kind: &str, text: &str) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{kind} out of range: \"{text}\""))
}

/// Local microseconds of a text, with the zone that it names; or an infinity.
enum Moment {
    Infinity(bool),
    At { days: i64, micros: i64, zone: Option<Zone> },
}

fn moment(text: &str, format: &TextFormat) -> Result<Moment, Refusal> {
    let fields = Fields::read(text, format.style.order)?;
    let time = fields.time()?;
    let Some(special) = fields.special else {
        let days = fields.days()?.ok_or(Refusal::Syntax)?;
        return Ok(Moment::At { days, micros: time.unwrap_or(0), zone: fields.zone });
    };
    if fields.has_date() || fields.month.is_some() || !fields.numbers.is_empty() {
        return Err(Refusal::Syntax);
    }
    let local = format.zone.to_local(format.now).map_err(|_| Refusal::Field)?;
    let today = local.div_euclid(DAY);
    Ok(match special {
        Special::Infinity(positive) if time.is_none() => Moment::Infinity(positive),
        Special::Now if time.is_none() => {
            // An instant: in UTC, so that an hour that occurs twice stays the one it is.
            let zone = Zone::Fixed(format.zone.offset_at(format.now));
            Moment::At { days: today, micros: local.rem_euclid(DAY), zone: Some(zone) }
        }
        Special::Day(offset) => {
            Moment::At { days: today + offset, micros: time.unwrap_or(0), zone: fields.zone }
        }
        Special::Epoch if time.is_none() => {
            Moment::At { days: -super::UNIX_EPOCH_DAYS, micros: 0, zone: Some(Zone::UTC) }
        }
        _ => return Err(Refusal::Syntax),
    })
}

/// Reads a `date`.
pub fn parse_date(text: &str, format: &TextFormat) -> SqlResult<i32> {
    match moment(text, format).map_err(|refusal| refuse(refusal, "date", text))? {
        Moment::Infinity(positive) => Ok(if positive { i32::MAX } else { i32::MIN }),
        Moment::At { days, .. } => check_date(days).ok_or_else(|| out_of_range("date", text)),
    }
}

/// Reads a `time`.
pub fn parse_time(text: &str, format: &TextFormat) -> SqlResult<i64> {
    let kind = "time";
    let refused = |refusal| refuse(refusal, kind, text);
    // Digits alone are a time here, not a date.
    let bare = text.trim();
    if matches!(bare.len(), 4 | 6) && bare.bytes().all(|b| b.is_ascii_digit()) {
        let fields = Fields::read(&format!("t{bare}"), format.style.order).map_err(refused)?;
        return fields.time().map_err(refused)?.ok_or_else(|| refused(Refusal::Syntax));
    }
    let fields = Fields::read(text, format.style.order).map_err(refused)?;
    if fields.special == Some(Special::Now) {
        return Ok(format.zone.to_local(format.now)?.rem_euclid(DAY));
    }
    if fields.special.is_some() {
        return Err(refused(Refusal::Syntax));
    }
    fields.days().map_err(refused)?;
    fields.time().map_err(refused)?.ok_or_else(|| refused(Refusal::Syntax))
}

/// Reads a `timestamp`; a zone in the text is ignored.
pub fn parse_timestamp(text: &str, format: &TextFormat) -> SqlResult<i64> {
    match moment(text, format).map_err(|refusal| refuse(refusal, "timestamp", text))? {
        Moment::Infinity(positive) => Ok(if positive { i64::MAX } else { i64::MIN }),
        Moment::At { days, micros, .. } => {
            check_timestamp(i128::from(days) * i128::from(DAY) + i128::from(micros))
                .ok_or_else(|| out_of_range("timestamp", text))
        }
    }
}

/// Reads a `timestamptz`; without a zone in the text it is in the session's.
pub fn parse_timestamptz(text: &str, format: &TextFormat) -> SqlResult<i64> {
    let kind = "timestamp with time zone";
    match moment(text, format).map_err(|refusal| refuse(refusal, kind, text))? {
        Moment::Infinity(positive) => Ok(if positive { i64::MAX } else { i64::MIN }),
        Moment::At { days, micros, zone } => {
            let local = i128::from(days) * i128::from(DAY) + i128::from(micros);
            let near = i64::try_from(local).map_err(|_| out_of_range("timestamp", text))?;
            let offset = zone.as_ref().unwrap_or(&format.zone).offset_for_local(near);
            check_timestamp(local - i128::from(offset) * i128::from(SECOND))
                .ok_or_else(|| out_of_range("timestamp", text))
        }
    }
}

/// Year, month and day as a date (`make_date`).
pub fn make_date(year: i64, month: i64, day: i64) -> Option<i32> {
    let year = if year < 0 { year + 1 } else { year };
    let valid = year != 0 || month == 0;
    if !valid || !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return None;
    }
    let civil = Civil { year, month, day, micros: 0 };
    check_date(days_from_civil(civil.year, civil.month, civil.day))
}
