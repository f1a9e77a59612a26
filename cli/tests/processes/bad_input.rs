//! Garbage on both ports, and statements that are wrong: each gets a precise error or a closed connection, and the node
//! goes on with the data that it had.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Node, free, text};

/// Whoever is sent garbage closes the connection, sooner or later.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Sends bytes, and returns everything that comes back until the server closes.
pub(crate) fn send(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    stream.set_write_timeout(Some(ANSWER_MAX)).unwrap();
    // The server may close before it has read everything: then the answer may be lost as well.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) => {
                let kind = error.kind();
                assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "not closed: {error}");
                return answer;
            }
        }
    }
}

/// Bytes without a pattern, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// A startup packet, and then whatever follows.
fn session(rest: &[u8]) -> Vec<u8> {
    let body = b"\0\x03\0\0user\0root\0database\0defaultdb\0\0";
    let mut out = ((body.len() + 4) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out.extend_from_slice(rest);
    out
}

#[test]
fn garbage_on_either_port_closes_the_connection_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free();
    let mut node = Node::start_alone(directory.path(), &addresses);
    let [sql, rpc, http] = addresses;
    node.sql(
        "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL)",
    );
    let noise = noise(100_000);
    for garbage in [&noise[..], &noise[..7], b"GET / HTTP/1.1\r\n\r\n", b"", &[0; 64], &[0xff; 64]]
    {
        send(&sql, garbage);
        send(&rpc, garbage);
        send(&http, garbage);
        // What looks like a message of a session until it is read.
        send(&sql, &session(garbage));
    }
    // HTTP/2, and then nonsense.
    send(&rpc, &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &noise[..5_000]].concat());
    let code = |answer: &[u8]| {
        let text = text(answer);
        text.split('\0').find_map(|field| field.strip_prefix('C').map(str::to_owned))
    };
    // A startup packet of 100 MB: its length alone is refused.
    let huge = [&100_000_000_u32.to_be_bytes()[..], &noise].concat();
    assert_eq!(code(&send(&sql, &huge)).as_deref(), Some("08P01"));
    // A message longer than any may be, and one that the client does not finish.
    let too_long = session(b"Q\x7f\xff\xff\xffSELECT 1");
    assert!(text(&send(&sql, &too_long)).contains("C08P01"));
    send(&sql, &session(b"Q\0\0\0\x20SELECT"));
    send(&sql, &session(b"Q\0\0\0\x03"));
    assert!(text(&send(&sql, &session(b"?\0\0\0\x04X\0\0\0\x04"))).contains("C08P01"));
    assert!(node.is_alive());
    assert_eq!(node.sql("SELECT * FROM t ORDER BY a"), "1\tx\n2\tNULL\n");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn wrong_statements_get_their_sqlstate_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free();
    let node = Node::start_alone(directory.path(), &addresses);
    node.sql(
        "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, c int CHECK (c > 0), d int UNIQUE); \
         INSERT INTO t VALUES (1, 'x', 1, 1)",
    );
    for (statement, state) in [
        ("SELECT 1 +", "42601"),
        ("SELEC 1", "42601"),
        ("SELECT 'x'::nonsense", "42704"),
        ("CREATE TABLE u (a nonsense)", "42704"),
        ("SELECT * FROM missing", "42P01"),
        ("SELECT missing FROM t", "42703"),
        ("SELECT missing(1)", "42883"),
        ("INSERT INTO t VALUES (1, 'y', 1, 2)", "23505"),
        ("INSERT INTO t VALUES (2, 'y', 1, 1)", "23505"),
        ("INSERT INTO t VALUES (2, NULL, 1, 2)", "23502"),
        ("INSERT INTO t VALUES (2, 'y', 0, 2)", "23514"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 2147483647 + 1", "22003"),
        ("UPDATE t SET a = a + 2147483647", "22003"),
        ("SELECT 'x'::int", "22P02"),
        ("CREATE TABLE t (a int)", "42P07"),
    ] {
        let output = node.try_sql(statement);
        let errors = text(&output.stderr);
        assert!(errors.contains(&format!("SQLSTATE: {state}\n")), "{statement}: {errors}");
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(1)));
    }
    // The place of the error is shown under the statement.
    let errors = text(&node.try_sql("SELECT 1,\n  nothing FROM t").stderr);
    assert!(errors.contains("LINE 2:   nothing FROM t\n          ^"), "{errors}");
    // At its statement, not at COMMIT; and what follows in the transaction is refused.
    let block = "BEGIN; INSERT INTO t VALUES (7, 'y', 1, 7); INSERT INTO t VALUES (1, 'y', 1, 8)";
    let errors = text(&node.try_sql(block).stderr);
    assert!(errors.contains("SQLSTATE: 23505"), "{errors}");
    assert_eq!(node.sql("SELECT * FROM t"), "1\tx\t1\t1\n");
    assert_eq!(node.terminate(), Some(0));
}
