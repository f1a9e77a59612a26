//! Numbers as bytes in the order of the numbers, none of them 00 or ff: whoever must not have zeros in a key has nothing to
//! escape, whether a column is ascending or, with every byte inverted, descending.
//!
//! ```text
//!  digit    7 bits, plus one                       01..=80
//!  integer  05..=0e  and 10 to 1 digits            negative: the fewer digits, the greater
//!           10..=cf                                0 to 191, in one byte
//!           d1..=da  and 1 to 10 digits            greater
//! ```
//!
//! The lengths are in the order of the numbers, and among numbers of one length the digits are. (The idea of a first byte that
//! tells sign, length and small numbers at once is CockroachDB's.)

use sql_values::error::SqlResult;

use super::corrupted;

const DIGIT_BITS: usize = 7;
const DIGIT_MASK: u128 = 0x7f;
/// Digits that an integer has at most.
const DIGITS_MAX: usize = 10;

/// Before `n` digits of a negative integer it is this, less `n`.
const NEGATIVE: u8 = 0x0f;
/// The integer zero.
const SMALL: u8 = 0x10;
const SMALL_MAX: i128 = 191;
/// Before `n` digits of an integer beyond the small ones it is this, plus `n`.
const LARGE: u8 = 0xd0;

/// Appends the last `digits` digits of a number.
pub(super) fn put_digits(out: &mut Vec<u8>, value: u128, digits: usize) {
    let digit = |at: usize| (value >> (DIGIT_BITS * at) & DIGIT_MASK) as u8 + 1;
    out.extend((0..digits).rev().map(digit));
}

/// Takes a number of so many digits, at most 18, off what `next` gives.
pub(super) fn take_digits(
    digits: usize,
    mut next: impl FnMut() -> SqlResult<u8>,
) -> SqlResult<u128> {
    let mut value = 0;
    for _ in 0..digits {
        let digit = next()?.checked_sub(1).filter(|digit| u128::from(*digit) <= DIGIT_MASK);
        let digit = digit.ok_or_else(|| corrupted("a key has a digit out of range"))?;
        value = value << DIGIT_BITS | u128::from(digit);
    }
    Ok(value)
}

/// Appends an integer of at most 64 bits, with or without a sign.
pub(super) fn put_integer(out: &mut Vec<u8>, value: impl Into<i128>) {
    let value = value.into();
    if (0..=SMALL_MAX).contains(&value) {
        out.push(SMALL + value as u8);
        return;
    }
    // Of a negative one, all bits beyond the digits are set, and go without saying.
    let magnitude = if value < 0 { !value } else { value };
    let bits = (i128::BITS - magnitude.leading_zeros()) as usize;
    let digits = bits.div_ceil(DIGIT_BITS).max(1);
    out.push(if value < 0 { NEGATIVE - digits as u8 } else { LARGE + digits as u8 });
    put_digits(out, value as u128, digits);
}

/// Takes an integer off what `next` gives. There is only one way in which it is written.
pub(super) fn take_integer(mut next: impl FnMut() -> SqlResult<u8>) -> SqlResult<i128> {
    let first = next()?;
    let (negative, digits) = match first {
        SMALL..LARGE => return Ok(i128::from(first - SMALL)),
        ..=NEGATIVE => (true, usize::from(NEGATIVE - first)),
        _ => (false, usize::from(first - LARGE)),
    };
    let invalid = || corrupted("a key has an integer out of range");
    if !(1..=DIGITS_MAX).contains(&digits) {
        return Err(invalid());
    }
    let value = take_digits(digits, next)? as i128;
    // What needs no more than one digit less.
    let less = if digits > 1 { 1 << (DIGIT_BITS * (digits - 1)) } else { 0 };
    if !negative {
        return if value >= less && value > SMALL_MAX { Ok(value) } else { Err(invalid()) };
    }
    let value = value - (1 << (DIGIT_BITS * digits));
    if value < -less { Ok(value) } else { Err(invalid()) }
}

/// Of two ascending keys of one length that are the same up to a last integer: by how much it grows. Of others, anything.
pub(crate) fn steps(first: &[u8], last: &[u8]) -> Option<u64> {
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let (first, last) = (&first[common..], &last[common..]);
    if first.len() != last.len() || first.len() >= DIGITS_MAX {
        return None;
    }
    let value = |digits: &[u8]| {
        digits.iter().fold(0u64, |sum, digit| sum << DIGIT_BITS | u64::from(digit.wrapping_sub(1)))
    };
    value(last).checked_sub(value(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i128) -> Vec<u8> {
        let mut out = Vec::new();
        put_integer(&mut out, value);
        out
    }

    fn taken(bytes: &[u8]) -> SqlResult<i128> {
        let mut bytes = bytes.iter();
        let value =
            take_integer(|| bytes.next().copied().ok_or_else(|| corrupted("a key is cut short")));
        assert!(value.is_err() || bytes.next().is_none());
        value
    }

    /// Around every power of two, and so around every change of length.
    fn integers() -> Vec<i128> {
        let mut all: Vec<i128> = (-300..300).collect();
        for power in 1..=64 {
            let at = 1_i128 << power;
            all.extend([at - 2, at - 1, at, at + 1]);
            all.extend([-at - 2, -at - 1, -at, -at + 1]);
        }
        let known = i128::from(i64::MIN)..=i128::from(u64::MAX);
        all.retain(|value| known.contains(value));
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn the_order_of_bytes_is_the_order_of_integers_and_none_begins_another() {
        let all = integers();
        for pair in all.windows(2) {
            let (less, more) = (written(pair[0]), written(pair[1]));
            assert!(less < more, "{pair:?}: {less:x?} {more:x?}");
            assert!(!more.starts_with(&less) && !less.starts_with(&more), "{pair:?}");
        }
        for value in all {
            let bytes = written(value);
            assert_eq!(taken(&bytes).unwrap(), value, "{bytes:x?}");
            assert!(bytes.iter().all(|byte| (1..0xff).contains(byte)), "{bytes:x?}");
        }
        assert_eq!(written(0), [0x10]);
        assert_eq!(written(191), [0xcf]);
        assert_eq!(written(192), [0xd2, 0x02, 0x41]);
        assert_eq!(written(-1), [0x0e, 0x80]);
        assert_eq!(written(16_384), [0xd3, 0x02, 0x01, 0x01]);
        assert_eq!(written(i64::MIN.into()).len(), 10);
        assert_eq!(written(u64::MAX.into()).len(), 11);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &[][..],
            &[0x00],
            &[0x04, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0x0f],
            &[0xd0],
            &[0xdb, 1],
            &[0xd1, 0x00],
            &[0xd1, 0x81],
            &[0xd1],
            &[0xd2, 0x02],
            // Longer than need be, and small.
            &[0xd2, 0x01, 0x80],
            &[0xd1, 0x05],
            &[0x0d, 0x80, 0x80],
        ] {
            assert!(taken(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn steps_count_the_integers_from_one_to_another() {
        let steps = |first, last| steps(&written(first), &written(last));
        assert_eq!(steps(5, 105), Some(100));
        assert_eq!(steps(1_000, 2_000), Some(1_000));
        assert_eq!(steps(-2_000, -1_000), Some(1_000));
        assert_eq!(steps(5, 5_000), None, "of other lengths");
        assert_eq!(steps(2_000, 1_000), None);
    }
}
