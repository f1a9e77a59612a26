//! Exact decimal arithmetic on magnitudes of any size: the finite part of [`super::Numeric`].

use std::cmp::Ordering;

use crate::error::SqlResult;
use crate::interrupt::Interrupt;

/// The base of a digit: four decimal places, as in PostgreSQL's wire format.
const BASE: u32 = 10_000;

/// The base of a pair of digits.
const PAIR_BASE: u64 = BASE as u64 * BASE as u64;

/// Decimal places in a digit.
pub(super) const DIGIT_PLACES: i32 = 4;

const POWERS: [u16; 4] = [1, 10, 100, 1000];

/// A finite decimal. Digits have no zeros at either end once [`Decimal::strip`]ped, which every operation does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    pub(super) digits: Vec<u16>,
    /// Weight of the first digit, as a power of the base.
    pub(super) weight: i32,
    /// Decimal places that are shown.
    pub(super) scale: i32,
}

impl Decimal {
    pub(super) fn from_u128(mut value: u128, negative: bool) -> Self {
        let mut digits = Vec::new();
        while value > 0 {
            digits.push((value % u128::from(BASE)) as u16);
            value /= u128::from(BASE);
        }
        let weight = digits.len() as i32 - 1;
        digits.reverse();
        let mut out = Decimal { negative, digits, weight, scale: 0 };
        out.strip();
        out
    }

    pub(super) fn one() -> Self {
        Decimal::from_u128(1, false)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Removes zeros at both ends; zero is positive and has weight 0.
    pub(super) fn strip(&mut self) {
        let leading = self.digits.iter().take_while(|d| **d == 0).count();
        if leading > 0 {
            self.digits.drain(..leading);
            self.weight -= leading as i32;
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.weight = 0;
            self.negative = false;
        }
    }

    /// The digit that counts `BASE.pow(weight)`.
    fn digit(&self, weight: i32) -> u16 {
        usize::try_from(self.weight - weight)
            .ok()
            .and_then(|at| self.digits.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// Weight of the last digit.
    fn last_weight(&self) -> i32 {
        self.weight - self.digits.len() as i32 + 1
    }

    pub(super) fn compare_magnitude(&self, other: &Decimal) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                self.weight.cmp(&other.weight).then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }

    pub(super) fn compare(&self, other: &Decimal) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
        }
    }

