//! `to_char` of timestamps and intervals: PostgreSQL's patterns.
//!
//! `FM` before a field takes its padding away, `TH` and `th` after it make an ordinal of its number; text in double
//! quotes, and all that is no pattern, stands for itself.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Interval;
use sql_values::types::datetime::{Civil, HOUR, MINUTE, SECOND, civil_from_days, days_from_civil};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// The Julian day of 2000-01-01.
pub(super) const JULIAN_EPOCH: i64 = 2_451_545;

/// Fields, those first that others begin like. All are known in lower case as well.
#[rustfmt::skip]
pub(super) const FIELDS: [&str; 57] = [
    "Y,YYY", "IYYY", "YYYY", "IYY", "YYY", "IDDD", "IY", "YY", "IW", "ID", "I", "Y",
    "A.D.", "A.M.", "B.C.", "P.M.", "AD", "AM", "BC", "PM",
    "CC", "DAY", "Day", "DDD", "DD", "DY", "Dy", "D",
    "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "HH24", "HH12", "HH", "J",
    "MONTH", "Month", "MON", "Mon", "MI", "MM", "MS", "OF", "Q", "RM",
    "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W",
];

/// A moment as people see it.
pub(super) struct Shown<'a> {
    pub(super) civil: Civil,
    /// The zone's abbreviation, and seconds east of UTC.
    pub(super) zone: &'a str,
    pub(super) offset: i32,
}

/// A moment by a pattern.
pub(super) fn to_char(shown: &Shown<'_>, pattern: &str) -> String {
    let write = |out: &mut String, field: &str, form: Form<'_>| {
        write_field(out, shown, field, form);
        Ok(())
    };
    // Of a moment every field can be told.
    along(pattern, write).unwrap_or_default()
}

/// Goes along a pattern: fields are written by `write`, all else stands for itself.
fn along(
    pattern: &str,
    mut write: impl FnMut(&mut String, &str, Form<'_>) -> SqlResult<()>,
) -> SqlResult<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut fill = true;
    while let Some(first) = rest.chars().next() {
        if let Some(tail) = ["FM", "fm", "TM", "tm"].iter().find_map(|word| rest.strip_prefix(word))
        {
            fill = false;
            rest = tail;
            continue;
        }
        if let Some(tail) = ["FX", "fx"].iter().find_map(|word| rest.strip_prefix(word)) {
            rest = tail;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = copy_quoted(quoted, &mut out);
            continue;
        }
        if let Some(tail) = rest.strip_prefix("\\\"") {
            out.push('"');
            rest = tail;
            continue;
        }
        let found = FIELDS.iter().find_map(|field| {
            let upper = rest.strip_prefix(field).map(|tail| (false, tail));
            let lower = || rest.strip_prefix(&field.to_ascii_lowercase()).map(|tail| (true, tail));
            upper.or_else(lower).map(|(lower, tail)| (*field, lower, tail))
        });
        let Some((field, lower, mut tail)) = found else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let mut ordinal = None;
        for suffix in ["TH", "th", "SP", "sp"] {
            if let Some(after) = tail.strip_prefix(suffix) {
                ordinal = (suffix != "SP" && suffix != "sp").then_some(suffix);
                tail = after;
                break;
            }
        }
        write(&mut out, field, Form { fill, lower, ordinal })?;
        fill = true;
        rest = tail;
    }
    Ok(out)
}

/// An interval by a pattern. What only dates have it has not.
pub(super) fn interval_to_char(interval: Interval, pattern: &str) -> SqlResult<String> {
    let micros = interval.micros;
    let seconds = micros / SECOND;
    let months = i64::from(interval.months);
    let parts = Parts {
        year: months / 12,
        month: months % 12,
        day: interval.days.into(),
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micros: micros % SECOND,
    };
    along(pattern, |out, field, form| parts.write(out, field, form))
}

