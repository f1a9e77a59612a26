//! What a type is: one [`TypeDef`] says it all, and everything else asks it.
//!
//! - D1. A type is one file with its `TypeDef`s, and one line each in the list of [`super`]. Its array type follows from it.
//! - D2. How values are kept is a [`Form`], of which several types may share one. Columns, keys and rows know forms, never
//!   types: a new type of a known form changes none of them.
//! - D3. A type whose order is that of some bytes needs no form of its own ([`Form::Packed`]).

use bytes::BytesMut;

use super::{Datum, SqlType, TextFormat};
use crate::error::SqlResult;

/// How values of a type are kept: which variant of [`Datum`], and what it means for their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the variant of the same name")]
pub enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    /// [`Datum::Text`], of which blanks at the end do not count.
    Padded,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Oid,
    Packed,
    Array,
    Record,
}

/// Which collation values are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// They have none.
    None,
    /// That of the database.
    Default,
    /// "C", whatever the database's.
    C,
}

/// What the standard's views say about the size of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    None,
    /// A number of so many digits to this base, so many of them after the point. A decimal one may have any precision.
    Number {
        /// Digits, if there is a bound.
        precision: Option<i32>,
        /// Two or ten.
        radix: i32,
        /// Digits after the point, if that is fixed.
        scale: Option<i32>,
    },
    /// A string, with its longest length in characters if there is one.
    Characters(Option<u32>),
    /// A time with so many digits of fractional seconds.
    Seconds(u8),
}

/// Values as text and in PostgreSQL's binary formats, which are big-endian and without their length.
#[derive(Clone, Copy)]
pub struct Codec {
    /// Reads text, as the type's input function does, without applying the modifier.
    pub parse: fn(SqlType, &str, &TextFormat) -> SqlResult<Datum>,
    /// Appends the text of a value that is not NULL.
    pub write: fn(&Datum, SqlType, &TextFormat, &mut String),
    /// Reads the binary format; the number is how deep records are nested already.
    pub receive: fn(SqlType, &[u8], u8) -> SqlResult<Datum>,
    /// Appends a value that is not NULL in binary format.
    pub send: fn(&Datum, SqlType, &mut BytesMut),
}

/// Makes a value of a type fit its modifier, or what every value of it must fit. An explicit cast (`true`) cuts strings;
/// otherwise only blanks are cut, and more is an error.
pub type Fit = fn(Datum, SqlType, bool) -> SqlResult<Datum>;

/// A function of `pg_proc`, by oid and name.
pub type Named = (u32, &'static str);

/// The modifier of a type that has one: a length, a precision.
pub struct Modifier {
    /// As `atttypmod` has it; -1 is none.
    pub typmod: fn(SqlType) -> i32,
    /// The type with such a modifier. One that means nothing leaves the type without.
    pub with_typmod: fn(i32) -> SqlType,
    /// The name of the type with its modifier, as users read it.
    pub name: fn(SqlType) -> String,
    /// How descriptors keep it: a length or a precision, and a scale.
    pub stored: fn(SqlType) -> (u32, i32),
    /// The type of what descriptors keep.
    pub of_stored: fn(u32, i32) -> Option<SqlType>,
    /// Its input and output functions.
    pub functions: [Named; 2],
}

/// A function that compares, and the oid of its operator.
pub type Comparison = (u32, &'static str, u32);

/// The functions and operators that compare a type with itself by the plain order of its values.
pub struct Comparisons {
    /// `<`
    pub less: Comparison,
    /// `<=`
    pub less_equal: Comparison,
    /// `=`
    pub equal: Comparison,
    /// `>=`
    pub greater_equal: Comparison,
    /// `>`
    pub greater: Comparison,
    /// `<>`
    pub not_equal: Comparison,
    /// What gives -1, 0 or 1.
    pub order: Named,
}

/// A type: its row in `pg_type`, and how its values are read, shown and kept.
pub struct TypeDef {
    /// The type without modifier.
    pub ty: SqlType,
    /// Its oid.
    pub oid: u32,
    /// The oid of its array type; zero if there is none.
    pub array_oid: u32,
    /// `typname`.
    pub typname: &'static str,
    /// The name in SQL, as `format_type` gives it.
    pub name: &'static str,
    /// Other names that SQL has. They win over other types' `typname`.
    pub aliases: &'static [&'static str],
    /// `typlen`: bytes, -1 for a varying length, -2 for a C string.
    pub len: i16,
    /// `typalign`.
    pub align: char,
    /// `typcategory`: what the resolution of operators goes by.
    pub category: char,
    /// `typispreferred`: wins within its category.
    pub preferred: bool,
    /// No table has a column of it.
    pub pseudo: bool,
    /// Of its values.
    pub collation: Collation,
    /// Input, output, receive and send; the input takes a modifier if the type has one.
    pub functions: [Named; 4],
    /// How values are kept.
    pub form: Form,
    /// How they are read and shown.
    pub codec: Codec,
    /// Its modifier, if it may have one.
    pub modifier: Option<&'static Modifier>,
    /// How values are made to fit the type, if not all do.
    pub fit: Option<Fit>,
    /// What the standard's views say.
    pub measure: fn(SqlType) -> Measure,
    /// The functions and operators of its comparison, where they are not written out one by one because there are kernels
    /// or comparisons with other types.
    pub comparisons: Option<&'static Comparisons>,
    /// Some texts of values, as they are shown, in the order of the values: what tests of every type go by.
    pub examples: &'static [&'static str],
}

impl TypeDef {
    /// A type with nothing unusual, for the rest of a definition.
    pub(super) const fn base(
        ty: SqlType,
        oid: u32,
        typname: &'static str,
        form: Form,
        codec: Codec,
    ) -> TypeDef {
        TypeDef {
            ty,
            oid,
            array_oid: 0,
            typname,
            name: typname,
            aliases: &[],
            len: -1,
            align: 'i',
            category: 'U',
            preferred: false,
            pseudo: false,
            collation: Collation::None,
            functions: [(0, ""); 4],
            form,
            codec,
            modifier: None,
            fit: None,
            measure: |_| Measure::None,
            comparisons: None,
            examples: &[],
        }
    }
}
