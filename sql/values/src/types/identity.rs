//! Which type is which: oids, names, lengths, categories and modifiers, as `pg_type` has them.

use super::{ElementType, IntervalModifier, MAX_TIME_DIGITS, SqlType};

/// What `pg_type` says about a type that has no modifier.
struct Identity {
    ty: SqlType,
    oid: u32,
    /// Oid of the array type; zero if there is none.
    array: u32,
    /// `typname`.
    typname: &'static str,
    /// The name in SQL, as `format_type` gives it.
    name: &'static str,
    /// `typlen`: -1 is of varying length, -2 a C string.
    len: i16,
    category: char,
    preferred: bool,
    /// Oids of its functions: input, output, receive, send, and the modifier's input and output; zero is none.
    io: [u32; 6],
}

/// Bytes that PostgreSQL's modifiers of strings and numerics count for the length word.
const TYPMOD_BIAS: i32 = 4;

#[allow(clippy::too_many_arguments, reason = "the columns of a table")]
const fn identity(
    ty: SqlType,
    oid: u32,
    array: u32,
    names: (&'static str, &'static str),
    len: i16,
    category: char,
    preferred: bool,
    io: [u32; 6],
) -> Identity {
    let (typname, name) = names;
    Identity { ty, oid, array, typname, name, len, category, preferred, io }
}

/// Every type that is no array, in order of oid.
#[rustfmt::skip]
static SCALARS: &[Identity] = &[
    identity(SqlType::Bool, 16, 1000, ("bool", "boolean"), 1, 'B', true, [1242, 1243, 2436, 2437, 0, 0]),
    identity(SqlType::Bytea, 17, 1001, ("bytea", "bytea"), -1, 'U', false, [1244, 31, 2412, 2413, 0, 0]),
    identity(SqlType::InternalChar, 18, 1002, ("char", "\"char\""), 1, 'Z', false, [1245, 33, 2434, 2435, 0, 0]),
    identity(SqlType::Name, 19, 1003, ("name", "name"), 64, 'S', false, [34, 35, 2422, 2423, 0, 0]),
    identity(SqlType::Int8, 20, 1016, ("int8", "bigint"), 8, 'N', false, [460, 461, 2408, 2409, 0, 0]),
    identity(SqlType::Int2, 21, 1005, ("int2", "smallint"), 2, 'N', false, [38, 39, 2404, 2405, 0, 0]),
    identity(SqlType::Int2Vector, 22, 1006, ("int2vector", "int2vector"), -1, 'A', false, [40, 41, 2410, 2411, 0, 0]),
    identity(SqlType::Int4, 23, 1007, ("int4", "integer"), 4, 'N', false, [42, 43, 2406, 2407, 0, 0]),
    identity(SqlType::RegProc, 24, 1008, ("regproc", "regproc"), 4, 'N', false, [44, 45, 2444, 2445, 0, 0]),
    identity(SqlType::Text, 25, 1009, ("text", "text"), -1, 'S', true, [46, 47, 2414, 2415, 0, 0]),
    identity(SqlType::Oid, 26, 1028, ("oid", "oid"), 4, 'N', true, [1798, 1799, 2418, 2419, 0, 0]),
    identity(SqlType::OidVector, 30, 1013, ("oidvector", "oidvector"), -1, 'A', false, [54, 55, 2420, 2421, 0, 0]),
    identity(SqlType::Float4, 700, 1021, ("float4", "real"), 4, 'N', false, [200, 201, 2424, 2425, 0, 0]),
    identity(SqlType::Float8, 701, 1022, ("float8", "double precision"), 8, 'N', true, [214, 215, 2426, 2427, 0, 0]),
    identity(SqlType::Unknown, 705, 0, ("unknown", "unknown"), -2, 'X', false, [109, 110, 2416, 2417, 0, 0]),
    identity(SqlType::Char(None), 1042, 1014, ("bpchar", "character"), -1, 'S', false, [1044, 1045, 2430, 2431, 2913, 2914]),
    identity(SqlType::Varchar(None), 1043, 1015, ("varchar", "character varying"), -1, 'S', false, [1046, 1047, 2432, 2433, 2915, 2916]),
    identity(SqlType::Date, 1082, 1182, ("date", "date"), 4, 'D', false, [1084, 1085, 2468, 2469, 0, 0]),
    identity(SqlType::Time(None), 1083, 1183, ("time", "time without time zone"), 8, 'D', false, [1143, 1144, 2470, 2471, 2909, 2910]),
    identity(SqlType::Timestamp(None), 1114, 1115, ("timestamp", "timestamp without time zone"), 8, 'D', false, [1312, 1313, 2474, 2475, 2905, 2906]),
    identity(SqlType::TimestampTz(None), 1184, 1185, ("timestamptz", "timestamp with time zone"), 8, 'D', true, [1150, 1151, 2476, 2477, 2907, 2908]),
    identity(SqlType::Interval(None), 1186, 1187, ("interval", "interval"), 16, 'T', true, [1160, 1161, 2478, 2479, 2903, 2904]),
    identity(SqlType::Numeric(None), 1700, 1231, ("numeric", "numeric"), -1, 'N', false, [1701, 1702, 2460, 2461, 2917, 2918]),
    identity(SqlType::RegClass, 2205, 2210, ("regclass", "regclass"), 4, 'N', false, [2218, 2219, 2452, 2453, 0, 0]),
    identity(SqlType::RegType, 2206, 2211, ("regtype", "regtype"), 4, 'N', false, [2220, 2221, 2454, 2455, 0, 0]),
    identity(SqlType::Record, 2249, 2287, ("record", "record"), -1, 'P', false, [2290, 2291, 2402, 2403, 0, 0]),
    identity(SqlType::Void, 2278, 0, ("void", "void"), 4, 'P', false, [2298, 2299, 3120, 3121, 0, 0]),
    identity(SqlType::Uuid, 2950, 2951, ("uuid", "uuid"), 16, 'U', false, [2952, 2953, 2961, 2962, 0, 0]),
    identity(SqlType::RegNamespace, 4089, 4090, ("regnamespace", "regnamespace"), 4, 'N', false, [4084, 4085, 4087, 4088, 0, 0]),
];

