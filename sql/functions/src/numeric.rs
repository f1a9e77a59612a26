//! Functions of numerics and floats.

use std::cmp::Ordering;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, Numeric};

use super::arithmetic::{float_overflow, float_underflow};
use super::signature::*;
use super::{EvalContext, Function};

macro_rules! numeric_fns {
    ($($name:ident($args:ident $(, $ctx:ident)?) = $value:expr;)*) => { $(
        fn $name(numeric_fns!(@$($ctx)?): &EvalContext<'_>, $args: &[Datum]) -> SqlResult<Datum> {
            $value.map(Datum::Numeric)
        }
    )* };
    (@) => { _ };
    (@$ctx:ident) => { $ctx };
}

numeric_fns! {
    add(args) = numeric(args, 0)?.add(numeric(args, 1)?);
    sub(args) = numeric(args, 0)?.sub(numeric(args, 1)?);
    mul(args, ctx) = numeric(args, 0)?.mul(numeric(args, 1)?, ctx.interrupt);
    div(args, ctx) = numeric(args, 0)?.div(numeric(args, 1)?, ctx.interrupt);
    div_trunc(args, ctx) = numeric(args, 0)?.div_trunc(numeric(args, 1)?, ctx.interrupt);
    rem(args, ctx) = numeric(args, 0)?.rem(numeric(args, 1)?, ctx.interrupt);
    power(args, ctx) = numeric(args, 0)?.power(numeric(args, 1)?, ctx.interrupt);
    neg(args) = Ok::<_, SqlError>(numeric(args, 0)?.neg());
    abs(args) = Ok::<_, SqlError>(numeric(args, 0)?.abs());
    sqrt(args, ctx) = numeric(args, 0)?.sqrt(ctx.interrupt);
    exp(args, ctx) = numeric(args, 0)?.exp(ctx.interrupt);
    ln(args, ctx) = numeric(args, 0)?.ln(ctx.interrupt);
    log10(args, ctx) = Numeric::from(10).log(numeric(args, 0)?, ctx.interrupt);
    log(args, ctx) = numeric(args, 0)?.log(numeric(args, 1)?, ctx.interrupt);
    ceil(args) = numeric(args, 0)?.ceil();
    floor(args) = numeric(args, 0)?.floor();
    round(args) = numeric(args, 0)?.round(0);
    round_to(args) = numeric(args, 0)?.round(int4(args, 1)?);
    trunc(args) = numeric(args, 0)?.trunc(0);
    trunc_to(args) = numeric(args, 0)?.trunc(int4(args, 1)?);
    trim_scale(args) = Ok::<_, SqlError>(numeric(args, 0)?.trim_scale());
    sign(args) = Ok::<_, SqlError>(numeric(args, 0)?.signum().map_or(Numeric::NAN, Numeric::from));
}

fn scale(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = numeric(args, 0)?;
    Ok(if value.is_finite() { Datum::Int4(i32::from(value.scale)) } else { Datum::Null })
}

fn min_scale(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(numeric(args, 0)?.min_scale().map_or(Datum::Null, Datum::Int4))
}

/// A function of one float that cannot leave the type.
macro_rules! float_fns {
    ($($name:ident = $body:expr;)*) => { $(
        fn $name(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
            let apply: fn(f64) -> f64 = $body;
            Ok(Datum::Float8(apply(float(args, 0)?)))
        }
    )* };
}

float_fns! {
    float_round = f64::round_ties_even;
    float_trunc = f64::trunc;
    float_ceil = f64::ceil;
    float_floor = f64::floor;
    float_sign = |v| if v > 0.0 { 1.0 } else if v < 0.0 { -1.0 } else { 0.0 };
    float_cbrt = f64::cbrt;
    radians = f64::to_radians;
    atan = f64::atan;
    tanh = f64::tanh;
}

fn degrees(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let result = value / (std::f64::consts::PI / 180.0);
    if result.is_infinite() && value.is_finite() {
        return Err(float_overflow());
    }
    Ok(Datum::Float8(result))
}

