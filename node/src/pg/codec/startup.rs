//! The first packet of a connection.

use bytes::Bytes;
use sql::error::{SqlError, SqlResult, SqlState};

use super::fields::{Fields, violation};

/// Versions of the protocol that are spoken: 3.0 and 3.2. There is no 3.1.
pub const MINOR_MAX: u16 = 2;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// Longest key of a cancel request in version 3.2.
const CANCEL_KEY_BYTES_MAX: usize = 256;

/// What a client opens a connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartupPacket {
    /// It would like TLS.
    Ssl,
    /// It would like GSSAPI encryption.
    GssEnc,
    /// It wants the statement of another connection cancelled, and nothing else.
    Cancel {
        /// The connection.
        pid: u32,
        /// What proves that it may.
        key: Bytes,
    },
    /// It wants a session.
    Session {
        /// Minor version of protocol 3 that it asks for.
        minor: u16,
        /// `user`, `database` and settings, in its order.
        parameters: Vec<(String, String)>,
    },
}

/// Decodes the body of the first packet.
pub fn decode(body: Bytes) -> SqlResult<StartupPacket> {
    let mut fields = Fields::new(body);
    let code = fields.u32()?;
    match code {
        SSL_REQUEST => fields.end().map(|()| StartupPacket::Ssl),
        GSSENC_REQUEST => fields.end().map(|()| StartupPacket::GssEnc),
        CANCEL_REQUEST => {
            let pid = fields.u32()?;
            let key = fields.rest();
            if key.is_empty() || key.len() > CANCEL_KEY_BYTES_MAX {
                return Err(violation("invalid length of query cancel packet"));
            }
            Ok(StartupPacket::Cancel { pid, key })
        }
        _ => {
            let (major, minor) = (code >> 16, code & 0xffff);
            if major != 3 {
                let what = format!(
                    "unsupported frontend protocol {major}.{minor}: server supports 3.0 to \
                     3.{MINOR_MAX}"
                );
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, what));
            }
            let parameters = parameters(fields)?;
            Ok(StartupPacket::Session { minor: minor as u16, parameters })
        }
    }
}

fn parameters(mut fields: Fields) -> SqlResult<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    loop {
        let name = fields.string()?;
        if name.is_empty() {
            fields.end().map_err(|_| {
                violation("invalid startup packet layout: expected terminator as last byte")
            })?;
            return Ok(parameters);
        }
        parameters.push((name, fields.string()?));
    }
}
