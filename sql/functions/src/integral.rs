//! Divisors, multiples and factorials of numerics, and the buckets of histograms.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::interrupt::Interrupt;
use sql_values::types::{Datum, Numeric};

use super::arithmetic::out_of_range;
use super::signature::*;
use super::{EvalContext, Function};

/// The largest number whose factorial PostgreSQL computes.
const FACTORIAL_MAX: i64 = 32_177;

/// With the scale of two others at least.
fn shown_like(value: Numeric, a: &Numeric, b: &Numeric) -> SqlResult<Numeric> {
    value.add(&a.sub(a)?)?.add(&b.sub(b)?)
}

fn divisor(a: &Numeric, b: &Numeric, within: &Interrupt) -> SqlResult<Numeric> {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        within.spend(1)?;
        let rest = a.rem(&b, within)?;
        a = std::mem::replace(&mut b, rest);
    }
    Ok(a)
}

fn gcd(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (numeric(args, 0)?, numeric(args, 1)?);
    if !a.is_finite() || !b.is_finite() {
        return Ok(Datum::Numeric(Numeric::NAN));
    }
    shown_like(divisor(a, b, ctx.interrupt)?, a, b).map(Datum::Numeric)
}

fn lcm(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (numeric(args, 0)?, numeric(args, 1)?);
    if !a.is_finite() || !b.is_finite() {
        return Ok(Datum::Numeric(Numeric::NAN));
    }
    let multiple = if a.is_zero() || b.is_zero() {
        Numeric::ZERO
    } else {
        let divisor = divisor(a, b, ctx.interrupt)?;
        a.div_trunc(&divisor, ctx.interrupt)?.mul(b, ctx.interrupt)?.abs()
    };
    shown_like(multiple, a, b).map(Datum::Numeric)
}

fn factorial(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let number = int(args, 0)?;
    let error = |text: &str| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text);
    match number {
        ..0 => Err(error("factorial of a negative number is undefined")),
        0 | 1 => Ok(Datum::Numeric(Numeric::from(1))),
        _ if number > FACTORIAL_MAX => Err(error("value overflows numeric format")),
        _ => product(2, number, ctx.interrupt).map(Datum::Numeric),
    }
}

/// The product of all whole numbers between two. By halves: most products are of numbers of the same length.
fn product(from: i64, to: i64, within: &Interrupt) -> SqlResult<Numeric> {
    if to - from < 4 {
        let numbers = (from..=to).map(i128::from);
        return Ok(Numeric::from_i128(numbers.product()));
    }
    let middle = from + (to - from) / 2;
    product(from, middle, within)?.mul(&product(middle + 1, to, within)?, within)
}

fn bucket_error(what: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, what)
}

/// The number of buckets, of which there is one at least.
fn count_of(args: &[Datum]) -> SqlResult<i32> {
    match int4(args, 3)? {
        ..=0 => Err(bucket_error("count must be greater than zero")),
        count => Ok(count),
    }
}

fn beyond(count: i32) -> SqlResult<Datum> {
    count.checked_add(1).map(Datum::Int4).ok_or_else(|| out_of_range("integer"))
}

const NOT_A_NUMBER: &str = "operand, lower bound, and upper bound cannot be NaN";
const NOT_FINITE: &str = "lower and upper bounds must be finite";
const EQUAL: &str = "lower bound cannot equal upper bound";

fn width_bucket_numeric(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let count = count_of(args)?;
    let (operand, first, second) = (numeric(args, 0)?, numeric(args, 1)?, numeric(args, 2)?);
    if operand.is_nan() || first.is_nan() || second.is_nan() {
        return Err(bucket_error(NOT_A_NUMBER));
    }
    if !first.is_finite() || !second.is_finite() {
        return Err(bucket_error(NOT_FINITE));
    }
    let rising = match first.compare(second) {
        std::cmp::Ordering::Equal => return Err(bucket_error(EQUAL)),
        order => order.is_lt(),
    };
    let before = |a: &Numeric, b: &Numeric| a.compare(b).is_lt() == rising && !a.compare(b).is_eq();
    if before(operand, first) {
        return Ok(Datum::Int4(0));
    }
    if !before(operand, second) {
        return beyond(count);
    }
    let all = Numeric::from(count);
    let part = operand.sub(first)?.abs().mul(&all, ctx.interrupt)?;
    let share = part.div(&second.sub(first)?.abs(), ctx.interrupt)?;
    // The quotient may be rounded up to what is too much.
    if !share.compare(&all).is_lt() {
        return Ok(Datum::Int4(count));
    }
    share.floor()?.to_i32().map(|bucket| Datum::Int4(bucket + 1))
}

fn width_bucket_float(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let count = count_of(args)?;
    let (operand, first, second) = (float(args, 0)?, float(args, 1)?, float(args, 2)?);
    if operand.is_nan() || first.is_nan() || second.is_nan() {
        return Err(bucket_error(NOT_A_NUMBER));
    }
    if first.is_infinite() || second.is_infinite() {
        return Err(bucket_error(NOT_FINITE));
    }
    if first == second {
        return Err(bucket_error(EQUAL));
    }
    let (outside, past) = match first < second {
        true => (operand < first, operand >= second),
        false => (operand > first, operand <= second),
    };
    if outside {
        return Ok(Datum::Int4(0));
    }
    if past {
        return beyond(count);
    }
    let share = match (second - first).is_infinite() {
        false => (operand - first) / (second - first),
        true => (operand / 2.0 - first / 2.0) / (second / 2.0 - first / 2.0),
    };
    let bucket = (f64::from(count) * share) as i32;
    Ok(Datum::Int4(bucket.min(count - 1) + 1))
}

/// These functions, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(320, "width_bucket", &[FLOAT8, FLOAT8, FLOAT8, INT4], INT4, width_bucket_float),
    scalar(1376, "factorial", &[INT8], NUMERIC, factorial),
    scalar(2170, "width_bucket", &[NUMERIC, NUMERIC, NUMERIC, INT4], INT4, width_bucket_numeric),
    scalar(5048, "gcd", &[NUMERIC, NUMERIC], NUMERIC, gcd),
    scalar(5049, "lcm", &[NUMERIC, NUMERIC], NUMERIC, lcm),
];
