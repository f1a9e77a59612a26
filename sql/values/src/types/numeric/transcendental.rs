//! Roots, powers, exponentials and logarithms, with PostgreSQL's scales of results.

use std::f64::consts::LOG10_E;

use super::arithmetic::{DISPLAY_SCALE_MAX, SIGNIFICANT_MIN};
use super::decimal::{DIGIT_PLACES, Decimal};
use super::{Numeric, NumericSign, overflow};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::interrupt::Interrupt;

/// Places that are computed beyond those shown.
const GUARD: i32 = 24;

/// Natural exponents from which on PostgreSQL refuses.
const EXPONENT_MAX: f64 = 6000.0;

fn power_error(what: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, what)
}

fn log_error(what: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, what)
}

fn finish(mut value: Decimal, scale: i32) -> SqlResult<Numeric> {
    value.round(scale);
    value.scale = scale.max(0);
    Numeric::from_decimal(value)
}

fn small(value: i64) -> Decimal {
    let mut out = Decimal::from_u128(u128::from(value.unsigned_abs()), false);
    out.negative = value < 0;
    out
}

/// The product, to so many places.
fn mul(a: &Decimal, b: &Decimal, places: i32, within: &Interrupt) -> SqlResult<Decimal> {
    let mut out = a.mul(b, within)?;
    out.round(places);
    Ok(out)
}

/// Significant places of a root that a float of its square gives.
const FLOAT_PLACES: i32 = 14;

/// The square root to so many places and [`GUARD`] more, by Newton's method; the argument is greater than zero.
fn sqrt(value: &Decimal, places: i32, within: &Interrupt) -> SqlResult<Decimal> {
    let places = places + GUARD;
    let exponent = value.exponent();
    let half = exponent.div_euclid(2);
    let mut root = rough_root(value)?;
    let mut right = FLOAT_PLACES;
    let wanted = places + half + 2;
    // Each step doubles the places that are right, and computes no more than those: so the last costs as much as all
    // others together.
    while right < wanted {
        right = (2 * right - 1).min(wanted);
        let step_places = right + 4 - half;
        let mut known = value.clone();
        known.round(right + 8 - exponent);
        let missing = known.sub(&root.mul(&root, within)?);
        let twice = root.add(&root);
        root = root.add(&missing.div(&twice, step_places, true, within)?);
        root.round(step_places);
    }
    root.round(places);
    Ok(root)
}

/// The square root of a number greater than zero, to the places of a float ([`FLOAT_PLACES`]).
fn rough_root(value: &Decimal) -> SqlResult<Decimal> {
    // The number is this times a power of 10,000, which has a root.
    let first = value.digits.iter().take(5).rev();
    let mantissa = first.fold(0.0, |rest, digit| rest / 10_000.0 + f64::from(*digit));
    let guess = format!("{:.15}e{}", mantissa.sqrt(), DIGIT_PLACES / 2 * value.weight);
    Numeric::parse(&guess)?.decimal().ok_or_else(|| SqlError::internal("a root that is no number"))
}

/// Rounds a root of [`GUARD`] more places. Where they do not tell on which side of a half it is squares do, which are
/// exact.
fn round_root(
    mut root: Decimal,
    value: &Decimal,
    scale: i32,
    within: &Interrupt,
) -> SqlResult<Decimal> {
    let unit = |digit: u16, places: i32| {
        let places_up = (places + DIGIT_PLACES - 1).div_euclid(DIGIT_PLACES);
        let power = 10u16.pow((places_up * DIGIT_PLACES - places) as u32);
        Decimal { negative: false, digits: vec![digit * power], weight: -places_up, scale: places }
    };
    let (last, half) = (unit(1, scale), unit(5, scale + 1));
    let mut cut = root.clone();
    cut.truncate(scale);
    let beyond_half = root.sub(&cut).sub(&half);
    let is_clear = !beyond_half.is_zero() && beyond_half.exponent() > -scale - GUARD / 2;
    root.round(scale);
    root.scale = scale;
    if is_clear {
        return Ok(root);
    }
    let below = root.sub(&half);
    let above = root.add(&half);
    let mut rounded = if !below.negative && below.mul(&below, within)?.compare(value).is_gt() {
        root.sub(&last)
    } else if above.mul(&above, within)?.compare(value).is_le() {
        root.add(&last)
    } else {
        root
    };
    rounded.scale = scale;
    Ok(rounded)
}

