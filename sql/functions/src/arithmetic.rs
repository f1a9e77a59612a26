//! Arithmetic on integers and floats.

use sql_catalog::function::Kernel::{Add, Divide, Multiply, Subtract};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::signature::*;
use super::{EvalContext, Function};

/// An integer type of results.
trait Width {
    /// Bits of the type.
    const BITS: u32;
    const NAME: &'static str;
    fn narrow(value: i64) -> Option<Datum>;
}

struct Int2;
struct Int4;
struct Int8;

impl Width for Int2 {
    const BITS: u32 = 16;
    const NAME: &'static str = "smallint";
    fn narrow(value: i64) -> Option<Datum> {
        i16::try_from(value).ok().map(Datum::Int2)
    }
}

impl Width for Int4 {
    const BITS: u32 = 32;
    const NAME: &'static str = "integer";
    fn narrow(value: i64) -> Option<Datum> {
        i32::try_from(value).ok().map(Datum::Int4)
    }
}

impl Width for Int8 {
    const BITS: u32 = 64;
    const NAME: &'static str = "bigint";
    fn narrow(value: i64) -> Option<Datum> {
        Some(Datum::Int8(value))
    }
}

pub(super) fn out_of_range(name: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

pub(super) fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn result<W: Width>(value: Option<i64>) -> SqlResult<Datum> {
    value.and_then(W::narrow).ok_or_else(|| out_of_range(W::NAME))
}

fn add<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(int(args, 0)?.checked_add(int(args, 1)?))
}

fn sub<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(int(args, 0)?.checked_sub(int(args, 1)?))
}

fn mul<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(int(args, 0)?.checked_mul(int(args, 1)?))
}

fn div<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match int(args, 1)? {
        0 => Err(division_by_zero()),
        divisor => result::<W>(int(args, 0)?.checked_div(divisor)),
    }
}

fn rem<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    match int(args, 1)? {
        0 => Err(division_by_zero()),
        divisor => result::<W>(Some(int(args, 0)?.wrapping_rem(divisor))),
    }
}

fn neg<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(int(args, 0)?.checked_neg())
}

fn abs<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(int(args, 0)?.checked_abs())
}

fn and<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(Some(int(args, 0)? & int(args, 1)?))
}

fn or<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(Some(int(args, 0)? | int(args, 1)?))
}

fn xor<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(Some(int(args, 0)? ^ int(args, 1)?))
}

fn not<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    result::<W>(Some(!int(args, 0)?))
}

/// Bits that leave the type are lost; the machine counts shifts modulo the register, which for the shorter types
/// has 32 bits.
fn shl<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let by = int(args, 1)? as u32 & (W::BITS.max(32) - 1);
    let shifted = int(args, 0)?.wrapping_shl(by);
    let kept = 64 - W::BITS;
    result::<W>(Some(shifted.wrapping_shl(kept).wrapping_shr(kept)))
}

fn shr<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let by = int(args, 1)? as u32 & (W::BITS.max(32) - 1);
    result::<W>(Some(int(args, 0)?.wrapping_shr(by)))
}

fn gcd<W: Width>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (mut a, mut b) = (int(args, 0)?.unsigned_abs(), int(args, 1)?.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    result::<W>(i64::try_from(a).ok())
}

fn lcm<W: Width>(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (int(args, 0)?, int(args, 1)?);
    if a == 0 || b == 0 {
        return result::<W>(Some(0));
    }
    let divisor = gcd::<Int8>(ctx, args)?.as_i64().unwrap_or(1);
    result::<W>((a / divisor).checked_mul(b).and_then(i64::checked_abs))
}

fn same(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(args.first().cloned().unwrap_or(Datum::Null))
}

/// A float type of results.
trait Real {
    fn make(value: f64) -> Datum;
    /// As the type rounds it.
    fn round(value: f64) -> f64;
}

struct Float4;
struct Float8;

impl Real for Float4 {
    fn make(value: f64) -> Datum {
        Datum::Float4(value as f32)
    }
    fn round(value: f64) -> f64 {
        f64::from(value as f32)
    }
}

impl Real for Float8 {
    fn make(value: f64) -> Datum {
        Datum::Float8(value)
    }
    fn round(value: f64) -> f64 {
        value
    }
}

pub(super) fn float_overflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

pub(super) fn float_underflow() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// The result of an operation on two floats. A double holds the exact sum, difference or product of two singles, or
/// enough of it, so that rounding it to a single rounds but once.
fn real<R: Real>(value: f64, args: (f64, f64), may_vanish: bool) -> SqlResult<Datum> {
    let value = R::round(value);
    if value.is_infinite() && !args.0.is_infinite() && !args.1.is_infinite() {
        return Err(float_overflow());
    }
    if value == 0.0 && !may_vanish {
        return Err(float_underflow());
    }
    Ok(R::make(value))
}

fn float_add<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    real::<R>(a + b, (a, b), true)
}

fn float_sub<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    real::<R>(a - b, (a, b), true)
}

fn float_mul<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    real::<R>(a * b, (a, b), a == 0.0 || b == 0.0)
}

