//! Reading the fields of a message's body.

use bytes::{Buf, Bytes};
use sql::error::{SqlError, SqlResult, SqlState};

/// A body that is read from its start. Every read is checked.
pub(super) struct Fields(Bytes);

impl Fields {
    pub(super) fn new(body: Bytes) -> Self {
        Fields(body)
    }

    pub(super) fn u8(&mut self) -> SqlResult<u8> {
        self.0.try_get_u8().map_err(|_| short())
    }

    pub(super) fn i16(&mut self) -> SqlResult<i16> {
        self.0.try_get_i16().map_err(|_| short())
    }

    pub(super) fn i32(&mut self) -> SqlResult<i32> {
        self.0.try_get_i32().map_err(|_| short())
    }

    pub(super) fn u32(&mut self) -> SqlResult<u32> {
        self.0.try_get_u32().map_err(|_| short())
    }

    /// A count of things that take at least `each` bytes: more than could be there are not believed.
    pub(super) fn count(&mut self, each: usize) -> SqlResult<usize> {
        // PostgreSQL reads it as unsigned: there may be 65,535 parameters.
        let count = usize::from(self.0.try_get_u16().map_err(|_| short())?);
        if count.saturating_mul(each) > self.0.len() { Err(short()) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self, length: usize) -> SqlResult<Bytes> {
        if length > self.0.len() { Err(short()) } else { Ok(self.0.split_to(length)) }
    }

    /// Text that ends with a zero byte.
    pub(super) fn string(&mut self) -> SqlResult<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| violation("invalid string in message"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        utf8(&bytes)
    }

    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    /// The message must end here.
    pub(super) fn end(self) -> SqlResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

/// Text as clients must send it.
fn utf8(bytes: &[u8]) -> SqlResult<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let bad = &bytes[error.valid_up_to()..];
        let bad = &bad[..error.error_len().unwrap_or(bad.len()).min(4)];
        let shown: Vec<String> = bad.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    })
}

/// The client has broken the protocol.
pub(super) fn violation(what: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, what)
}

fn short() -> SqlError {
    violation("insufficient data left in message")
}
