//! What the golden file cannot say: sizes, bounds and laws. Results are in `testdata/values.tsv`.

use super::*;
use crate::interrupt::Interrupt;

fn number(text: &str) -> Numeric {
    Numeric::parse(text).unwrap()
}

#[test]
fn the_size_is_bounded_and_the_bound_is_reached() {
    let largest = number(&"9".repeat(131_072));
    assert_eq!(largest.to_string().len(), 131_072);
    assert_eq!(largest.add(&number("1")).unwrap_err().state.0, "22003");
    assert_eq!(largest.mul(&number("10"), Interrupt::none()).unwrap_err().state.0, "22003");
    assert_eq!(number("1e131071").to_string().len(), 131_072);
    assert!(Numeric::parse("1e131072").is_err());
    assert_eq!(number("1e-16383").scale, 16_383);
    assert!(Numeric::parse("1e-16384").is_err());
}

#[test]
fn large_products_divide_again() {
    let mut a = number("123456789123456789987654321");
    for _ in 0..6 {
        let square = a.mul(&a, Interrupt::none()).unwrap();
        assert!(square.div(&a, Interrupt::none()).unwrap().compare(&a).is_eq());
        assert!(square.sqrt(Interrupt::none()).unwrap().compare(&a).is_eq());
        assert!(square.rem(&a, Interrupt::none()).unwrap().is_zero());
        a = square;
    }
}

#[test]
fn quotient_and_remainder_make_the_dividend() {
    let values = ["0", "7", "-7", "0.5", "-12345678901234567890.123", "99999999", "1e-9", "3e30"];
    for a in values.map(number) {
        for b in values.map(number) {
            if b.is_zero() {
                assert_eq!(a.div(&b, Interrupt::none()).unwrap_err().state.0, "22012");
                continue;
            }
            let whole = a.div_trunc(&b, Interrupt::none()).unwrap();
            let back = whole
                .mul(&b, Interrupt::none())
                .unwrap()
                .add(&a.rem(&b, Interrupt::none()).unwrap())
                .unwrap();
            assert!(back.compare(&a).is_eq(), "{a} {b}");
        }
    }
}

/// Numbers of all lengths, of any digits or of those that estimates of a quotient err most with.
fn long_numbers() -> Vec<Numeric> {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (0..120)
        .map(|index| {
            let groups = 1 + next(1 << (index % 8));
            let hard = ["0000", "0001", "4999", "5000", "9998", "9999"];
            let group = |_| match index % 3 {
                0 => hard[next(6) as usize].to_owned(),
                _ => format!("{:04}", next(10_000)),
            };
            let digits: String = (0..groups).map(group).collect();
            let (whole, fraction) = digits.split_at(next(digits.len() as u64 + 1) as usize);
            number(&format!("1{whole}.{fraction}1"))
        })
        .collect()
}

#[test]
fn long_division_has_the_remainder_that_products_leave() {
    let within = Interrupt::none();
    let numbers = long_numbers();
    for a in &numbers {
        for b in &numbers {
            let (whole, rest) = (a.div_trunc(b, within).unwrap(), a.rem(b, within).unwrap());
            assert!(!rest.is_negative() && rest.compare(b).is_lt(), "{a} {b}");
            assert!(whole.mul(b, within).unwrap().add(&rest).unwrap().compare(a).is_eq());
        }
    }
}

#[test]
fn roots_are_rounded_as_their_squares_say() {
    let within = Interrupt::none();
    let square = |n: &Numeric| n.mul(n, within).unwrap();
    for a in long_numbers() {
        let root = a.sqrt(within).unwrap();
        let half = number(&format!("5e-{}", root.scale + 1));
        assert!(square(&root.sub(&half).unwrap()).compare(&a).is_le(), "{a}");
        assert!(square(&root.add(&half).unwrap()).compare(&a).is_gt(), "{a}");
        assert!(square(&a).sqrt(within).unwrap().compare(&a).is_eq(), "{a}");
    }
    // Halves go up: these squares have roots that end with a five where the rounding is.
    assert_eq!(number("0.25").sqrt(within).unwrap().round(0).unwrap().to_string(), "1");
}

/// The work of the last step, and of all steps before it once more: not of twenty steps like the last.
#[test]
fn a_root_takes_no_more_work_than_a_division() {
    let long = number(&"7".repeat(131_000));
    let division = Interrupt::bounded(1_000_000);
    long.div_trunc(&number(&"3".repeat(65_500)), &division).unwrap();
    long.sqrt(&Interrupt::bounded(300_000)).unwrap();
}

/// The logarithm of a long number takes as many places as are shown, not as the number has.
#[test]
fn logarithms_of_long_numbers_are_those_of_their_first_places() {
    let within = Interrupt::bounded(20_000);
    let (long, tiny) =
        (number(&"7".repeat(131_000)), number(&format!("0.{}7", "0".repeat(16_000))));
    let error =
        |logarithm: Numeric, expected: f64| (logarithm.to_f64() - expected).abs() / expected.abs();
    let ten = std::f64::consts::LN_10;
    assert!(error(long.ln(&within).unwrap(), (7.0f64 / 9.0).ln() + 131_000.0 * ten) < 1e-15);
    assert!(error(tiny.ln(&within).unwrap(), 7.0f64.ln() - 16_001.0 * ten) < 1e-15);
    assert!(
        error(number("10").log(&long, &within).unwrap(), 131_000.0 + (7.0f64 / 9.0).log10())
            < 1e-15
    );
}

#[test]
fn integers_come_back() {
    for value in [0, 1, -1, 9999, 10_000, -10_001, i64::MAX, i64::MIN] {
        let number = Numeric::from(value);
        assert_eq!(number.to_i64().unwrap(), value);
        assert_eq!(number.to_string(), value.to_string());
    }
    let wide = Numeric::from_i128(i128::from(i64::MAX) + 1);
    assert_eq!(wide.to_i64().unwrap_err().message, "bigint out of range");
    assert_eq!(Numeric::NAN.to_i32().unwrap_err().state.0, "0A000");
}

#[test]
fn the_order_is_total() {
    let sorted = [
        "-Infinity",
        "-1e20",
        "-1.5",
        "-0.001",
        "0",
        "1e-20",
        "0.1",
        "1",
        "1.5",
        "1e20",
        "Infinity",
        "NaN",
    ]
    .map(number);
    for (i, a) in sorted.iter().enumerate() {
        for (j, b) in sorted.iter().enumerate() {
            assert_eq!(a.compare(b), i.cmp(&j), "{a} {b}");
        }
    }
    assert!(number("1.0").compare(&number("1.000")).is_eq());
}