/// Sine and its kin take no infinity.
macro_rules! trigonometric {
    ($($name:ident = $body:expr;)*) => { $(
        fn $name(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
            let value = float(args, 0)?;
            if value.is_infinite() {
                return Err(input_out_of_range());
            }
            let apply: fn(f64) -> f64 = $body;
            Ok(Datum::Float8(apply(value)))
        }
    )* };
}

trigonometric! {
    sin = f64::sin;
    cos = f64::cos;
    tan = f64::tan;
}

fn input_out_of_range() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn asin(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    of_unit(args, f64::asin)
}

fn acos(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    of_unit(args, f64::acos)
}

fn of_unit(args: &[Datum], apply: fn(f64) -> f64) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    if value.abs() > 1.0 {
        return Err(input_out_of_range());
    }
    Ok(Datum::Float8(apply(value)))
}

fn atan2(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Float8(float(args, 0)?.atan2(float(args, 1)?)))
}

fn pi(_: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    Ok(Datum::Float8(std::f64::consts::PI))
}

fn float_sqrt(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    if value < 0.0 {
        return Err(SqlError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "cannot take square root of a negative number",
        ));
    }
    Ok(Datum::Float8(value.sqrt()))
}

fn float_exp(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let result = value.exp();
    if result.is_infinite() && value.is_finite() {
        return Err(float_overflow());
    }
    if result == 0.0 && value.is_finite() {
        return Err(float_underflow());
    }
    Ok(Datum::Float8(result))
}

fn logarithm(args: &[Datum], apply: fn(f64) -> f64) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let refuse = |what| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, what));
    if value == 0.0 {
        return refuse("cannot take logarithm of zero");
    }
    if value < 0.0 {
        return refuse("cannot take logarithm of a negative number");
    }
    Ok(Datum::Float8(apply(value)))
}

fn float_ln(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    logarithm(args, f64::ln)
}

fn float_log10(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    logarithm(args, f64::log10)
}

fn float_power(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (base, exponent) = (float(args, 0)?, float(args, 1)?);
    let refuse = |what| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, what));
    if base == 0.0 && exponent < 0.0 {
        return refuse("zero raised to a negative power is undefined");
    }
    let whole = exponent.floor().partial_cmp(&exponent) == Some(Ordering::Equal);
    if base < 0.0 && !whole && !exponent.is_nan() {
        return refuse("a negative number raised to a non-integer power yields a complex result");
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(float_overflow());
    }
    if result == 0.0 && base != 0.0 && base.is_finite() && exponent.is_finite() {
        return Err(float_underflow());
    }
    Ok(Datum::Float8(result))
}

fn random(ctx: &EvalContext<'_>, _: &[Datum]) -> SqlResult<Datum> {
    // 53 bits: every float in [0, 1) of that grid is as likely.
    Ok(Datum::Float8((((ctx.random)()) >> 11) as f64 / (1u64 << 53) as f64))
}

