//! What a setting takes, and how its value is kept: as SHOW gives it.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Zone;

use super::list::{Kind, Known, Unit};

/// The value as it is kept, if the setting takes it; `present` is the one it has.
pub(super) fn check(known: &Known, value: &str, present: &str) -> SqlResult<String> {
    let invalid = || {
        let text = format!("invalid value for parameter \"{}\": \"{value}\"", known.name);
        SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text)
    };
    let lower = value.trim().to_ascii_lowercase();
    match known.kind {
        Kind::Internal => {
            let text = format!("parameter \"{}\" cannot be changed", known.name);
            Err(SqlError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, text))
        }
        Kind::Bool => boolean(known.name, &lower).map(on_off),
        Kind::Only(only) => match boolean(known.name, &lower)? {
            on if on == only => Ok(on_off(on)),
            on => Err(SqlError::unsupported(format!("{} = {}", known.name, on_off(on)))),
        },
        Kind::Integer(min, max) => {
            let number = lower.parse::<f64>().map_err(|_| invalid())?.round_ties_even();
            check_range(known.name, "", number, min, max)?;
            Ok(format!("{number:.0}"))
        }
        Kind::Amount(unit, min) => amount(known, unit, min, &lower, &invalid),
        Kind::Text => Ok(value.into()),
        Kind::OneOf(all) => match all.iter().find(|one| **one == lower) {
            Some(one) => Ok((*one).to_owned()),
            // The name as it was written: in lower case.
            None => {
                let name = known.name.to_ascii_lowercase();
                let text = format!("invalid value for parameter \"{name}\": \"{value}\"");
                let error = SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text);
                Err(error.hint(format!("Available values: {}.", all.join(", "))))
            }
        },
        Kind::Switch(all) => match boolean(known.name, &lower) {
            Ok(on) => Ok(on_off(on)),
            Err(_) if all.contains(&lower.as_str()) => Ok(lower),
            Err(_) => {
                Err(invalid().hint(format!("Available values: {}, on, off.", all.join(", "))))
            }
        },
        Kind::Name(what, all) => match all.contains(&value) {
            true => Ok(value.to_owned()),
            false => Err(invalid().detail(format!("{what} \"{value}\" does not exist."))),
        },
        Kind::Locale => match lower.as_str() {
            "c" | "posix" => Ok(value.to_ascii_uppercase()),
            "" => Ok("C".into()),
            _ => Err(invalid()),
        },
        Kind::TimeZone => time_zone(value).ok_or_else(invalid),
        Kind::DateStyle => date_style(&lower, present).map_err(|detail| invalid().detail(detail)),
        Kind::Encoding => match lower.trim_matches('\'').replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".into()),
            other if ENCODINGS.contains(&other) => {
                let text = format!("conversion between {} and UTF8", value.to_ascii_uppercase());
                Err(SqlError::unsupported(text))
            }
            _ => Err(invalid()),
        },
        // All levels are accepted, and all transactions are serializable: SHOW tells the truth.
        Kind::Isolation => match LEVELS.contains(&lower.as_str()) {
            true => Ok("serializable".into()),
            false => Err(invalid().hint(format!("Available values: {}.", LEVELS.join(", ")))),
        },
    }
}

/// Isolation levels.
pub(super) const LEVELS: &[&str] =
    &["serializable", "repeatable read", "read committed", "read uncommitted"];

/// Encodings that PostgreSQL would convert.
const ENCODINGS: &[&str] = &[
    "sqlascii",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "latin10",
    "iso88591",
    "iso885915",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "koi8r",
    "koi8u",
    "eucjp",
    "euckr",
    "euccn",
    "euctw",
    "sjis",
    "big5",
    "gbk",
    "gb18030",
    "uhc",
    "johab",
];

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// Whole words and what they may be cut to.
fn boolean(name: &str, lower: &str) -> SqlResult<bool> {
    let prefix = |word: &str, least: usize| lower.len() >= least && word.starts_with(lower);
    if lower == "1" || prefix("true", 1) || prefix("yes", 1) || prefix("on", 2) {
        return Ok(true);
    }
    if lower == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2) {
        return Ok(false);
    }
    let text = format!("parameter \"{name}\" requires a Boolean value");
    Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text))
}