/// Weight beyond which a logarithm is computed without the power of ten.
const WEIGHT_MAX: i32 = 2;

/// The natural logarithm to so many places and [`GUARD`] more; the argument is greater than zero.
fn ln(value: &Decimal, places: i32, within: &Interrupt) -> SqlResult<Decimal> {
    if value.weight.abs() <= WEIGHT_MAX {
        return ln_of_small(value, places, within);
    }
    // ln(m · 10^e) = ln(m) + e · ln(10), which needs no places of m beyond those of the result.
    let mut mantissa = Decimal { weight: 0, ..value.clone() };
    mantissa.round(places + 2 * GUARD);
    let tens = i64::from(value.weight) * i64::from(DIGIT_PLACES);
    let ten = ln_of_small(&small(10), places + 6, within)?;
    Ok(ln_of_small(&mantissa, places, within)?.add(&ten.mul(&small(tens), within)?))
}

/// The same, of a number whose power of ten is small.
fn ln_of_small(value: &Decimal, places: i32, within: &Interrupt) -> SqlResult<Decimal> {
    let places = places + GUARD;
    // Roots bring it near one; each halves the logarithm.
    let mut reduced = value.clone();
    let mut doublings = 0;
    let (low, high) = (Numeric::parse("0.9"), Numeric::parse("1.1"));
    let bound =
        |n: SqlResult<Numeric>| n.ok().and_then(|n| n.decimal()).unwrap_or_else(Decimal::one);
    let (low, high) = (bound(low), bound(high));
    let places_root = places + 24;
    while reduced.compare(&low).is_lt() || reduced.compare(&high).is_gt() {
        reduced = sqrt(&reduced, places_root + (-reduced.exponent()).max(0), within)?;
        doublings += 1;
    }
    // ln(x) = 2 artanh((x-1)/(x+1))
    let one = Decimal::one();
    let z = reduced.sub(&one).div(&reduced.add(&one), places_root, true, within)?;
    let square = mul(&z, &z, places_root, within)?;
    let mut power = z.clone();
    let mut sum = z;
    let mut n = 3;
    while !power.is_zero() {
        power = mul(&power, &square, places_root, within)?;
        sum = sum.add(&power.div(&small(n), places_root, true, within)?);
        n += 2;
    }
    let mut factor = small(2);
    for _ in 0..doublings {
        factor = factor.add(&factor);
    }
    sum.mul(&factor, within)
}

/// e to a power, to so many significant-enough places: `places` after the point.
fn exp(value: &Decimal, places: i32, within: &Interrupt) -> SqlResult<Decimal> {
    // Halved until it is small; the result is squared as often.
    let magnitude = value.to_f64().abs();
    let halvings = if magnitude > 0.01 { (magnitude / 0.01).log2().ceil() as i32 } else { 0 };
    let whole_places = (value.to_f64() * LOG10_E).max(0.0) as i32;
    let places = places + GUARD + whole_places + halvings;
    let mut divisor = Decimal::one();
    for _ in 0..halvings {
        divisor = divisor.add(&divisor);
    }
    let x = value.div(&divisor, places, true, within)?;
    let mut sum = Decimal::one();
    let mut term = Decimal::one();
    let mut n = 1;
    loop {
        term = mul(&term, &x, places, within)?.div(&small(n), places, true, within)?;
        if term.is_zero() {
            break;
        }
        sum = sum.add(&term);
        n += 1;
    }
    for _ in 0..halvings {
        sum = mul(&sum, &sum, places, within)?;
    }
    Ok(sum)
}

/// Decimal weight of the natural logarithm: about `log10(|ln(x)|)`.
fn ln_weight(value: &Decimal) -> i32 {
    let one = Decimal::one();
    let distance = value.sub(&one);
    if distance.is_zero() {
        return 0;
    }
    let tenth = Decimal { negative: false, digits: vec![1000], weight: -1, scale: 1 };
    if distance.compare_magnitude(&tenth).is_le() {
        // ln(x) is about x - 1 near one.
        return distance.exponent();
    }
    // The mantissa's float and the exponent of ten.
    let exponent = value.exponent();
    let approximate = value.to_f64();
    let logarithm = if approximate.is_finite() && approximate > 0.0 {
        approximate.ln()
    } else {
        f64::from(exponent) * std::f64::consts::LN_10
    };
    logarithm.abs().log10() as i32
}

