//! `to_char` of numbers and intervals, and `to_number`.

use std::borrow::Cow;

use sql_values::error::SqlResult;
use sql_values::types::{Datum, Numeric};

use super::arithmetic::out_of_range;
use super::picture::{self, Digits, Picture};
use super::signature::*;
use super::{EvalContext, Function};

/// Decimal places that a float has, and one of single precision.
const FLOAT8_PLACES: usize = 15;
const FLOAT4_PLACES: usize = 6;

/// Bytes that a part of a picture becomes at most: a Roman number.
const PART_BYTES: usize = 16;

/// The picture of a call.
fn picture_of(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Picture> {
    let text = text(args, 1)?;
    ctx.reserve(text.len().saturating_mul(PART_BYTES))?;
    ctx.spend(text.len() / 64)?;
    Picture::parse(text)
}

/// A number's text with its sign apart.
fn apart(text: &str) -> Digits<'_> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    Digits { digits: Cow::Borrowed(digits), negative: digits.len() < text.len() }
}

/// With one sign before it, if only a blank.
fn padded(text: String) -> Datum {
    Datum::text(if text.starts_with('-') { text } else { format!(" {text}") })
}

fn shown(picture: &Picture, text: &str) -> SqlResult<Datum> {
    picture::write(picture, &apart(text)).map(Datum::text)
}

fn as_roman(picture: &Picture, number: i64) -> SqlResult<Datum> {
    shown(picture, &picture::roman(number))
}

/// Digits with so many places behind the point, and an exponent of two digits at least.
fn scientific(value: f64, places: usize) -> String {
    let text = format!("{value:.places$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = exponent.trim_start_matches('-');
    let sign = if exponent.starts_with('-') { '-' } else { '+' };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The same of a numeric, exactly. As in PostgreSQL, what is rounded up to ten stays ten.
fn scientific_numeric(ctx: &EvalContext<'_>, value: &Numeric, places: usize) -> SqlResult<String> {
    let plain = value.abs().to_string();
    ctx.reserve(2 * plain.len())?;
    let first = plain.bytes().position(|byte| (b'1'..=b'9').contains(&byte));
    let point = plain.find('.').unwrap_or(plain.len()) as i64;
    let exponent = match first.map(|at| at as i64) {
        None => 0,
        Some(at) if at < point => point - at - 1,
        Some(at) => point - at,
    };
    // One place more than is shown decides how the last is rounded.
    let digits = plain.chars().skip(first.unwrap_or(0)).filter(char::is_ascii_digit);
    let digits: String = digits.take(places + 2).collect();
    let (whole, fraction) = digits.split_at(1);
    let places = i32::try_from(places).map_err(|_| out_of_range("integer"))?;
    let mantissa = Numeric::parse(&format!("{whole}.{fraction}"))?.round(places)?;
    let signs = (if value.is_negative() { "-" } else { "" }, if exponent < 0 { '-' } else { '+' });
    Ok(format!("{}{mantissa}e{}{:02}", signs.0, signs.1, exponent.abs()))
}

fn power_of_ten(shifted: usize) -> Option<i64> {
    10i64.checked_pow(u32::try_from(shifted).ok()?)
}

fn int4_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let picture = picture_of(ctx, args)?;
    let value = int4(args, 0)?;
    if picture.exponent {
        return Ok(padded(scientific(value.into(), picture.behind)));
    }
    whole_to_char(picture, value.into())
}

fn int8_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let picture = picture_of(ctx, args)?;
    let value = int(args, 0)?;
    if picture.exponent {
        return scientific_numeric(ctx, &Numeric::from(value), picture.behind).map(padded);
    }
    whole_to_char(picture, value)
}

fn whole_to_char(mut picture: Picture, value: i64) -> SqlResult<Datum> {
    if picture.roman {
        return as_roman(&picture, value);
    }
    let mut value = value;
    if picture.shift {
        let power = power_of_ten(picture.shifted);
        let shifted = power.and_then(|power| value.checked_mul(power));
        value = shifted.ok_or_else(|| out_of_range("bigint"))?;
        picture.before += picture.shifted;
    }
    let mut digits = value.to_string();
    if picture.behind > 0 {
        digits.push('.');
        digits.push_str(&"0".repeat(picture.behind));
    }
    shown(&picture, &digits)
}

