//! Types and values, with PostgreSQL's identities and meaning.

mod array;
mod binary;
mod compare;
pub mod datetime;
mod datum;
mod float;
mod identity;
mod modifier;
pub mod numeric;
mod style;
mod text;

pub use array::ARRAY_LEN_MAX;
pub use datetime::{Interval, IntervalFields, IntervalModifier, MAX_TIME_DIGITS, Zone};
pub use datum::Datum;
pub use float::write_f64;
pub use numeric::Numeric;
pub use style::{DateOrder, DateStyle, IntervalStyle, TextStyle};
pub use text::cut_bytes;
pub use text::{NAME_MAX, TextFormat};

/// A type with its modifier where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SqlType {
    /// A literal or parameter whose type is not decided yet (`unknown`).
    Unknown,
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`, with precision and scale if declared.
    Numeric(Option<(u16, i16)>),
    /// `text`.
    Text,
    /// `character varying`, with its longest length in characters if declared.
    Varchar(Option<u32>),
    /// `character(n)` (`bpchar`), with its length if declared.
    Char(Option<u32>),
    /// `name`: 63 bytes.
    Name,
    /// `"char"`: one byte.
    InternalChar,
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time without time zone`, with its digits of fractional seconds (0 to 6) if declared.
    Time(Option<u8>),
    /// `timestamp without time zone`, likewise.
    Timestamp(Option<u8>),
    /// `timestamp with time zone`, likewise.
    TimestampTz(Option<u8>),
    /// `interval`, with its fields and digits if declared.
    Interval(Option<IntervalModifier>),
    /// `uuid`.
    Uuid,
    /// `oid`.
    Oid,
    /// `regclass`: an oid that prints as a table's name.
    RegClass,
    /// `regtype`.
    RegType,
    /// `regproc`.
    RegProc,
    /// `regnamespace`.
    RegNamespace,
    /// A one-dimensional array.
    Array(ElementType),
    /// `int2vector`: an array of `smallint` with lower bound 0.
    Int2Vector,
    /// `oidvector`.
    OidVector,
    /// `record`: an anonymous row.
    Record,
    /// `void`.
    Void,
}

/// What an array may consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the scalar of the same name")]
pub enum ElementType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(Option<(u16, i16)>),
    Text,
    Varchar(Option<u32>),
    Char(Option<u32>),
    Name,
    InternalChar,
    Bytea,
    Date,
    Time(Option<u8>),
    Timestamp(Option<u8>),
    TimestampTz(Option<u8>),
    Interval(Option<IntervalModifier>),
    Uuid,
    Oid,
    RegType,
    RegClass,
    RegProc,
    RegNamespace,
}

#[cfg(test)]
mod tests;
