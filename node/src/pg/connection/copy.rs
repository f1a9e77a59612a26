//! COPY FROM STDIN: the client sends data until it says that this was all.

use sql::error::{SqlError, SqlResult, SqlState};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, until_gone};
use crate::pg::codec::Frame;
use crate::pg::codec::backend;
use crate::pg::codec::frontend::{Format, Message};
use crate::pg::session::{PgSession, Step};
use crate::pg::sink::WireSink;

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: PgSession,
{
    /// Takes the data of a COPY, and goes on. `None` when it was cancelled. `formats` are those of the portal, if the
    /// COPY is one.
    pub(super) async fn copy_in(
        &mut self,
        format: Format,
        columns: usize,
        formats: Option<&[Format]>,
    ) -> Result<Option<SqlResult<Step>>, End> {
        backend::copy_in_response(&mut self.wire.writer.out, format, columns);
        self.wire.writer.flush().await;
        // From here on a cancel request means the COPY, also while the client is silent.
        self.registration.cancel.clear();
        let cancel = self.registration.cancel.clone();
        loop {
            let frame = tokio::select! {
                biased;
                () = cancel.wait() => return Ok(None),
                frame = self.read() => frame?,
            };
            let Some(frame) = frame else {
                // Nothing of it may stay: the client has not said that it was all.
                self.session.copy_fail(unexpected("the end of the connection")).await;
                return Err(End::Gone);
            };
            let call = match take(frame) {
                Ok(Take::Nothing) => continue,
                Ok(Take::Data(data)) => {
                    let call = self.session.copy_data(data);
                    until_gone(&cancel, &mut self.wire.reader, &self.clock, call).await?
                }
                Ok(Take::End) => {
                    let mut sink = match formats {
                        Some(formats) => {
                            WireSink::portal(&mut self.wire.writer, &mut self.values, formats)
                        }
                        None => WireSink::simple(&mut self.wire.writer, &mut self.values),
                    };
                    let call = self.session.copy_done(&mut sink);
                    return until_gone(&cancel, &mut self.wire.reader, &self.clock, call).await;
                }
                Err(error) => return Ok(Some(Err(self.session.copy_fail(error).await))),
            };
            match call {
                Some(Ok(())) => {}
                Some(Err(error)) => return Ok(Some(Err(error))),
                None => return Ok(None),
            }
        }
    }
}

/// What a message means during a COPY.
enum Take {
    Data(bytes::Bytes),
    End,
    Nothing,
}

fn take(frame: Frame) -> SqlResult<Take> {
    let tag = frame.tag;
    match Message::decode(frame)? {
        Message::CopyData(data) => Ok(Take::Data(data)),
        Message::CopyDone => Ok(Take::End),
        Message::CopyFail(why) => {
            Err(SqlError::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {why}")))
        }
        // Clients of the extended protocol send them along with Execute.
        Message::Flush | Message::Sync => Ok(Take::Nothing),
        _ => Err(unexpected(&format!("message type 0x{tag:02X}"))),
    }
}

fn unexpected(what: &str) -> SqlError {
    let what = format!("unexpected {what} during COPY from stdin");
    SqlError::new(SqlState::PROTOCOL_VIOLATION, what)
}
