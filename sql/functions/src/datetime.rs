//! Functions of dates, times and intervals.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::datetime;
use sql_values::types::datetime::{Civil, DAY, HOUR, MINUTE, SECOND, Source, Zone};
use sql_values::types::{Datum, Interval, Numeric, SqlType};

use super::arithmetic::division_by_zero;
use super::from_char::Moment;
use super::signature::*;
use super::to_char::Shown;
use super::{EvalContext, Function};

/// Midnight of a day.
pub(super) fn date_to_local(days: i32) -> SqlResult<i64> {
    match days {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        _ => datetime::check_timestamp(i128::from(days) * i128::from(DAY)).ok_or_else(|| {
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
        }),
    }
}

/// The day of a local time.
pub(super) fn local_to_date(micros: i64) -> i32 {
    match micros {
        i64::MIN => i32::MIN,
        i64::MAX => i32::MAX,
        // Timestamps reach less far than dates.
        _ => micros.div_euclid(DAY) as i32,
    }
}

fn infinite_date(days: i32) -> bool {
    days == i32::MIN || days == i32::MAX
}

fn date_diff(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (date(args, 0)?, date(args, 1)?);
    if infinite_date(a) || infinite_date(b) {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite dates",
        ));
    }
    // Both are within PostgreSQL's range, which is less than 2^31 days wide.
    Ok(Datum::Int4(a.wrapping_sub(b)))
}

fn shift_date(days: i32, by: i64) -> SqlResult<Datum> {
    if infinite_date(days) {
        return Ok(Datum::Date(days));
    }
    let shifted = i64::from(days).checked_add(by).and_then(datetime::check_date);
    shifted.map(Datum::Date).ok_or_else(datetime::date_out_of_range)
}

fn date_add(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    shift_date(date(args, 0)?, int(args, 1)?)
}

fn int_add_date(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    shift_date(date(args, 1)?, int(args, 0)?)
}

fn date_sub(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    shift_date(date(args, 0)?, -int(args, 1)?)
}

fn negated(args: &[Datum], at: usize) -> SqlResult<Interval> {
    interval(args, at)?.checked_neg().ok_or_else(datetime::interval_out_of_range)
}

fn local_plus(local: i64, by: Interval) -> SqlResult<Datum> {
    datetime::add_interval_to_local(local, by).map(Datum::Timestamp)
}

fn date_add_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(date_to_local(date(args, 0)?)?, interval(args, 1)?)
}

fn interval_add_date(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(date_to_local(date(args, 1)?)?, interval(args, 0)?)
}

fn date_sub_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(date_to_local(date(args, 0)?)?, negated(args, 1)?)
}

fn timestamp_add(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(micros(args, 0)?, interval(args, 1)?)
}

fn interval_add_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(micros(args, 1)?, interval(args, 0)?)
}

fn timestamp_sub(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(micros(args, 0)?, negated(args, 1)?)
}

fn timestamptz_add(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().add_interval(micros(args, 0)?, interval(args, 1)?).map(Datum::TimestampTz)
}

fn interval_add_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().add_interval(micros(args, 1)?, interval(args, 0)?).map(Datum::TimestampTz)
}

fn timestamptz_sub(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().add_interval(micros(args, 0)?, negated(args, 1)?).map(Datum::TimestampTz)
}

fn timestamp_diff(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    datetime::timestamp_difference(micros(args, 0)?, micros(args, 1)?).map(Datum::from)
}

fn date_plus_time(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(date_to_local(date(args, 0)?)?, Interval::of_micros(micros(args, 1)?))
}

fn time_plus_date(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    local_plus(date_to_local(date(args, 1)?)?, Interval::of_micros(micros(args, 0)?))
}

/// A time of day plus another: around the clock.
fn around(micros: i64, by: i64) -> Datum {
    Datum::Time((micros + by % DAY).rem_euclid(DAY))
}

fn time_add(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(around(micros(args, 0)?, interval(args, 1)?.micros))
}

fn interval_add_time(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(around(micros(args, 1)?, interval(args, 0)?.micros))
}

fn time_sub(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(around(micros(args, 0)?, -(interval(args, 1)?.micros % DAY)))
}

