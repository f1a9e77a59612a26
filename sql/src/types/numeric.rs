//! `numeric`: decimal numbers of any size, as PostgreSQL has them.

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
