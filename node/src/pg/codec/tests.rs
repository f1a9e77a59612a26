//! Messages there and back, and bytes that are none.

use bytes::{BufMut, Bytes, BytesMut};
use sql::error::SqlState;

use super::frontend::{Bind, Format, Kind, Message};
use super::startup::{StartupPacket, decode};
use super::*;

fn framed(tag: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    backend::message(&mut out, tag, |out| out.put_slice(body));
    out
}

fn decoded(tag: u8, body: &[u8]) -> sql::error::SqlResult<Message> {
    match take_frame(&mut framed(tag, body)) {
        Ok(Some(Taken::Frame(frame))) => Message::decode(frame),
        other => panic!("no message: {other:?}"),
    }
}

/// One valid message of every kind.
fn samples() -> Vec<(u8, Vec<u8>, Message)> {
    let bind = Bind {
        portal: "p".into(),
        statement: "s".into(),
        formats: vec![Format::Binary, Format::Text],
        values: vec![Some(Bytes::from_static(b"\x00\x01")), None],
        result_formats: vec![Format::Binary],
    };
    let bind_body = b"p\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x02\0\x01\xff\xff\xff\xff\0\x01\0\x01";
    let parse = Message::Parse { name: "s".into(), text: "select $1".into(), types: vec![23, 0] };
    vec![
        (b'Q', b"select 1\0".to_vec(), Message::Query("select 1".into())),
        (b'P', b"s\0select $1\0\0\x02\0\0\0\x17\0\0\0\0".to_vec(), parse),
        (b'B', bind_body.to_vec(), Message::Bind(bind)),
        (b'D', b"Ss\0".to_vec(), Message::Describe(Kind::Statement, "s".into())),
        (b'D', b"P\0".to_vec(), Message::Describe(Kind::Portal, String::new())),
        (b'E', b"p\0\0\0\0\x05".to_vec(), Message::Execute { portal: "p".into(), max_rows: 5 }),
        (b'C', b"Pp\0".to_vec(), Message::Close(Kind::Portal, "p".into())),
        (b'H', Vec::new(), Message::Flush),
        (b'S', Vec::new(), Message::Sync),
        (b'd', b"1\t2\n".to_vec(), Message::CopyData(Bytes::from_static(b"1\t2\n"))),
        (b'c', Vec::new(), Message::CopyDone),
        (b'f', b"no\0".to_vec(), Message::CopyFail("no".into())),
        (b'X', Vec::new(), Message::Terminate),
    ]
}

#[test]
fn every_message_is_read_as_it_was_meant() {
    for (tag, body, message) in samples() {
        assert_eq!(decoded(tag, &body), Ok(message));
    }
}

#[test]
fn a_message_cut_anywhere_is_waited_for_and_its_body_cut_anywhere_is_an_error() {
    for (tag, body, message) in samples() {
        let whole = framed(tag, &body);
        for end in 0..whole.len() {
            assert_eq!(take_frame(&mut BytesMut::from(&whole[..end])), Ok(None), "{message:?}");
        }
        if matches!(message, Message::CopyData(_)) {
            continue;
        }
        for end in 0..body.len() {
            let state = decoded(tag, &body[..end]).unwrap_err().state;
            assert_eq!(state, SqlState::PROTOCOL_VIOLATION, "{message:?} cut at {end}");
        }
        let longer = [&body[..], b"\0"].concat();
        assert!(decoded(tag, &longer).is_err(), "{message:?} with a byte too many");
    }
}