/// Names that SQL has besides `typname` and `format_type`'s.
static ALIASES: &[(&str, SqlType)] = &[
    ("int", SqlType::Int4),
    ("decimal", SqlType::Numeric(None)),
    ("dec", SqlType::Numeric(None)),
    ("float", SqlType::Float8),
    ("char", SqlType::Char(None)),
    ("time", SqlType::Time(None)),
    ("timestamp", SqlType::Timestamp(None)),
    ("timestamptz", SqlType::TimestampTz(None)),
];

/// The element types with their scalars: those without a modifier, and those with one.
macro_rules! elements {
    ($($plain:ident),*; $($modified:ident),*) => {
        impl ElementType {
            /// The type of the elements.
            pub fn scalar(self) -> SqlType {
                match self {
                    $(ElementType::$plain => SqlType::$plain,)*
                    $(ElementType::$modified(modifier) => SqlType::$modified(modifier),)*
                }
            }

            /// The elements of this type; none of what no array consists of.
            fn of(scalar: SqlType) -> Option<ElementType> {
                match scalar {
                    $(SqlType::$plain => Some(ElementType::$plain),)*
                    $(SqlType::$modified(modifier) => Some(ElementType::$modified(modifier)),)*
                    _ => None,
                }
            }
        }
    };
}

elements!(
    Bool, Int2, Int4, Int8, Float4, Float8, Text, Name, InternalChar, Bytea, Date, Uuid, Oid, RegType, RegClass, RegProc,
    RegNamespace;
    Numeric, Varchar, Char, Time, Timestamp, TimestampTz, Interval
);