fn float_div<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    if b == 0.0 && !a.is_nan() {
        return Err(division_by_zero());
    }
    real::<R>(a / b, (a, b), a == 0.0 || b.is_infinite())
}

fn float_neg<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(R::make(-float(args, 0)?))
}

fn float_abs<R: Real>(_: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    Ok(R::make(float(args, 0)?.abs()))
}

/// Arithmetic, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(141, "int4mul", &[INT4, INT4], INT4, mul::<Int4>).kernel(Multiply),
    scalar(152, "int2mul", &[INT2, INT2], INT2, mul::<Int2>).kernel(Multiply),
    scalar(153, "int2div", &[INT2, INT2], INT2, div::<Int2>).kernel(Divide),
    scalar(154, "int4div", &[INT4, INT4], INT4, div::<Int4>).kernel(Divide),
    scalar(155, "int2mod", &[INT2, INT2], INT2, rem::<Int2>),
    scalar(156, "int4mod", &[INT4, INT4], INT4, rem::<Int4>),
    scalar(170, "int24mul", &[INT2, INT4], INT4, mul::<Int4>),
    scalar(171, "int42mul", &[INT4, INT2], INT4, mul::<Int4>),
    scalar(172, "int24div", &[INT2, INT4], INT4, div::<Int4>),
    scalar(173, "int42div", &[INT4, INT2], INT4, div::<Int4>),
    scalar(176, "int2pl", &[INT2, INT2], INT2, add::<Int2>).kernel(Add),
    scalar(177, "int4pl", &[INT4, INT4], INT4, add::<Int4>).kernel(Add),
    scalar(178, "int24pl", &[INT2, INT4], INT4, add::<Int4>),
    scalar(179, "int42pl", &[INT4, INT2], INT4, add::<Int4>),
    scalar(180, "int2mi", &[INT2, INT2], INT2, sub::<Int2>).kernel(Subtract),
    scalar(181, "int4mi", &[INT4, INT4], INT4, sub::<Int4>).kernel(Subtract),
    scalar(182, "int24mi", &[INT2, INT4], INT4, sub::<Int4>),
    scalar(183, "int42mi", &[INT4, INT2], INT4, sub::<Int4>),
    scalar(202, "float4mul", &[FLOAT4, FLOAT4], FLOAT4, float_mul::<Float4>),
    scalar(203, "float4div", &[FLOAT4, FLOAT4], FLOAT4, float_div::<Float4>),
    scalar(204, "float4pl", &[FLOAT4, FLOAT4], FLOAT4, float_add::<Float4>),
    scalar(205, "float4mi", &[FLOAT4, FLOAT4], FLOAT4, float_sub::<Float4>),
    scalar(206, "float4um", &[FLOAT4], FLOAT4, float_neg::<Float4>),
    scalar(207, "float4abs", &[FLOAT4], FLOAT4, float_abs::<Float4>),
    scalar(212, "int4um", &[INT4], INT4, neg::<Int4>),
    scalar(213, "int2um", &[INT2], INT2, neg::<Int2>),
    scalar(216, "float8mul", &[FLOAT8, FLOAT8], FLOAT8, float_mul::<Float8>),
    scalar(217, "float8div", &[FLOAT8, FLOAT8], FLOAT8, float_div::<Float8>),
    scalar(218, "float8pl", &[FLOAT8, FLOAT8], FLOAT8, float_add::<Float8>),
    scalar(219, "float8mi", &[FLOAT8, FLOAT8], FLOAT8, float_sub::<Float8>),
    scalar(220, "float8um", &[FLOAT8], FLOAT8, float_neg::<Float8>),
    scalar(221, "float8abs", &[FLOAT8], FLOAT8, float_abs::<Float8>),
    scalar(279, "float48mul", &[FLOAT4, FLOAT8], FLOAT8, float_mul::<Float8>),
    scalar(280, "float48div", &[FLOAT4, FLOAT8], FLOAT8, float_div::<Float8>),
    scalar(281, "float48pl", &[FLOAT4, FLOAT8], FLOAT8, float_add::<Float8>),
    scalar(282, "float48mi", &[FLOAT4, FLOAT8], FLOAT8, float_sub::<Float8>),
    scalar(283, "float84mul", &[FLOAT8, FLOAT4], FLOAT8, float_mul::<Float8>),
    scalar(284, "float84div", &[FLOAT8, FLOAT4], FLOAT8, float_div::<Float8>),
    scalar(285, "float84pl", &[FLOAT8, FLOAT4], FLOAT8, float_add::<Float8>),
    scalar(286, "float84mi", &[FLOAT8, FLOAT4], FLOAT8, float_sub::<Float8>),
    scalar(462, "int8um", &[INT8], INT8, neg::<Int8>),
    scalar(463, "int8pl", &[INT8, INT8], INT8, add::<Int8>).kernel(Add),
    scalar(464, "int8mi", &[INT8, INT8], INT8, sub::<Int8>).kernel(Subtract),
    scalar(465, "int8mul", &[INT8, INT8], INT8, mul::<Int8>).kernel(Multiply),
    scalar(466, "int8div", &[INT8, INT8], INT8, div::<Int8>).kernel(Divide),
    scalar(837, "int82pl", &[INT8, INT2], INT8, add::<Int8>),
    scalar(838, "int82mi", &[INT8, INT2], INT8, sub::<Int8>),
    scalar(839, "int82mul", &[INT8, INT2], INT8, mul::<Int8>),
    scalar(840, "int82div", &[INT8, INT2], INT8, div::<Int8>),
    scalar(841, "int28pl", &[INT2, INT8], INT8, add::<Int8>),
    scalar(940, "mod", &[INT2, INT2], INT2, rem::<Int2>),
    scalar(941, "mod", &[INT4, INT4], INT4, rem::<Int4>),
    scalar(942, "int28mi", &[INT2, INT8], INT8, sub::<Int8>),
    scalar(943, "int28mul", &[INT2, INT8], INT8, mul::<Int8>),
    scalar(945, "int8mod", &[INT8, INT8], INT8, rem::<Int8>),
    scalar(947, "mod", &[INT8, INT8], INT8, rem::<Int8>),
    scalar(948, "int28div", &[INT2, INT8], INT8, div::<Int8>),
    scalar(1230, "int8abs", &[INT8], INT8, abs::<Int8>),
    scalar(1251, "int4abs", &[INT4], INT4, abs::<Int4>),
    scalar(1253, "int2abs", &[INT2], INT2, abs::<Int2>),
    scalar(1274, "int84pl", &[INT8, INT4], INT8, add::<Int8>),
    scalar(1275, "int84mi", &[INT8, INT4], INT8, sub::<Int8>),
    scalar(1276, "int84mul", &[INT8, INT4], INT8, mul::<Int8>),
    scalar(1277, "int84div", &[INT8, INT4], INT8, div::<Int8>),
    scalar(1278, "int48pl", &[INT4, INT8], INT8, add::<Int8>),
    scalar(1279, "int48mi", &[INT4, INT8], INT8, sub::<Int8>),
    scalar(1280, "int48mul", &[INT4, INT8], INT8, mul::<Int8>),
    scalar(1281, "int48div", &[INT4, INT8], INT8, div::<Int8>),
    scalar(1394, "abs", &[FLOAT4], FLOAT4, float_abs::<Float4>),
    scalar(1395, "abs", &[FLOAT8], FLOAT8, float_abs::<Float8>),
    scalar(1396, "abs", &[INT8], INT8, abs::<Int8>),
    scalar(1397, "abs", &[INT4], INT4, abs::<Int4>),
    scalar(1398, "abs", &[INT2], INT2, abs::<Int2>),
    scalar(1892, "int2and", &[INT2, INT2], INT2, and::<Int2>),
    scalar(1893, "int2or", &[INT2, INT2], INT2, or::<Int2>),
    scalar(1894, "int2xor", &[INT2, INT2], INT2, xor::<Int2>),
    scalar(1895, "int2not", &[INT2], INT2, not::<Int2>),
    scalar(1896, "int2shl", &[INT2, INT4], INT2, shl::<Int2>),
    scalar(1897, "int2shr", &[INT2, INT4], INT2, shr::<Int2>),
    scalar(1898, "int4and", &[INT4, INT4], INT4, and::<Int4>),
    scalar(1899, "int4or", &[INT4, INT4], INT4, or::<Int4>),
    scalar(1900, "int4xor", &[INT4, INT4], INT4, xor::<Int4>),
    scalar(1901, "int4not", &[INT4], INT4, not::<Int4>),
    scalar(1902, "int4shl", &[INT4, INT4], INT4, shl::<Int4>),
    scalar(1903, "int4shr", &[INT4, INT4], INT4, shr::<Int4>),
    scalar(1904, "int8and", &[INT8, INT8], INT8, and::<Int8>),
    scalar(1905, "int8or", &[INT8, INT8], INT8, or::<Int8>),
    scalar(1906, "int8xor", &[INT8, INT8], INT8, xor::<Int8>),
    scalar(1907, "int8not", &[INT8], INT8, not::<Int8>),
    scalar(1908, "int8shl", &[INT8, INT4], INT8, shl::<Int8>),
    scalar(1909, "int8shr", &[INT8, INT4], INT8, shr::<Int8>),
    scalar(1910, "int8up", &[INT8], INT8, same),
    scalar(1911, "int2up", &[INT2], INT2, same),
    scalar(1912, "int4up", &[INT4], INT4, same),
    scalar(1913, "float4up", &[FLOAT4], FLOAT4, same),
    scalar(1914, "float8up", &[FLOAT8], FLOAT8, same),
    scalar(1915, "numeric_uplus", &[NUMERIC], NUMERIC, same),
    scalar(5044, "gcd", &[INT4, INT4], INT4, gcd::<Int4>),
    scalar(5045, "gcd", &[INT8, INT8], INT8, gcd::<Int8>),
    scalar(5046, "lcm", &[INT4, INT4], INT4, lcm::<Int4>),
    scalar(5047, "lcm", &[INT8, INT8], INT8, lcm::<Int8>),
];
