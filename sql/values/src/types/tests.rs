use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

use super::*;

fn parsed(ty: SqlType, text: &str) -> Datum {
    Datum::parse_text(ty, text, &TextFormat::UTC).unwrap()
}

fn hash(ty: SqlType, value: &Datum) -> u64 {
    let mut hasher = DefaultHasher::new();
    ty.hash(value, &mut hasher);
    hasher.finish()
}

#[test]
fn what_is_equal_hashes_alike() {
    let cases = [
        (SqlType::Numeric(None), "1.0", "1.000"),
        (SqlType::Float8, "0", "-0"),
        (SqlType::Float8, "NaN", "nan"),
        (SqlType::Char(None), "ab", "ab  "),
        (SqlType::Interval(None), "1 mon", "30 days"),
        (SqlType::Interval(None), "1 day", "24:00"),
        (SqlType::Array(ElementType::Numeric(None)), "{1.0,NULL}", "{1.00,NULL}"),
    ];
    for (ty, a, b) in cases {
        let (a, b) = (parsed(ty, a), parsed(ty, b));
        assert!(ty.compare(&a, &b).is_eq(), "{a:?} {b:?}");
        assert_eq!(hash(ty, &a), hash(ty, &b), "{a:?} {b:?}");
    }
    assert!(SqlType::Text.compare(&Datum::text("ab"), &Datum::text("ab ")).is_lt());
    assert!(
        SqlType::Float8.compare(&Datum::Float8(f64::NAN), &Datum::Float8(f64::INFINITY)).is_gt()
    );
}

#[test]
fn assignments_refuse_what_casts_cut() {
    let cases = [
        (SqlType::Varchar(Some(3)), "abcd", "abc", false),
        (SqlType::Varchar(Some(3)), "abc ", "abc", true),
        (SqlType::Varchar(Some(3)), "äöüß", "äöü", false),
        (SqlType::Char(Some(3)), "a", "a  ", true),
        (SqlType::Char(Some(3)), "abc   ", "abc", true),
        (SqlType::Char(Some(3)), "abcd", "abc", false),
    ];
    for (ty, text, expected, assignable) in cases {
        let cut = Datum::text(text).apply_modifier(ty, true).unwrap();
        assert_eq!(cut, Datum::text(expected));
        match Datum::text(text).apply_modifier(ty, false) {
            Ok(value) => assert!(assignable && value == cut, "{text}"),
            Err(error) => {
                assert!(!assignable, "{text}");
                assert_eq!(error.state.0, "22001");
                assert_eq!(error.message, format!("value too long for type {}", ty.name()));
            }
        }
    }
    let error = parsed(SqlType::Numeric(None), "999.995")
        .apply_modifier(SqlType::Numeric(Some((5, 2))), true)
        .unwrap_err();
    assert_eq!(error.message, "numeric field overflow");
    assert_eq!(
        error.detail.as_deref(),
        Some("A field with precision 5, scale 2 must round to an absolute value less than 10^3.")
    );
}

#[test]
fn hostile_bytes_are_refused() {
    let mut state = 1u64;
    for _ in 0..20_000 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        let len = next() % 41;
        // Small numbers make lengths and counts that nearly fit.
        let mut byte = || if next() % 2 == 0 { next() as u8 & 3 } else { next() as u8 };
        let bytes: Vec<u8> = (0..len).map(|_| byte()).collect();
        for ty in SqlType::all() {
            // Whatever is taken can be shown.
            if let Ok(value) = Datum::from_binary(ty, &bytes) {
                value.to_text(ty, &TextFormat::UTC);
            }
        }
    }
    let claims_too_much =
        [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23][..], &[0x7f; 4], &[0, 0, 0, 1]].concat();
    let array = SqlType::Array(ElementType::Int4);
    assert_eq!(Datum::from_binary(array, &claims_too_much).unwrap_err().state.0, "08P01");
    assert_eq!(Datum::from_binary(SqlType::Text, &[0xff]).unwrap_err().state.0, "22021");
    assert_eq!(Datum::from_binary(SqlType::Int4, &[0; 5]).unwrap_err().state.0, "22P03");
}
