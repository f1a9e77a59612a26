//! The two buffers of a connection, and the stream behind them.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::codec::{Frame, FrameError, Taken, take_frame, take_startup};

/// What a buffer may keep between two messages; one that had to grow beyond is given back.
const BUFFER_BYTES_KEPT: usize = 256 << 10;
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

/// A stream with its buffers.
pub(super) struct Wire<T> {
    io: T,
    input: BytesMut,
    /// A message that is too long, and is being thrown away.
    excess: Option<Excess>,
    /// Whole messages that wait to be sent.
    pub(super) out: BytesMut,
    /// Where the present statement's messages begin in `out`.
    statement: usize,
    /// Some of the present statement's messages have left.
    left: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire<T> {
    pub(super) fn new(io: T) -> Self {
        Wire {
            io,
            input: BytesMut::new(),
            excess: None,
            out: BytesMut::new(),
            statement: 0,
            left: false,
        }
    }

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

    async fn fill(&mut self) -> io::Result<bool> {
        if self.input.is_empty() && self.input.capacity() > BUFFER_BYTES_KEPT {
            self.input = BytesMut::new();
        }
        // Never what a message announces: only what has come.
        self.input.reserve(READ_BYTES);
        let count = self.io.read_buf(&mut self.input).await?;
        if count == 0 && !self.input.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count > 0)
    }

    /// Sends everything. What was sent when the future is dropped is not sent again.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let count = self.io.write_buf(&mut self.out).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.left |= count > self.statement;
            self.statement = self.statement.saturating_sub(count);
        }
        if self.out.capacity() > BUFFER_BYTES_KEPT {
            self.out = BytesMut::new();
        }
        self.io.flush().await
    }

    /// The last bytes, and the end of the stream.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.io.shutdown().await
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
