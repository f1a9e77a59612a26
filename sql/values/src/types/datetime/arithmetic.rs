//! Sums, differences, truncation and fields.

use super::calendar::{Civil, civil_from_days, days_from_civil, month_days};
use super::interval::Interval;
use super::zone::Zone;
use super::{DAY, HOUR, MINUTE, SECOND, check_timestamp, is_infinite, timestamp_out_of_range};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::interrupt::Interrupt;
use crate::types::Numeric;

/// A local timestamp plus an interval: months first (to the last day of a shorter month), then days, then time.
pub fn add_interval_to_local(micros: i64, interval: Interval) -> SqlResult<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    let days = add_months_and_days(micros, interval)?;
    check_timestamp(i128::from(days) + i128::from(interval.micros))
        .ok_or_else(timestamp_out_of_range)
}

fn add_months_and_days(micros: i64, interval: Interval) -> SqlResult<i64> {
    let mut micros = micros;
    if interval.months != 0 {
        let mut civil = Civil::from_micros(micros);
        let months = civil.year * 12 + civil.month - 1 + i64::from(interval.months);
        civil.year = months.div_euclid(12);
        civil.month = months.rem_euclid(12) + 1;
        civil.day = civil.day.min(month_days(civil.year, civil.month));
        micros = check_timestamp(civil.to_micros()).ok_or_else(timestamp_out_of_range)?;
    }
    let days = i128::from(interval.days) * i128::from(DAY);
    check_timestamp(i128::from(micros) + days).ok_or_else(timestamp_out_of_range)
}

impl Zone {
    /// The local time of an instant.
    pub fn to_local(&self, utc_micros: i64) -> SqlResult<i64> {
        if is_infinite(utc_micros) {
            return Ok(utc_micros);
        }
        let offset = i64::from(self.offset_at(utc_micros)) * SECOND;
        check_timestamp(i128::from(utc_micros) + i128::from(offset))
            .ok_or_else(timestamp_out_of_range)
    }

    /// The instant of a local time.
    pub fn to_utc(&self, local_micros: i64) -> SqlResult<i64> {
        if is_infinite(local_micros) {
            return Ok(local_micros);
        }
        let offset = i64::from(self.offset_for_local(local_micros)) * SECOND;
        check_timestamp(i128::from(local_micros) - i128::from(offset))
            .ok_or_else(timestamp_out_of_range)
    }

    /// An instant plus an interval: months and days by the local calendar, time by the clock of UTC.
    pub fn add_interval(&self, utc_micros: i64, interval: Interval) -> SqlResult<i64> {
        if is_infinite(utc_micros) {
            return Ok(utc_micros);
        }
        let mut instant = utc_micros;
        if interval.months != 0 || interval.days != 0 {
            instant = self.to_utc(add_months_and_days(self.to_local(instant)?, interval)?)?;
        }
        check_timestamp(i128::from(instant) + i128::from(interval.micros))
            .ok_or_else(timestamp_out_of_range)
    }

    /// `date_trunc` of an instant, by the local calendar.
    pub fn date_trunc(&self, unit: &str, utc_micros: i64) -> SqlResult<i64> {
        let kind = "timestamp with time zone";
        if is_infinite(utc_micros) {
            return Ok(utc_micros);
        }
        let offset = self.offset_at(utc_micros);
        let local = trunc(unit, self.to_local(utc_micros)?, kind)?;
        // Within a day the offset stays: an hour that occurs twice must not jump.
        match field(unit) {
            Some(Field::Micros | Field::Millis | Field::Second | Field::Minute | Field::Hour) => {
                Ok(local - i64::from(offset) * SECOND)
            }
            _ => self.to_utc(local),
        }
    }
}

/// The difference of two timestamps in days and time.
pub fn timestamp_difference(a: i64, b: i64) -> SqlResult<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let micros = a.checked_sub(b).ok_or_else(super::interval_out_of_range)?;
    Interval::of_micros(micros).justify_hours().ok_or_else(super::interval_out_of_range)
}