#[test]
fn frames_that_cannot_be_believed_are_refused() {
    let frame = |bytes: &[u8]| take_frame(&mut BytesMut::from(bytes));
    assert_eq!(frame(b"Q\x7f\xff\xff\xff"), Err(FrameError::Length));
    assert_eq!(frame(b"Q\xff\xff\xff\xff"), Err(FrameError::Length));
    assert_eq!(frame(b"Q\0\0\0\x03"), Err(FrameError::Length));
    assert_eq!(frame(b"S\0\0\x80\0"), Err(FrameError::Length));
    assert_eq!(
        frame(b"Q\x3f\xff\xff\xff"),
        Ok(Some(Taken::TooLong { tag: b'Q', length: (1 << 30) - 5 }))
    );
    assert_eq!(frame(b"Q\x04\0\0\0"), Ok(None));
    assert_eq!(
        frame(b"Q\x04\0\0\x01"),
        Ok(Some(Taken::TooLong { tag: b'Q', length: (64 << 20) - 3 }))
    );
    assert_eq!(frame(b"\0\0\0\0\x04"), Err(FrameError::Tag(0)));
    assert_eq!(frame(b"G"), Err(FrameError::Tag(b'G')));
    let startup = |bytes: &[u8]| take_startup(&mut BytesMut::from(bytes));
    // 100 MB, a web browser, and nothing.
    assert_eq!(startup(b"\x05\xf5\xe1\0\0\x03\0\0"), Err(FrameError::StartupLength));
    assert_eq!(startup(b"GET / HTTP/1.1"), Err(FrameError::StartupLength));
    assert_eq!(startup(b"\0\0\0\x04"), Err(FrameError::StartupLength));
    assert_eq!(startup(b"\0\0\0\x08\0\x03"), Ok(None));
}

#[test]
fn text_that_is_not_utf8_says_where() {
    let error = decoded(b'Q', b"select '\xc3\x28'\0").unwrap_err();
    assert_eq!(error.state, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0xc3");
}

#[test]
fn counts_are_not_believed() {
    // 65,535 parameters in a message of a few bytes, and a value of two gigabytes.
    for body in [&b"\0\0\0\0\xff\xff"[..], b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"] {
        assert_eq!(decoded(b'B', body).unwrap_err().state, SqlState::PROTOCOL_VIOLATION);
    }
    assert!(
        decoded(b'B', b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0").is_err(),
        "2 formats for 1 value"
    );
    assert!(decoded(b'B', b"\0\0\0\x01\0\x02\0\0\0\0").is_err(), "format code 2");
}

#[test]
fn first_packets() {
    let body = |bytes: &'static [u8]| decode(Bytes::from_static(bytes));
    assert_eq!(body(b"\x04\xd2\x16\x2f"), Ok(StartupPacket::Ssl));
    assert_eq!(body(b"\x04\xd2\x16\x30"), Ok(StartupPacket::GssEnc));
    assert_eq!(
        body(b"\x04\xd2\x16\x2e\0\0\0\x07key!"),
        Ok(StartupPacket::Cancel { pid: 7, key: Bytes::from_static(b"key!") })
    );
    let parameters = vec![("user".to_owned(), "root".to_owned())];
    assert_eq!(
        body(b"\0\x03\0\x02user\0root\0\0"),
        Ok(StartupPacket::Session { minor: 2, parameters })
    );
    for bad in [
        &b"\0\x02\0\0user\0root\0\0"[..],
        b"\0\x03\0\0user\0root\0",
        b"\0\x03\0\0user\0",
        b"\0\x03\0\0\0x",
        b"\0\x03\0\0\xff\0x\0\0",
        b"\x04\xd2\x16\x2e\0\0\0\x07",
        b"\x04\xd2\x16\x2f\0",
        b"\0\x03",
    ] {
        assert!(body(bad).is_err(), "{bad:?}");
    }
}

/// xorshift: the same mutations in every run.
struct Seed(u64);

impl Seed {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[test]
fn mutated_messages_never_panic() {
    let samples = samples();
    let mut seed = Seed(0x5eed);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut input = BytesMut::new();
        for _ in 0..1 + seed.below(3) {
            let (tag, body, _) = &samples[seed.below(samples.len())];
            input.extend_from_slice(&framed(*tag, body));
        }
        for _ in 0..1 + seed.below(4) {
            let at = seed.below(input.len());
            match seed.below(3) {
                0 => input[at] = seed.below(256) as u8,
                1 => input[at] ^= 1 << seed.below(8),
                _ => input.truncate(at.max(1)),
            }
        }
        let _ = take_startup(&mut input.clone());
        let _ = decode(input.clone().freeze());
        while let Ok(Some(Taken::Frame(frame))) = take_frame(&mut input) {
            match Message::decode(frame) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

#[test]
fn a_zero_byte_in_a_text_does_not_end_the_message_early() {
    let mut out = BytesMut::new();
    backend::command_complete(&mut out, "a\0b");
    assert_eq!(&out[..], b"C\0\0\0\x07ab\0");
}
