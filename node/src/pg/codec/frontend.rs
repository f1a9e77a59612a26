//! What clients send.

use bytes::Bytes;
use sql::error::{SqlError, SqlResult, SqlState};

use super::fields::{Fields, violation};
use super::{Frame, MESSAGE_BYTES_MAX};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// As the type's binary form.
    Binary,
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// Values for a statement's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The portal to make; empty for the unnamed one.
    pub portal: String,
    /// The statement to make it of.
    pub statement: String,
    /// Formats of the values: none (all text), one for all, or one for each.
    pub formats: Vec<Format>,
    /// The values; `None` is NULL.
    pub values: Vec<Option<Bytes>>,
    /// Formats of the result columns: none (all text), one for all, or one for each.
    pub result_formats: Vec<Format>,
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Statements as text.
    Query(String),
    /// Prepare a statement.
    Parse {
        /// Its name; empty for the unnamed one.
        name: String,
        /// Its text.
        text: String,
        /// Types of its parameters, as far as the client says; zero leaves one open.
        types: Vec<u32>,
    },
    /// Give values to a statement's parameters.
    Bind(Bind),
    /// Tell about a statement or a portal.
    Describe(Kind, String),
    /// Run a portal.
    Execute {
        /// Which.
        portal: String,
        /// How many rows to give at most; zero is all.
        max_rows: u32,
    },
    /// Forget a statement or a portal.
    Close(Kind, String),
    /// Send what has been held back.
    Flush,
    /// The end of a batch.
    Sync,
    /// Some data of COPY.
    CopyData(Bytes),
    /// That was all the data.
    CopyDone,
    /// The client gives up, and why.
    CopyFail(String),
    /// The function call of long ago.
    FunctionCall,
    /// A password that nobody has asked for.
    Password,
    /// Farewell.
    Terminate,
}

impl Message {
    /// Decodes a message. The frame holds, whatever the error.
    ///
    /// 54000 for one that was too long to be kept.
    pub fn decode(frame: Frame) -> SqlResult<Message> {
        if let Some(length) = frame.thrown_away {
            let text = format!("a message of {length} bytes is too long");
            let detail = format!("A message has at most {MESSAGE_BYTES_MAX} bytes.");
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text).detail(detail));
        }
        let mut fields = Fields::new(frame.body);
        let message = match frame.tag {
            b'Q' => Message::Query(fields.string()?),
            b'P' => {
                let (name, text) = (fields.string()?, fields.string()?);
                let count = fields.count(4)?;
                let types = (0..count).map(|_| fields.u32()).collect::<SqlResult<_>>()?;
                Message::Parse { name, text, types }
            }
            b'B' => Message::Bind(bind(&mut fields)?),
            b'D' => {
                let kind = kind(&mut fields, "DESCRIBE")?;
                Message::Describe(kind, fields.string()?)
            }
            b'C' => {
                let kind = kind(&mut fields, "CLOSE")?;
                Message::Close(kind, fields.string()?)
            }
            b'E' => {
                let portal = fields.string()?;
                // A negative bound is none, as in PostgreSQL.
                let max_rows = u32::try_from(fields.i32()?).unwrap_or(0);
                Message::Execute { portal, max_rows }
            }
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(fields.string()?),
            b'X' => Message::Terminate,
            b'd' => return Ok(Message::CopyData(fields.rest())),
            b'F' => return Ok(Message::FunctionCall),
            b'p' => return Ok(Message::Password),
            other => return Err(violation(format!("invalid frontend message type {other}"))),
        };
        fields.end()?;
        Ok(message)
    }
}

fn bind(fields: &mut Fields) -> SqlResult<Bind> {
    let (portal, statement) = (fields.string()?, fields.string()?);
    let formats = formats(fields)?;
    let count = fields.count(4)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match fields.i32()? {
            -1 => None,
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| violation("invalid length of a parameter value"))?;
                Some(fields.bytes(length)?)
            }
        });
    }
    if formats.len() > 1 && formats.len() != count {
        let what =
            format!("bind message has {} parameter formats but {count} parameters", formats.len());
        return Err(violation(what));
    }
    let result_formats = self::formats(fields)?;
    Ok(Bind { portal, statement, formats, values, result_formats })
}

fn formats(fields: &mut Fields) -> SqlResult<Vec<Format>> {
    let count = fields.count(2)?;
    let format = |_| match fields.i16()? {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(violation(format!("unsupported format code: {other}"))),
    };
    (0..count).map(format).collect()
}

fn kind(fields: &mut Fields, message: &str) -> SqlResult<Kind> {
    match fields.u8()? {
        b'S' => Ok(Kind::Statement),
        b'P' => Ok(Kind::Portal),
        other => Err(violation(format!("invalid {message} message subtype {other}"))),
    }
}