/// The difference of two local timestamps in years, months, days and time, as a person would count.
pub fn age(a: i64, b: i64) -> SqlResult<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range());
    }
    let negative = a < b;
    let (late, early) = if negative { (b, a) } else { (a, b) };
    let (late, early) = (Civil::from_micros(late), Civil::from_micros(early));
    let mut micros = late.micros - early.micros;
    let mut days = late.day - early.day;
    let mut months = (late.year - early.year) * 12 + late.month - early.month;
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    while days < 0 {
        // A borrowed month is as long as the one in which the count begins.
        days += month_days(early.year, early.month);
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Interval {
        months: i32::try_from(sign * months).map_err(|_| super::interval_out_of_range())?,
        days: (sign * days) as i32,
        micros: sign * micros,
    })
}

/// What `extract` and `date_trunc` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Micros,
    Millis,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
}

fn field(name: &str) -> Option<Field> {
    Some(match name.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => {
            Field::Micros
        }
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => {
            Field::Millis
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Field::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Field::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Field::Hour,
        "d" | "day" | "days" => Field::Day,
        "w" | "week" | "weeks" => Field::Week,
        "mon" | "mons" | "month" | "months" => Field::Month,
        "qtr" | "quarter" => Field::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Field::Year,
        "dec" | "decs" | "decade" | "decades" => Field::Decade,
        "c" | "cent" | "century" | "centuries" => Field::Century,
        "mil" | "mils" | "millennium" | "millennia" => Field::Millennium,
        "dow" => Field::DayOfWeek,
        "isodow" => Field::IsoDayOfWeek,
        "doy" => Field::DayOfYear,
        "isoyear" => Field::IsoYear,
        "j" | "jd" | "julian" => Field::Julian,
        "epoch" => Field::Epoch,
        "timezone" => Field::Zone,
        "timezone_hour" | "timezone_h" => Field::ZoneHour,
        "timezone_minute" | "timezone_m" => Field::ZoneMinute,
        _ => return None,
    })
}

fn not_recognized(unit: &str, kind: &str) -> SqlError {
    let unit = unit.to_ascii_lowercase();
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{unit}\" not recognized for type {kind}"),
    )
}

fn not_supported(unit: &str, kind: &str) -> SqlError {
    let unit = unit.to_ascii_lowercase();
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{unit}\" not supported for type {kind}"),
    )
}

/// `date_trunc` of a local timestamp.
pub fn date_trunc(unit: &str, micros: i64) -> SqlResult<i64> {
    let kind = "timestamp without time zone";
    if is_infinite(micros) {
        return Ok(micros);
    }
    trunc(unit, micros, kind)
}

fn trunc(unit: &str, micros: i64, kind: &str) -> SqlResult<i64> {
    let civil = Civil::from_micros(micros);
    let day = micros.div_euclid(DAY);
    let first_of = |year: i64, month: i64| days_from_civil(year, month, 1);
    let days = match field(unit).ok_or_else(|| not_recognized(unit, kind))? {
        Field::Micros => return Ok(micros),
        Field::Millis => return Ok(micros - micros.rem_euclid(1000)),
        Field::Second => return Ok(micros - micros.rem_euclid(SECOND)),
        Field::Minute => return Ok(micros - micros.rem_euclid(MINUTE)),
        Field::Hour => return Ok(micros - micros.rem_euclid(HOUR)),
        Field::Day => day,
        Field::Week => day - (day + 5).rem_euclid(7),
        Field::Month => first_of(civil.year, civil.month),
        Field::Quarter => first_of(civil.year, (civil.month - 1) / 3 * 3 + 1),
        Field::Year => first_of(civil.year, 1),
        // Decades are by the figures of the year, centuries and millennia begin with a year 1.
        Field::Decade => first_of(civil.year.div_euclid(10) * 10, 1),
        Field::Century => first_of((civil.year - 1).div_euclid(100) * 100 + 1, 1),
        Field::Millennium => first_of((civil.year - 1).div_euclid(1000) * 1000 + 1, 1),
        Field::Zone | Field::ZoneHour | Field::ZoneMinute => return Err(not_supported(unit, kind)),
        _ => return Err(not_recognized(unit, kind)),
    };
    check_timestamp(i128::from(days) * i128::from(DAY)).ok_or_else(timestamp_out_of_range)
}