impl Numeric {
    /// The square root.
    pub fn sqrt(&self, within: &Interrupt) -> SqlResult<Numeric> {
        if self.is_negative() {
            return Err(power_error("cannot take square root of a negative number"));
        }
        let Some(value) = self.decimal() else { return Ok(self.clone()) };
        // About half as many places before the point as the argument has.
        let weight = (value.weight + 1) * DIGIT_PLACES / 2 - 1;
        let scale = (SIGNIFICANT_MIN - weight).max(value.scale).clamp(0, DISPLAY_SCALE_MAX);
        if value.is_zero() {
            return finish(value, scale);
        }
        let root = sqrt(&value, scale, within)?;
        Numeric::from_decimal(round_root(root, &value, scale, within)?)
    }

    /// e to this power.
    pub fn exp(&self, within: &Interrupt) -> SqlResult<Numeric> {
        let Some(value) = self.decimal() else {
            let negative = self.sign == NumericSign::NegativeInfinity;
            return Ok(if negative { Numeric::ZERO } else { self.clone() });
        };
        // PostgreSQL's bounds: beyond them it gives up, or zero.
        if value.to_f64() >= EXPONENT_MAX {
            return Err(overflow());
        }
        let places = value.to_f64() * LOG10_E;
        let clamped = places.clamp(-2000.0, 2000.0) as i32;
        let scale = (SIGNIFICANT_MIN - clamped).max(value.scale).clamp(0, DISPLAY_SCALE_MAX);
        if places < -f64::from(scale) - 2.0 {
            return finish(Decimal::default(), scale);
        }
        finish(exp(&value, scale, within)?, scale)
    }

    /// The natural logarithm.
    pub fn ln(&self, within: &Interrupt) -> SqlResult<Numeric> {
        let value = self.logarithm_argument()?;
        let Some(value) = value else { return Ok(self.clone()) };
        let scale =
            (SIGNIFICANT_MIN - ln_weight(&value)).max(value.scale).clamp(0, DISPLAY_SCALE_MAX);
        finish(ln(&value, scale, within)?, scale)
    }

    /// The finite argument of a logarithm; None is infinite or NaN.
    fn logarithm_argument(&self) -> SqlResult<Option<Decimal>> {
        match self.signum() {
            Some(-1) => Err(log_error("cannot take logarithm of a negative number")),
            Some(0) => Err(log_error("cannot take logarithm of zero")),
            _ => Ok(self.decimal()),
        }
    }

