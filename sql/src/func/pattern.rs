//! Patterns: LIKE, regular expressions, and those of `to_char`.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Mutex;

use regex::{Regex, RegexBuilder};

use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::datetime::{Civil, HOUR, MINUTE, SECOND, days_from_civil};

/// Bytes that a compiled expression takes at most.
const REGEX_SIZE_MAX: usize = 1 << 20;

/// Compiled expressions that are kept: a statement has few, and compiling takes longer than matching.
const REGEX_CACHE_LEN_MAX: usize = 32;

static REGEX_CACHE: Mutex<VecDeque<((String, bool), Regex)>> = Mutex::new(VecDeque::new());

/// `text LIKE pattern`, with a backslash as escape.
pub(super) fn like(text: &str, pattern: &str) -> SqlResult<bool> {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut t, mut p) = (0, 0);
    // Where to go on when what follows the last `%` does not match: it then takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some('%') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some('_') => (t < text.len()).then_some(1),
            // Without text left nothing is looked at, not even whether the pattern is one.
            Some('\\') if t == text.len() => None,
            Some('\\') => {
                let Some(literal) = pattern.get(p + 1) else {
                    return Err(SqlError::new(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "LIKE pattern must not end with escape character",
                    ));
                };
                (text.get(t) == Some(literal)).then_some(2)
            }
            Some(literal) => (text.get(t) == Some(literal)).then_some(1),
            None if t == text.len() => return Ok(true),
            None => None,
        };
        match (matched, retry) {
            (Some(len), _) => {
                p += len;
                t += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                retry = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            _ => return Ok(false),
        }
    }
}

/// A LIKE pattern with another escape character, as one with a backslash.
pub(super) fn like_escape(pattern: &str, escape: &str) -> SqlResult<String> {
    let mut chars = escape.chars();
    let escape = chars.next();
    if chars.next().is_some() {
        return Err(SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if c == '\\' && !escaped {
            out.push('\\');
        }
        out.push(c);
        escaped = false;
    }
    Ok(out)
}

/// A compiled regular expression, in PostgreSQL's dialect as far as it can be said in Rust's.
pub(super) fn regex(pattern: &str, ignore_case: bool) -> SqlResult<Regex> {
    let key = (pattern.to_owned(), ignore_case);
    if let Ok(cache) = REGEX_CACHE.lock()
        && let Some((_, found)) = cache.iter().find(|(known, _)| *known == key)
    {
        return Ok(found.clone());
    }
    let built = RegexBuilder::new(&translate(pattern))
        .case_insensitive(ignore_case)
        .dot_matches_new_line(true)
        .size_limit(REGEX_SIZE_MAX)
        .build()
        .map_err(|error| {
            // The last line says what is wrong, those before show where.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            // PostgreSQL's words, where there is one for it.
            let reason = match reason {
                "unclosed group" | "unopened group" => "parentheses () not balanced",
                "unclosed character class" => "brackets [] not balanced",
                "repetition operator missing expression" => "quantifier operand invalid",
                "unrecognized escape sequence" => "invalid escape \\ sequence",
                other => other,
            };
            SqlError::new(
                SqlState::INVALID_REGULAR_EXPRESSION,
                format!("invalid regular expression: {reason}"),
            )
        })?;
    if let Ok(mut cache) = REGEX_CACHE.lock() {
        if cache.len() == REGEX_CACHE_LEN_MAX {
            cache.pop_front();
        }
        cache.push_back((key, built.clone()));
    }
    Ok(built)
}

/// Escapes of PostgreSQL that Rust's expressions spell otherwise.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('m' | '<') => out.push_str("\\b{start}"),
                Some('M' | '>') => out.push_str("\\b{end}"),
                Some('Z') => out.push_str("\\z"),
                Some(next) if !next.is_alphanumeric() && !next.is_ascii() => out.push(next),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            // Inside a class only `[:` is special; Rust gives meaning to a plain bracket and to doubled signs.
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            _ => out.push(c),
        }
    }
    out
}

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

/// Patterns of `to_char`, longer ones first.
const PATTERNS: [&str; 29] = [
    "HH24", "HH12", "YYYY", "MONTH", "Month", "month", "DDD", "DAY", "Day", "day", "MON", "Mon",
    "mon", "YYY", "HH", "MI", "SS", "MS", "US", "YY", "MM", "DD", "DY", "Dy", "dy", "TZ", "AM",
    "PM", "Q",
];

/// A local time by a pattern. `FM` takes away padding; text in quotes stands for itself.
pub(super) fn format_timestamp(civil: Civil, zone: &str, pattern: &str) -> SqlResult<String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut fill = true;
    while let Some(first) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("FM") {
            fill = false;
            rest = tail;
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or_default();
            continue;
        }
        let known = PATTERNS.iter().find(|known| {
            rest.starts_with(**known) || rest.starts_with(&known.to_ascii_lowercase())
        });
        let Some(known) = known else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let lower = !rest.starts_with(known);
        rest = &rest[known.len()..];
        write_field(&mut out, civil, zone, known, fill, lower);
        fill = true;
    }
    Ok(out)
}

fn write_field(out: &mut String, civil: Civil, zone: &str, field: &str, fill: bool, lower: bool) {
    let shown_year = if civil.year > 0 { civil.year } else { 1 - civil.year };
    let day = days_from_civil(civil.year, civil.month, civil.day);
    let hours = civil.micros / HOUR;
    let weekday = DAYS[(day + 6).rem_euclid(7) as usize];
    let month = MONTHS[(civil.month - 1).rem_euclid(12) as usize];
    let number = |value: i64, width: usize| {
        if fill { format!("{value:0width$}") } else { value.to_string() }
    };
    let padded = |name: &str| if fill { format!("{name:<9}") } else { name.to_owned() };
    let text = match field {
        "HH24" => number(hours, 2),
        "HH12" | "HH" => number((hours + 11) % 12 + 1, 2),
        "MI" => number(civil.micros / MINUTE % 60, 2),
        "SS" => number(civil.micros / SECOND % 60, 2),
        "MS" => number(civil.micros % SECOND / 1000, 3),
        "US" => number(civil.micros % SECOND, 6),
        "YYYY" => number(shown_year, 4),
        "YYY" => number(shown_year % 1000, 3),
        "YY" => number(shown_year % 100, 2),
        "MM" => number(civil.month, 2),
        "DDD" => number(day - days_from_civil(civil.year, 1, 1) + 1, 3),
        "DD" => number(civil.day, 2),
        "Q" => ((civil.month - 1) / 3 + 1).to_string(),
        "MONTH" => padded(&month.to_uppercase()),
        "Month" => padded(month),
        "month" => padded(&month.to_lowercase()),
        "MON" => month[..3].to_uppercase(),
        "Mon" => month[..3].to_owned(),
        "mon" => month[..3].to_lowercase(),
        "DAY" => padded(&weekday.to_uppercase()),
        "Day" => padded(weekday),
        "day" => padded(&weekday.to_lowercase()),
        "DY" => weekday[..3].to_uppercase(),
        "Dy" => weekday[..3].to_owned(),
        "dy" => weekday[..3].to_lowercase(),
        "TZ" => zone.to_owned(),
        _ => if hours < 12 { "AM" } else { "PM" }.to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = if lower { write!(out, "{}", text.to_lowercase()) } else { write!(out, "{text}") };
}