/// What a field is extracted from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// `date`.
    Date(i32),
    /// `time`.
    Time(i64),
    /// `timestamp`.
    Timestamp(i64),
    /// `timestamptz`, in a zone.
    TimestampTz(i64, &'a Zone),
    /// `interval`.
    Interval(Interval),
}

impl Source<'_> {
    fn kind(self) -> &'static str {
        match self {
            Source::Date(_) => "date",
            Source::Time(_) => "time without time zone",
            Source::Timestamp(_) => "timestamp without time zone",
            Source::TimestampTz(..) => "timestamp with time zone",
            Source::Interval(_) => "interval",
        }
    }

    fn infinity(self) -> Option<bool> {
        match self {
            Source::Date(days) if days == i32::MIN || days == i32::MAX => Some(days > 0),
            Source::Timestamp(at) | Source::TimestampTz(at, _) if is_infinite(at) => Some(at > 0),
            _ => None,
        }
    }
}

/// `extract(unit from source)`: NULL is None.
pub fn extract(unit: &str, source: Source<'_>) -> SqlResult<Option<Numeric>> {
    let kind = source.kind();
    let wanted = field(unit).ok_or_else(|| not_recognized(unit, kind))?;
    let refuse = || not_supported(unit, kind);
    if let Some(positive) = source.infinity() {
        let infinite = if positive { Numeric::INFINITY } else { Numeric::NEGATIVE_INFINITY };
        return match wanted {
            Field::Year
            | Field::Decade
            | Field::Century
            | Field::Millennium
            | Field::Julian
            | Field::IsoYear
            | Field::Epoch => Ok(Some(infinite)),
            Field::Micros
            | Field::Millis
            | Field::Second
            | Field::Minute
            | Field::Hour
            | Field::Zone
            | Field::ZoneHour
            | Field::ZoneMinute
                if matches!(source, Source::Date(_)) =>
            {
                Err(refuse())
            }
            _ => Ok(None),
        };
    }
    match source {
        Source::Date(days) => {
            if matches!(
                wanted,
                Field::Micros | Field::Millis | Field::Second | Field::Minute | Field::Hour
            ) {
                return Err(refuse());
            }
            let local = i128::from(days) * i128::from(DAY);
            match wanted {
                Field::Julian => Ok(Some(Numeric::from(days - super::DATE_MIN))),
                Field::Epoch => {
                    let seconds = (local + i128::from(UNIX_EPOCH_MICROS)) / i128::from(SECOND);
                    Ok(Some(Numeric::from_i128(seconds)))
                }
                _ => of_day(wanted, i64::from(days)).map(Some).ok_or_else(refuse),
            }
        }
        Source::Time(micros) => match wanted {
            Field::Epoch => scaled(i128::from(micros), 6).map(Some),
            _ => of_time(wanted, micros)?.map(Some).ok_or_else(refuse),
        },
        Source::Timestamp(local) => of_local(wanted, local, local)?.map(Some).ok_or_else(refuse),
        Source::TimestampTz(utc, zone) => {
            let offset = i64::from(zone.offset_at(utc));
            match wanted {
                Field::Zone => Ok(Some(Numeric::from(offset))),
                Field::ZoneHour => Ok(Some(Numeric::from(offset / 3600))),
                Field::ZoneMinute => Ok(Some(Numeric::from(offset / 60 % 60))),
                _ => of_local(wanted, utc + offset * SECOND, utc)?.map(Some).ok_or_else(refuse),
            }
        }
        Source::Interval(interval) => of_interval(wanted, interval)?.map(Some).ok_or_else(refuse),
    }
}

/// From 1970-01-01 to 2000-01-01.
const UNIX_EPOCH_MICROS: i64 = super::UNIX_EPOCH_DAYS * DAY;