impl SqlType {
    fn identity(self) -> Option<&'static Identity> {
        let base = self.base();
        SCALARS.iter().find(|identity| identity.ty == base)
    }

    /// Every type without modifiers, arrays included: the rows of `pg_type`.
    pub fn all() -> impl Iterator<Item = SqlType> {
        let scalars = || SCALARS.iter().map(|identity| identity.ty);
        scalars().chain(scalars().filter_map(SqlType::array))
    }

    /// Its oid in `pg_type`.
    pub fn oid(self) -> u32 {
        match self {
            SqlType::Array(element) => element.scalar().identity().map_or(0, |i| i.array),
            other => other.identity().map_or(0, |i| i.oid),
        }
    }

    /// The type with this oid, without modifier.
    pub fn from_oid(oid: u32) -> Option<SqlType> {
        if let Some(identity) = SCALARS.iter().find(|identity| identity.oid == oid) {
            return Some(identity.ty);
        }
        SCALARS.iter().find(|identity| identity.array == oid && oid != 0)?.ty.array()
    }

    /// The type of this name: `pg_type`'s, or SQL's, with `[]` for an array. Without modifiers.
    pub fn from_name(name: &str) -> Option<SqlType> {
        if let Some(element) = name.strip_suffix("[]") {
            return SqlType::from_name(element)?.array();
        }
        // SQL's `char` is not the type that pg_type calls char.
        if let Some((_, ty)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            return Some(*ty);
        }
        if let Some(identity) = SCALARS.iter().find(|i| i.name == name || i.typname == name) {
            return Some(identity.ty);
        }
        SqlType::from_name_of_array(name)
    }

    fn from_name_of_array(name: &str) -> Option<SqlType> {
        let element = name.strip_prefix('_')?;
        SCALARS.iter().find(|i| i.typname == element)?.ty.array()
    }

    /// `typname` in `pg_type`.
    pub fn typname(self) -> String {
        match self {
            SqlType::Array(element) => format!("_{}", element.scalar().typname()),
            other => other.identity().map_or("unknown", |i| i.typname).to_owned(),
        }
    }

    /// The name that users read, as `format_type` gives it, with the modifier if there is one.
    pub fn name(self) -> String {
        match self {
            SqlType::Array(element) => format!("{}[]", element.scalar().name()),
            SqlType::Numeric(Some((precision, scale))) => format!("numeric({precision},{scale})"),
            SqlType::Varchar(Some(n)) => format!("character varying({n})"),
            SqlType::Char(Some(n)) => format!("character({n})"),
            SqlType::Time(Some(n)) => format!("time({n}) without time zone"),
            SqlType::Timestamp(Some(n)) => format!("timestamp({n}) without time zone"),
            SqlType::TimestampTz(Some(n)) => format!("timestamp({n}) with time zone"),
            SqlType::Interval(Some(modifier)) => format!("interval{modifier}"),
            other => other.identity().map_or("unknown", |i| i.name).to_owned(),
        }
    }

    /// `typlen`: bytes, or -1 for a varying length.
    pub fn typlen(self) -> i16 {
        self.identity().map_or(-1, |i| i.len)
    }

    /// Oids of its functions: input, output, receive, send, and the modifier's input and output; zero is none.
    pub fn io_functions(self) -> [u32; 6] {
        self.identity().map_or([0; 6], |i| i.io)
    }

    /// `typcategory`: what the resolution of operators goes by.
    pub fn category(self) -> char {
        match self {
            SqlType::Array(_) => 'A',
            other => other.identity().map_or('U', |i| i.category),
        }
    }

    /// `typispreferred`: wins within its category.
    pub fn preferred(self) -> bool {
        self.identity().is_some_and(|i| i.preferred)
    }

    /// The type without its modifier.
    pub fn base(self) -> SqlType {
        match self {
            SqlType::Numeric(_) => SqlType::Numeric(None),
            SqlType::Varchar(_) => SqlType::Varchar(None),
            SqlType::Char(_) => SqlType::Char(None),
            SqlType::Time(_) => SqlType::Time(None),
            SqlType::Timestamp(_) => SqlType::Timestamp(None),
            SqlType::TimestampTz(_) => SqlType::TimestampTz(None),
            SqlType::Interval(_) => SqlType::Interval(None),
            SqlType::Array(element) => element.scalar().array().unwrap_or(self),
            other => other,
        }
    }

    /// The modifier as `atttypmod` has it; -1 if there is none.
    pub fn typmod(self) -> i32 {
        match self {
            SqlType::Numeric(Some((precision, scale))) => {
                ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + TYPMOD_BIAS
            }
            SqlType::Varchar(Some(n)) | SqlType::Char(Some(n)) => {
                i32::try_from(n).unwrap_or(i32::MAX - TYPMOD_BIAS) + TYPMOD_BIAS
            }
            SqlType::Time(Some(digits))
            | SqlType::Timestamp(Some(digits))
            | SqlType::TimestampTz(Some(digits)) => digits.into(),
            SqlType::Interval(Some(modifier)) => modifier.typmod(),
            SqlType::Array(element) => element.scalar().typmod(),
            _ => -1,
        }
    }

    /// This type with a modifier from `atttypmod`. One that means nothing leaves the type without.
    pub fn with_typmod(self, typmod: i32) -> SqlType {
        let base = self.base();
        let digits = u8::try_from(typmod).ok().filter(|digits| *digits <= MAX_TIME_DIGITS);
        match base {
            SqlType::Time(_) => return SqlType::Time(digits),
            SqlType::Timestamp(_) => return SqlType::Timestamp(digits),
            SqlType::TimestampTz(_) => return SqlType::TimestampTz(digits),
            SqlType::Interval(_) => return SqlType::Interval(IntervalModifier::of_typmod(typmod)),
            SqlType::Array(element) => {
                return element.scalar().with_typmod(typmod).array_of().unwrap_or(base);
            }
            _ => {}
        }
        let Some(value) = typmod.checked_sub(TYPMOD_BIAS).filter(|v| *v >= 0) else { return base };
        match base {
            SqlType::Numeric(_) => {
                // The scale is a signed number of 11 bits.
                let scale = ((value & 0x7ff) ^ 1024) - 1024;
                let precision = u16::try_from(value >> 16).unwrap_or(0);
                SqlType::Numeric(Some((precision, scale as i16)))
            }
            SqlType::Varchar(_) => SqlType::Varchar(Some(value as u32)),
            SqlType::Char(_) => SqlType::Char(Some(value as u32)),
            other => other,
        }
    }

    /// The type of the elements of an array type.
    pub fn element(self) -> Option<SqlType> {
        match self {
            SqlType::Array(element) => Some(element.scalar()),
            SqlType::Int2Vector => Some(SqlType::Int2),
            SqlType::OidVector => Some(SqlType::Oid),
            _ => None,
        }
    }

    /// The type of arrays of this type; its modifier is lost.
    pub fn array(self) -> Option<SqlType> {
        self.base().array_of()
    }

    /// The type of arrays of this type with its modifier, as it is declared.
    pub fn array_of(self) -> Option<SqlType> {
        ElementType::of(self).map(SqlType::Array)
    }

    /// Oid of the array type, for `typarray`; zero if there is none.
    pub fn array_oid(self) -> u32 {
        self.array().map_or(0, SqlType::oid)
    }

    /// The least subscript of its values: vectors count from 0.
    pub fn lower_bound(self) -> i32 {
        i32::from(!matches!(self, SqlType::Int2Vector | SqlType::OidVector))
    }

    /// True iff values are kept as text.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            SqlType::Unknown
                | SqlType::Text
                | SqlType::Varchar(_)
                | SqlType::Char(_)
                | SqlType::Name
                | SqlType::InternalChar
        )
    }

    /// True iff values name objects of the catalog.
    pub fn is_named(self) -> bool {
        self.is_oid() && self != SqlType::Oid
    }

    /// True iff values name objects of the catalog, or hold such.
    pub fn holds_names(self) -> bool {
        self.is_named() || self.element().is_some_and(SqlType::is_named)
    }

    /// True iff values are kept as [`super::Datum::Oid`].
    pub fn is_oid(self) -> bool {
        matches!(
            self,
            SqlType::Oid
                | SqlType::RegClass
                | SqlType::RegType
                | SqlType::RegProc
                | SqlType::RegNamespace
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_again_by_its_oid_and_names() {
        for ty in SqlType::all() {
            assert_ne!(ty.oid(), 0, "{ty:?}");
            assert_eq!(SqlType::from_oid(ty.oid()), Some(ty));
            assert_eq!(SqlType::from_name(&ty.name()), Some(ty), "{}", ty.name());
            if ty != SqlType::InternalChar && !matches!(ty, SqlType::Array(_)) {
                assert_eq!(SqlType::from_name(&ty.typname()), Some(ty), "{}", ty.typname());
            }
            if let Some(array) = ty.array() {
                assert_eq!(array.element(), Some(ty));
            }
        }
        assert_eq!(SqlType::from_oid(0), None);
        assert_eq!(SqlType::from_name("int[]").map(SqlType::oid), Some(1007));
        assert_eq!(SqlType::Array(ElementType::Text).typname(), "_text");
    }

    fn interval(fields: i32, digits: i32) -> SqlType {
        SqlType::Interval(IntervalModifier::of_typmod((fields << 16) | digits))
    }

    #[test]
    fn modifiers_are_postgresqls() {
        let cases = [
            (SqlType::Numeric(Some((10, 2))), 655_366, "numeric(10,2)"),
            (SqlType::Numeric(Some((3, -2))), 198_658, "numeric(3,-2)"),
            (SqlType::Varchar(Some(20)), 24, "character varying(20)"),
            (SqlType::Char(Some(1)), 5, "character(1)"),
            (SqlType::Time(Some(0)), 0, "time(0) without time zone"),
            (SqlType::TimestampTz(Some(3)), 3, "timestamp(3) with time zone"),
            (interval(1032, 1), (1032 << 16) | 1, "interval day to hour(1)"),
            (interval(0x7fff, 2), (0x7fff << 16) | 2, "interval(2)"),
            (interval(4, 0xffff), (4 << 16) | 0xffff, "interval year"),
            (SqlType::Array(ElementType::Varchar(Some(2))), 6, "character varying(2)[]"),
            (SqlType::Array(ElementType::Time(Some(3))), 3, "time(3) without time zone[]"),
        ];
        for (ty, typmod, name) in cases {
            assert_eq!(ty.typmod(), typmod);
            assert_eq!(ty.base().with_typmod(typmod), ty);
            assert_eq!(ty.name(), name);
        }
        assert_eq!(SqlType::Int4.typmod(), -1);
        assert_eq!(SqlType::Varchar(Some(5)).with_typmod(-1), SqlType::Varchar(None));
    }
}
