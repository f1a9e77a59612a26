//! `numeric`: decimal numbers of any size, as PostgreSQL has them.

mod arithmetic;
mod convert;
mod decimal;
mod definition;
mod transcendental;

use std::cmp::Ordering;

use crate::error::{SqlError, SqlResult, SqlState};
use decimal::Decimal;
pub(super) use definition::NUMERIC;

/// Decimal places after the point that a value may show.
const SCALE_MAX: i32 = 16_383;

/// A decimal number, or NaN, or an infinity. Kept as base-10000 digits, like PostgreSQL's wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric {
    /// Sign or special value.
    pub sign: NumericSign,
    /// Base-10000 digits, most significant first, without leading or trailing zero digits.
    pub digits: Vec<u16>,
    /// Weight of the first digit, in powers of 10000.
    pub weight: i16,
    /// Decimal digits after the point that are shown.
    pub scale: u16,
}

/// Sign of a [`Numeric`], or what it is instead of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumericSign {
    /// Zero or more.
    Positive,
    /// Less than zero.
    Negative,
    /// Not a number; equal to itself and greater than all others, as in PostgreSQL.
    NaN,
    /// Plus infinity.
    Infinity,
    /// Minus infinity.
    NegativeInfinity,
}

fn overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

impl Numeric {
    /// Zero.
    pub const ZERO: Numeric = Numeric::special(NumericSign::Positive);
    /// Not a number.
    pub const NAN: Numeric = Numeric::special(NumericSign::NaN);
    /// Plus infinity.
    pub const INFINITY: Numeric = Numeric::special(NumericSign::Infinity);
    /// Minus infinity.
    pub const NEGATIVE_INFINITY: Numeric = Numeric::special(NumericSign::NegativeInfinity);

    const fn special(sign: NumericSign) -> Numeric {
        Numeric { sign, digits: Vec::new(), weight: 0, scale: 0 }
    }

    /// The finite value, if it is one.
    fn decimal(&self) -> Option<Decimal> {
        let negative = match self.sign {
            NumericSign::Positive => false,
            NumericSign::Negative => true,
            _ => return None,
        };
        let mut out = Decimal {
            negative,
            digits: self.digits.clone(),
            weight: i32::from(self.weight),
            scale: i32::from(self.scale),
        };
        // The fields are public: what others made may hold zeros at its ends.
        out.strip();
        Some(out)
    }

    fn from_decimal(mut value: Decimal) -> SqlResult<Numeric> {
        if value.scale > SCALE_MAX {
            value.round(SCALE_MAX);
        }
        let weight = i16::try_from(value.weight).map_err(|_| overflow())?;
        Ok(Numeric {
            sign: if value.negative { NumericSign::Negative } else { NumericSign::Positive },
            digits: value.digits,
            weight,
            scale: value.scale.max(0) as u16,
        })
    }

    /// True iff it is not a number.
    pub fn is_nan(&self) -> bool {
        self.sign == NumericSign::NaN
    }

    /// True iff it is neither NaN nor infinite.
    pub fn is_finite(&self) -> bool {
        matches!(self.sign, NumericSign::Positive | NumericSign::Negative)
    }

    /// True iff it is zero.
    pub fn is_zero(&self) -> bool {
        self.is_finite() && self.digits.is_empty()
    }

    /// True iff it is less than zero; minus infinity is.
    pub fn is_negative(&self) -> bool {
        matches!(self.sign, NumericSign::Negative | NumericSign::NegativeInfinity)
    }

    /// 1, 0 or -1; infinities have signs. None for NaN.
    pub fn signum(&self) -> Option<i32> {
        match self.sign {
            NumericSign::NaN => None,
            NumericSign::Infinity => Some(1),
            NumericSign::NegativeInfinity => Some(-1),
            NumericSign::Positive => Some(i32::from(!self.digits.is_empty())),
            NumericSign::Negative => Some(-1),
        }
    }
}

impl Ord for NumericSign {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |sign: &NumericSign| match sign {
            NumericSign::NegativeInfinity => 0,
            NumericSign::Negative => 1,
            NumericSign::Positive => 2,
            NumericSign::Infinity => 3,
            NumericSign::NaN => 4,
        };
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for NumericSign {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Numeric {
    /// PostgreSQL's order: by value, whatever the scale; NaN is equal to itself and greatest.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        match (self.decimal(), other.decimal()) {
            (Some(a), Some(b)) => a.compare(&b),
            _ => self.sign.cmp(&other.sign),
        }
    }
}

#[cfg(test)]
mod tests;