    /// The logarithm of an argument, to this base.
    pub fn log(&self, argument: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        let (base, value) = (self.logarithm_argument()?, argument.logarithm_argument()?);
        let (Some(base), Some(value)) = (base, value) else {
            return Ok(match (self.sign, argument.sign) {
                (NumericSign::NaN, _) | (_, NumericSign::NaN) => Numeric::NAN,
                (NumericSign::Infinity, NumericSign::Infinity) => Numeric::NAN,
                (NumericSign::Infinity, _) => Numeric::ZERO,
                _ => Numeric::INFINITY,
            });
        };
        if base.compare(&Decimal::one()).is_eq() {
            return Err(SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        let (weight_base, weight) = (ln_weight(&base), ln_weight(&value));
        let scale = (SIGNIFICANT_MIN - (weight - weight_base))
            .max(base.scale)
            .max(value.scale)
            .clamp(0, DISPLAY_SCALE_MAX);
        let places = scale + weight_base.abs() + weight.abs() + 8;
        let (above, below) = (ln(&value, places, within)?, ln(&base, places, within)?);
        finish(above.div(&below, scale, true, within)?, scale)
    }

    /// This number to a power.
    pub fn power(&self, exponent: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
        let one = Numeric::from(1);
        let (Some(base), Some(power)) = (self.decimal(), exponent.decimal()) else {
            return self.power_of_special(exponent, &one);
        };
        if base.is_zero() && power.negative {
            return Err(power_error("zero raised to a negative power is undefined"));
        }
        let whole = power.min_scale() == 0;
        if base.negative && !whole {
            return Err(power_error(
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        if whole && let Some(times) = exponent.to_i128().and_then(|p| i32::try_from(p).ok()) {
            return whole_power(&base, times, base.scale, within);
        }
        if base.is_zero() {
            return finish(Decimal::default(), SIGNIFICANT_MIN);
        }
        let magnitude = Decimal { negative: false, ..base.clone() };
        let odd = whole
            && power.digits.len() as i32 == power.weight + 1
            && power.digits.last().is_some_and(|d| d % 2 == 1);
        // The exponent by a logarithm of 8 places, as PostgreSQL estimates it: the result's scale depends on it.
        let rough_places = (8 - ln_weight(&magnitude)).max(0);
        let mut logarithm = ln(&magnitude, rough_places, within)?;
        logarithm.round(rough_places);
        let rough = mul(&logarithm, &power, rough_places, within)?.to_f64();
        if rough > EXPONENT_MAX * 1.003_333 {
            return Err(overflow());
        }
        let rough = rough * LOG10_E;
        let places = rough.clamp(-3000.0, 3000.0) as i32;
        let scale =
            (SIGNIFICANT_MIN - places).max(base.scale).max(power.scale).clamp(0, DISPLAY_SCALE_MAX);
        if rough < -f64::from(scale) - 2.0 {
            return finish(Decimal::default(), scale);
        }
        let precise = scale + places.max(0) + power.exponent().max(0) + 8;
        let mut argument = ln(&magnitude, precise, within)?.mul(&power, within)?;
        argument.round(precise + GUARD);
        let mut result = exp(&argument, scale, within)?;
        result.negative = base.negative && odd && !result.is_zero();
        finish(result, scale)
    }

    fn power_of_special(&self, exponent: &Numeric, one: &Numeric) -> SqlResult<Numeric> {
        // One to any power is one, and anything to the power of zero.
        if self.compare(one).is_eq() || exponent.is_zero() {
            return Ok(one.clone());
        }
        if self.is_nan() || exponent.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.is_zero() {
            return if exponent.is_negative() {
                Err(power_error("zero raised to a negative power is undefined"))
            } else {
                Ok(Numeric::ZERO)
            };
        }
        if let Some(power) = exponent.decimal() {
            // An infinite base.
            if power.negative {
                return Ok(Numeric::ZERO);
            }
            if self.sign == NumericSign::Infinity {
                return Ok(Numeric::INFINITY);
            }
            if power.min_scale() != 0 {
                return Err(power_error(
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            let odd = power.digits.len() as i32 == power.weight + 1
                && power.digits.last().is_some_and(|d| d % 2 == 1);
            return Ok(if odd { Numeric::NEGATIVE_INFINITY } else { Numeric::INFINITY });
        }
        let magnitude = self.abs().compare(one);
        Ok(match (magnitude.is_eq(), magnitude.is_gt(), exponent.is_negative()) {
            (true, ..) => one.clone(),
            (_, true, false) | (_, false, true) => Numeric::INFINITY,
            _ => Numeric::ZERO,
        })
    }
}

/// A whole power, by squaring.
fn whole_power(
    base: &Decimal,
    times: i32,
    scale_min: i32,
    within: &Interrupt,
) -> SqlResult<Numeric> {
    // The places of the result, from the base's logarithm.
    let exponent = if base.is_zero() {
        0.0
    } else {
        let mut mantissa = base.clone();
        mantissa.negative = false;
        let logarithm = mantissa.to_f64().log10();
        let logarithm = if logarithm.is_finite() { logarithm } else { f64::from(base.exponent()) };
        logarithm * f64::from(times)
    };
    if exponent > 131_072.0 {
        return Err(overflow());
    }
    let places = exponent.clamp(-20_000.0, 131_072.0) as i32;
    let scale = SIGNIFICANT_MIN.max(scale_min).min(DISPLAY_SCALE_MAX);
    if exponent < -f64::from(scale) - 2.0 {
        return finish(Decimal::default(), scale);
    }
    let negative = times < 0;
    let mut left = times.unsigned_abs();
    // Relative errors add up with every product; a power below one is inverted at the end.
    let guard = GUARD + 2 * (32 - left.leading_zeros() as i32);
    let keep = |mut value: Decimal| {
        let kept = scale + guard + places.abs() - value.exponent().min(0);
        if value.scale > kept {
            value.round(kept);
        }
        value
    };
    let mut result = Decimal::one();
    let mut square = base.clone();
    while left > 0 {
        if left & 1 == 1 {
            result = keep(result.mul(&square, within)?);
        }
        left >>= 1;
        if left > 0 {
            square = keep(square.mul(&square, within)?);
            if square.weight > 40_000 {
                break;
            }
        }
    }
    if negative {
        if result.is_zero() {
            return Err(overflow());
        }
        result = Decimal::one().div(&result, scale, true, within)?;
    }
    finish(result, scale)
}
