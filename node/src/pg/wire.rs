//! The two buffers of a connection, and the stream behind them.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::codec::{Frame, FrameError, take_frame, take_startup};

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

/// A stream with its buffers: two halves, so that one can listen while the other is written to.
pub(super) struct Wire<T> {
    pub(super) reader: Reader<T>,
    pub(super) writer: Writer<T>,
}

/// What has come.
pub(super) struct Reader<T> {
    io: ReadHalf<T>,
    input: BytesMut,
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
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire<T> {
    pub(super) fn new(io: T) -> Self {
        let (read, write) = tokio::io::split(io);
        Wire {
            reader: Reader { io: read, input: BytesMut::new() },
            writer: Writer { io: write, out: BytesMut::new(), statement: 0, left: false },
        }
    }

    /// The same conversation on what becomes of the stream.
    pub(super) fn map_io<U: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        change: impl FnOnce(T) -> io::Result<U>,
    ) -> io::Result<Wire<U>> {
        let mut wire = Wire::new(change(self.reader.io.unsplit(self.writer.io))?);
        wire.reader.input = self.reader.input;
        wire.writer.out = self.writer.out;
        Ok(wire)
    }

    /// The last bytes, and the end of the stream.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.writer.flush().await?;
        self.writer.io.shutdown().await
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Reader<T> {
    /// The next message; `None` at the end of the stream. Nothing is lost when the future is dropped.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            if let Some(frame) = take_frame(&mut self.input)? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return Ok(None);
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

    /// Completes when the stream has ended, while nobody reads it. What comes before its end is kept, up to a bound:
    /// behind so much the end is not seen. Nothing is lost when the future is dropped.
    pub(super) async fn hung_up(&mut self) {
        while self.input.len() < READ_AHEAD_BYTES {
            if !matches!(self.fill().await, Ok(true)) {
                return;
            }
        }
        std::future::pending().await
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
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Writer<T> {
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