/// Functions of numbers, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(230, "dsqrt", &[FLOAT8], FLOAT8, float_sqrt),
    scalar(231, "dcbrt", &[FLOAT8], FLOAT8, float_cbrt),
    scalar(232, "dpow", &[FLOAT8, FLOAT8], FLOAT8, float_power),
    scalar(1194, "log10", &[FLOAT8], FLOAT8, float_log10),
    scalar(1340, "log", &[FLOAT8], FLOAT8, float_log10),
    scalar(1341, "ln", &[FLOAT8], FLOAT8, float_ln),
    scalar(1342, "round", &[FLOAT8], FLOAT8, float_round),
    scalar(1343, "trunc", &[FLOAT8], FLOAT8, float_trunc),
    scalar(1344, "sqrt", &[FLOAT8], FLOAT8, float_sqrt),
    scalar(1345, "cbrt", &[FLOAT8], FLOAT8, float_cbrt),
    scalar(1346, "pow", &[FLOAT8, FLOAT8], FLOAT8, float_power),
    scalar(1347, "exp", &[FLOAT8], FLOAT8, float_exp),
    scalar(1368, "power", &[FLOAT8, FLOAT8], FLOAT8, float_power),
    scalar(1481, "log10", &[NUMERIC], NUMERIC, log10),
    scalar(1598, "random", &[], FLOAT8, random).volatile(),
    scalar(1600, "asin", &[FLOAT8], FLOAT8, asin),
    scalar(1601, "acos", &[FLOAT8], FLOAT8, acos),
    scalar(1602, "atan", &[FLOAT8], FLOAT8, atan),
    scalar(1603, "atan2", &[FLOAT8, FLOAT8], FLOAT8, atan2),
    scalar(1604, "sin", &[FLOAT8], FLOAT8, sin),
    scalar(1605, "cos", &[FLOAT8], FLOAT8, cos),
    scalar(1606, "tan", &[FLOAT8], FLOAT8, tan),
    scalar(1608, "degrees", &[FLOAT8], FLOAT8, degrees),
    scalar(1609, "radians", &[FLOAT8], FLOAT8, radians),
    scalar(1610, "pi", &[], FLOAT8, pi),
    scalar(1704, "numeric_abs", &[NUMERIC], NUMERIC, abs),
    scalar(1705, "abs", &[NUMERIC], NUMERIC, abs),
    scalar(1706, "sign", &[NUMERIC], NUMERIC, sign),
    scalar(1707, "round", &[NUMERIC, INT4], NUMERIC, round_to),
    scalar(1708, "round", &[NUMERIC], NUMERIC, round),
    scalar(1709, "trunc", &[NUMERIC, INT4], NUMERIC, trunc_to),
    scalar(1710, "trunc", &[NUMERIC], NUMERIC, trunc),
    scalar(1711, "ceil", &[NUMERIC], NUMERIC, ceil),
    scalar(1712, "floor", &[NUMERIC], NUMERIC, floor),
    scalar(1724, "numeric_add", &[NUMERIC, NUMERIC], NUMERIC, add),
    scalar(1725, "numeric_sub", &[NUMERIC, NUMERIC], NUMERIC, sub),
    scalar(1726, "numeric_mul", &[NUMERIC, NUMERIC], NUMERIC, mul),
    scalar(1727, "numeric_div", &[NUMERIC, NUMERIC], NUMERIC, div),
    scalar(1728, "mod", &[NUMERIC, NUMERIC], NUMERIC, rem),
    scalar(1729, "numeric_mod", &[NUMERIC, NUMERIC], NUMERIC, rem),
    scalar(1730, "sqrt", &[NUMERIC], NUMERIC, sqrt),
    scalar(1732, "exp", &[NUMERIC], NUMERIC, exp),
    scalar(1734, "ln", &[NUMERIC], NUMERIC, ln),
    scalar(1736, "log", &[NUMERIC, NUMERIC], NUMERIC, log),
    scalar(1738, "pow", &[NUMERIC, NUMERIC], NUMERIC, power),
    scalar(1739, "numeric_power", &[NUMERIC, NUMERIC], NUMERIC, power),
    scalar(1741, "log", &[NUMERIC], NUMERIC, log10),
    scalar(1771, "numeric_uminus", &[NUMERIC], NUMERIC, neg),
    scalar(1973, "div", &[NUMERIC, NUMERIC], NUMERIC, div_trunc),
    scalar(2167, "ceiling", &[NUMERIC], NUMERIC, ceil),
    scalar(2169, "power", &[NUMERIC, NUMERIC], NUMERIC, power),
    scalar(2308, "ceil", &[FLOAT8], FLOAT8, float_ceil),
    scalar(2309, "floor", &[FLOAT8], FLOAT8, float_floor),
    scalar(2310, "sign", &[FLOAT8], FLOAT8, float_sign),
    scalar(2320, "ceiling", &[FLOAT8], FLOAT8, float_ceil),
    scalar(2464, "tanh", &[FLOAT8], FLOAT8, tanh),
    scalar(3281, "scale", &[NUMERIC], INT4, scale),
    scalar(5042, "min_scale", &[NUMERIC], INT4, min_scale),
    scalar(5043, "trim_scale", &[NUMERIC], NUMERIC, trim_scale),
];