fn time_diff(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Interval::of_micros(micros(args, 0)? - micros(args, 1)?).into())
}

fn fitting(interval: Option<Interval>) -> SqlResult<Datum> {
    interval.map(Datum::from).ok_or_else(datetime::interval_out_of_range)
}

fn interval_add(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.checked_add(interval(args, 1)?))
}

fn interval_sub(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (interval(args, 0)?, interval(args, 1)?);
    let part = |a: i32, b: i32| a.checked_sub(b);
    let difference = || {
        Some(Interval {
            months: part(a.months, b.months)?,
            days: part(a.days, b.days)?,
            micros: a.micros.checked_sub(b.micros)?,
        })
    };
    fitting(difference())
}

fn interval_neg(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.checked_neg())
}

fn interval_mul(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.checked_mul(float(args, 1)?))
}

fn mul_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 1)?.checked_mul(float(args, 0)?))
}

fn interval_div(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let divisor = float(args, 1)?;
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    fitting(interval(args, 0)?.checked_div(divisor))
}

fn justify_hours(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.justify_hours())
}

fn justify_days(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.justify_days())
}

fn justify_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    fitting(interval(args, 0)?.justify())
}

fn make_interval(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let part = |at: usize| int(args, at);
    let months = part(0)? * 12 + part(1)?;
    let days = part(2)? * 7 + part(3)?;
    let seconds = (float(args, 6)? * SECOND as f64).round_ties_even();
    // An i64 holds all the other parts together.
    let whole = seconds.is_finite() && seconds.abs() < i64::MAX as f64 / 2.0;
    let micros = (part(4)? * HOUR)
        .checked_add(part(5)? * MINUTE)
        .filter(|_| whole)
        .and_then(|micros| micros.checked_add(seconds as i64));
    let (months, days) = (i32::try_from(months).ok(), i32::try_from(days).ok());
    fitting(match (months, days, micros) {
        (Some(months), Some(days), Some(micros)) => Some(Interval { months, days, micros }),
        _ => None,
    })
}

fn make_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let zone = match args.get(6) {
        None => ctx.zone(),
        Some(_) => match text(args, 6)? {
            // Here an offset is one from UTC, and not POSIX's.
            name if name.starts_with(['+', '-']) => {
                Zone::find(name).ok_or_else(|| unknown_zone(name))?
            }
            name => zone_named(name)?,
        },
    };
    let Datum::Timestamp(local) = make_timestamp(ctx, args)? else { return Ok(Datum::Null) };
    zone.to_utc(local).map(Datum::TimestampTz)
}

fn now(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::TimestampTz(ctx.transaction_time))
}

fn statement_timestamp(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::TimestampTz(ctx.statement_time))
}

fn clock_timestamp(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::TimestampTz((ctx.clock)()))
}

fn timeofday(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::text(
        Datum::TimestampTz((ctx.clock)()).to_text(SqlType::TimestampTz(None), &ctx.text_format()),
    ))
}

fn local_now(ctx: &EvalContext<'_>) -> SqlResult<i64> {
    ctx.zone().to_local(ctx.transaction_time)
}

fn current_date(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Date(local_to_date(local_now(ctx)?)))
}

fn localtime(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Time(local_now(ctx)?.rem_euclid(DAY)))
}

fn localtimestamp(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    local_now(ctx).map(Datum::Timestamp)
}

fn trunc_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    datetime::date_trunc(text(args, 0)?, micros(args, 1)?).map(Datum::Timestamp)
}

fn trunc_timestamptz(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    ctx.zone().date_trunc(text(args, 0)?, micros(args, 1)?).map(Datum::TimestampTz)
}

fn trunc_timestamptz_in(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    zone_named(text(args, 2)?)?.date_trunc(text(args, 0)?, micros(args, 1)?).map(Datum::TimestampTz)
}

/// A zone that a function is given. An offset alone is a POSIX zone here: hours west.
fn zone_named(name: &str) -> SqlResult<Zone> {
    let found = match Zone::find(name) {
        Some(Zone::Fixed(offset)) if name.starts_with(['+', '-']) => Some(Zone::Fixed(-offset)),
        found => found,
    };
    found.ok_or_else(|| unknown_zone(name))
}

