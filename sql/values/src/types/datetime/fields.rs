//! Which fields an interval type keeps, and how many digits of fractional seconds.

use std::fmt;
use std::ops::BitOr;

use super::{HOUR, Interval, MINUTE, SECOND, interval_out_of_range, round_micros};
use crate::error::SqlResult;

/// The most digits of fractional seconds: microseconds.
pub const MAX_TIME_DIGITS: u8 = 6;

/// What a modifier has where no precision was declared.
const NO_DIGITS: i32 = 0xffff;

/// A set of fields, with PostgreSQL's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntervalFields(u16);

#[allow(missing_docs, reason = "each is the field of its name")]
impl IntervalFields {
    pub const MONTH: IntervalFields = IntervalFields(1 << 1);
    pub const YEAR: IntervalFields = IntervalFields(1 << 2);
    pub const DAY: IntervalFields = IntervalFields(1 << 3);
    pub const HOUR: IntervalFields = IntervalFields(1 << 10);
    pub const MINUTE: IntervalFields = IntervalFields(1 << 11);
    pub const SECOND: IntervalFields = IntervalFields(1 << 12);
    pub const ALL: IntervalFields = IntervalFields(0x7fff);

    /// The names, from the greatest.
    const NAMES: [(IntervalFields, &str); 6] = [
        (IntervalFields::YEAR, "year"),
        (IntervalFields::MONTH, "month"),
        (IntervalFields::DAY, "day"),
        (IntervalFields::HOUR, "hour"),
        (IntervalFields::MINUTE, "minute"),
        (IntervalFields::SECOND, "second"),
    ];

    /// True iff it has all of others.
    pub fn has(self, other: IntervalFields) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for IntervalFields {
    type Output = IntervalFields;

    fn bitor(self, other: IntervalFields) -> IntervalFields {
        IntervalFields(self.0 | other.0)
    }
}

/// The modifier of an interval type: never that of all fields with all digits, which is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntervalModifier {
    fields: IntervalFields,
    digits: Option<u8>,
}

impl IntervalModifier {
    /// The modifier, if it says anything.
    pub fn new(fields: IntervalFields, digits: Option<u8>) -> Option<IntervalModifier> {
        (fields != IntervalFields::ALL || digits.is_some())
            .then_some(IntervalModifier { fields, digits })
    }

    /// The fields.
    pub fn fields(self) -> IntervalFields {
        self.fields
    }

    /// Digits of fractional seconds, if declared.
    pub fn digits(self) -> Option<u8> {
        self.digits
    }

    /// As `atttypmod` has it.
    pub fn typmod(self) -> i32 {
        (i32::from(self.fields.0) << 16) | self.digits.map_or(NO_DIGITS, i32::from)
    }

    /// From `atttypmod`; none if it says nothing or is none of PostgreSQL's.
    pub fn of_typmod(typmod: i32) -> Option<IntervalModifier> {
        let fields = IntervalFields(u16::try_from(typmod >> 16).ok()?);
        let digits = match typmod & NO_DIGITS {
            NO_DIGITS => None,
            digits => Some(u8::try_from(digits).ok().filter(|digits| *digits <= MAX_TIME_DIGITS)?),
        };
        IntervalModifier::new(fields, digits)
    }

    /// Cuts an interval after the least field, and rounds its seconds.
    pub fn apply(self, interval: Interval) -> SqlResult<Interval> {
        let Interval { mut months, mut days, mut micros } = interval;
        let fields = self.fields;
        let least = |field| fields != IntervalFields::ALL && fields.has(field);
        if least(IntervalFields::SECOND) {
            // All is kept.
        } else if least(IntervalFields::MINUTE) {
            micros -= micros % MINUTE;
        } else if least(IntervalFields::HOUR) {
            micros -= micros % HOUR;
        } else if least(IntervalFields::DAY) {
            micros = 0;
        } else if least(IntervalFields::MONTH) {
            (days, micros) = (0, 0);
        } else if least(IntervalFields::YEAR) {
            months -= months % 12;
            (days, micros) = (0, 0);
        }
        if let Some(digits) = self.digits {
            // At most half a second is added.
            if micros.checked_abs().is_none_or(|size| size > i64::MAX - SECOND) {
                return Err(interval_out_of_range());
            }
            micros = round_micros(micros, digits);
        }
        Ok(Interval { months, days, micros })
    }
}

impl fmt::Display for IntervalModifier {
    /// What comes after `interval` in the type's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fields != IntervalFields::ALL {
            let mut names = IntervalFields::NAMES
                .iter()
                .filter(|(field, _)| self.fields.has(*field))
                .map(|(_, name)| *name);
            if let Some(first) = names.next() {
                write!(f, " {first}")?;
            }
            if let Some(last) = names.next_back() {
                write!(f, " to {last}")?;
            }
        }
        match self.digits {
            Some(digits) => write!(f, "({digits})"),
            None => Ok(()),
        }
    }
}
