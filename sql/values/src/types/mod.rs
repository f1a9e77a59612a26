//! Types and values, with PostgreSQL's identities and meaning.
//!
//! A type is a [`TypeDef`] in the file of its family, and a line in the list below.

mod array;
mod boolean;
mod bytea;
mod compare;
pub mod datetime;
mod datum;
mod definition;
mod float;
mod identity;
mod integer;
mod macaddr;
pub mod numeric;
mod oid;
mod record;
mod string;
mod style;
mod text;
mod uuid;
mod void;
mod wire;

pub use array::ARRAY_LEN_MAX;
pub use datetime::{Interval, IntervalFields, IntervalModifier, MAX_TIME_DIGITS, Zone};
pub use datum::Datum;
pub use definition::{
    Codec, Collation, Comparison, Comparisons, Fit, Form, Measure, Modifier, Named, TypeDef,
};
pub use float::write_f64;
pub use numeric::Numeric;
pub use string::{NAME_MAX, cut_bytes};
pub use style::{DateOrder, DateStyle, IntervalStyle, TextStyle};
pub use text::TextFormat;

/// Makes the types of their list: a variant, with what its modifier is if it has one, and its definition.
macro_rules! types {
    ($($(#[$doc:meta])* $variant:ident $(($modifier:ty))? = $def:path;)*) => {
        /// A type with its modifier where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SqlType {
            $($(#[$doc])* $variant $(($modifier))?,)*
            /// A one-dimensional array.
            Array(ElementType),
        }

        /// A type that is no array, without its modifier.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is the type of the same name")]
        pub enum TypeId { $($variant),* }

        impl TypeId {
            /// All of them.
            pub const ALL: &[TypeId] = &[$(TypeId::$variant),*];

            /// What it is.
            pub fn def(self) -> &'static TypeDef {
                match self { $(TypeId::$variant => &$def,)* }
            }

            /// That of a type; none of an array.
            pub fn of(ty: SqlType) -> Option<TypeId> {
                match ty {
                    $(SqlType::$variant { .. } => Some(TypeId::$variant),)*
                    SqlType::Array(_) => None,
                }
            }
        }

        impl SqlType {
            /// What it is. Of an array, what all arrays have in common.
            #[inline]
            pub fn def(self) -> &'static TypeDef {
                match self {
                    $(SqlType::$variant { .. } => &$def,)*
                    SqlType::Array(_) => &array::ARRAY,
                }
            }

            /// How its values are kept.
            #[inline]
            pub const fn form(self) -> Form {
                match self {
                    $(SqlType::$variant { .. } => const { $def.form },)*
                    SqlType::Array(_) => Form::Array,
                }
            }

        }
    };
}

types! {
    /// A literal or parameter whose type is not decided yet (`unknown`).
    Unknown = string::UNKNOWN;
    /// `boolean`.
    Bool = boolean::BOOL;
    /// `smallint`.
    Int2 = integer::INT2;
    /// `integer`.
    Int4 = integer::INT4;
    /// `bigint`.
    Int8 = integer::INT8;
    /// `real`.
    Float4 = float::FLOAT4;
    /// `double precision`.
    Float8 = float::FLOAT8;
    /// `numeric`, with precision and scale if declared.
    Numeric(Option<(u16, i16)>) = numeric::NUMERIC;
    /// `text`.
    Text = string::TEXT;
    /// `character varying`, with its longest length in characters if declared.
    Varchar(Option<u32>) = string::VARCHAR;
    /// `character(n)` (`bpchar`), with its length if declared.
    Char(Option<u32>) = string::BPCHAR;
    /// `name`: 63 bytes.
    Name = string::NAME;
    /// `"char"`: one byte.
    InternalChar = string::INTERNAL_CHAR;
    /// `bytea`.
    Bytea = bytea::BYTEA;
    /// `date`.
    Date = datetime::DATE;
    /// `time without time zone`, with its digits of fractional seconds (0 to 6) if declared.
    Time(Option<u8>) = datetime::TIME;
    /// `timestamp without time zone`, likewise.
    Timestamp(Option<u8>) = datetime::TIMESTAMP;
    /// `timestamp with time zone`, likewise.
    TimestampTz(Option<u8>) = datetime::TIMESTAMPTZ;
    /// `interval`, with its fields and digits if declared.
    Interval(Option<IntervalModifier>) = datetime::INTERVAL;
    /// `uuid`.
    Uuid = uuid::UUID;
    /// `macaddr`.
    Macaddr = macaddr::MACADDR;
    /// `oid`.
    Oid = oid::OID;
    /// `regclass`: an oid that prints as a table's name.
    RegClass = oid::REGCLASS;
    /// `regtype`.
    RegType = oid::REGTYPE;
    /// `regproc`.
    RegProc = oid::REGPROC;
    /// `regnamespace`.
    RegNamespace = oid::REGNAMESPACE;
    /// `int2vector`: an array of `smallint` with lower bound 0.
    Int2Vector = array::INT2VECTOR;
    /// `oidvector`.
    OidVector = array::OIDVECTOR;
    /// `record`: an anonymous row.
    Record = record::RECORD;
    /// `void`.
    Void = void::VOID;
}

/// What an array consists of: any type that has an array type, with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementType {
    id: TypeId,
    /// As `atttypmod` has it.
    typmod: i32,
}

impl ElementType {
    /// The type of the elements.
    pub fn scalar(self) -> SqlType {
        match self.typmod {
            -1 => self.id.def().ty,
            typmod => self.id.def().ty.with_typmod(typmod),
        }
    }

    fn def(self) -> &'static TypeDef {
        self.id.def()
    }
}

impl TypeId {
    /// The type of arrays of this type, if it has such.
    pub const fn array(self) -> SqlType {
        SqlType::Array(ElementType { id: self, typmod: -1 })
    }
}

#[cfg(test)]
mod tests;
