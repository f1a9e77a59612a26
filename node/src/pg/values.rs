//! Values as clients want them.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use sql::error::{SqlError, SqlResult};
use sql::types::{Datum, SqlType};

use super::codec::frontend::Format;

/// What RowDescription says about a type.
pub(super) struct Identity {
    pub(super) oid: u32,
    pub(super) typlen: i16,
    pub(super) typmod: i32,
}

pub(super) fn identity(ty: SqlType) -> Identity {
    let (oid, typlen) = match ty {
        SqlType::Int4 => (23, 4),
        SqlType::Int8 => (20, 8),
        SqlType::Bool => (16, 1),
        _ => (25, -1),
    };
    Identity { oid, typlen, typmod: -1 }
}

/// Appends a value that is not NULL.
pub(super) fn encode(
    out: &mut BytesMut,
    datum: &Datum,
    _ty: SqlType,
    format: Format,
) -> SqlResult<()> {
    let failed = |_| SqlError::internal("out of memory");
    match (datum, format) {
        (Datum::Int4(value), Format::Text) => write!(out, "{value}").map_err(failed),
        (Datum::Int8(value), Format::Text) => write!(out, "{value}").map_err(failed),
        (Datum::Int4(value), Format::Binary) => {
            out.put_i32(*value);
            Ok(())
        }
        (Datum::Int8(value), Format::Binary) => {
            out.put_i64(*value);
            Ok(())
        }
        (Datum::Text(value), _) => {
            out.put_slice(value.as_bytes());
            Ok(())
        }
        _ => Err(SqlError::unsupported("this type on the wire")),
    }
}
