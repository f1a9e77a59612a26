//! Aggregates.

use sql_catalog::function::VALUE_LEN_MAX;
use sql_values::error::SqlResult;
use sql_values::memory::{datum_bytes, heap_bytes};
use sql_values::types::{Datum, Interval, Numeric, datetime};

use super::arithmetic::{float_overflow, out_of_range};
use super::signature::*;
use super::{Accumulator, EvalContext, Function};

fn first(args: &[Datum]) -> &Datum {
    args.first().unwrap_or(&Datum::Null)
}

/// `count(*)` and `count(any)`.
#[derive(Default)]
struct Count {
    /// Also rows whose argument is NULL.
    every_row: bool,
    count: i64,
}

impl Accumulator for Count {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        self.count += i64::from(self.every_row || !first(args).is_null());
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        Ok(Datum::Int8(self.count))
    }
}

fn count_rows() -> Box<dyn Accumulator> {
    Box::new(Count { every_row: true, count: 0 })
}

fn count() -> Box<dyn Accumulator> {
    Box::<Count>::default()
}

/// What becomes of the sum and number of integers.
#[derive(Clone, Copy)]
enum IntResult {
    /// `bigint`.
    Sum,
    /// `numeric`, which cannot overflow.
    WideSum,
    /// `numeric`.
    Mean,
}

/// Sums of integers. 2^64 values of 64 bits fit into 128.
struct IntSum {
    sum: i128,
    count: i64,
    result: IntResult,
}

impl Accumulator for IntSum {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        if let Some(value) = first(args).as_i64() {
            self.sum += i128::from(value);
            self.count += 1;
        }
        Ok(())
    }
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        match self.result {
            IntResult::Sum => {
                i64::try_from(self.sum).map(Datum::Int8).map_err(|_| out_of_range("bigint"))
            }
            IntResult::WideSum => Ok(Datum::Numeric(Numeric::from_i128(self.sum))),
            IntResult::Mean => {
                let count = Numeric::from(self.count);
                let mean = Numeric::from_i128(self.sum).div(&count, ctx.interrupt)?;
                Ok(Datum::Numeric(mean))
            }
        }
    }
}

fn int_sum(result: IntResult) -> Box<dyn Accumulator> {
    Box::new(IntSum { sum: 0, count: 0, result })
}

fn sum_int() -> Box<dyn Accumulator> {
    int_sum(IntResult::Sum)
}

fn sum_int8() -> Box<dyn Accumulator> {
    int_sum(IntResult::WideSum)
}

fn avg_int() -> Box<dyn Accumulator> {
    int_sum(IntResult::Mean)
}

/// Sum or mean of numerics.
struct NumericSum {
    sum: Numeric,
    count: i64,
    mean: bool,
}

impl Accumulator for NumericSum {
    fn held(&self) -> usize {
        2 * self.sum.digits.len()
    }
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        if let Datum::Numeric(value) = first(args) {
            self.sum = self.sum.add(value)?;
            self.count += 1;
        }
        Ok(())
    }
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        if self.mean {
            return self.sum.div(&Numeric::from(self.count), ctx.interrupt).map(Datum::Numeric);
        }
        Ok(Datum::Numeric(self.sum.clone()))
    }
}

fn sum_numeric() -> Box<dyn Accumulator> {
    Box::new(NumericSum { sum: Numeric::ZERO, count: 0, mean: false })
}

fn avg_numeric() -> Box<dyn Accumulator> {
    Box::new(NumericSum { sum: Numeric::ZERO, count: 0, mean: true })
}

/// What becomes of the sum and number of floats.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FloatResult {
    /// `real`.
    SumShort,
    /// `double precision`.
    Sum,
    /// `double precision`.
    Mean,
}

/// Sums of floats.
struct FloatSum {
    sum: f64,
    infinite: bool,
    count: i64,
    result: FloatResult,
}

impl Accumulator for FloatSum {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let Some(value) = first(args).as_f64() else { return Ok(()) };
        self.infinite |= !value.is_finite();
        self.sum += value;
        if self.result == FloatResult::SumShort {
            // A sum of reals is rounded to one at every step.
            self.sum = f64::from(self.sum as f32);
        }
        self.count += 1;
        if self.sum.is_infinite() && !self.infinite {
            return Err(float_overflow());
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        Ok(match self.result {
            _ if self.count == 0 => Datum::Null,
            FloatResult::SumShort => Datum::Float4(self.sum as f32),
            FloatResult::Sum => Datum::Float8(self.sum),
            FloatResult::Mean => Datum::Float8(self.sum / self.count as f64),
        })
    }
}

