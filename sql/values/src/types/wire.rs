//! What PostgreSQL's binary formats share: big-endian, without their length.

use bytes::{Buf, BufMut, BytesMut};

use super::{Datum, SqlType};
use crate::error::{SqlError, SqlResult, SqlState};

/// The error for bytes that are not of a type.
pub(super) fn invalid(what: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, what)
}

/// The error for bytes that end too early.
pub(super) fn too_short() -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

/// The bytes, if they are so many.
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> SqlResult<[u8; N]> {
    if bytes.len() > N {
        return Err(invalid("incorrect binary data format"));
    }
    bytes.try_into().map_err(|_| too_short())
}

/// Text, which is UTF-8 without zeros.
pub(super) fn text(bytes: &[u8]) -> SqlResult<&str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let bad = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let shown: Vec<String> = bad.iter().take(4).map(|b| format!("0x{b:02x}")).collect();
        SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    })?;
    if text.contains('\0') {
        return Err(SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}

/// A value with its length before it; -1 is NULL.
pub(super) fn write_sized(value: &Datum, ty: SqlType, out: &mut BytesMut) {
    let at = out.len();
    out.put_i32(-1);
    if !value.is_null() {
        value.write_binary(ty, out);
        let len = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
}

/// A value with its length before it.
pub(super) fn read_sized(ty: SqlType, bytes: &mut &[u8], depth: u8) -> SqlResult<Datum> {
    let len = bytes.try_get_i32().map_err(|_| too_short())?;
    if len == -1 {
        return Ok(Datum::Null);
    }
    let len = usize::try_from(len).map_err(|_| invalid("insufficient data left in message"))?;
    let (value, rest) = bytes.split_at_checked(len).ok_or_else(too_short)?;
    *bytes = rest;
    (ty.def().codec.receive)(ty, value, depth)
}
