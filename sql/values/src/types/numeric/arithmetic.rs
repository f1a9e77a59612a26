//! Operators and simple functions, with PostgreSQL's scales of results.

use std::cmp::Ordering;

use super::decimal::{DIGIT_PLACES, Decimal};
use super::{Numeric, NumericSign, SCALE_MAX};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::interrupt::Interrupt;

/// Significant decimal digits that a quotient has at least.
pub(super) const SIGNIFICANT_MIN: i32 = 16;

/// Scale that a computed result (quotient, root, logarithm) shows at most.
pub(super) const DISPLAY_SCALE_MAX: i32 = 1000;

fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// The scale that PostgreSQL gives a quotient: 16 significant digits, and no less than either operand's.
pub(super) fn quotient_scale(a: &Decimal, b: &Decimal) -> i32 {
    let first = |d: &Decimal| d.digits.first().copied().unwrap_or(0);
    let mut weight = a.weight - b.weight;
    if first(a) <= first(b) {
        weight -= 1;
    }
    let scale = SIGNIFICANT_MIN - weight * DIGIT_PLACES;
    scale.max(a.scale).max(b.scale).clamp(0, DISPLAY_SCALE_MAX)
}

impl Numeric {
    /// The value with the opposite sign.
    pub fn neg(&self) -> Numeric {
        let sign = match self.sign {
            NumericSign::Positive if self.digits.is_empty() => NumericSign::Positive,
            NumericSign::Positive => NumericSign::Negative,
            NumericSign::Negative => NumericSign::Positive,
            NumericSign::Infinity => NumericSign::NegativeInfinity,
            NumericSign::NegativeInfinity => NumericSign::Infinity,
            NumericSign::NaN => NumericSign::NaN,
        };
        Numeric { sign, ..self.clone() }
    }

    /// The magnitude.
    pub fn abs(&self) -> Numeric {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The sum.
    pub fn add(&self, other: &Numeric) -> SqlResult<Numeric> {
        match (self.decimal(), other.decimal()) {
            (Some(a), Some(b)) => Numeric::from_decimal(a.add(&b)),
            (None, Some(_)) => Ok(self.clone()),
            (Some(_), None) => Ok(other.clone()),
            (None, None) if self.sign == other.sign => Ok(self.clone()),
            (None, None) => Ok(Numeric::NAN),
        }
    }

    /// The difference.
    pub fn sub(&self, other: &Numeric) -> SqlResult<Numeric> {
        self.add(&other.neg())
    }

    /// The product.
    pub fn mul(&self, other: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        match (self.decimal(), other.decimal()) {
            (Some(a), Some(b)) => Numeric::from_decimal(a.mul(&b, within)?),
            _ => Ok(Numeric::product_of_signs(self.signum(), other.signum())),
        }
    }

    /// What becomes of an infinity times, or divided by, something of a sign.
    fn product_of_signs(a: Option<i32>, b: Option<i32>) -> Numeric {
        match (a, b) {
            (Some(a), Some(b)) => match (a * b).cmp(&0) {
                Ordering::Less => Numeric::NEGATIVE_INFINITY,
                Ordering::Equal => Numeric::NAN,
                Ordering::Greater => Numeric::INFINITY,
            },
            _ => Numeric::NAN,
        }
    }

    /// The quotient, with PostgreSQL's scale.
    pub fn div(&self, other: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        match (self.decimal(), other.decimal()) {
            (Some(_), Some(b)) if b.is_zero() => Err(division_by_zero()),
            (Some(a), Some(b)) => {
                Numeric::from_decimal(a.div(&b, quotient_scale(&a, &b), true, within)?)
            }
            (None, Some(b)) if b.is_zero() && !self.is_nan() => Err(division_by_zero()),
            (None, Some(_)) => Ok(Numeric::product_of_signs(self.signum(), other.signum())),
            (Some(_), None) if !other.is_nan() => Ok(Numeric::ZERO),
            _ => Ok(Numeric::NAN),
        }
    }

    /// The quotient cut to a whole number (`div(a, b)`).
    pub fn div_trunc(&self, other: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        match (self.decimal(), other.decimal()) {
            (Some(a), Some(b)) if !b.is_zero() => {
                Numeric::from_decimal(a.div(&b, 0, false, within)?)
            }
            _ => self.div(other, within),
        }
    }

    /// The remainder of the cut division; it has the dividend's sign.
    pub fn rem(&self, other: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        match (self.decimal(), other.decimal()) {
            (Some(_), Some(b)) if b.is_zero() => Err(division_by_zero()),
            (Some(a), Some(b)) => Numeric::from_decimal(a.rem(&b, within)?),
            (None, Some(b)) if b.is_zero() && !self.is_nan() => Err(division_by_zero()),
            (Some(_), None) if !other.is_nan() => Ok(self.clone()),
            _ => Ok(Numeric::NAN),
        }
    }

    fn map(&self, change: impl FnOnce(&mut Decimal)) -> SqlResult<Numeric> {
        let Some(mut value) = self.decimal() else { return Ok(self.clone()) };
        change(&mut value);
        Numeric::from_decimal(value)
    }

    /// Rounded half away from zero to so many places; negative ones are before the point.
    pub fn round(&self, scale: i32) -> SqlResult<Numeric> {
        // Beyond these bounds nothing changes, and places fit an i32.
        self.map(|value| value.round(scale.clamp(-2 * SCALE_MAX * DIGIT_PLACES, SCALE_MAX)))
    }

    /// Cut to so many places.
    pub fn trunc(&self, scale: i32) -> SqlResult<Numeric> {
        self.map(|value| value.truncate(scale.clamp(-2 * SCALE_MAX * DIGIT_PLACES, SCALE_MAX)))
    }

    /// The least whole number that is not less.
    pub fn ceil(&self) -> SqlResult<Numeric> {
        self.map(|value| {
            let whole = floor(value, true);
            *value = whole;
        })
    }

    /// The greatest whole number that is not greater.
    pub fn floor(&self) -> SqlResult<Numeric> {
        self.map(|value| {
            let whole = floor(value, false);
            *value = whole;
        })
    }

    /// Without the zeros at the end that are shown.
    pub fn trim_scale(&self) -> Numeric {
        match self.decimal() {
            Some(value) => Numeric { scale: value.min_scale() as u16, ..self.clone() },
            None => self.clone(),
        }
    }

    /// The least scale that shows every digit. None for NaN and the infinities.
    pub fn min_scale(&self) -> Option<i32> {
        self.decimal().map(|value| value.min_scale())
    }

    /// Rounds to a declared precision and scale; an error if there are too many places before the point.
    pub fn apply_modifier(&self, precision: u16, scale: i16) -> SqlResult<Numeric> {
        let error = |detail: String| {
            SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .detail(detail)
        };
        let Some(mut value) = self.decimal() else {
            if self.is_nan() {
                return Ok(self.clone());
            }
            return Err(error(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            )));
        };
        value.round(i32::from(scale));
        let places_max = i32::from(precision) - i32::from(scale);
        if !value.is_zero() && value.exponent() >= places_max {
            let bound = if places_max == 0 { "1".to_owned() } else { format!("10^{places_max}") };
            return Err(error(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
            )));
        }
        Numeric::from_decimal(value)
    }
}

/// The whole number next to a value, up or down.
fn floor(value: &Decimal, up: bool) -> Decimal {
    let mut whole = value.clone();
    whole.truncate(0);
    if value.negative != up && value.compare(&whole) != Ordering::Equal {
        whole = if up { whole.add(&Decimal::one()) } else { whole.sub(&Decimal::one()) };
    }
    whole.scale = 0;
    whole
}
