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
        (TypeId::Numeric.array(), "{1.0,NULL}", "{1.00,NULL}"),
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
    let array = TypeId::Int4.array();
    assert_eq!(Datum::from_binary(array, &claims_too_much).unwrap_err().state.0, "08P01");
    assert_eq!(Datum::from_binary(SqlType::Text, &[0xff]).unwrap_err().state.0, "22021");
    assert_eq!(Datum::from_binary(SqlType::Int4, &[0; 5]).unwrap_err().state.0, "22P03");
}

/// All that a definition says of values agrees with itself, of every type and of arrays of it.
#[test]
fn examples_of_every_type_go_round_in_their_order() {
    for ty in SqlType::all() {
        let examples: Vec<String> = match ty.element() {
            Some(element) if matches!(ty, SqlType::Array(_)) => {
                let texts = element.def().examples.iter();
                let values = texts.map(|text| vec![parsed(element, text)]);
                values.map(|v| Datum::Array(v.into()).to_text(ty, &TextFormat::UTC)).collect()
            }
            _ => ty.def().examples.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert!(!examples.is_empty() || ty.def().pseudo, "{ty:?}");
        let mut before: Option<Datum> = None;
        for text in examples {
            let value = parsed(ty, &text);
            assert_eq!(value.to_text(ty, &TextFormat::UTC), text, "{ty:?}");
            let again = Datum::from_binary(ty, &value.to_binary(ty)).unwrap();
            assert!(ty.compare(&again, &value).is_eq(), "{ty:?} {text}");
            assert_eq!(again.to_text(ty, &TextFormat::UTC), text, "{ty:?}");
            assert_eq!(hash(ty, &again), hash(ty, &value), "{ty:?} {text}");
            if let Some(before) = before.replace(value.clone()) {
                assert!(ty.compare(&before, &value).is_lt(), "{ty:?} {text}");
                assert!(ty.compare(&value, &before).is_gt(), "{ty:?} {text}");
            }
            // Whoever does not know the type shows a value by its form.
            assert_eq!(value.natural_type().form() == ty.form(), ty.form() != Form::Padded);
        }
    }
}

/// Oids and names are nobody else's.
#[test]
fn no_two_types_share_what_names_them() {
    let mut oids = std::collections::BTreeSet::new();
    let mut names = std::collections::BTreeSet::new();
    for id in TypeId::ALL {
        let def = id.def();
        assert_eq!(TypeId::of(def.ty), Some(*id));
        assert_eq!(def.ty.typmod(), -1);
        assert!(oids.insert(def.oid), "{id:?}");
        assert!(def.array_oid == 0 || oids.insert(def.array_oid), "{id:?}");
        let others = def.aliases.iter().chain([&def.name]);
        assert!(others.into_iter().all(|name| names.insert(*name)), "{id:?}");
        let modifier = def.modifier.map_or(&[][..], |modifier| &modifier.functions);
        for (oid, name) in def.functions.iter().chain(modifier) {
            assert!(oids.insert(*oid) && names.insert(name), "{id:?} {name}");
        }
    }
}