fn numeric_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let mut picture = picture_of(ctx, args)?;
    let value = numeric(args, 0)?;
    if picture.roman {
        return as_roman(&picture, value.to_i32()?.into());
    }
    if picture.exponent {
        if !value.is_finite() {
            return Ok(Datum::text(picture::no_exponent(&picture)));
        }
        return scientific_numeric(ctx, value, picture.behind).map(padded);
    }
    let mut value = value.clone();
    if picture.shift {
        let power = Numeric::parse(&format!("1e{}", picture.shifted))?;
        value = value.mul(&power, ctx.interrupt)?;
        picture.before += picture.shifted;
    }
    let places = i32::try_from(picture.behind).map_err(|_| out_of_range("integer"))?;
    shown(&picture, &value.round(places)?.to_string())
}

fn float4_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    float_to_char(ctx, args, FLOAT4_PLACES)
}

fn float8_to_char(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    float_to_char(ctx, args, FLOAT8_PLACES)
}

fn float_to_char(ctx: &EvalContext<'_>, args: &[Datum], most: usize) -> SqlResult<Datum> {
    let mut picture = picture_of(ctx, args)?;
    let value = float(args, 0)?;
    if picture.roman {
        return as_roman(&picture, value.round_ties_even() as i64);
    }
    if picture.exponent {
        return Ok(match value.is_finite() {
            true => padded(scientific(value, picture.behind)),
            false => Datum::text(picture::no_exponent(&picture)),
        });
    }
    let mut value = value;
    if picture.shift {
        let power = 10f64.powi(i32::try_from(picture.shifted).unwrap_or(i32::MAX));
        // Of single precision, it stays so.
        value =
            if most == FLOAT4_PLACES { f64::from((value * power) as f32) } else { value * power };
        picture.before += picture.shifted;
    }
    let text = |value: f64, places: usize| match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => {
            if value < 0.0 { "-Infinity" } else { "Infinity" }.to_owned()
        }
        value => format!("{value:.places$}"),
    };
    // Beyond what a float has there is nothing to show.
    let whole = text(value.abs(), 0).len();
    picture.behind = picture.behind.min(most.saturating_sub(whole));
    shown(&picture, &text(value, picture.behind))
}

fn to_number(ctx: &EvalContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    if text(args, 1)?.is_empty() {
        return Ok(Datum::Null);
    }
    let picture = picture_of(ctx, args)?;
    let read = picture::read(&picture, text(args, 0)?)?;
    let precision = picture.before + picture.shifted + read.behind;
    let value = Numeric::parse(&read.text)?;
    let too_large = |_| out_of_range("numeric");
    let precision = u16::try_from(precision).map_err(too_large)?;
    let value = value.apply_modifier(precision, i16::try_from(read.behind).map_err(too_large)?)?;
    if !picture.shift {
        return Ok(Datum::Numeric(value));
    }
    let power =
        Numeric::from(10).power(&Numeric::from(-(picture.shifted as i64)), ctx.interrupt)?;
    value.mul(&power, ctx.interrupt).map(Datum::Numeric)
}

/// These functions, by oid.
#[rustfmt::skip]
pub(super) static FUNCTIONS: &[Function] = &[
    scalar(1772, "to_char", &[NUMERIC, TEXT], TEXT, numeric_to_char).stable(),
    scalar(1773, "to_char", &[INT4, TEXT], TEXT, int4_to_char).stable(),
    scalar(1774, "to_char", &[INT8, TEXT], TEXT, int8_to_char).stable(),
    scalar(1775, "to_char", &[FLOAT4, TEXT], TEXT, float4_to_char).stable(),
    scalar(1776, "to_char", &[FLOAT8, TEXT], TEXT, float8_to_char).stable(),
    scalar(1777, "to_number", &[TEXT, TEXT], NUMERIC, to_number).stable(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_have_two_digits_at_least() {
        assert_eq!(scientific(1234.5, 2), "1.23e+03");
        assert_eq!(scientific(-1e-100, 0), "-1e-100");
        assert_eq!(scientific(0.0, 1), "0.0e+00");
    }
}
