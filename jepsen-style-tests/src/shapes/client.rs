//! A client of PostgreSQL's protocol that looks at nothing but whether a statement succeeded: rows are counted by their
//! bytes and thrown away, however large they are.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a client has a socket")]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What became of a statement.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It ran.
    Done,
    /// It failed; of several statements, the first that did.
    Error {
        /// Its SQLSTATE.
        state: String,
        /// What it says.
        message: String,
    },
}

/// A session.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    deadline: Instant,
}

impl Client {
    /// Connects, and waits until the server is ready.
    ///
    /// # Errors
    /// When nobody listens, or the server says no.
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut client = Client { stream, buffer: Vec::new(), deadline };
        let body = b"\0\x03\0\0user\0root\0database\0defaultdb\0\0";
        client.stream.write_all(&(body.len() as u32 + 4).to_be_bytes())?;
        client.stream.write_all(body)?;
        match client.answer()? {
            Answer::Done => Ok(client),
            Answer::Error { message, .. } => Err(io::Error::other(message)),
        }
    }

    /// Runs a text by the simple protocol.
    ///
    /// # Errors
    /// When the connection ends, or the answer has not come within the limit.
    pub fn query(&mut self, text: &str, limit: Duration) -> io::Result<Answer> {
        self.deadline = Instant::now() + limit;
        let mut out = Vec::with_capacity(text.len() + 8);
        message(&mut out, b'Q', &[text.as_bytes(), b"\0"]);
        self.send(&out)?;
        self.answer()
    }

    /// Runs a statement by the extended protocol: parsed, described, bound and executed.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn extended(&mut self, text: &str, limit: Duration) -> io::Result<Answer> {
        self.deadline = Instant::now() + limit;
        let mut out = Vec::with_capacity(text.len() + 64);
        message(&mut out, b'P', &[b"\0", text.as_bytes(), b"\0\0\0"]);
        message(&mut out, b'D', &[b"S\0"]);
        message(&mut out, b'B', &[b"\0\0", &[0; 6]]);
        message(&mut out, b'E', &[b"\0\0\0\0\0"]);
        message(&mut out, b'S', &[]);
        self.send(&out)?;
        self.answer()
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes)
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
            false => Ok(left),
        }
    }

    /// Reads until the server is ready for the next statement.
    fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::Done;
        loop {
            let mut head = [0; 5];
            self.read(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
            match head[0] {
                b'E' => {
                    self.body(length)?;
                    if matches!(answer, Answer::Done) {
                        answer = error(&self.buffer);
                    }
                }
                b'Z' => {
                    self.body(length)?;
                    return Ok(answer);
                }
                // COPY FROM STDIN waits for rows: there are none.
                b'G' => {
                    self.body(length)?;
                    let mut out = Vec::new();
                    message(&mut out, b'f', &[b"no rows\0"]);
                    self.send(&out)?;
                }
                _ => self.body(length)?,
            }
        }
    }

    /// Reads a message's body, and keeps its beginning.
    fn body(&mut self, length: u32) -> io::Result<()> {
        self.buffer.clear();
        let mut left = length as usize;
        let mut chunk = [0; 16 << 10];
        while left > 0 {
            let part = left.min(chunk.len());
            self.read(&mut chunk[..part])?;
            if self.buffer.len() < chunk.len() {
                self.buffer.extend_from_slice(&chunk[..part]);
            }
            left -= part;
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut into[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn message(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&(length as u32 + 4).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The SQLSTATE and the message of an ErrorResponse.
fn error(body: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(body);
    let field = |kind: char| {
        let mut fields = text.split('\0').filter_map(|field| field.strip_prefix(kind));
        fields.next().unwrap_or_default().chars().take(200).collect()
    };
    Answer::Error { state: field('C'), message: field('M') }
}
