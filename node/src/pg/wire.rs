//! The two buffers of a connection, and the stream behind them.
//!
//! That a client has gone is heard by reading alone, behind everything that came before it: what a client has sent is
//! done in its order, whether somebody still listens or not. What can no longer be written is dropped without a word.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::codec::{Frame, FrameError, Taken, tags, take_frame, take_startup};

/// What a buffer may keep between two messages; one that had to grow beyond is given back.
const BUFFER_BYTES_KEPT: usize = 256 << 10;
/// What is read of further messages while a statement runs.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// Room for each read.
const READ_BYTES: usize = 8 << 10;

/// Why there is no further message.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The stream is broken, or ends in the middle of a message.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream makes no sense.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What is left of a message that is too long.
struct Excess {
    tag: u8,
    length: usize,
    /// Bytes that are still to come, or to be taken off the input.
    left: usize,
}

/// A stream with its buffers: two halves, so that one can listen while the other is written to.
pub(super) struct Wire<T> {
    pub(super) reader: Reader<T>,
    pub(super) writer: Writer<T>,
}

/// What has come.
pub(super) struct Reader<T> {
    io: ReadHalf<T>,
    input: BytesMut,
    /// A message that is too long, and is being thrown away.
    excess: Option<Excess>,
    /// Nothing more will come.
    ended: bool,
}

/// What is to be sent.
pub(super) struct Writer<T> {
    io: WriteHalf<T>,
    /// Whole messages that wait to be sent.
    pub(super) out: BytesMut,
    /// Where the present statement's messages begin in `out`.
    statement: usize,
    /// Some of the present statement's messages have left.
    left: bool,
    /// The client can no longer be written to.
    lost: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire<T> {
    pub(super) fn new(io: T) -> Self {
        let (read, write) = tokio::io::split(io);
        Wire {
            reader: Reader { io: read, input: BytesMut::new(), excess: None, ended: false },
            writer: Writer {
                io: write,
                out: BytesMut::new(),
                statement: 0,
                left: false,
                lost: false,
            },
        }
    }

    /// The same conversation on what becomes of the stream.
    pub(super) fn map_io<U: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        change: impl FnOnce(T) -> io::Result<U>,
    ) -> io::Result<Wire<U>> {
        let mut wire = Wire::new(change(self.reader.io.unsplit(self.writer.io))?);
        (wire.reader.input, wire.reader.ended) = (self.reader.input, self.reader.ended);
        (wire.writer.out, wire.writer.lost) = (self.writer.out, self.writer.lost);
        Ok(wire)
    }

    /// The last bytes, and the end of the stream.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.writer.flush().await;
        self.writer.io.shutdown().await
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Reader<T> {
    /// The next message; `None` at the end of the stream. Nothing is lost when the future is dropped.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(excess) = &mut self.excess {
                let count = excess.left.min(self.input.len());
                self.input.advance(count);
                excess.left -= count;
                if excess.left == 0 {
                    let frame = Frame::too_long(excess.tag, excess.length);
                    self.excess = None;
                    return Ok(Some(frame));
                }
            } else {
                match take_frame(&mut self.input)? {
                    Some(Taken::Frame(frame)) => return Ok(Some(frame)),
                    Some(Taken::TooLong { tag, length }) => {
                        self.excess = Some(Excess { tag, length, left: length });
                        continue;
                    }
                    None => {}
                }
            }
            if !self.fill().await? {
                return if self.excess.is_some() {
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                } else {
                    Ok(None)
                };
            }
        }
    }

    /// True iff the next message is here already, at least its beginning, and has this tag.
    pub(super) fn next_is(&self, tag: u8) -> bool {
        self.input.first() == Some(&tag)
    }

    /// The body of a packet without a tag; `None` at the end of the stream.
    pub(super) async fn startup(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            if let Some(body) = take_startup(&mut self.input)? {
                return Ok(Some(body));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Completes when the stream has ended, and nothing that would be run is left of it. A Sync that is left runs nothing:
    /// it belongs to the statement before it, whose transaction it would end. What comes before the end is kept, up to a
    /// bound: behind so much the end is not seen. Nothing is lost when the future is dropped.
    pub(super) async fn hung_up(&mut self) {
        while self.input.len() < READ_AHEAD_BYTES {
            if matches!(self.fill().await, Ok(true)) {
                continue;
            }
            // Once it has been told, an error may not be told again.
            self.ended = true;
            let mut left = tags(&self.input).take_while(|tag| *tag != b'X');
            if left.any(|tag| matches!(tag, b'Q' | b'E' | b'F' | b'd' | b'c')) {
                break;
            }
            return;
        }
        std::future::pending().await
    }

    async fn fill(&mut self) -> io::Result<bool> {
        if self.ended {
            return self.end();
        }
        if self.input.is_empty() && self.input.capacity() > BUFFER_BYTES_KEPT {
            self.input = BytesMut::new();
        }
        // Never what a message announces: only what has come.
        self.input.reserve(READ_BYTES);
        let count = self.io.read_buf(&mut self.input).await?;
        if count == 0 { self.end() } else { Ok(true) }
    }

    /// Nothing more has come: an error in the middle of a message.
    fn end(&self) -> io::Result<bool> {
        match self.input.is_empty() {
            true => Ok(false),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Writer<T> {
    /// Sends everything, or drops it if nobody can be told any more. What was sent when the future is dropped is not
    /// sent again.
    pub(super) async fn flush(&mut self) {
        if !self.lost
            && let Err(error) = self.send().await
        {
            tracing::debug!(%error, "a client cannot be answered");
            self.lost = true;
        }
        if self.lost {
            self.out.clear();
            self.statement = 0;
        }
        if self.out.capacity() > BUFFER_BYTES_KEPT {
            self.out = BytesMut::new();
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let count = self.io.write_buf(&mut self.out).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.left |= count > self.statement;
            self.statement = self.statement.saturating_sub(count);
        }
        self.io.flush().await
    }

    /// True iff the client can no longer be written to.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// From here on messages belong to a new statement.
    pub(super) fn begin_statement(&mut self) {
        self.statement = self.out.len();
        self.left = false;
    }

    /// Bytes of the present statement that are held back.
    pub(super) fn held(&self) -> usize {
        self.out.len() - self.statement
    }

    /// True iff nothing of the present statement has left.
    pub(super) fn can_discard(&self) -> bool {
        !self.left
    }

    /// Takes the present statement's messages back.
    pub(super) fn discard(&mut self) {
        self.out.truncate(self.statement);
    }
}
