//! `date`, `time`, `timestamp`, `timestamptz` and `interval` as types.

use bytes::{Buf, BufMut, BytesMut};

use super::{
    DAY, Interval, IntervalFields, IntervalModifier, MAX_TIME_DIGITS, check_date, check_timestamp,
    date_out_of_range, is_infinite, parse_date, parse_interval_in, parse_time, parse_timestamp,
    parse_timestamptz, round_micros, timestamp_out_of_range, write_date, write_interval,
    write_time, write_timestamp, write_timestamptz,
};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::definition::{Codec, Form, Measure, Modifier, TypeDef};
use crate::types::{Datum, SqlType, TextFormat, wire};

pub(in crate::types) static DATE: TypeDef = TypeDef {
    array_oid: 1182,
    len: 4,
    category: 'D',
    functions: [(1084, "date_in"), (1085, "date_out"), (2468, "date_recv"), (2469, "date_send")],
    measure: |_| Measure::Seconds(0),
    examples: &["-infinity", "1999-12-31", "2000-01-01", "2024-02-29", "infinity"],
    ..TypeDef::base(SqlType::Date, 1082, "date", Form::Date, DATE_CODEC)
};

pub(in crate::types) static TIME: TypeDef = TypeDef {
    array_oid: 1183,
    name: "time without time zone",
    aliases: &["time"],
    len: 8,
    align: 'd',
    category: 'D',
    functions: [(1143, "time_in"), (1144, "time_out"), (2470, "time_recv"), (2471, "time_send")],
    modifier: Some(&Modifier {
        with_typmod: |typmod| SqlType::Time(digits_of(typmod)),
        name: |ty| format!("time({}) without time zone", digits(ty).unwrap_or(0)),
        of_stored: |digits, _| Some(SqlType::Time(digits_of(i32::try_from(digits).ok()?))),
        functions: [(2909, "timetypmodin"), (2910, "timetypmodout")],
        ..DIGITS
    }),
    fit: Some(|value, ty, _| match (ty, value) {
        (SqlType::Time(Some(digits)), Datum::Time(micros)) => {
            Ok(Datum::Time(round_micros(micros, digits)))
        }
        (_, value) => Ok(value),
    }),
    measure: seconds,
    examples: &["00:00:00", "12:30:00.5", "24:00:00"],
    ..TypeDef::base(SqlType::Time(None), 1083, "time", Form::Time, TIME_CODEC)
};

pub(in crate::types) static TIMESTAMP: TypeDef = TypeDef {
    array_oid: 1115,
    name: "timestamp without time zone",
    aliases: &["timestamp"],
    len: 8,
    align: 'd',
    category: 'D',
    functions: [
        (1312, "timestamp_in"),
        (1313, "timestamp_out"),
        (2474, "timestamp_recv"),
        (2475, "timestamp_send"),
    ],
    modifier: Some(&Modifier {
        with_typmod: |typmod| SqlType::Timestamp(digits_of(typmod)),
        name: |ty| format!("timestamp({}) without time zone", digits(ty).unwrap_or(0)),
        of_stored: |digits, _| Some(SqlType::Timestamp(digits_of(i32::try_from(digits).ok()?))),
        functions: [(2905, "timestamptypmodin"), (2906, "timestamptypmodout")],
        ..DIGITS
    }),
    fit: Some(|value, ty, _| match (ty, value) {
        (SqlType::Timestamp(Some(digits)), Datum::Timestamp(micros)) => {
            round_timestamp(micros, digits).map(Datum::Timestamp)
        }
        (_, value) => Ok(value),
    }),
    measure: seconds,
    examples: &["-infinity", "1999-12-31 23:59:59.999999", "2000-01-01 00:00:00", "infinity"],
    ..TypeDef::base(SqlType::Timestamp(None), 1114, "timestamp", Form::Timestamp, TIMESTAMP_CODEC)
};