    pub(super) fn negate(mut self) -> Decimal {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    fn add_magnitude(&self, other: &Decimal) -> (Vec<u16>, i32) {
        let top = self.weight.max(other.weight);
        let bottom = self.last_weight().min(other.last_weight());
        let mut digits = vec![0u16; (top - bottom + 2) as usize];
        let mut carry = 0u32;
        for weight in bottom..=top {
            let sum = u32::from(self.digit(weight)) + u32::from(other.digit(weight)) + carry;
            digits[(top + 1 - weight) as usize] = (sum % BASE) as u16;
            carry = sum / BASE;
        }
        digits[0] = carry as u16;
        (digits, top + 1)
    }

    /// The difference of the magnitudes; `self`'s is at least as great.
    fn sub_magnitude(&self, other: &Decimal) -> (Vec<u16>, i32) {
        let top = self.weight.max(other.weight);
        let bottom = self.last_weight().min(other.last_weight());
        let mut digits = vec![0u16; (top - bottom + 1) as usize];
        let mut borrow = 0i32;
        for weight in bottom..=top {
            let mut rest = i32::from(self.digit(weight)) - i32::from(other.digit(weight)) - borrow;
            borrow = i32::from(rest < 0);
            rest += borrow * BASE as i32;
            digits[(top - weight) as usize] = rest as u16;
        }
        (digits, top)
    }

    pub(super) fn add(&self, other: &Decimal) -> Decimal {
        let scale = self.scale.max(other.scale);
        if self.is_zero() || other.is_zero() {
            let mut out = if self.is_zero() { other.clone() } else { self.clone() };
            out.scale = scale;
            return out;
        }
        let (negative, (digits, weight)) = if self.negative == other.negative {
            (self.negative, self.add_magnitude(other))
        } else if self.compare_magnitude(other).is_ge() {
            (self.negative, self.sub_magnitude(other))
        } else {
            (other.negative, other.sub_magnitude(self))
        };
        let mut out = Decimal { negative, digits, weight, scale };
        out.strip();
        out
    }

    pub(super) fn sub(&self, other: &Decimal) -> Decimal {
        self.add(&other.clone().negate())
    }

    /// The product. Takes time with the product of the lengths, and counts it.
    pub(super) fn mul(&self, other: &Decimal, within: &Interrupt) -> SqlResult<Decimal> {
        let scale = self.scale + other.scale;
        if self.is_zero() || other.is_zero() {
            return Ok(Decimal { scale, ..Decimal::default() });
        }
        let digits = multiply(&self.digits, &other.digits, within)?;
        let negative = self.negative != other.negative;
        let weight = self.weight + other.weight + 1;
        let surplus = digits.len() as i32 - (self.digits.len() + other.digits.len()) as i32;
        let mut out = Decimal { negative, digits, weight: weight + surplus, scale };
        out.strip();
        Ok(out)
    }

    /// The quotient to `scale` decimal places (which may be negative), rounded half away from zero or cut. The
    /// divisor is not zero.
    pub(super) fn div(
        &self,
        other: &Decimal,
        scale: i32,
        rounded: bool,
        within: &Interrupt,
    ) -> SqlResult<Decimal> {
        let mut out = Decimal { scale: scale.max(0), ..Decimal::default() };
        if self.is_zero() || other.is_zero() {
            return Ok(out);
        }
        // One digit beyond those wanted decides the rounding: what follows a cut quotient cannot change it.
        let places = scale.div_euclid(DIGIT_PLACES) + 2;
        let shift = self.last_weight() - other.last_weight() + places;
        let mut dividend = self.digits.clone();
        if shift >= 0 {
            dividend.resize(dividend.len() + shift as usize, 0);
        } else {
            dividend.truncate(dividend.len().saturating_sub(shift.unsigned_abs() as usize));
        }
        out.digits = divide(&dividend, &other.digits, within)?;
        out.weight = out.digits.len() as i32 - 1 - places;
        out.negative = self.negative != other.negative;
        out.strip();
        if rounded {
            out.round(scale);
        } else {
            out.truncate(scale);
        }
        Ok(out)
    }

    /// Rounds to so many decimal places, half away from zero.
    pub(super) fn round(&mut self, scale: i32) {
        self.cut(scale, true);
    }

    /// Cuts to so many decimal places.
    pub(super) fn truncate(&mut self, scale: i32) {
        self.cut(scale, false);
    }

    fn cut(&mut self, scale: i32, rounded: bool) {
        self.scale = scale.max(0);
        // Decimal places to keep, counted from the front of the first digit.
        let keep = (self.weight + 1) * DIGIT_PLACES + scale;
        if keep < 0 || self.is_zero() {
            self.digits.clear();
            self.strip();
            return;
        }
        let whole = (keep / DIGIT_PLACES) as usize;
        let partial = keep % DIGIT_PLACES;
        let mut carry = false;
        if partial == 0 {
            carry = self.digits.get(whole).is_some_and(|d| *d >= 5000);
            self.digits.truncate(whole);
        } else if let Some(last) = self.digits.get_mut(whole) {
            let unit = POWERS[(DIGIT_PLACES - partial) as usize];
            let rest = *last % unit;
            *last -= rest;
            if rounded && rest >= unit / 2 {
                *last += unit;
                carry = *last >= BASE as u16;
                *last %= BASE as u16;
            }
            self.digits.truncate(whole + 1);
            if carry {
                self.carry_into(whole);
            }
            self.strip();
            return;
        }
        if carry && rounded {
            let len = self.digits.len();
            self.carry_into(len);
        }
        self.strip();
    }

    /// Adds one to the digit before `at`.
    fn carry_into(&mut self, mut at: usize) {
        while at > 0 {
            at -= 1;
            if self.digits[at] < BASE as u16 - 1 {
                self.digits[at] += 1;
                return;
            }
            self.digits[at] = 0;
        }
        self.digits.insert(0, 1);
        self.weight += 1;
    }

    /// The remainder of the division cut to an integer; it has the dividend's sign.
    pub(super) fn rem(&self, other: &Decimal, within: &Interrupt) -> SqlResult<Decimal> {
        let quotient = self.div(other, 0, false, within)?;
        let mut out = self.sub(&quotient.mul(other, within)?);
        out.scale = self.scale.max(other.scale);
        Ok(out)
    }

    /// Decimal places before the point, at least 0; and 0 for zero.
    pub(super) fn integer_places(&self) -> i32 {
        let Some(first) = self.digits.first() else { return 0 };
        let places = POWERS.iter().filter(|power| first >= power).count() as i32;
        (self.weight * DIGIT_PLACES + places).max(0)
    }

    /// The decimal exponent: `n` such that the magnitude lies in `[10^n, 10^(n+1))`. Zero for zero.
    pub(super) fn exponent(&self) -> i32 {
        let Some(first) = self.digits.first() else { return 0 };
        let places = POWERS.iter().filter(|power| first >= power).count() as i32;
        self.weight * DIGIT_PLACES + places - 1
    }

    /// The least scale that shows every digit.
    pub(super) fn min_scale(&self) -> i32 {
        let Some(last) = self.digits.last() else { return 0 };
        let zeros = POWERS.iter().skip(1).take_while(|power| last.is_multiple_of(**power)).count();
        (-self.last_weight() * DIGIT_PLACES - zeros as i32).max(0)
    }

    pub(super) fn to_f64(&self) -> f64 {
        // Correct rounding is the parser's.
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        if self.negative {
            out.push('-');
        }
        for weight in (0..=self.weight.max(0)).rev() {
            let digit = self.digit(weight);
            if weight == self.weight.max(0) {
                out.push_str(&digit.to_string());
            } else {
                push_digit(&mut out, digit);
            }
        }
        if self.scale > 0 {
            out.push('.');
            let end = out.len() + self.scale as usize;
            let mut weight = -1;
            while out.len() < end {
                push_digit(&mut out, self.digit(weight));
                weight -= 1;
            }
            out.truncate(end);
        }
        f.write_str(&out)
    }
}

fn push_digit(out: &mut String, digit: u16) {
    for power in POWERS.iter().rev() {
        out.push(char::from(b'0' + (digit / power % 10) as u8));
    }
}

/// Digits two by two, from the last: half as many make a quarter of the work.
fn pairs(digits: &[u16]) -> Vec<u32> {
    let (first, rest) = digits.split_at(digits.len() % 2);
    let pair = |pair: &[u16]| match pair {
        [high, low] => u32::from(*high) * BASE + u32::from(*low),
        _ => 0,
    };
    first.iter().map(|digit| u32::from(*digit)).chain(rest.chunks_exact(2).map(pair)).collect()
}

/// Pairs as digits.
fn singles(pairs: impl Iterator<Item = u64>) -> Vec<u16> {
    let base = u64::from(BASE);
    pairs.flat_map(|pair| [(pair / base) as u16, (pair % base) as u16]).collect()
}

/// Product of whole numbers, with zeros before it perhaps.
fn multiply(a: &[u16], b: &[u16], within: &Interrupt) -> SqlResult<Vec<u16>> {
    /// So many products of less than 10^16, and what was carried before, are less than 2^64.
    const ROWS: usize = 1_800;
    let (a, b) = (pairs(a), pairs(b));
    let row_work = work(b.len());
    let mut columns = vec![0u64; a.len() + b.len()];
    let mut rows = 0;
    for (i, a) in a.iter().enumerate() {
        if *a == 0 {
            continue;
        }
        within.spend(row_work)?;
        let row = &mut columns[i + 1..];
        for (column, b) in row.iter_mut().zip(&b) {
            *column += u64::from(*a) * u64::from(*b);
        }
        rows += 1;
        if rows == ROWS {
            carry(&mut columns);
            rows = 0;
        }
    }
    carry(&mut columns);
    Ok(singles(columns.into_iter()))
}

/// Brings columns of pairs below the base.
fn carry(columns: &mut [u64]) {
    let mut carry = 0;
    for column in columns.iter_mut().rev() {
        let sum = *column + carry;
        *column = sum % PAIR_BASE;
        carry = sum / PAIR_BASE;
    }
}

/// Quotient of whole numbers, cut. Long division with a normalised divisor (Knuth's algorithm D), of pairs of digits.
fn divide(dividend: &[u16], divisor: &[u16], within: &Interrupt) -> SqlResult<Vec<u16>> {
    let (dividend, divisor) = (pairs(dividend), pairs(divisor));
    if let [single] = divisor.as_slice() {
        let by = u64::from(*single);
        let mut rest = 0u64;
        return Ok(singles(dividend.iter().map(|pair| {
            let value = rest * PAIR_BASE + u64::from(*pair);
            rest = value % by;
            value / by
        })));
    }
    if dividend.len() < divisor.len() {
        return Ok(Vec::new());
    }
    // Scaled so that the divisor's first pair is at least half the base: an estimate from two pairs then errs by at most
    // two.
    let scale = PAIR_BASE / (u64::from(divisor[0]) + 1);
    let scaled = |pairs: &[u32]| -> Vec<i64> {
        let mut out = vec![0i64; pairs.len() + 1];
        let mut carry = 0;
        for (at, pair) in pairs.iter().enumerate().rev() {
            let value = u64::from(*pair) * scale + carry;
            out[at + 1] = (value % PAIR_BASE) as i64;
            carry = value / PAIR_BASE;
        }
        out[0] = carry as i64;
        out
    };
    let mut rest = scaled(&dividend);
    let by = &scaled(&divisor)[1..];
    let base = PAIR_BASE as i64;
    let mut quotient = vec![0u64; dividend.len() - divisor.len() + 1];
    let row_work = work(divisor.len());
    for at in 0..quotient.len() {
        within.spend(row_work)?;
        let top = rest[at] * base + rest[at + 1];
        let mut guess = top / by[0];
        let mut left = top % by[0];
        while guess >= base || guess * by[1] > left * base + rest[at + 2] {
            guess -= 1;
            left += by[0];
            if left >= base {
                break;
            }
        }
        let window = &mut rest[at..=at + by.len()];
        if subtract(window, by, guess) {
            guess -= 1;
            let mut carry = 0;
            for (place, pair) in window[1..].iter_mut().zip(by).rev() {
                let value = *place + pair + carry;
                *place = value % base;
                carry = value / base;
            }
            window[0] += carry;
        }
        quotient[at] = guess as u64;
    }
    Ok(singles(quotient.into_iter()))
}

/// Takes a multiple of a number away from one that is a pair longer. True iff that was once too often.
fn subtract(from: &mut [i64], number: &[i64], times: i64) -> bool {
    let base = PAIR_BASE as i64;
    let mut borrow = 0;
    for (place, pair) in from[1..].iter_mut().zip(number).rev() {
        // Not negative: what is borrowed is at most the base.
        let value = times * pair + borrow;
        let (above, below) = (value / base, value % base);
        let rest = *place - below;
        let is_short = i64::from(rest < 0);
        *place = rest + is_short * base;
        borrow = above + is_short;
    }
    from[0] -= borrow;
    from[0] < 0
}

/// Work of a pass over so many pairs of digits.
fn work(pairs: usize) -> u32 {
    (pairs / 512) as u32
}
