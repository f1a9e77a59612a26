//! Time zones by name.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Dst, Offset, TimeZone, TimeZoneDatabase};

use super::abbreviation::offset_of;
use super::calendar::Civil;
use super::{DAY, SECOND, UNIX_EPOCH_DAYS};

/// The tz database that is part of the binary: the same on every node.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Offsets beyond a day and a half do not exist.
const OFFSET_MAX: i32 = 15 * 3600 + 59 * 60 + 59;

/// Hours from UTC of a setting are fewer.
const SETTING_HOURS_END: f64 = 168.0;

/// A time zone.
#[derive(Clone, Debug)]
pub enum Zone {
    /// So many seconds east of UTC, always.
    Fixed(i32),
    /// With rules.
    Named(TimeZone),
}

impl Zone {
    /// Greenwich.
    pub const UTC: Zone = Zone::Fixed(0);

    /// The zone that a session's setting, or text, names: of the database, an abbreviation, an offset (`+02`, hours
    /// east), or a POSIX rule (hours west).
    pub fn find(name: &str) -> Option<Zone> {
        if let Some(offset) = offset_of(name) {
            return Some(Zone::Fixed(offset));
        }
        if let Some(offset) = parse_offset(name) {
            return Some(Zone::Fixed(offset));
        }
        if let Ok(zone) = DATABASE.get(name) {
            return Some(Zone::Named(zone));
        }
        TimeZone::posix(name).ok().map(Zone::Named)
    }

    /// A session's time zone: of the database, or a POSIX rule. Abbreviations are no zones here, so that CET has its
    /// summer time, and an offset alone is POSIX's: hours west.
    pub fn of_setting(name: &str) -> Option<Zone> {
        if let Ok(zone) = DATABASE.get(name) {
            return Some(Zone::Named(zone));
        }
        let offset = match name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((_, offset)) if offset.starts_with(|c: char| c.is_ascii_digit()) => {
                parse_offset(&format!("+{offset}"))
            }
            Some((_, offset)) => parse_offset(offset),
            None => parse_offset(name),
        };
        match offset {
            Some(west) => Some(Zone::Fixed(-west)),
            None => TimeZone::posix(name).ok().map(Zone::Named),
        }
    }

    /// A session's time zone as it is shown: names as the database writes them, hours east of UTC as POSIX's rule.
    pub fn shown(setting: &str) -> Option<String> {
        if let Ok(hours) = setting.parse::<f64>() {
            return (hours.abs() < SETTING_HOURS_END).then(|| Zone::posix((hours * 3600.0) as i32));
        }
        match Zone::of_setting(setting)? {
            Zone::Named(zone) => Some(zone.iana_name().unwrap_or(setting).to_owned()),
            Zone::Fixed(_) => Some(setting.to_owned()),
        }
    }

    /// The POSIX rule of so many seconds east of UTC, always: `<+02>-02`.
    pub fn posix(east: i32) -> String {
        let (hours, minutes, seconds) = (east.abs() / 3600, east.abs() / 60 % 60, east.abs() % 60);
        let mut offset = format!("{hours:02}");
        if minutes != 0 || seconds != 0 {
            offset += &format!(":{minutes:02}");
        }
        if seconds != 0 {
            offset += &format!(":{seconds:02}");
        }
        let (east, west) = if east < 0 { ('-', '+') } else { ('+', '-') };
        format!("<{east}{offset}>{west}{offset}")
    }

    /// The names of all zones of the database.
    pub fn names() -> Vec<String> {
        DATABASE.available().map(|name| name.to_string()).collect()
    }

    /// True iff it has its summer time at an instant.
    pub fn is_summer_at(&self, utc_micros: i64) -> bool {
        match self {
            Zone::Fixed(_) => false,
            Zone::Named(zone) => {
                let unix = within_rules(utc_micros).div_euclid(SECOND) + UNIX_EPOCH_DAYS * 86_400;
                jiff::Timestamp::from_second(unix)
                    .is_ok_and(|at| zone.to_offset_info(at).dst() == Dst::Yes)
            }
        }
    }

    /// Seconds east of UTC at an instant.
    pub fn offset_at(&self, utc_micros: i64) -> i32 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(zone) => {
                let unix = within_rules(utc_micros).div_euclid(SECOND) + UNIX_EPOCH_DAYS * 86_400;
                jiff::Timestamp::from_second(unix).map_or(0, |at| zone.to_offset(at).seconds())
            }
        }
    }

    /// Seconds east of UTC for a local time. One that the clock skips counts as before the change, one that it
    /// shows twice as after it, as PostgreSQL has it.
    pub fn offset_for_local(&self, local_micros: i64) -> i32 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(zone) => {
                let Some(local) = datetime(within_rules(local_micros)) else { return 0 };
                let offset = match zone.to_ambiguous_timestamp(local).offset() {
                    AmbiguousOffset::Unambiguous { offset } => offset,
                    AmbiguousOffset::Gap { before, .. } => before,
                    AmbiguousOffset::Fold { after, .. } => after,
                };
                offset.seconds()
            }
        }
    }

    /// The abbreviation in use at an instant (`CET`), or the offset in figures.
    pub fn abbreviation_at(&self, utc_micros: i64) -> String {
        match self {
            Zone::Fixed(0) => "UTC".to_owned(),
            Zone::Fixed(offset) => {
                Offset::from_seconds(*offset).map_or(String::new(), |o| o.to_string())
            }
            Zone::Named(zone) => {
                let unix = within_rules(utc_micros).div_euclid(SECOND) + UNIX_EPOCH_DAYS * 86_400;
                jiff::Timestamp::from_second(unix)
                    .map_or(String::new(), |at| zone.to_offset_info(at).abbreviation().to_owned())
            }
        }
    }
}

