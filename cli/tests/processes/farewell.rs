//! Clients that leave as soon as they have said what they want: a commit that was asked for is done, and so is what was
//! sent before the end of the connection. Nobody waits for it, but somebody may count on it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Cluster, Node, eventually, free};

/// Much longer than a statement without a client goes on.
const DELAY: Duration = Duration::from_millis(500);

/// Rows of a transaction: too many for a commit in one step.
const ROWS: usize = 12_000;

/// A connection that says exactly what it is told to.
struct Raw(TcpStream);

impl Raw {
    fn connect(node: &Node) -> Raw {
        let mut stream = TcpStream::connect(&node.sql).unwrap();
        let startup = b"\0\x03\0\0user\0root\0database\0defaultdb\0\0";
        let length = u32::try_from(startup.len() + 4).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], startup].concat()).unwrap();
        let mut raw = Raw(stream);
        raw.wait();
        raw
    }

    fn send(&mut self, tag: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        self.0.write_all(&[&[tag][..], &length.to_be_bytes(), body].concat()).unwrap();
    }

    fn query(&mut self, text: &str) {
        self.send(b'Q', &[text.as_bytes(), b"\0"].concat());
    }

    /// Reads up to ReadyForQuery.
    fn wait(&mut self) {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes(head[1..].try_into().unwrap());
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).unwrap();
            assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
            if head[0] == b'Z' {
                return;
            }
        }
    }
}

#[test]
fn a_commit_that_takes_long_is_done_without_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(directory.path());
    let node = cluster.node(0);
    node.sql("CREATE TABLE t (a int PRIMARY KEY)");
    // With a Terminate and without.
    for (row, farewell) in [(1, false), (2, true)] {
        let mut client = Raw::connect(node);
        // Whoever drops a commit between its steps loses it.
        let rows = format!("SELECT 100000 * {row} + g FROM generate_series(1, {ROWS}) g");
        client.query(&format!("BEGIN; INSERT INTO t {rows}"));
        client.wait();
        for other in [1, 2] {
            cluster.node(other).signal("-STOP");
        }
        client.query("COMMIT");
        if farewell {
            client.send(b'X', b"");
        }
        drop(client);
        std::thread::sleep(DELAY);
        for other in [1, 2] {
            cluster.node(other).signal("-CONT");
        }
        let count = format!("{}\n", row * ROWS);
        eventually("committed", || (node.sql("SELECT count(*) FROM t") == count).then_some(()));
    }
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}

#[test]
fn what_was_sent_before_the_end_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_alone(directory.path(), &free());
    node.sql("CREATE TABLE t (a int PRIMARY KEY)");
    let slow = "SELECT count(*) FROM generate_series(1, 300000)";
    // A message each; then all of them in a block.
    let mut client = Raw::connect(&node);
    for text in [slow, "INSERT INTO t VALUES (1)", slow, "INSERT INTO t VALUES (2)"] {
        client.query(text);
    }
    drop(client);
    let done = || node.sql("SELECT a FROM t ORDER BY a") == "1\n2\n";
    eventually("both rows", || done().then_some(()));
    let mut client = Raw::connect(&node);
    for text in ["BEGIN", "INSERT INTO t VALUES (3)", slow, "COMMIT"] {
        client.query(text);
    }
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    // It is answered all the same.
    for _ in 0..4 {
        client.wait();
    }
    assert_eq!(node.sql("SELECT count(*) FROM t"), "3\n");
    assert_eq!(node.terminate(), Some(0));
}