pub(in crate::types) static TIMESTAMPTZ: TypeDef = TypeDef {
    array_oid: 1185,
    name: "timestamp with time zone",
    aliases: &["timestamptz"],
    len: 8,
    align: 'd',
    category: 'D',
    preferred: true,
    functions: [
        (1150, "timestamptz_in"),
        (1151, "timestamptz_out"),
        (2476, "timestamptz_recv"),
        (2477, "timestamptz_send"),
    ],
    modifier: Some(&Modifier {
        with_typmod: |typmod| SqlType::TimestampTz(digits_of(typmod)),
        name: |ty| format!("timestamp({}) with time zone", digits(ty).unwrap_or(0)),
        of_stored: |digits, _| Some(SqlType::TimestampTz(digits_of(i32::try_from(digits).ok()?))),
        functions: [(2907, "timestamptztypmodin"), (2908, "timestamptztypmodout")],
        ..DIGITS
    }),
    fit: Some(|value, ty, _| match (ty, value) {
        (SqlType::TimestampTz(Some(digits)), Datum::TimestampTz(micros)) => {
            round_timestamp(micros, digits).map(Datum::TimestampTz)
        }
        (_, value) => Ok(value),
    }),
    measure: seconds,
    examples: &["-infinity", "1999-12-31 23:59:59.999999+00", "2000-01-01 00:00:00+00", "infinity"],
    ..TypeDef::base(
        SqlType::TimestampTz(None),
        1184,
        "timestamptz",
        Form::TimestampTz,
        TIMESTAMPTZ_CODEC,
    )
};

pub(in crate::types) static INTERVAL: TypeDef = TypeDef {
    array_oid: 1187,
    len: 16,
    align: 'd',
    category: 'T',
    preferred: true,
    functions: [
        (1160, "interval_in"),
        (1161, "interval_out"),
        (2478, "interval_recv"),
        (2479, "interval_send"),
    ],
    modifier: Some(&Modifier {
        typmod: |ty| declared(ty).map_or(-1, IntervalModifier::typmod),
        with_typmod: |typmod| SqlType::Interval(IntervalModifier::of_typmod(typmod)),
        name: |ty| declared(ty).map_or_else(String::new, |modifier| format!("interval{modifier}")),
        stored: |ty| (declared(ty).map_or(0, IntervalModifier::typmod) as u32, 0),
        of_stored: |typmod, _| {
            let typmod = i32::try_from(typmod).ok()?;
            Some(SqlType::Interval(IntervalModifier::of_typmod(typmod)))
        },
        functions: [(2903, "intervaltypmodin"), (2904, "intervaltypmodout")],
    }),
    fit: Some(|value, ty, _| match (ty, value) {
        (SqlType::Interval(Some(modifier)), Datum::Interval { months, days, micros }) => {
            modifier.apply(Interval { months, days, micros }).map(Datum::from)
        }
        (_, value) => Ok(value),
    }),
    measure: |ty| {
        let digits = declared(ty).and_then(IntervalModifier::digits);
        Measure::Seconds(digits.unwrap_or(MAX_TIME_DIGITS))
    },
    examples: &["-1 days", "00:00:00", "00:00:00.5", "1 day 02:00:00", "3 mons"],
    ..TypeDef::base(SqlType::Interval(None), 1186, "interval", Form::Interval, INTERVAL_CODEC)
};

/// What modifiers that are digits of fractional seconds have in common.
const DIGITS: Modifier = Modifier {
    typmod: |ty| digits(ty).map_or(-1, i32::from),
    with_typmod: |_| SqlType::Unknown,
    name: |_| String::new(),
    stored: |ty| (digits(ty).unwrap_or(0).into(), 0),
    of_stored: |_, _| None,
    functions: [(0, ""); 2],
};

const DATE_CODEC: Codec = Codec {
    parse: |_, text, format| parse_date(text, format).map(Datum::Date),
    write,
    receive: |_, bytes, _| {
        let days = i32::from_be_bytes(wire::exactly(bytes)?);
        let infinite = days == i32::MIN || days == i32::MAX;
        if !infinite && check_date(i64::from(days)).is_none() {
            return Err(date_out_of_range());
        }
        Ok(Datum::Date(days))
    },
    send,
};