fn float_sum(result: FloatResult) -> Box<dyn Accumulator> {
    Box::new(FloatSum { sum: 0.0, infinite: false, count: 0, result })
}

fn sum_float4() -> Box<dyn Accumulator> {
    float_sum(FloatResult::SumShort)
}

fn sum_float8() -> Box<dyn Accumulator> {
    float_sum(FloatResult::Sum)
}

fn avg_float() -> Box<dyn Accumulator> {
    float_sum(FloatResult::Mean)
}

/// Sum or mean of intervals.
#[derive(Default)]
struct IntervalSum {
    sum: Interval,
    count: i64,
    mean: bool,
}

impl Accumulator for IntervalSum {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        if first(args).is_null() {
            return Ok(());
        }
        let value = interval(args, 0)?;
        self.sum = self.sum.checked_add(value).ok_or_else(datetime::interval_out_of_range)?;
        self.count += 1;
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        if !self.mean {
            return Ok(self.sum.into());
        }
        let mean = self.sum.checked_div(self.count as f64);
        mean.map(Datum::from).ok_or_else(datetime::interval_out_of_range)
    }
}

fn sum_interval() -> Box<dyn Accumulator> {
    Box::<IntervalSum>::default()
}

fn avg_interval() -> Box<dyn Accumulator> {
    Box::new(IntervalSum { mean: true, ..IntervalSum::default() })
}

/// The least or the greatest value.
struct Extreme {
    best: Datum,
    greatest: bool,
    /// `character`: blanks at the end do not count.
    padded: bool,
}

impl Accumulator for Extreme {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let value = first(args);
        if value.is_null() {
            return Ok(());
        }
        let order = match (&self.best, value) {
            (Datum::Text(best), Datum::Text(value)) if self.padded => {
                value.trim_end_matches(' ').cmp(best.trim_end_matches(' '))
            }
            (best, value) => value.compare(best),
        };
        if self.best.is_null() || if self.greatest { order.is_gt() } else { order.is_lt() } {
            self.best = value.clone();
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        Ok(std::mem::replace(&mut self.best, Datum::Null))
    }
    fn held(&self) -> usize {
        heap_bytes(&self.best)
    }
}

fn min() -> Box<dyn Accumulator> {
    Box::new(Extreme { best: Datum::Null, greatest: false, padded: false })
}

fn max() -> Box<dyn Accumulator> {
    Box::new(Extreme { best: Datum::Null, greatest: true, padded: false })
}

fn min_padded() -> Box<dyn Accumulator> {
    Box::new(Extreme { best: Datum::Null, greatest: false, padded: true })
}

fn max_padded() -> Box<dyn Accumulator> {
    Box::new(Extreme { best: Datum::Null, greatest: true, padded: true })
}

/// A fold of values that are not NULL, two by two.
struct Fold {
    value: Option<Datum>,
    with: fn(&Datum, &Datum) -> Datum,
}

impl Accumulator for Fold {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let value = first(args);
        if !value.is_null() {
            self.value = Some(match &self.value {
                Some(so_far) => (self.with)(so_far, value),
                None => value.clone(),
            });
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        Ok(self.value.take().unwrap_or(Datum::Null))
    }
}

fn fold(with: fn(&Datum, &Datum) -> Datum) -> Box<dyn Accumulator> {
    Box::new(Fold { value: None, with })
}

fn is_true(value: &Datum) -> bool {
    matches!(value, Datum::Bool(true))
}

fn bool_and() -> Box<dyn Accumulator> {
    fold(|a, b| Datum::Bool(is_true(a) && is_true(b)))
}

fn bool_or() -> Box<dyn Accumulator> {
    fold(|a, b| Datum::Bool(is_true(a) || is_true(b)))
}