fn unknown_zone(name: &str) -> SqlError {
    let text = format!("time zone \"{name}\" not recognized");
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

fn field_of(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Option<Numeric>> {
    let zone;
    let source = match args.get(1) {
        Some(Datum::Date(days)) => Source::Date(*days),
        Some(Datum::Time(micros)) => Source::Time(*micros),
        Some(Datum::Timestamp(micros)) => Source::Timestamp(*micros),
        Some(Datum::TimestampTz(micros)) => {
            zone = ctx.zone();
            Source::TimestampTz(*micros, &zone)
        }
        _ => Source::Interval(interval(args, 1)?),
    };
    datetime::extract(text(args, 0)?, source)
}

fn extract(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(field_of(ctx, args)?.map_or(Datum::Null, Datum::Numeric))
}

fn date_part(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(field_of(ctx, args)?.map_or(Datum::Null, |value| Datum::Float8(value.to_f64())))
}

/// `date_part` takes a date for a timestamp.
fn date_part_of_date(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let local = Datum::Timestamp(date_to_local(date(args, 1)?)?);
    date_part(ctx, &[Datum::text(text(args, 0)?), local])
}

fn age(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    datetime::age(micros(args, 0)?, micros(args, 1)?).map(Datum::from)
}

fn age_of_instants(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let zone = ctx.zone();
    datetime::age(zone.to_local(micros(args, 0)?)?, zone.to_local(micros(args, 1)?)?)
        .map(Datum::from)
}

fn today(ctx: &EvalContext<'_>) -> SqlResult<i64> {
    let now = local_now(ctx)?;
    Ok(now - now.rem_euclid(DAY))
}

fn age_today(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    datetime::age(today(ctx)?, micros(args, 0)?).map(Datum::from)
}

fn age_of_instant_today(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    datetime::age(today(ctx)?, ctx.zone().to_local(micros(args, 0)?)?).map(Datum::from)
}

/// `at time zone`, of an instant.
fn to_zone(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if datetime::is_infinite(micros(args, 1)?) {
        return micros(args, 1).map(Datum::Timestamp);
    }
    zone_named(text(args, 0)?)?.to_local(micros(args, 1)?).map(Datum::Timestamp)
}

/// `at time zone`, of a local time.
fn from_zone(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if datetime::is_infinite(micros(args, 1)?) {
        return micros(args, 1).map(Datum::TimestampTz);
    }
    zone_named(text(args, 0)?)?.to_utc(micros(args, 1)?).map(Datum::TimestampTz)
}

fn zone_of_interval(args: &[Datum]) -> SqlResult<Zone> {
    let offset = interval(args, 0)?;
    if offset.months != 0 || offset.days != 0 {
        let shown = Datum::from(offset);
        let shown = shown.to_text(SqlType::Interval(None), &sql_values::types::TextFormat::UTC);
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval time zone \"{shown}\" must not include months or days"),
        ));
    }
    i32::try_from(offset.micros / SECOND)
        .map(Zone::Fixed)
        .map_err(|_| datetime::interval_out_of_range())
}

fn to_offset(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    zone_of_interval(args)?.to_local(micros(args, 1)?).map(Datum::Timestamp)
}

fn from_offset(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    zone_of_interval(args)?.to_utc(micros(args, 1)?).map(Datum::TimestampTz)
}

fn is_finite(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Bool(match args.first() {
        Some(Datum::Date(days)) => !infinite_date(*days),
        Some(Datum::Interval { .. }) => true,
        _ => !datetime::is_infinite(micros(args, 0)?),
    }))
}

