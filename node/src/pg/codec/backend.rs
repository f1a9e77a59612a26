//! What the server sends. Every function appends one whole message to the output.

use bytes::{BufMut, BytesMut};
use sql::error::SqlError;
use sql::session::TxnStatus;

use super::frontend::Format;

/// How bad an error is for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement has failed.
    Error,
    /// The connection ends.
    Fatal,
}

/// A column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Table it comes from, or zero.
    pub table: u32,
    /// Its number in the table, or zero.
    pub attnum: i16,
    /// Oid of its type.
    pub oid: u32,
    /// Length of its type.
    pub typlen: i16,
    /// Modifier of its type.
    pub typmod: i32,
    /// How its values are written.
    pub format: Format,
}

/// Appends a message: the length is filled in when the body is there.
pub fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_u32(0);
    body(out);
    end_message(out, start);
}

/// Fills in the length of the message whose length word is at `start`.
pub fn end_message(out: &mut BytesMut, start: usize) {
    // Messages are bounded far below: a row by what a statement may hold in memory.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Text and a zero byte. A zero within would end it early, and is left out.
fn string(out: &mut BytesMut, text: &str) {
    if text.as_bytes().contains(&0) {
        out.extend(text.bytes().filter(|byte| *byte != 0));
    } else {
        out.put_slice(text.as_bytes());
    }
    out.put_u8(0);
}

fn count(out: &mut BytesMut, count: usize) {
    // More columns than that are refused long before.
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

fn bare(out: &mut BytesMut, tag: u8) {
    message(out, tag, |_| {});
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    message(out, b'R', |out| out.put_u32(0));
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        string(out, name);
        string(out, value);
    });
}

/// BackendKeyData.
pub fn backend_key_data(out: &mut BytesMut, pid: u32, key: &[u8]) {
    message(out, b'K', |out| {
        out.put_u32(pid);
        out.put_slice(key);
    });
}

/// NegotiateProtocolVersion: the newest minor version that is spoken, and options that are not understood.
pub fn negotiate_protocol_version(out: &mut BytesMut, minor: u16, options: &[&str]) {
    message(out, b'v', |out| {
        out.put_u32(3 << 16 | u32::from(minor));
        out.put_u32(u32::try_from(options.len()).unwrap_or(0));
        for option in options {
            string(out, option);
        }
    });
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut BytesMut, status: TxnStatus) {
    let status = match status {
        TxnStatus::Idle => b'I',
        TxnStatus::InBlock => b'T',
        TxnStatus::Failed => b'E',
    };
    message(out, b'Z', |out| out.put_u8(status));
}

/// ParseComplete.
pub fn parse_complete(out: &mut BytesMut) {
    bare(out, b'1');
}

/// BindComplete.
pub fn bind_complete(out: &mut BytesMut) {
    bare(out, b'2');
}

/// CloseComplete.
pub fn close_complete(out: &mut BytesMut) {
    bare(out, b'3');
}

/// NoData.
pub fn no_data(out: &mut BytesMut) {
    bare(out, b'n');
}

/// EmptyQueryResponse.
pub fn empty_query_response(out: &mut BytesMut) {
    bare(out, b'I');
}

/// PortalSuspended.
pub fn portal_suspended(out: &mut BytesMut) {
    bare(out, b's');
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| string(out, tag));
}

/// ParameterDescription.
pub fn parameter_description(out: &mut BytesMut, oids: impl ExactSizeIterator<Item = u32>) {
    message(out, b't', |out| {
        count(out, oids.len());
        for oid in oids {
            out.put_u32(oid);
        }
    });
}

/// RowDescription.
pub fn row_description<'a>(out: &mut BytesMut, fields: impl ExactSizeIterator<Item = Field<'a>>) {
    message(out, b'T', |out| {
        count(out, fields.len());
        for field in fields {
            string(out, field.name);
            out.put_u32(field.table);
            out.put_i16(field.attnum);
            out.put_u32(field.oid);
            out.put_i16(field.typlen);
            out.put_i32(field.typmod);
            out.put_i16(field.format.code());
        }
    });
}

/// CopyInResponse: the client may send data now.
pub fn copy_in_response(out: &mut BytesMut, format: Format, columns: usize) {
    copy_response(out, b'G', format, columns);
}

/// CopyOutResponse: data follows.
pub fn copy_out_response(out: &mut BytesMut, format: Format, columns: usize) {
    copy_response(out, b'H', format, columns);
}

fn copy_response(out: &mut BytesMut, tag: u8, format: Format, columns: usize) {
    message(out, tag, |out| {
        out.put_u8(u8::from(format == Format::Binary));
        count(out, columns);
        for _ in 0..columns {
            out.put_i16(format.code());
        }
    });
}

/// CopyData.
pub fn copy_data(out: &mut BytesMut, data: &[u8]) {
    message(out, b'd', |out| out.put_slice(data));
}

/// CopyDone.
pub fn copy_done(out: &mut BytesMut) {
    bare(out, b'c');
}

/// ErrorResponse.
pub fn error_response(out: &mut BytesMut, severity: Severity, error: &SqlError) {
    let severity = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    report(out, b'E', severity, error);
}

/// NoticeResponse.
pub fn notice_response(out: &mut BytesMut, notice: &SqlError) {
    report(out, b'N', if notice.is_warning() { "WARNING" } else { "NOTICE" }, notice);
}

fn report(out: &mut BytesMut, tag: u8, severity: &str, error: &SqlError) {
    message(out, tag, |out| {
        let mut field = |code: u8, value: &str| {
            out.put_u8(code);
            string(out, value);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', error.state.0);
        field(b'M', &error.message);
        let object = error.object.as_deref();
        let optional = [
            (b'D', error.detail.as_deref()),
            (b'H', error.hint.as_deref()),
            (b'W', object.and_then(|object| object.context.as_deref())),
            (b's', object.and_then(|object| object.schema.as_deref())),
            (b't', object.and_then(|object| object.table.as_deref())),
            (b'c', object.and_then(|object| object.column.as_deref())),
            (b'n', object.and_then(|object| object.constraint.as_deref())),
            (b'R', object.and_then(|object| object.routine.as_deref())),
        ];
        for (code, value) in optional {
            if let Some(value) = value {
                field(code, value);
            }
        }
        if let Some(position) = error.position {
            field(b'P', &position.to_string());
        }
        out.put_u8(0);
    });
}

impl Format {
    /// The format's code.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}
