//! Order, equality and hashes of values.
//!
//! Text is ordered by its bytes, which is collation "C": the same on every node, and the order of the keys.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::datetime::DAY;
use super::{Datum, Form, Numeric, SqlType};

impl SqlType {
    /// The order of two values of this type; neither is NULL (inside of arrays NULL is greatest).
    pub fn compare(self, a: &Datum, b: &Datum) -> Ordering {
        match (self.form(), a, b) {
            (Form::Padded, Datum::Text(a), Datum::Text(b)) => {
                a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))
            }
            (_, Datum::Array(a), Datum::Array(b)) => {
                let element = self.element().unwrap_or(SqlType::Unknown);
                for (a, b) in a.iter().zip(b.iter()) {
                    let order = match (a.is_null(), b.is_null()) {
                        (false, false) => element.compare(a, b),
                        (a, b) => a.cmp(&b),
                    };
                    if order.is_ne() {
                        return order;
                    }
                }
                a.len().cmp(&b.len())
            }
            _ => a.compare(b),
        }
    }

    /// Feeds a value to a hasher: values that are equal by [`SqlType::compare`] feed the same.
    pub fn hash(self, value: &Datum, state: &mut impl Hasher) {
        match (self.form(), value) {
            (Form::Padded, Datum::Text(text)) => text.trim_end_matches(' ').hash(state),
            _ => value.hash_value(state),
        }
    }
}

/// NaN is equal to itself and greatest; the zeros are equal.
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// What intervals are compared by: 30 days make a month, 24 hours a day.
pub(crate) fn interval_span(months: i32, days: i32, micros: i64) -> i128 {
    (i128::from(months) * 30 + i128::from(days)) * i128::from(DAY) + i128::from(micros)
}

impl Datum {
    /// The order of two values of one type, or of two numbers of different ones. Text by bytes, also `character`,
    /// whose blanks only [`SqlType::compare`] knows. NULL is greatest.
    pub fn compare(&self, other: &Datum) -> Ordering {
        match (self, other) {
            (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
            (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
            (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
            (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Datum::Numeric(a), Datum::Numeric(b)) => a.compare(b),
            (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
            (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
            (Datum::Timestamp(a), Datum::Timestamp(b))
            | (Datum::TimestampTz(a), Datum::TimestampTz(b))
            | (Datum::Time(a), Datum::Time(b)) => a.cmp(b),
            (
                Datum::Interval { months, days, micros },
                Datum::Interval { months: other_months, days: other_days, micros: other_micros },
            ) => interval_span(*months, *days, *micros).cmp(&interval_span(
                *other_months,
                *other_days,
                *other_micros,
            )),
            (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
            (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
            (Datum::Packed(a_type, a), Datum::Packed(b_type, b)) => (a_type, a).cmp(&(b_type, b)),
            (Datum::Array(a), Datum::Array(b)) | (Datum::Record(a), Datum::Record(b)) => {
                let differing = a.iter().zip(b.iter()).map(|(a, b)| a.compare(b));
                differing.into_iter().find(|o| o.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (a, b) => a.compare_unlike(b),
        }
    }

    fn compare_unlike(&self, other: &Datum) -> Ordering {
        if let (Some(a), Some(b)) = (self.as_i64(), other.as_i64()) {
            return a.cmp(&b);
        }
        if let (Some(a), Some(b)) = (self.as_f64(), other.as_f64()) {
            return compare_floats(a, b);
        }
        if let (Some(a), Some(b)) = (self.as_numeric(), other.as_numeric()) {
            return a.compare(&b);
        }
        self.rank().cmp(&other.rank())
    }

    /// The value of an integer of any width.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Datum::Int2(v) => Some(i64::from(*v)),
            Datum::Int4(v) => Some(i64::from(*v)),
            Datum::Int8(v) => Some(*v),
            Datum::Oid(v) => Some(i64::from(*v)),
            _ => None,
        }
    }

    /// The value of a float or of an integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Datum::Float4(v) => Some(f64::from(*v)),
            Datum::Float8(v) => Some(*v),
            other => other.as_i64().map(|v| v as f64),
        }
    }

    fn as_numeric(&self) -> Option<Numeric> {
        match self {
            Datum::Numeric(v) => Some(v.clone()),
            other => other.as_i64().map(Numeric::from),
        }
    }

    /// Keeps the order total when types do not fit.
    fn rank(&self) -> u8 {
        match self {
            Datum::Bool(_) => 0,
            Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => 1,
            Datum::Float4(_) | Datum::Float8(_) => 2,
            Datum::Numeric(_) => 3,
            Datum::Text(_) => 4,
            Datum::Bytea(_) => 5,
            Datum::Date(_) => 6,
            Datum::Time(_) => 7,
            Datum::Timestamp(_) => 8,
            Datum::TimestampTz(_) => 9,
            Datum::Interval { .. } => 10,
            Datum::Uuid(_) => 11,
            Datum::Packed(..) => 12,
            Datum::Array(_) => 13,
            Datum::Record(_) => 14,
            Datum::Null => 15,
        }
    }

    fn hash_value(&self, state: &mut impl Hasher) {
        self.rank().hash(state);
        match self {
            Datum::Null => {}
            Datum::Bool(v) => v.hash(state),
            Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => {
                self.as_i64().hash(state);
            }
            Datum::Float4(v) => hash_float(f64::from(*v), state),
            Datum::Float8(v) => hash_float(*v, state),
            Datum::Numeric(v) => {
                (v.wire_sign(), v.weight).hash(state);
                v.digits.hash(state);
            }
            Datum::Text(v) => v.hash(state),
            Datum::Bytea(v) => v.hash(state),
            Datum::Date(v) => v.hash(state),
            Datum::Time(v) | Datum::Timestamp(v) | Datum::TimestampTz(v) => v.hash(state),
            Datum::Interval { months, days, micros } => {
                interval_span(*months, *days, *micros).hash(state);
            }
            Datum::Uuid(v) => v.hash(state),
            Datum::Packed(ty, v) => (ty, v).hash(state),
            Datum::Array(values) | Datum::Record(values) => {
                values.len().hash(state);
                values.iter().for_each(|value| value.hash_value(state));
            }
        }
    }
}

fn hash_float(value: f64, state: &mut impl Hasher) {
    let canonical = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    canonical.to_bits().hash(state);
}