/// The same moment of a year that jiff can represent: the calendar repeats every 400 years, and rules do not change
/// any more that far out.
fn within_rules(micros: i64) -> i64 {
    const CYCLE: i64 = 146_097 * DAY;
    // The year 9000: rules repeat long before.
    const END: i64 = 7000 * 365 * DAY;
    if micros < END { micros } else { END - CYCLE + (micros - END).rem_euclid(CYCLE) }
}

fn datetime(local_micros: i64) -> Option<DateTime> {
    let civil = Civil::from_micros(local_micros);
    let seconds = civil.micros / SECOND;
    DateTime::new(
        i16::try_from(civil.year).ok()?,
        i8::try_from(civil.month).ok()?,
        i8::try_from(civil.day).ok()?,
        i8::try_from(seconds / 3600).ok()?,
        i8::try_from(seconds / 60 % 60).ok()?,
        i8::try_from(seconds % 60).ok()?,
        0,
    )
    .ok()
}

/// Reads `+HH`, `-HH:MM`, `+HH:MM:SS`, `-HHMM`: seconds east.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    if rest.is_empty() || !rest.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    let number = |part: &str| (1..=2).contains(&part.len()).then(|| part.parse::<i32>().ok())?;
    let (hours, minutes, seconds) = if rest.contains(':') {
        let mut parts = rest.split(':');
        let hours = number(parts.next()?)?;
        let minutes = parts.next().map_or(Some(0), number)?;
        let seconds = parts.next().map_or(Some(0), number)?;
        if parts.next().is_some() {
            return None;
        }
        (hours, minutes, seconds)
    } else {
        match rest.len() {
            1 | 2 => (number(rest)?, 0, 0),
            3 => (number(&rest[..1])?, number(&rest[1..])?, 0),
            4 => (number(&rest[..2])?, number(&rest[2..])?, 0),
            6 => (number(&rest[..2])?, number(&rest[2..4])?, number(&rest[4..])?),
            _ => return None,
        }
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= OFFSET_MAX).then_some(sign * total)
}