fn to_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let seconds = float(args, 0)?;
    if seconds.is_infinite() {
        return Ok(Datum::TimestampTz(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    let out_of_range = || {
        let mut shown = String::new();
        sql_values::types::write_f64(&mut shown, seconds);
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{shown}\""),
        )
    };
    if seconds.is_nan() {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    let epoch = (datetime::UNIX_EPOCH_DAYS * 86_400) as f64;
    let micros = ((seconds - epoch) * SECOND as f64).round_ties_even();
    datetime::check_timestamp(micros as i128).map(Datum::TimestampTz).ok_or_else(out_of_range)
}

/// The day of a year, a month and a day, in days.
fn day_of(args: &[Datum]) -> SqlResult<i32> {
    let (year, month, day) = (int(args, 0)?, int(args, 1)?, int(args, 2)?);
    datetime::make_date(year, month, day).ok_or_else(|| {
        SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    })
}

fn make_date(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    day_of(args).map(Datum::Date)
}

fn make_time(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    clock(int(args, 0)?, int(args, 1)?, float(args, 2)?).map(Datum::Time)
}

/// The time of an hour, a minute and a second, in microseconds.
fn clock(hour: i64, minute: i64, second: f64) -> SqlResult<i64> {
    let valid =
        (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    let micros = (second * SECOND as f64).round_ties_even() as i64;
    let total =
        hour.wrapping_mul(HOUR).wrapping_add(minute.wrapping_mul(MINUTE)).wrapping_add(micros);
    if valid && total <= DAY {
        return Ok(total);
    }
    let text = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
    Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, text))
}

fn make_timestamp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let time = clock(int(args, 3)?, int(args, 4)?, float(args, 5)?);
    local_plus(date_to_local(day_of(args)?)?, Interval::of_micros(time?))
}

fn to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (local, zone, offset) = match args.first() {
        Some(Datum::TimestampTz(micros)) if !datetime::is_infinite(*micros) => {
            let zone = ctx.zone();
            let offset = zone.offset_at(*micros);
            (zone.to_local(*micros)?, zone.abbreviation_at(*micros), offset)
        }
        _ => (micros(args, 0)?, String::new(), 0),
    };
    if datetime::is_infinite(local) || text(args, 1)?.is_empty() {
        return Ok(Datum::Null);
    }
    // The longest of what two letters stand for is a zone's name.
    ctx.reserve(text(args, 1)?.len().saturating_mul(16))?;
    let shown = Shown { civil: Civil::from_micros(local), zone: &zone, offset };
    Ok(Datum::text(super::to_char::to_char(&shown, text(args, 1)?)))
}

/// What a text says by a pattern: days and microseconds, and seconds east of UTC if it says them. None for a pattern
/// without anything.
fn moment(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Moment> {
    let (source, pattern) = (text(args, 0)?, text(args, 1)?);
    ctx.reserve(pattern.len().saturating_mul(64))?;
    ctx.spend((source.len() + pattern.len()) / 64)?;
    super::from_char::from_char(source, pattern)
}

fn text_to_timestamp(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Moment { days, micros, east, digits } = moment(ctx, args)?;
    let zone = east.map_or_else(|| ctx.zone(), Zone::Fixed);
    // Only the instant has bounds, and not the local time.
    let local = i128::from(days) * i128::from(DAY) + i128::from(micros);
    let utc = i64::try_from(local).ok().and_then(|local| {
        let offset = i128::from(zone.offset_for_local(local)) * i128::from(SECOND);
        datetime::check_timestamp(i128::from(local) - offset)
    });
    let out_of_range =
        || SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range");
    let instant = Datum::TimestampTz(utc.ok_or_else(out_of_range)?);
    instant.apply_modifier(SqlType::TimestampTz(digits), true)
}

fn text_to_date(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Moment { days, .. } = moment(ctx, args)?;
    let days = i32::try_from(days).ok();
    let days = days.filter(|days| (datetime::DATE_MIN..datetime::DATE_END).contains(days));
    days.map(Datum::Date).ok_or_else(|| {
        let text = format!("date out of range: \"{}\"", text(args, 0).unwrap_or_default());
        SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, text)
    })
}

fn interval_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let pattern = text(args, 1)?;
    if pattern.is_empty() {
        return Ok(Datum::Null);
    }
    ctx.reserve(pattern.len().saturating_mul(16))?;
    super::to_char::interval_to_char(interval(args, 0)?, pattern).map(Datum::text)
}