fn scaled(value: i128, places: u32) -> SqlResult<Numeric> {
    let divisor = Numeric::from_i128(10i128.pow(places));
    Numeric::from_i128(value).div(&divisor, Interrupt::none())?.round(places as i32)
}

fn of_local(wanted: Field, local: i64, utc: i64) -> SqlResult<Option<Numeric>> {
    let day = local.div_euclid(DAY);
    let time = local.rem_euclid(DAY);
    Ok(match wanted {
        Field::Epoch => Some(scaled(i128::from(utc) + i128::from(UNIX_EPOCH_MICROS), 6)?),
        Field::Julian => {
            let whole = Numeric::from(day - i64::from(super::DATE_MIN));
            let part = Numeric::from(time).div(&Numeric::from(DAY), Interrupt::none())?;
            Some(whole.add(&part)?)
        }
        _ => match of_time(wanted, time)? {
            Some(value) => Some(value),
            None => of_day(wanted, day),
        },
    })
}

fn of_time(wanted: Field, micros: i64) -> SqlResult<Option<Numeric>> {
    Ok(Some(match wanted {
        Field::Micros => Numeric::from(micros % MINUTE),
        Field::Millis => scaled(i128::from(micros % MINUTE), 3)?,
        Field::Second => scaled(i128::from(micros % MINUTE), 6)?,
        Field::Minute => Numeric::from(micros / MINUTE % 60),
        Field::Hour => Numeric::from(micros / HOUR),
        _ => return Ok(None),
    }))
}

/// The year, and the week in it, by ISO 8601.
fn iso_week(day: i64) -> (i64, i64) {
    // A week belongs to the year of its Thursday.
    let thursday = day - (day + 5).rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

fn of_day(wanted: Field, day: i64) -> Option<Numeric> {
    let (year, month, of_month) = civil_from_days(day);
    // There is no year 0: 1 BC is -1.
    let shown = |year: i64| if year > 0 { year } else { year - 1 };
    Some(Numeric::from(match wanted {
        Field::Day => of_month,
        Field::Week => iso_week(day).1,
        Field::Month => month,
        Field::Quarter => (month - 1) / 3 + 1,
        Field::Year => shown(year),
        Field::Decade => year.div_euclid(10),
        Field::Century if year > 0 => (year + 99) / 100,
        Field::Century => -((99 - (year - 1)) / 100),
        Field::Millennium if year > 0 => (year + 999) / 1000,
        Field::Millennium => -((999 - (year - 1)) / 1000),
        Field::DayOfWeek => (day + 6).rem_euclid(7),
        Field::IsoDayOfWeek => (day + 5).rem_euclid(7) + 1,
        Field::DayOfYear => day - days_from_civil(year, 1, 1) + 1,
        Field::IsoYear => shown(iso_week(day).0),
        _ => return None,
    }))
}

fn of_interval(wanted: Field, interval: Interval) -> SqlResult<Option<Numeric>> {
    let years = i64::from(interval.months / 12);
    let months = i64::from(interval.months % 12);
    Ok(Some(match wanted {
        Field::Micros => Numeric::from(interval.micros % MINUTE),
        Field::Millis => scaled(i128::from(interval.micros % MINUTE), 3)?,
        Field::Second => scaled(i128::from(interval.micros % MINUTE), 6)?,
        Field::Minute => Numeric::from(interval.micros / MINUTE % 60),
        Field::Hour => Numeric::from(interval.micros / HOUR),
        Field::Day => Numeric::from(interval.days),
        Field::Month => Numeric::from(months),
        Field::Quarter => Numeric::from(months / 3 + 1),
        Field::Year => Numeric::from(years),
        Field::Decade => Numeric::from(years / 10),
        Field::Century => Numeric::from(years / 100),
        Field::Millennium => Numeric::from(years / 1000),
        Field::Epoch => {
            // A year has 365.25 days here, a month 30.
            let days = i128::from(years) * 1461 * i128::from(DAY) / 4
                + (i128::from(months) * 30 + i128::from(interval.days)) * i128::from(DAY);
            scaled(days + i128::from(interval.micros), 6)?
        }
        _ => return Ok(None),
    }))
}