/// An interval as people see it: all parts of one that goes back are negative.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Parts {
    fn write(&self, out: &mut String, field: &str, form: Form<'_>) -> SqlResult<()> {
        // As many days as in years of 360.
        let days = (self.year * 12 + self.month) * 30 + self.day;
        let julian = julian_day(self.year, self.month, self.day);
        let week = IsoWeek::of_interval(self.year, julian);
        let (number, width) = match field {
            "Y,YYY" => {
                let thousands = self.year / 1000;
                let text = format!("{thousands},{:03}", self.year - thousands * 1000);
                push_number(out, text, form);
                return Ok(());
            }
            "CC" => match self.year / 100 {
                century @ -99..=99 => (century, 2),
                century => (century, 0),
            },
            "YYYY" => (self.year, 4),
            "YYY" => (self.year % 1000, 3),
            "YY" => (self.year % 100, 2),
            "Y" => (self.year % 10, 1),
            "IYYY" => (week.year, 4),
            "IYY" => (week.year % 1000, 3),
            "IY" => (week.year % 100, 2),
            "I" => (week.year % 10, 1),
            "IW" => (week.number, 2),
            "IDDD" => (week.day_of_year, 3),
            "DDD" => (days, 3),
            "DD" => (self.day, 2),
            "WW" => ((days - 1) / 7 + 1, 2),
            "W" => ((self.day - 1) / 7 + 1, 0),
            "Q" if self.month == 0 => return Ok(()),
            "Q" => ((self.month - 1) / 3 + 1, 0),
            "MM" => (self.month, 2),
            "J" => (julian, 0),
            "HH24" => (self.hour, 2),
            "HH12" | "HH" => (if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            "MI" => (self.minute, 2),
            "SS" => (self.second, 2),
            "SSSSS" | "SSSS" => (self.hour * 3600 + self.minute * 60 + self.second, 0),
            "MS" | "FF3" => {
                push_number(out, format!("{:03}", self.micros / 1_000), form);
                return Ok(());
            }
            "US" | "FF6" => {
                push_number(out, format!("{:06}", self.micros), form);
                return Ok(());
            }
            "FF1" | "FF2" | "FF4" | "FF5" => {
                let places = usize::from(field.as_bytes()[2] - b'0');
                let shown = self.micros / 10i64.pow(6 - places as u32);
                push_number(out, format!("{shown:0places$}"), form);
                return Ok(());
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let afternoon = self.hour % 24 >= 12;
                let text = match (afternoon, field.len()) {
                    (true, 2) => "PM",
                    (true, _) => "P.M.",
                    (false, 2) => "AM",
                    (false, _) => "A.M.",
                };
                let text = if form.lower { text.to_lowercase() } else { text.to_owned() };
                out.push_str(&text);
                return Ok(());
            }
            "RM" => {
                if self.month == 0 && self.year == 0 {
                    return Ok(());
                }
                let at = match self.month {
                    0 if self.year >= 0 => 11,
                    0 => 0,
                    // A month back is December.
                    month @ ..0 => 12 + month,
                    month => month - 1,
                };
                let text = ROMAN[at.clamp(0, 11) as usize];
                let text = if form.fill { format!("{text:<4}") } else { text.to_owned() };
                out.push_str(&if form.lower { text.to_lowercase() } else { text });
                return Ok(());
            }
            _ => {
                let text = "invalid format specification for an interval value";
                return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, text)
                    .hint("Intervals are not tied to specific calendar dates."));
            }
        };
        // A sign is a place more, but not of these.
        let signed = match field {
            "IYYY" | "IYY" | "IY" => self.year < 0,
            "IDDD" | "DDD" | "DD" | "WW" | "IW" => false,
            _ => number < 0,
        };
        let width = if form.fill && width > 0 { width + usize::from(signed) } else { 0 };
        push_number(out, format!("{number:0width$}"), form);
        Ok(())
    }
}

/// The Julian day of a date whose parts may be anything, by PostgreSQL's formula.
pub(super) fn julian_day(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) =
        if month > 2 { (year + 4_800, month + 1) } else { (year + 4_799, month + 13) };
    let century = year / 100;
    365 * year - 32_167 + year / 4 - century + century / 4 + 7_834 * month / 256 + day
}

/// Copies text up to its closing quote, and gives what follows it.
fn copy_quoted<'a>(quoted: &'a str, out: &mut String) -> &'a str {
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return &quoted[at + 1..],
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            c => out.push(c),
        }
    }
    ""
}

/// How a field is written.
#[derive(Clone, Copy)]
struct Form<'a> {
    fill: bool,
    lower: bool,
    ordinal: Option<&'a str>,
}

fn write_field(out: &mut String, shown: &Shown<'_>, field: &str, form: Form<'_>) {
    let civil = shown.civil;
    let (year, day) = (civil.year, days_from_civil(civil.year, civil.month, civil.day));
    let day_of_year = day - days_from_civil(year, 1, 1);
    let week = IsoWeek::of(day);
    // There is no year 0: before 1 comes 1 BC.
    let counted = |year: i64| if year > 0 { year } else { 1 - year };
    let (hours, micros) = (civil.micros / HOUR, civil.micros % SECOND);
    let (number, width) = match field {
        "Y,YYY" => {
            let year = counted(year);
            let text = format!("{},{:03}", year / 1000, year % 1000);
            return push_number(out, text, form);
        }
        "CC" => {
            let century = if year > 0 { (year - 1) / 100 + 1 } else { year / 100 - 1 };
            (century, if century < 0 { 3 } else { 2 })
        }
        "YYYY" => (counted(year), 4),
        "YYY" => (counted(year) % 1000, 3),
        "YY" => (counted(year) % 100, 2),
        "Y" => (counted(year) % 10, 1),
        "IYYY" => (counted(week.year), 4),
        "IYY" => (counted(week.year) % 1000, 3),
        "IY" => (counted(week.year) % 100, 2),
        "I" => (counted(week.year) % 10, 1),
        "IW" => (week.number, 2),
        "IDDD" => (week.day_of_year, 3),
        "ID" => (week.weekday + 1, 0),
        "D" => ((week.weekday + 1) % 7 + 1, 0),
        "DDD" => (day_of_year + 1, 3),
        "DD" => (civil.day, 2),
        "WW" => (day_of_year / 7 + 1, 2),
        "W" => ((civil.day - 1) / 7 + 1, 0),
        "Q" => ((civil.month - 1) / 3 + 1, 0),
        "MM" => (civil.month, 2),
        "J" => (day + JULIAN_EPOCH, 0),
        "HH24" => (hours, 2),
        "HH12" | "HH" => ((hours + 11) % 12 + 1, 2),
        "MI" => (civil.micros / MINUTE % 60, 2),
        "SS" => (civil.micros / SECOND % 60, 2),
        "SSSSS" | "SSSS" => (civil.micros / SECOND, 0),
        "MS" | "FF3" => return push_number(out, format!("{:03}", micros / 1_000), form),
        "US" | "FF6" => return push_number(out, format!("{micros:06}"), form),
        "FF1" => return push_number(out, format!("{}", micros / 100_000), form),
        "FF2" => return push_number(out, format!("{:02}", micros / 10_000), form),
        "FF4" => return push_number(out, format!("{:04}", micros / 100), form),
        "FF5" => return push_number(out, format!("{:05}", micros / 10), form),
        word => return out.push_str(&write_word(shown, word, week.weekday, form)),
    };
    let width = if form.fill { width } else { 0 };
    push_number(out, format!("{number:0width$}"), form);
}