/// Functions of dates and times, by oid. Those from 90000 on are keywords in SQL, which PostgreSQL has no
/// functions for.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(274, "timeofday", &[], TEXT, timeofday).volatile(),
    scalar(1026, "timezone", &[INTERVAL, TIMESTAMPTZ], TIMESTAMP, to_offset),
    scalar(1140, "date_mi", &[DATE, DATE], INT4, date_diff),
    scalar(1141, "date_pli", &[DATE, INT4], DATE, date_add),
    scalar(1142, "date_mii", &[DATE, INT4], DATE, date_sub),
    scalar(1158, "to_timestamp", &[FLOAT8], TIMESTAMPTZ, to_timestamp),
    scalar(1159, "timezone", &[TEXT, TIMESTAMPTZ], TIMESTAMP, to_zone),
    scalar(1168, "interval_um", &[INTERVAL], INTERVAL, interval_neg),
    scalar(1169, "interval_pl", &[INTERVAL, INTERVAL], INTERVAL, interval_add),
    scalar(1170, "interval_mi", &[INTERVAL, INTERVAL], INTERVAL, interval_sub),
    scalar(1171, "date_part", &[TEXT, TIMESTAMPTZ], FLOAT8, date_part).stable(),
    scalar(1172, "date_part", &[TEXT, INTERVAL], FLOAT8, date_part),
    scalar(1175, "justify_hours", &[INTERVAL], INTERVAL, justify_hours),
    scalar(1188, "timestamptz_mi", &[TIMESTAMPTZ, TIMESTAMPTZ], INTERVAL, timestamp_diff),
    scalar(1189, "timestamptz_pl_interval", &[TIMESTAMPTZ, INTERVAL], TIMESTAMPTZ, timestamptz_add).stable(),
    scalar(1190, "timestamptz_mi_interval", &[TIMESTAMPTZ, INTERVAL], TIMESTAMPTZ, timestamptz_sub).stable(),
    scalar(1199, "age", &[TIMESTAMPTZ, TIMESTAMPTZ], INTERVAL, age_of_instants),
    scalar(1217, "date_trunc", &[TEXT, TIMESTAMPTZ], TIMESTAMPTZ, trunc_timestamptz).stable(),
    scalar(1272, "datetime_pl", &[DATE, TIME], TIMESTAMP, date_plus_time),
    scalar(1284, "date_trunc", &[TEXT, TIMESTAMPTZ, TEXT], TIMESTAMPTZ, trunc_timestamptz_in).stable(),
    scalar(1295, "justify_days", &[INTERVAL], INTERVAL, justify_days),
    scalar(1296, "timedate_pl", &[TIME, DATE], TIMESTAMP, time_plus_date),
    scalar(1299, "now", &[], TIMESTAMPTZ, now).stable(),
    scalar(1326, "interval_div", &[INTERVAL, FLOAT8], INTERVAL, interval_div),
    scalar(1373, "isfinite", &[DATE], BOOL, is_finite),
    scalar(1384, "date_part", &[TEXT, DATE], FLOAT8, date_part_of_date),
    scalar(1385, "date_part", &[TEXT, TIME], FLOAT8, date_part),
    scalar(1386, "age", &[TIMESTAMPTZ], INTERVAL, age_of_instant_today).stable(),
    scalar(1389, "isfinite", &[TIMESTAMPTZ], BOOL, is_finite),
    scalar(1390, "isfinite", &[INTERVAL], BOOL, is_finite),
    scalar(1618, "interval_mul", &[INTERVAL, FLOAT8], INTERVAL, interval_mul),
    scalar(1624, "mul_d_interval", &[FLOAT8, INTERVAL], INTERVAL, mul_interval),
    scalar(1690, "time_mi_time", &[TIME, TIME], INTERVAL, time_diff),
    scalar(1747, "time_pl_interval", &[TIME, INTERVAL], TIME, time_add),
    scalar(1748, "time_mi_interval", &[TIME, INTERVAL], TIME, time_sub),
    scalar(1768, "to_char", &[INTERVAL, TEXT], TEXT, interval_to_char).stable(),
    scalar(1770, "to_char", &[TIMESTAMPTZ, TEXT], TEXT, to_char).stable(),
    scalar(1778, "to_timestamp", &[TEXT, TEXT], TIMESTAMPTZ, text_to_timestamp).stable(),
    scalar(1780, "to_date", &[TEXT, TEXT], DATE, text_to_date).stable(),
    scalar(1848, "interval_pl_time", &[INTERVAL, TIME], TIME, interval_add_time),
    scalar(2020, "date_trunc", &[TEXT, TIMESTAMP], TIMESTAMP, trunc_timestamp),
    scalar(2021, "date_part", &[TEXT, TIMESTAMP], FLOAT8, date_part),
    scalar(2031, "timestamp_mi", &[TIMESTAMP, TIMESTAMP], INTERVAL, timestamp_diff),
    scalar(2032, "timestamp_pl_interval", &[TIMESTAMP, INTERVAL], TIMESTAMP, timestamp_add),
    scalar(2033, "timestamp_mi_interval", &[TIMESTAMP, INTERVAL], TIMESTAMP, timestamp_sub),
    scalar(2048, "isfinite", &[TIMESTAMP], BOOL, is_finite),
    scalar(2049, "to_char", &[TIMESTAMP, TEXT], TEXT, to_char).stable(),
    scalar(2058, "age", &[TIMESTAMP, TIMESTAMP], INTERVAL, age),
    scalar(2059, "age", &[TIMESTAMP], INTERVAL, age_today).stable(),
    scalar(2069, "timezone", &[TEXT, TIMESTAMP], TIMESTAMPTZ, from_zone),
    scalar(2070, "timezone", &[INTERVAL, TIMESTAMP], TIMESTAMPTZ, from_offset),
    scalar(2071, "date_pl_interval", &[DATE, INTERVAL], TIMESTAMP, date_add_interval),
    scalar(2072, "date_mi_interval", &[DATE, INTERVAL], TIMESTAMP, date_sub_interval),
    scalar(2711, "justify_interval", &[INTERVAL], INTERVAL, justify_interval),
    scalar(3464, "make_interval", &[INT4, INT4, INT4, INT4, INT4, INT4, FLOAT8], INTERVAL, make_interval),
    scalar(3462, "make_timestamptz", &[INT4, INT4, INT4, INT4, INT4, FLOAT8], TIMESTAMPTZ, make_timestamptz).stable(),
    scalar(3463, "make_timestamptz", &[INT4, INT4, INT4, INT4, INT4, FLOAT8, TEXT], TIMESTAMPTZ, make_timestamptz).stable(),
    scalar(2546, "interval_pl_date", &[INTERVAL, DATE], TIMESTAMP, interval_add_date),
    scalar(2548, "interval_pl_timestamp", &[INTERVAL, TIMESTAMP], TIMESTAMP, interval_add_timestamp),
    scalar(2549, "interval_pl_timestamptz", &[INTERVAL, TIMESTAMPTZ], TIMESTAMPTZ, interval_add_timestamptz).stable(),
    scalar(2550, "integer_pl_date", &[INT4, DATE], DATE, int_add_date),
    scalar(2647, "transaction_timestamp", &[], TIMESTAMPTZ, now).stable(),
    scalar(2648, "statement_timestamp", &[], TIMESTAMPTZ, statement_timestamp).stable(),
    scalar(2649, "clock_timestamp", &[], TIMESTAMPTZ, clock_timestamp).volatile(),
    scalar(3461, "make_timestamp", &[INT4, INT4, INT4, INT4, INT4, FLOAT8], TIMESTAMP, make_timestamp),
    scalar(3846, "make_date", &[INT4, INT4, INT4], DATE, make_date),
    scalar(3847, "make_time", &[INT4, INT4, FLOAT8], TIME, make_time),
    scalar(6199, "extract", &[TEXT, DATE], NUMERIC, extract),
    scalar(6200, "extract", &[TEXT, TIME], NUMERIC, extract),
    scalar(6202, "extract", &[TEXT, TIMESTAMP], NUMERIC, extract),
    scalar(6203, "extract", &[TEXT, TIMESTAMPTZ], NUMERIC, extract).stable(),
    scalar(6204, "extract", &[TEXT, INTERVAL], NUMERIC, extract),
    scalar(90000, "current_date", &[], DATE, current_date).stable(),
    scalar(90001, "localtime", &[], TIME, localtime).stable(),
    scalar(90002, "localtimestamp", &[], TIMESTAMP, localtimestamp).stable(),
    scalar(90003, "current_timestamp", &[], TIMESTAMPTZ, now).stable(),
];
