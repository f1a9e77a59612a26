//! Values: the forms that they are kept in. What a new form needs is in this file, in [`super::compare`], and in the rows
//! and keys of `sql-exec`; most types share one, or are [`Datum::Packed`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Numeric, SqlType, TextFormat, TypeId};
use crate::error::SqlResult;

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
    /// A value of a type that has no form of its own: bytes whose order is the order of the values.
    Packed(TypeId, Arc<[u8]>),
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

    /// The most usual type of its representation: for rows, which do not know their types.
    pub fn natural_type(&self) -> SqlType {
        match self {
            Datum::Null => SqlType::Unknown,
            Datum::Bool(_) => SqlType::Bool,
            Datum::Int2(_) => SqlType::Int2,
            Datum::Int4(_) => SqlType::Int4,
            Datum::Int8(_) => SqlType::Int8,
            Datum::Float4(_) => SqlType::Float4,
            Datum::Float8(_) => SqlType::Float8,
            Datum::Numeric(_) => SqlType::Numeric(None),
            Datum::Text(_) => SqlType::Text,
            Datum::Bytea(_) => SqlType::Bytea,
            Datum::Date(_) => SqlType::Date,
            Datum::Time(_) => SqlType::Time(None),
            Datum::Timestamp(_) => SqlType::Timestamp(None),
            Datum::TimestampTz(_) => SqlType::TimestampTz(None),
            Datum::Interval { .. } => SqlType::Interval(None),
            Datum::Uuid(_) => SqlType::Uuid,
            Datum::Oid(_) => SqlType::Oid,
            Datum::Packed(ty, _) => ty.def().ty,
            Datum::Array(values) => values
                .iter()
                .find(|value| !value.is_null())
                .and_then(|value| value.natural_type().array())
                .unwrap_or(TypeId::Text.array()),
            Datum::Record(_) => SqlType::Record,
        }
    }

    /// Reads a value of a type from text, as PostgreSQL's input functions do, and applies the type's modifier as an
    /// explicit cast does not: too long a string is an error.
    pub fn parse_text(ty: SqlType, text: &str, format: &TextFormat) -> SqlResult<Datum> {
        (ty.def().codec.parse)(ty, text, format)?.apply_modifier(ty, false)
    }

    /// The value as text. NULL is empty: the caller knows.
    pub fn to_text(&self, ty: SqlType, format: &TextFormat) -> String {
        let mut out = String::new();
        self.write_text(ty, format, &mut out);
        out
    }

    /// Appends the value as text.
    pub fn write_text(&self, ty: SqlType, format: &TextFormat, out: &mut String) {
        if !self.is_null() {
            (ty.def().codec.write)(self, ty, format, out);
        }
    }

    /// Appends a value that is not of the type that it is said to have (integers pass for oids), as its own form has it.
    pub(super) fn write_as_it_is(&self, said: SqlType, format: &TextFormat, out: &mut String) {
        let ty = self.natural_type();
        if ty.def().oid != said.def().oid {
            self.write_text(ty, format, out);
        }
    }

    /// Reads a value of a type in binary format, and applies the type's modifier.
    pub fn from_binary(ty: SqlType, bytes: &[u8]) -> SqlResult<Datum> {
        (ty.def().codec.receive)(ty, bytes, 0)?.apply_modifier(ty, false)
    }

    /// The value in binary format. NULL is empty: the caller knows.
    pub fn to_binary(&self, ty: SqlType) -> Bytes {
        let mut out = BytesMut::new();
        self.write_binary(ty, &mut out);
        out.freeze()
    }

    /// Appends the value in binary format.
    pub fn write_binary(&self, ty: SqlType, out: &mut BytesMut) {
        if !self.is_null() {
            (ty.def().codec.send)(self, ty, out);
        }
    }

    /// As [`Datum::write_as_it_is`].
    pub(super) fn send_as_it_is(&self, said: SqlType, out: &mut BytesMut) {
        let ty = self.natural_type();
        if ty.def().oid != said.def().oid {
            self.write_binary(ty, out);
        }
    }

    /// Makes a value of the base type fit the type's modifier. An explicit cast cuts strings; otherwise only blanks
    /// are cut, and more is an error.
    pub fn apply_modifier(self, ty: SqlType, explicit: bool) -> SqlResult<Datum> {
        match ty.def().fit {
            None => Ok(self),
            Some(fit) => fit(self, ty, explicit),
        }
    }
}
