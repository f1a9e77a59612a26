//! Values.

use std::sync::Arc;

use bytes::Bytes;

use super::Numeric;

/// A value. Which type it has is known from where it stands; a datum alone tells only its representation.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// NULL of any type.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `smallint`.
    Int2(i16),
    /// `integer`.
    Int4(i32),
    /// `bigint`.
    Int8(i64),
    /// `real`.
    Float4(f32),
    /// `double precision`.
    Float8(f64),
    /// `numeric`.
    Numeric(Numeric),
    /// `text`, `varchar`, `character(n)` (padded), `name`, `"char"`, `unknown`.
    Text(Arc<str>),
    /// `bytea`.
    Bytea(Bytes),
    /// Days since 2000-01-01; the extremes are minus and plus infinity.
    Date(i32),
    /// Microseconds since midnight, 0 to 86,400,000,000.
    Time(i64),
    /// Microseconds since 2000-01-01 00:00 local; the extremes are minus and plus infinity.
    Timestamp(i64),
    /// Microseconds since 2000-01-01 00:00 UTC; the extremes are minus and plus infinity.
    TimestampTz(i64),
    /// Months, days and microseconds, which are kept apart.
    Interval {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Microseconds.
        micros: i64,
    },
    /// 16 bytes.
    Uuid([u8; 16]),
    /// `oid` and the `reg` types.
    Oid(u32),
    /// A one-dimensional array (also `int2vector` and `oidvector`).
    Array(Arc<[Datum]>),
    /// An anonymous row.
    Record(Arc<[Datum]>),
}

impl Datum {
    /// A text value.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Datum::Text(text.into())
    }

    /// True iff it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
}