/// Applies to two integers of one width.
fn bits(a: &Datum, b: &Datum, with: fn(i64, i64) -> i64) -> Datum {
    match (a, b) {
        (Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(with(i64::from(*a), i64::from(*b)) as i16),
        (Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(with(i64::from(*a), i64::from(*b)) as i32),
        (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(with(*a, *b)),
        _ => Datum::Null,
    }
}

fn bit_and() -> Box<dyn Accumulator> {
    fold(|a, b| bits(a, b, |a, b| a & b))
}

fn bit_or() -> Box<dyn Accumulator> {
    fold(|a, b| bits(a, b, |a, b| a | b))
}

/// `string_agg`.
#[derive(Default)]
struct Join {
    text: Option<String>,
}

impl Accumulator for Join {
    fn add(&mut self, ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let (Datum::Text(value), separator) = (first(args), args.get(1)) else { return Ok(()) };
        let so_far = self.text.as_ref().map_or(0, String::len);
        if so_far + value.len() > VALUE_LEN_MAX {
            return ctx.reserve(usize::MAX);
        }
        match &mut self.text {
            Some(text) => {
                if let Some(Datum::Text(separator)) = separator {
                    text.push_str(separator);
                }
                text.push_str(value);
            }
            None => self.text = Some(value.to_string()),
        }
        Ok(())
    }
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum> {
        let Some(text) = self.text.take() else { return Ok(Datum::Null) };
        ctx.reserve(text.len())?;
        Ok(Datum::text(text))
    }
    fn held(&self) -> usize {
        self.text.as_ref().map_or(0, String::capacity)
    }
}

fn string_agg() -> Box<dyn Accumulator> {
    Box::<Join>::default()
}

/// `array_agg`: NULLs too.
#[derive(Default)]
struct Collect {
    values: Vec<Datum>,
    held: usize,
}

impl Accumulator for Collect {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        self.values.push(first(args).clone());
        self.held += datum_bytes(first(args));
        Ok(())
    }
    fn held(&self) -> usize {
        self.held
    }
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        ctx.reserve_elements(self.values.len())?;
        Ok(Datum::Array(std::mem::take(&mut self.values).into()))
    }
}

fn array_agg() -> Box<dyn Accumulator> {
    Box::<Collect>::default()
}

/// Variance and standard deviation, exactly, of integers and numerics.
struct NumericSpread {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    spread: Spread,
}

/// Which measure.
#[derive(Clone, Copy)]
struct Spread {
    /// Of a sample: divides by one less.
    sample: bool,
    /// The root.
    deviation: bool,
}

impl Accumulator for NumericSpread {
    fn held(&self) -> usize {
        2 * (self.sum.digits.len() + self.squares.digits.len())
    }
    fn add(&mut self, ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let value = match first(args) {
            Datum::Null => return Ok(()),
            Datum::Numeric(value) => value.clone(),
            other => Numeric::from(other.as_i64().unwrap_or(0)),
        };
        self.count += 1;
        self.squares = self.squares.add(&value.mul(&value, ctx.interrupt)?)?;
        self.sum = self.sum.add(&value)?;
        Ok(())
    }
    fn finish(&mut self, ctx: &EvalContext<'_>) -> SqlResult<Datum> {
        if self.count == 0 || (self.spread.sample && self.count == 1) {
            return Ok(Datum::Null);
        }
        let count = Numeric::from(self.count);
        let within = ctx.interrupt;
        let above = count.mul(&self.squares, within)?.sub(&self.sum.mul(&self.sum, within)?)?;
        if above.is_zero() || above.is_negative() {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let below =
            Numeric::from(self.count - i64::from(self.spread.sample)).mul(&count, within)?;
        let variance = above.div(&below, within)?;
        Ok(Datum::Numeric(if self.spread.deviation { variance.sqrt(within)? } else { variance }))
    }
}

/// The same of floats, by the method of Youngs and Cramer.
struct FloatSpread {
    count: f64,
    sum: f64,
    squares: f64,
    infinite: bool,
    spread: Spread,
}

impl Accumulator for FloatSpread {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> SqlResult<()> {
        let Some(value) = first(args).as_f64() else { return Ok(()) };
        self.count += 1.0;
        self.sum += value;
        self.infinite |= value.is_infinite();
        if self.count > 1.0 {
            let distance = value * self.count - self.sum;
            self.squares += distance * distance / (self.count * (self.count - 1.0));
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if value.is_finite() && !self.infinite {
                    return Err(float_overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> SqlResult<Datum> {
        let below = if self.spread.sample { self.count - 1.0 } else { self.count };
        if below <= 0.0 {
            return Ok(Datum::Null);
        }
        let variance = self.squares / below;
        Ok(Datum::Float8(if self.spread.deviation { variance.sqrt() } else { variance }))
    }
}

fn numeric_spread<const SAMPLE: bool, const DEVIATION: bool>() -> Box<dyn Accumulator> {
    let spread = Spread { sample: SAMPLE, deviation: DEVIATION };
    Box::new(NumericSpread { count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO, spread })
}

fn float_spread<const SAMPLE: bool, const DEVIATION: bool>() -> Box<dyn Accumulator> {
    let spread = Spread { sample: SAMPLE, deviation: DEVIATION };
    Box::new(FloatSpread { count: 0.0, sum: 0.0, squares: 0.0, infinite: false, spread })
}

/// Aggregates, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    aggregate(2050, "max", &[ANY_ARRAY], ANY_ARRAY, max),
    aggregate(2051, "min", &[ANY_ARRAY], ANY_ARRAY, min),
    aggregate(2100, "avg", &[INT8], NUMERIC, avg_int),
    aggregate(2101, "avg", &[INT4], NUMERIC, avg_int),
    aggregate(2102, "avg", &[INT2], NUMERIC, avg_int),
    aggregate(2103, "avg", &[NUMERIC], NUMERIC, avg_numeric),
    aggregate(2104, "avg", &[FLOAT4], FLOAT8, avg_float),
    aggregate(2105, "avg", &[FLOAT8], FLOAT8, avg_float),
    aggregate(2106, "avg", &[INTERVAL], INTERVAL, avg_interval),
    aggregate(2107, "sum", &[INT8], NUMERIC, sum_int8),
    aggregate(2108, "sum", &[INT4], INT8, sum_int),
    aggregate(2109, "sum", &[INT2], INT8, sum_int),
    aggregate(2110, "sum", &[FLOAT4], FLOAT4, sum_float4),
    aggregate(2111, "sum", &[FLOAT8], FLOAT8, sum_float8),
    aggregate(2113, "sum", &[INTERVAL], INTERVAL, sum_interval),
    aggregate(2114, "sum", &[NUMERIC], NUMERIC, sum_numeric),
    aggregate(2115, "max", &[INT8], INT8, max),
    aggregate(2116, "max", &[INT4], INT4, max),
    aggregate(2117, "max", &[INT2], INT2, max),
    aggregate(2118, "max", &[OID], OID, max),
    aggregate(2119, "max", &[FLOAT4], FLOAT4, max),
    aggregate(2120, "max", &[FLOAT8], FLOAT8, max),
    aggregate(2122, "max", &[DATE], DATE, max),
    aggregate(2123, "max", &[TIME], TIME, max),
    aggregate(2126, "max", &[TIMESTAMP], TIMESTAMP, max),
    aggregate(2127, "max", &[TIMESTAMPTZ], TIMESTAMPTZ, max),
    aggregate(2128, "max", &[INTERVAL], INTERVAL, max),
    aggregate(2129, "max", &[TEXT], TEXT, max),
    aggregate(2130, "max", &[NUMERIC], NUMERIC, max),
    aggregate(2131, "min", &[INT8], INT8, min),
    aggregate(2132, "min", &[INT4], INT4, min),
    aggregate(2133, "min", &[INT2], INT2, min),
    aggregate(2134, "min", &[OID], OID, min),
    aggregate(2135, "min", &[FLOAT4], FLOAT4, min),
    aggregate(2136, "min", &[FLOAT8], FLOAT8, min),
    aggregate(2138, "min", &[DATE], DATE, min),
    aggregate(2139, "min", &[TIME], TIME, min),
    aggregate(2142, "min", &[TIMESTAMP], TIMESTAMP, min),
    aggregate(2143, "min", &[TIMESTAMPTZ], TIMESTAMPTZ, min),
    aggregate(2144, "min", &[INTERVAL], INTERVAL, min),
    aggregate(2145, "min", &[TEXT], TEXT, min),
    aggregate(2146, "min", &[NUMERIC], NUMERIC, min),
    aggregate(2147, "count", &[ANY], INT8, count),
    aggregate(2148, "variance", &[INT8], NUMERIC, numeric_spread::<true, false>),
    aggregate(2149, "variance", &[INT4], NUMERIC, numeric_spread::<true, false>),
    aggregate(2150, "variance", &[INT2], NUMERIC, numeric_spread::<true, false>),
    aggregate(2151, "variance", &[FLOAT4], FLOAT8, float_spread::<true, false>),
    aggregate(2152, "variance", &[FLOAT8], FLOAT8, float_spread::<true, false>),
    aggregate(2153, "variance", &[NUMERIC], NUMERIC, numeric_spread::<true, false>),
    aggregate(2154, "stddev", &[INT8], NUMERIC, numeric_spread::<true, true>),
    aggregate(2155, "stddev", &[INT4], NUMERIC, numeric_spread::<true, true>),
    aggregate(2156, "stddev", &[INT2], NUMERIC, numeric_spread::<true, true>),
    aggregate(2157, "stddev", &[FLOAT4], FLOAT8, float_spread::<true, true>),
    aggregate(2158, "stddev", &[FLOAT8], FLOAT8, float_spread::<true, true>),
    aggregate(2159, "stddev", &[NUMERIC], NUMERIC, numeric_spread::<true, true>),
    aggregate(2236, "bit_and", &[INT2], INT2, bit_and),
    aggregate(2237, "bit_or", &[INT2], INT2, bit_or),
    aggregate(2238, "bit_and", &[INT4], INT4, bit_and),
    aggregate(2239, "bit_or", &[INT4], INT4, bit_or),
    aggregate(2240, "bit_and", &[INT8], INT8, bit_and),
    aggregate(2241, "bit_or", &[INT8], INT8, bit_or),
    aggregate(2244, "max", &[BPCHAR], BPCHAR, max_padded),
    aggregate(2245, "min", &[BPCHAR], BPCHAR, min_padded),
    aggregate(2335, "array_agg", &[ANY_ELEMENT], ANY_ARRAY, array_agg),
    aggregate(2517, "bool_and", &[BOOL], BOOL, bool_and),
    aggregate(2518, "bool_or", &[BOOL], BOOL, bool_or),
    aggregate(2519, "every", &[BOOL], BOOL, bool_and),
    aggregate(2641, "var_samp", &[INT8], NUMERIC, numeric_spread::<true, false>),
    aggregate(2642, "var_samp", &[INT4], NUMERIC, numeric_spread::<true, false>),
    aggregate(2643, "var_samp", &[INT2], NUMERIC, numeric_spread::<true, false>),
    aggregate(2644, "var_samp", &[FLOAT4], FLOAT8, float_spread::<true, false>),
    aggregate(2645, "var_samp", &[FLOAT8], FLOAT8, float_spread::<true, false>),
    aggregate(2646, "var_samp", &[NUMERIC], NUMERIC, numeric_spread::<true, false>),
    aggregate(2712, "stddev_samp", &[INT8], NUMERIC, numeric_spread::<true, true>),
    aggregate(2713, "stddev_samp", &[INT4], NUMERIC, numeric_spread::<true, true>),
    aggregate(2714, "stddev_samp", &[INT2], NUMERIC, numeric_spread::<true, true>),
    aggregate(2715, "stddev_samp", &[FLOAT4], FLOAT8, float_spread::<true, true>),
    aggregate(2716, "stddev_samp", &[FLOAT8], FLOAT8, float_spread::<true, true>),
    aggregate(2717, "stddev_samp", &[NUMERIC], NUMERIC, numeric_spread::<true, true>),
    aggregate(2718, "var_pop", &[INT8], NUMERIC, numeric_spread::<false, false>),
    aggregate(2719, "var_pop", &[INT4], NUMERIC, numeric_spread::<false, false>),
    aggregate(2720, "var_pop", &[INT2], NUMERIC, numeric_spread::<false, false>),
    aggregate(2721, "var_pop", &[FLOAT4], FLOAT8, float_spread::<false, false>),
    aggregate(2722, "var_pop", &[FLOAT8], FLOAT8, float_spread::<false, false>),
    aggregate(2723, "var_pop", &[NUMERIC], NUMERIC, numeric_spread::<false, false>),
    aggregate(2724, "stddev_pop", &[INT8], NUMERIC, numeric_spread::<false, true>),
    aggregate(2725, "stddev_pop", &[INT4], NUMERIC, numeric_spread::<false, true>),
    aggregate(2726, "stddev_pop", &[INT2], NUMERIC, numeric_spread::<false, true>),
    aggregate(2727, "stddev_pop", &[FLOAT4], FLOAT8, float_spread::<false, true>),
    aggregate(2728, "stddev_pop", &[FLOAT8], FLOAT8, float_spread::<false, true>),
    aggregate(2729, "stddev_pop", &[NUMERIC], NUMERIC, numeric_spread::<false, true>),
    aggregate(2803, "count", &[], INT8, count_rows),
    aggregate(3538, "string_agg", &[TEXT, TEXT], TEXT, string_agg),
];
