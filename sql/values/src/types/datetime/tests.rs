//! What the golden file cannot say: the calendar's laws. Results are in `testdata/values.tsv`.

use super::*;
use crate::types::TextFormat;
use crate::types::{IntervalStyle, TextStyle};

#[test]
fn every_day_comes_back() {
    let ends = [
        i64::from(DATE_MIN),
        -2_000_000,
        -1,
        0,
        59,
        60,
        365,
        366,
        3_000_000,
        i64::from(DATE_END) - 800,
    ];
    for start in ends {
        let (mut year, mut month, mut day) = civil_from_days(start);
        for days in start..start + 800 {
            assert_eq!(civil_from_days(days), (year, month, day));
            assert_eq!(days_from_civil(year, month, day), days);
            day += 1;
            if day > month_days(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
    assert_eq!(civil_from_days(0), (2000, 1, 1));
    assert_eq!(civil_from_days(i64::from(DATE_MIN)), (-4713, 11, 24));
    assert_eq!(civil_from_days(i64::from(DATE_END) - 1), (5_874_897, 12, 31));
}

#[test]
fn output_reads_back() {
    let format = TextFormat::new("Europe/Berlin", 0);
    let step = (TIMESTAMP_END / 1000) * 2 - 12_345_678_901;
    let mut at = TIMESTAMP_MIN;
    while at < TIMESTAMP_END - step {
        let mut text = String::new();
        write_timestamp(&mut text, at, &TextStyle::DEFAULT);
        assert_eq!(parse_timestamp(&text, &format).unwrap(), at, "{text}");
        let mut text = String::new();
        write_timestamptz(&mut text, at, &format);
        assert_eq!(parse_timestamptz(&text, &format).unwrap(), at, "{text}");
        at += step;
    }
    for (months, days, micros) in
        [(0, 0, 0), (-1, 2, -3), (14, -31, DAY + 1), (i32::MAX, i32::MIN, i64::MAX), (-12, 0, 5)]
    {
        let interval = Interval { months, days, micros };
        let mut text = String::new();
        write_interval(&mut text, interval, IntervalStyle::Postgres);
        assert_eq!(parse_interval(&text, IntervalFields::ALL).unwrap(), interval, "{text}");
    }
}

#[test]
fn words_are_of_the_transactions_time() {
    // 2020-06-30 22:30 UTC is the next day in Berlin.
    let now = parse_timestamptz("2020-06-30 22:30:00Z", &TextFormat::UTC).unwrap();
    let format = TextFormat::new("Europe/Berlin", now);
    assert_eq!(parse_timestamptz("now", &format).unwrap(), now);
    let day = |text| parse_date(text, &format).unwrap();
    assert_eq!(day("today"), day("2020-07-01"));
    assert_eq!(day("yesterday"), day("2020-06-30"));
    assert_eq!(day("tomorrow"), day("2020-07-02"));
    assert_eq!(parse_timestamp("now", &format).unwrap(), now + 2 * HOUR);
    assert_eq!(parse_time("now", &format).unwrap(), 30 * MINUTE);
}

#[test]
fn zones_are_found_by_any_of_their_names() {
    let summer = parse_timestamptz("2020-07-01 00:00:00Z", &TextFormat::UTC).unwrap();
    let cases = [
        ("UTC", 0),
        ("europe/berlin", 7200),
        ("America/New_York", -4 * 3600),
        ("+02", 7200),
        ("-03:30", -12_600),
        ("EST", -5 * 3600),
        ("PST8PDT", -7 * 3600),
        ("Asia/Kolkata", 19_800),
    ];
    for (name, offset) in cases {
        assert_eq!(Zone::find(name).unwrap().offset_at(summer), offset, "{name}");
    }
    assert!(Zone::find("Nowhere/Land").is_none());
    // The rules go on where the database's years end.
    let berlin = Zone::find("Europe/Berlin").unwrap();
    let far = parse_timestamptz("100000-07-01 00:00:00Z", &TextFormat::UTC).unwrap();
    assert_eq!(berlin.offset_at(far), 7200);
}

#[test]
fn hostile_text_is_refused() {
    let format = TextFormat::UTC;
    let long = "9".repeat(100_000);
    for text in [
        &long[..],
        "99999999999999999999-01-01",
        "é",
        "1-1-1-1-1",
        ":::",
        "+",
        "J99999999999",
        "P9999999999999999999Y",
    ] {
        assert!(parse_date(text, &format).is_err(), "{text:.20}");
        assert!(parse_time(text, &format).is_err(), "{text:.20}");
        assert!(parse_timestamp(text, &format).is_err(), "{text:.20}");
        assert!(parse_interval(text, IntervalFields::ALL).is_err(), "{text:.20}");
    }
}
