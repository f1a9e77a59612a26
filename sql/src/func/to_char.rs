//! `to_char` of timestamps: PostgreSQL's patterns.
//!
//! `FM` before a field takes its padding away, `TH` and `th` after it make an ordinal of its number; text in double
//! quotes, and all that is no pattern, stands for itself.

use crate::types::datetime::{Civil, HOUR, MINUTE, SECOND, civil_from_days, days_from_civil};

const MONTHS: [&str; 12] = [
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

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// The Julian day of 2000-01-01.
const JULIAN_EPOCH: i64 = 2_451_545;

/// Fields, those first that others begin like. All are known in lower case as well.
#[rustfmt::skip]
const FIELDS: [&str; 57] = [
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
        write_field(&mut out, shown, field, Form { fill, lower, ordinal });
        fill = true;
        rest = tail;
    }
    out
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
    /// Of a day since 2000-01-01, which was a Saturday.
    fn of(day: i64) -> IsoWeek {
        let weekday = (day + 5).rem_euclid(7);
        let thursday = day - weekday + 3;
        let (year, _, _) = civil_from_days(thursday);
        let number = (thursday - days_from_civil(year, 1, 1)) / 7 + 1;
        IsoWeek { year, number, weekday, day_of_year: (number - 1) * 7 + weekday + 1 }
    }
}
