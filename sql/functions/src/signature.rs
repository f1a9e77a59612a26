//! How the tables of functions are written, and how bodies take their arguments.

use std::sync::Arc;

use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, Interval, Numeric, SqlType, TypeId};

use super::{Accumulator, Body, Function, ParamType, ScalarFn, SetFn, Volatility};

macro_rules! params {
    ($($name:ident = $ty:expr;)*) => { $(pub(super) const $name: ParamType = ParamType::Exact($ty);)* };
}

params! {
    BOOL = SqlType::Bool;
    BYTEA = SqlType::Bytea;
    INTERNAL_CHAR = SqlType::InternalChar;
    NAME = SqlType::Name;
    INT8 = SqlType::Int8;
    INT2 = SqlType::Int2;
    INT4 = SqlType::Int4;
    REGPROC = SqlType::RegProc;
    TEXT = SqlType::Text;
    OID = SqlType::Oid;
    OIDVECTOR = SqlType::OidVector;
    FLOAT4 = SqlType::Float4;
    FLOAT8 = SqlType::Float8;
    BPCHAR = SqlType::Char(None);
    VARCHAR = SqlType::Varchar(None);
    DATE = SqlType::Date;
    TIME = SqlType::Time(None);
    TIMESTAMP = SqlType::Timestamp(None);
    TIMESTAMPTZ = SqlType::TimestampTz(None);
    INTERVAL = SqlType::Interval(None);
    NUMERIC = SqlType::Numeric(None);
    REGCLASS = SqlType::RegClass;
    REGTYPE = SqlType::RegType;
    REGNAMESPACE = SqlType::RegNamespace;
    RECORD = SqlType::Record;
    VOID = SqlType::Void;
    UUID = SqlType::Uuid;
    NAME_ARRAY = TypeId::Name.array();
    TEXT_ARRAY = TypeId::Text.array();
    INT4_ARRAY = TypeId::Int4.array();
}

pub(super) const ANY: ParamType = ParamType::Any;
pub(super) const ANY_ELEMENT: ParamType = ParamType::AnyElement;
pub(super) const ANY_NON_ARRAY: ParamType = ParamType::AnyNonArray;
pub(super) const ANY_COMPATIBLE: ParamType = ParamType::AnyCompatible;
pub(super) const ANY_COMPATIBLE_ARRAY: ParamType = ParamType::AnyCompatibleArray;
pub(super) const ANY_ARRAY: ParamType = ParamType::AnyArray;

const fn function(
    oid: u32,
    name: &'static str,
    args: &'static [ParamType],
    result: ParamType,
    body: Body,
) -> Function {
    let volatility = Volatility::Immutable;
    let kernel = None;
    Function { oid, name, args, variadic: false, result, strict: true, volatility, body, kernel }
}

/// A strict, immutable function.
pub(super) const fn scalar(
    oid: u32,
    name: &'static str,
    args: &'static [ParamType],
    result: ParamType,
    body: ScalarFn,
) -> Function {
    function(oid, name, args, result, Body::Scalar(body))
}

/// A strict, immutable function that gives rows; with the names of their columns.
pub(super) const fn set(
    oid: u32,
    name: &'static str,
    args: &'static [ParamType],
    result: ParamType,
    body: SetFn,
    columns: &'static [&'static str],
) -> Function {
    function(oid, name, args, result, Body::Set(body, columns))
}

/// An aggregate. It sees NULLs and skips them as it likes.
pub(super) const fn aggregate(
    oid: u32,
    name: &'static str,
    args: &'static [ParamType],
    result: ParamType,
    make: fn() -> Box<dyn Accumulator>,
) -> Function {
    function(oid, name, args, result, Body::Aggregate(make)).lenient()
}

fn mismatch(args: &[Datum], at: usize, wanted: &str) -> SqlError {
    SqlError::internal(format!("argument {at} is {:?} where {wanted} is wanted", args.get(at)))
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $ty:ty = $pattern:pat => $value:expr;)*) => { $(
        $(#[$doc])*
        pub(super) fn $name(args: &[Datum], at: usize) -> SqlResult<$ty> {
            match args.get(at) {
                Some($pattern) => Ok($value),
                _ => Err(mismatch(args, at, stringify!($name))),
            }
        }
    )* };
}

getters! {
    boolean: bool = Datum::Bool(value) => *value;
    bytes: &bytes::Bytes = Datum::Bytea(value) => value;
    text: &str = Datum::Text(value) => value;
    date: i32 = Datum::Date(value) => *value;
    /// Of a time, a timestamp or a timestamptz.
    micros: i64 = Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => *value;
    interval: Interval = Datum::Interval { months, days, micros } =>
        Interval { months: *months, days: *days, micros: *micros };
    array: &Arc<[Datum]> = Datum::Array(values) => values;
}

/// An integer of any width, or an oid.
pub(super) fn int(args: &[Datum], at: usize) -> SqlResult<i64> {
    args.get(at).and_then(Datum::as_i64).ok_or_else(|| mismatch(args, at, "an integer"))
}

/// An `integer`.
pub(super) fn int4(args: &[Datum], at: usize) -> SqlResult<i32> {
    i32::try_from(int(args, at)?).map_err(|_| mismatch(args, at, "an integer of 4 bytes"))
}

/// An oid; integers count too, since their casts change nothing.
pub(super) fn oid(args: &[Datum], at: usize) -> SqlResult<u32> {
    Ok(int(args, at)? as u32)
}

/// A float of either width.
pub(super) fn float(args: &[Datum], at: usize) -> SqlResult<f64> {
    args.get(at).and_then(Datum::as_f64).ok_or_else(|| mismatch(args, at, "a float"))
}

pub(super) fn numeric(args: &[Datum], at: usize) -> SqlResult<&Numeric> {
    match args.get(at) {
        Some(Datum::Numeric(value)) => Ok(value),
        _ => Err(mismatch(args, at, "numeric")),
    }
}