const TIME_CODEC: Codec = Codec {
    parse: |_, text, format| parse_time(text, format).map(Datum::Time),
    receive: |_, bytes, _| {
        let micros = i64::from_be_bytes(wire::exactly(bytes)?);
        if !(0..=DAY).contains(&micros) {
            return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
        }
        Ok(Datum::Time(micros))
    },
    ..DATE_CODEC
};

const TIMESTAMP_CODEC: Codec = Codec {
    parse: |_, text, format| parse_timestamp(text, format).map(Datum::Timestamp),
    receive: |_, bytes, _| receive_timestamp(bytes).map(Datum::Timestamp),
    ..DATE_CODEC
};

const TIMESTAMPTZ_CODEC: Codec = Codec {
    parse: |_, text, format| parse_timestamptz(text, format).map(Datum::TimestampTz),
    receive: |_, bytes, _| receive_timestamp(bytes).map(Datum::TimestampTz),
    ..DATE_CODEC
};

const INTERVAL_CODEC: Codec = Codec {
    parse: |ty, text, format| {
        let fields = declared(ty).map_or(IntervalFields::ALL, IntervalModifier::fields);
        Ok(parse_interval_in(text, fields, format.style.intervals)?.into())
    },
    receive: |_, bytes, _| {
        let mut rest = &wire::exactly::<16>(bytes)?[..];
        let (micros, days, months) = (rest.get_i64(), rest.get_i32(), rest.get_i32());
        Ok(Datum::Interval { months, days, micros })
    },
    ..DATE_CODEC
};

/// The declared digits of fractional seconds.
fn digits(ty: SqlType) -> Option<u8> {
    match ty {
        SqlType::Time(digits) | SqlType::Timestamp(digits) | SqlType::TimestampTz(digits) => digits,
        _ => None,
    }
}

fn digits_of(typmod: i32) -> Option<u8> {
    u8::try_from(typmod).ok().filter(|digits| *digits <= MAX_TIME_DIGITS)
}

fn seconds(ty: SqlType) -> Measure {
    Measure::Seconds(digits(ty).unwrap_or(MAX_TIME_DIGITS))
}

/// An interval's declared fields and digits.
fn declared(ty: SqlType) -> Option<IntervalModifier> {
    match ty {
        SqlType::Interval(modifier) => modifier,
        _ => None,
    }
}

fn round_timestamp(micros: i64, digits: u8) -> SqlResult<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    check_timestamp(round_micros(micros, digits).into()).ok_or_else(timestamp_out_of_range)
}

fn receive_timestamp(bytes: &[u8]) -> SqlResult<i64> {
    let micros = i64::from_be_bytes(wire::exactly(bytes)?);
    if !is_infinite(micros) && check_timestamp(i128::from(micros)).is_none() {
        return Err(timestamp_out_of_range());
    }
    Ok(micros)
}

fn write(value: &Datum, ty: SqlType, format: &TextFormat, out: &mut String) {
    match value {
        Datum::Date(days) => write_date(out, *days, &format.style),
        Datum::Time(micros) => write_time(out, *micros),
        Datum::Timestamp(micros) => write_timestamp(out, *micros, &format.style),
        Datum::TimestampTz(micros) => write_timestamptz(out, *micros, format),
        Datum::Interval { months, days, micros } => {
            let interval = Interval { months: *months, days: *days, micros: *micros };
            write_interval(out, interval, format.style.intervals);
        }
        other => other.write_as_it_is(ty, format, out),
    }
}

fn send(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    match value {
        Datum::Date(value) => out.put_i32(*value),
        Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            out.put_i64(*value);
        }
        Datum::Interval { months, days, micros } => {
            out.put_i64(*micros);
            out.put_i32(*days);
            out.put_i32(*months);
        }
        other => other.send_as_it_is(ty, out),
    }
}
