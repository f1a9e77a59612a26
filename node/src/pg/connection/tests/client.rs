//! A client that says exactly what it is told to, over a duplex in memory.

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::pg::codec::backend::message;

/// A message of the server: its tag and its body.
pub(super) type Answer = (char, Vec<u8>);

pub(super) struct Client {
    pub(super) io: DuplexStream,
    input: BytesMut,
    out: BytesMut,
}

impl Client {
    pub(super) fn new(io: DuplexStream) -> Self {
        Client { io, input: BytesMut::new(), out: BytesMut::new() }
    }

    /// Puts a message into the next packet.
    pub(super) fn put(&mut self, tag: char, body: &[u8]) -> &mut Self {
        message(&mut self.out, tag as u8, |out| out.put_slice(body));
        self
    }

    pub(super) fn parse(&mut self, text: &str) -> &mut Self {
        self.put('P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat())
    }

    pub(super) fn bind(&mut self) -> &mut Self {
        self.put('B', b"\0\0\0\0\0\0\0\0")
    }

    pub(super) fn execute(&mut self, max_rows: u8) -> &mut Self {
        self.put('E', &[0, 0, 0, 0, max_rows])
    }

    pub(super) fn sync(&mut self) -> &mut Self {
        self.put('S', b"")
    }

    pub(super) fn query(&mut self, text: &str) -> &mut Self {
        self.put('Q', &[text.as_bytes(), b"\0"].concat())
    }

    /// Sends the packet, and is gone: nothing more comes from it, and it hears nothing.
    pub(super) async fn send_and_go(mut self) {
        self.send().await;
    }

    /// The packet, not sent.
    pub(super) fn take(&mut self) -> BytesMut {
        self.out.split()
    }

    /// Sends the packet.
    pub(super) async fn send(&mut self) {
        let out = self.out.split();
        self.io.write_all(&out).await.unwrap();
    }

    /// Sends a packet without a tag.
    pub(super) async fn send_startup(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        self.io.write_all(&[&length.to_be_bytes(), body].concat()).await.unwrap();
    }

    /// The next message; `None` at the end of the stream.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        while self.input.len() < 5 || self.input.len() < 1 + self.length() {
            if self.io.read_buf(&mut self.input).await.unwrap() == 0 {
                assert!(self.input.is_empty(), "half a message: {:?}", self.input);
                return None;
            }
        }
        let mut whole = self.input.split_to(1 + self.length());
        let tag = whole.get_u8() as char;
        whole.advance(4);
        Some((tag, whole.to_vec()))
    }

    fn length(&self) -> usize {
        u32::from_be_bytes(self.input[1..5].try_into().unwrap()) as usize
    }

    /// Messages up to ReadyForQuery (and with it), or to the end of the stream.
    pub(super) async fn answers(&mut self) -> Vec<Answer> {
        self.answers_to('Z').await
    }

    pub(super) async fn answers_to(&mut self, last: char) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            let tag = answer.0;
            answers.push(answer);
            if tag == last {
                break;
            }
        }
        answers
    }

    /// Sends the packet, and gives the tags of the answers up to ReadyForQuery, with its state.
    pub(super) async fn talk(&mut self) -> String {
        self.send().await;
        tags(&self.answers().await)
    }
}

/// Tags one after the other; ReadyForQuery with its state, errors with their code, CommandComplete with its tag.
pub(super) fn tags(answers: &[Answer]) -> String {
    let shown: Vec<String> = answers.iter().map(shown).collect();
    shown.join(" ")
}

fn shown((tag, body): &Answer) -> String {
    match tag {
        'Z' => format!("Z:{}", body[0] as char),
        'E' | 'N' => format!("{tag}:{}", field(body, b'C')),
        'C' => format!("C:{}", String::from_utf8_lossy(&body[..body.len() - 1])),
        tag => tag.to_string(),
    }
}

/// A field of an error.
pub(super) fn field(body: &[u8], code: u8) -> String {
    let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&code));
    String::from_utf8_lossy(&found.unwrap()[1..]).into_owned()
}