fn check_range(name: &str, unit: &str, number: f64, min: i64, max: i64) -> SqlResult<()> {
    if number >= min as f64 && number <= max as f64 {
        return Ok(());
    }
    let text = format!(
        "{number:.0}{unit} is outside the valid range for parameter \"{name}\" ({min} .. {max})"
    );
    Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text))
}

/// The most that an amount may be of its base unit.
pub(super) const AMOUNT_MAX: i64 = i32::MAX as i64;

/// The number in `text`, and its unit's share of the base unit; none if there is no such number or unit.
fn split(unit: Unit, text: &str) -> Option<(f64, Option<f64>)> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || ".-+".contains(c)));
    let (number, name) = text.split_at(digits.unwrap_or(text.len()));
    let name = name.trim();
    let factor = match name {
        "" => Some(1.0),
        name => {
            unit.names().iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|u| u.1)
        }
    };
    Some((number.parse().ok()?, factor))
}

/// An amount in its base unit.
pub(super) fn in_base(unit: Unit, text: &str) -> Option<u64> {
    let (number, factor) = split(unit, &text.trim().to_ascii_lowercase())?;
    let amount = (number * factor?).round_ties_even();
    (amount >= 0.0 && amount <= AMOUNT_MAX as f64).then_some(amount as u64)
}

fn amount(
    known: &Known,
    unit: Unit,
    min: i64,
    lower: &str,
    invalid: &dyn Fn() -> SqlError,
) -> SqlResult<String> {
    let (number, factor) = split(unit, lower).ok_or_else(invalid)?;
    let Some(factor) = factor else { return Err(invalid().hint(unit.hint())) };
    let base = (number * factor).round_ties_even();
    if base > AMOUNT_MAX as f64 {
        return Err(invalid().hint("Value exceeds integer range."));
    }
    let name = unit.base();
    check_range(known.name, &format!(" {name}"), base, min, AMOUNT_MAX)?;
    Ok(shown(unit, base as u64))
}

/// In the largest unit that leaves no fraction.
fn shown(unit: Unit, base: u64) -> String {
    if base == 0 {
        return "0".into();
    }
    let whole = |factor: f64| factor >= 1.0 && base.is_multiple_of(factor as u64);
    let largest = unit.names().iter().rev().find(|(_, factor)| whole(*factor));
    let (name, factor) = largest.copied().unwrap_or((unit.base(), 1.0));
    format!("{}{name}", base / factor as u64)
}

/// A time zone as it is kept and shown.
fn time_zone(text: &str) -> Option<String> {
    match text.trim() {
        local if local.eq_ignore_ascii_case("default") || local.eq_ignore_ascii_case("local") => {
            Some("UTC".into())
        }
        name => Zone::shown(name),
    }
}

/// `ISO, MDY`, from words in any order; what is not said stays. The error is its detail.
fn date_style(lower: &str, present: &str) -> Result<String, String> {
    let (mut style, mut order) = (None, None);
    let words = lower.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut is_german = false;
    let conflict = || "Conflicting \"datestyle\" specifications.".to_owned();
    for word in words {
        let (place, value) = match word {
            "iso" => (&mut style, "ISO"),
            "sql" => (&mut style, "SQL"),
            "german" => {
                is_german = true;
                (&mut style, "German")
            }
            word if word.starts_with("postgres") => (&mut style, "Postgres"),
            "ymd" => (&mut order, "YMD"),
            "dmy" => (&mut order, "DMY"),
            word if word.starts_with("euro") => (&mut order, "DMY"),
            "mdy" | "us" => (&mut order, "MDY"),
            word if word.starts_with("noneuro") => (&mut order, "MDY"),
            "default" => continue,
            word => return Err(format!("Unrecognized key word: \"{word}\".")),
        };
        if place.replace(value).is_some_and(|before| before != value) {
            return Err(conflict());
        }
    }
    let (old_style, old_order) = present.split_once(", ").unwrap_or(("ISO", "MDY"));
    // German dates are in their order unless another is asked for.
    let order = order.or(is_german.then_some("DMY")).unwrap_or(old_order);
    Ok(format!("{}, {order}", style.unwrap_or(old_style)))
}