fn push_number(out: &mut String, text: String, form: Form<'_>) {
    out.push_str(&text);
    let Some(ordinal) = form.ordinal else { return };
    let mut digits = text.bytes().rev();
    let ending = match (digits.next(), digits.next()) {
        (_, Some(b'1')) => "th",
        (Some(b'1'), _) => "st",
        (Some(b'2'), _) => "nd",
        (Some(b'3'), _) => "rd",
        _ => "th",
    };
    if ordinal == "TH" { out.push_str(&ending.to_uppercase()) } else { out.push_str(ending) }
}

/// What is no number; weekdays from Monday.
fn write_word(shown: &Shown<'_>, field: &str, weekday: i64, form: Form<'_>) -> String {
    let padded = |name: &str, width: usize| {
        if form.fill { format!("{name:<width$}") } else { name.to_owned() }
    };
    let month_at = (shown.civil.month - 1).rem_euclid(12) as usize;
    let month = MONTHS[month_at];
    let day = DAYS[(weekday + 1).rem_euclid(7) as usize];
    let sign = if shown.offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (shown.offset.abs() / 3600, shown.offset.abs() / 60 % 60);
    let afternoon = shown.civil.micros / HOUR >= 12;
    let text = match field {
        "A.M." | "P.M." => if afternoon { "P.M." } else { "A.M." }.to_owned(),
        "AM" | "PM" => if afternoon { "PM" } else { "AM" }.to_owned(),
        "A.D." | "B.C." => if shown.civil.year > 0 { "A.D." } else { "B.C." }.to_owned(),
        "AD" | "BC" => if shown.civil.year > 0 { "AD" } else { "BC" }.to_owned(),
        "MONTH" => padded(&month.to_uppercase(), 9),
        "Month" => padded(month, 9),
        "MON" => month[..3].to_uppercase(),
        "Mon" => month[..3].to_owned(),
        "DAY" => padded(&day.to_uppercase(), 9),
        "Day" => padded(day, 9),
        "DY" => day[..3].to_uppercase(),
        "Dy" => day[..3].to_owned(),
        "RM" => padded(ROMAN[month_at], 4),
        "TZH" => format!("{sign}{hours:02}"),
        "TZM" => format!("{minutes:02}"),
        "OF" => {
            let width = if form.fill { 2 } else { 0 };
            let minutes = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
            format!("{sign}{hours:0width$}{minutes}")
        }
        _ => shown.zone.to_owned(),
    };
    if form.lower { text.to_lowercase() } else { text }
}

/// A day in ISO 8601's year of weeks, which begins with the week of its first Thursday.
struct IsoWeek {
    year: i64,
    number: i64,
    /// From 0, Monday.
    weekday: i64,
    day_of_year: i64,
}

impl IsoWeek {
    /// Of a Julian day that an interval's parts make, which may lie years from its year: PostgreSQL looks at the years
    /// beside it alone.
    fn of_interval(year: i64, julian: i64) -> IsoWeek {
        // The Monday of a year's first week.
        let first = |year: i64| {
            let fourth = julian_day(year, 1, 4);
            fourth - fourth.rem_euclid(7)
        };
        let mut year = year;
        if julian < first(year) {
            year -= 1;
        } else if (julian - first(year)) / 7 + 1 >= 52 && julian >= first(year + 1) {
            year += 1;
        }
        let since = julian - first(year);
        IsoWeek { year, number: since / 7 + 1, weekday: 0, day_of_year: since + 1 }
    }

    /// Of a day since 2000-01-01, which was a Saturday.
    fn of(day: i64) -> IsoWeek {
        let weekday = (day + 5).rem_euclid(7);
        let thursday = day - weekday + 3;
        let (year, _, _) = civil_from_days(thursday);
        let number = (thursday - days_from_civil(year, 1, 1)) / 7 + 1;
        IsoWeek { year, number, weekday, day_of_year: (number - 1) * 7 + weekday + 1 }
    }
}
