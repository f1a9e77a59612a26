//! From and to text, integers, floats and the wire.

use std::fmt;

use super::decimal::Decimal;
use super::{Numeric, NumericSign, SCALE_MAX, overflow};
use crate::error::{SqlError, SqlResult, SqlState};

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decimal() {
            Some(value) => write!(f, "{value}"),
            None => f.write_str(match self.sign {
                NumericSign::Infinity => "Infinity",
                NumericSign::NegativeInfinity => "-Infinity",
                _ => "NaN",
            }),
        }
    }
}

macro_rules! from_ints {
    ($($int:ty),*) => { $(impl From<$int> for Numeric {
        fn from(value: $int) -> Self {
            Numeric::from_i128(i128::from(value))
        }
    })* };
}

from_ints!(i16, i32, i64, u32);

impl Numeric {
    /// A whole number.
    pub fn from_i128(value: i128) -> Numeric {
        let decimal = Decimal::from_u128(value.unsigned_abs(), value < 0);
        // Ten digits of weight: it always fits.
        Numeric::from_decimal(decimal).unwrap_or(Numeric::NAN)
    }

    /// Reads text: digits, a point, an exponent, or the name of a special value; blanks around are ignored.
    pub fn parse(text: &str) -> SqlResult<Numeric> {
        let invalid = || {
            SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            )
        };
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, rest) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        let is = |name: &str| rest.eq_ignore_ascii_case(name);
        if is("infinity") || is("inf") {
            return Ok(if negative { Numeric::NEGATIVE_INFINITY } else { Numeric::INFINITY });
        }
        if trimmed.eq_ignore_ascii_case("nan") {
            return Ok(Numeric::NAN);
        }
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
            return Err(invalid());
        }
        let exponent = match exponent {
            None => 0,
            Some(text) => {
                let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
                if bare.is_empty() || !digits(bare) {
                    return Err(invalid());
                }
                // What does not fit is too large in either direction.
                text.parse::<i32>()
                    .ok()
                    .filter(|e| e.unsigned_abs() <= i32::MAX as u32 / 2)
                    .ok_or_else(overflow)?
            }
        };
        let decimal = from_places(whole, fraction, exponent, negative)?;
        Numeric::from_decimal(decimal)
    }

    /// The nearest whole number, if it fits.
    pub fn to_i128(&self) -> Option<i128> {
        let mut value = self.decimal()?;
        value.round(0);
        if value.integer_places() > 38 {
            return None;
        }
        value.to_string().parse().ok()
    }

    /// The nearest whole number as PostgreSQL's integer type of this name, or its error.
    fn to_int<T: TryFrom<i128>>(&self, name: &str) -> SqlResult<T> {
        if !self.is_finite() {
            let what = if self.is_nan() { "NaN" } else { "infinity" };
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert {what} to {name}"),
            ));
        }
        self.to_i128().and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
            SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
        })
    }

    /// As `smallint`.
    pub fn to_i16(&self) -> SqlResult<i16> {
        self.to_int("smallint")
    }

    /// As `integer`.
    pub fn to_i32(&self) -> SqlResult<i32> {
        self.to_int("integer")
    }

    /// As `bigint`.
    pub fn to_i64(&self) -> SqlResult<i64> {
        self.to_int("bigint")
    }

    /// As `double precision`; infinite if it does not fit.
    pub fn to_f64(&self) -> f64 {
        match (self.decimal(), self.sign) {
            (Some(value), _) => value.to_f64(),
            (None, NumericSign::Infinity) => f64::INFINITY,
            (None, NumericSign::NegativeInfinity) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// As `real`; infinite if it does not fit.
    pub fn to_f32(&self) -> f32 {
        match self.decimal() {
            Some(value) => value.to_string().parse().unwrap_or(f32::NAN),
            None => self.to_f64() as f32,
        }
    }

    /// From `double precision`: 15 significant digits, as PostgreSQL takes it.
    pub fn from_f64(value: f64) -> SqlResult<Numeric> {
        Numeric::from_float_text(value, &format!("{value:.14e}"))
    }

    /// From `real`: 6 significant digits, as PostgreSQL takes it.
    pub fn from_f32(value: f32) -> SqlResult<Numeric> {
        Numeric::from_float_text(f64::from(value), &format!("{value:.5e}"))
    }

    fn from_float_text(value: f64, text: &str) -> SqlResult<Numeric> {
        if value.is_nan() {
            return Ok(Numeric::NAN);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 { Numeric::INFINITY } else { Numeric::NEGATIVE_INFINITY });
        }
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        Numeric::parse(&format!("{mantissa}e{exponent}"))
    }

    /// The value of these wire fields: base-10000 digits, weight of the first, sign code, scale.
    pub fn from_wire(digits: Vec<u16>, weight: i16, sign: u16, scale: u16) -> SqlResult<Numeric> {
        let invalid = |what: &str| {
            SqlError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                format!("invalid {what} in external \"numeric\" value"),
            )
        };
        let negative = match sign {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Ok(Numeric::NAN),
            0xd000 => return Ok(Numeric::INFINITY),
            0xf000 => return Ok(Numeric::NEGATIVE_INFINITY),
            _ => return Err(invalid("sign")),
        };
        if i32::from(scale) > SCALE_MAX {
            return Err(invalid("scale"));
        }
        if digits.iter().any(|d| *d > 9999) {
            return Err(invalid("digit"));
        }
        let mut value =
            Decimal { negative, digits, weight: i32::from(weight), scale: i32::from(scale) };
        value.strip();
        // Digits beyond the scale would be invisible and yet count: they are cut, as PostgreSQL does.
        value.truncate(i32::from(scale));
        Numeric::from_decimal(value)
    }

    /// The sign code of the wire format.
    pub fn wire_sign(&self) -> u16 {
        match self.sign {
            NumericSign::Positive => 0x0000,
            NumericSign::Negative => 0x4000,
            NumericSign::NaN => 0xc000,
            NumericSign::Infinity => 0xd000,
            NumericSign::NegativeInfinity => 0xf000,
        }
    }
}

/// A decimal from the places before and after the point, and a power of ten.
fn from_places(whole: &str, fraction: &str, exponent: i32, negative: bool) -> SqlResult<Decimal> {
    let scale = (fraction.len() as i64 - i64::from(exponent)).max(0);
    let places: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    let first = places.iter().position(|d| *d != 0);
    let Some(first) = first else {
        let scale = scale.min(i64::from(SCALE_MAX)) as i32;
        return Ok(Decimal { scale, ..Decimal::default() });
    };
    if scale > i64::from(SCALE_MAX) {
        return Err(overflow());
    }
    // Decimal exponent of the first place that counts.
    let top = whole.len() as i64 - 1 - first as i64 + i64::from(exponent);
    let weight = top.div_euclid(4);
    if weight > i64::from(i16::MAX) {
        return Err(overflow());
    }
    let lead = 3 - top.rem_euclid(4) as usize;
    let mut digits = Vec::with_capacity((places.len() - first + lead) / 4 + 1);
    let mut digit = 0u16;
    let mut filled = lead;
    for place in &places[first..] {
        digit = digit * 10 + u16::from(*place);
        filled += 1;
        if filled == 4 {
            digits.push(digit);
            digit = 0;
            filled = 0;
        }
    }
    if filled > 0 {
        digits.push(digit * 10u16.pow(4 - filled as u32));
    }
    let mut out = Decimal { negative, digits, weight: weight as i32, scale: scale as i32 };
    out.strip();
    Ok(out)
}
