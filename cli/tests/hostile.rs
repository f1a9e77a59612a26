//! Statements that compute, or want memory, without an end: they hurt nobody but themselves.
//!
//! While each runs, others connect and are answered; it ends by a cancel request and by `statement_timeout`; and when its
//! client vanishes it ends, too. Many at once leave the process within its memory. A binary of its own: other tests would
//! have little of the processors meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "processes have real ports, and take real time"
)]

#[allow(dead_code, reason = "this test needs little of it")]
#[path = "processes/harness.rs"]
mod harness;

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::harness::{Node, connect, free};

/// How long something that must happen may take. A statement that does not stop goes on for hours, and others wait for
/// it as long.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a statement runs before it is cancelled.
const WATCH: Duration = Duration::from_millis(200);
/// What the process may ever have in memory.
const RESIDENT_KIB_MAX: u64 = 1 << 20;

/// Each would take hours, in its own way: [`MANY_ROWS`] of them by rows and pairs, the others by calls of functions.
const ENDLESS: [&str; 10] = [
    "SELECT count(*) FROM generate_series(1, 100000000000)",
    "SELECT g FROM generate_series(1, 100000000000) g WHERE g < 0",
    "SELECT x FROM (SELECT generate_series(1, 100000000000) x) s WHERE x < 0",
    "SELECT 1 FROM generate_series(1, 10000000) g JOIN generate_series(1, 10000) h ON g + h < 0",
    "SELECT count(*) FROM generate_series(1, 100000000) g WHERE EXISTS (SELECT 1 FROM t WHERE a = -g)",
    "SELECT sum(length(repeat(g::text, 10000))) FROM generate_series(1, 1000000000) g",
    "SELECT repeat('a', 3000000) LIKE '%' || repeat('a', 1000000) || 'b'",
    "SELECT array_agg(g) <@ (array_agg(-g) || array_agg(g)) FROM generate_series(1, 100000) g",
    "SELECT sum(power(repeat('7', 30000)::numeric, 4) / g) FROM generate_series(1, 100000) g",
    "SELECT string_agg(md5(g::text), '') ~ '[0-9][0-9a-f]{300}x' FROM generate_series(1, 200000) g",
];

/// The first so many give way to others all the time; a call of a function cannot, and hears of its client's end when it is
/// done.
const MANY_ROWS: usize = 6;

/// More memory than there is, one way or another; the answer is 53200 at once, or nearly.
const GREEDY: [&str; 6] = [
    "SELECT length(repeat('abcdefghij', 100000000))",
    "SELECT array_agg(g) FROM generate_series(1, 100000000) g",
    "SELECT g FROM generate_series(1, 100000000) g ORDER BY -g",
    "SELECT g, count(*) FROM generate_series(1, 100000000) g GROUP BY g",
    "SELECT string_agg(repeat('x', 100000), ',') FROM generate_series(1, 100000)",
    "SELECT string_to_array(repeat('x,', 20000000), ',')",
];

/// A startup packet, and then a query.
fn session(query: &str) -> Vec<u8> {
    let startup = b"\0\x03\0\0user\0root\0database\0defaultdb\0\0";
    let mut out = ((startup.len() + 4) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(startup);
    out.push(b'Q');
    out.extend_from_slice(&(query.len() as u32 + 5).to_be_bytes());
    out.extend_from_slice(query.as_bytes());
    out.push(0);
    out
}

async fn client(node: &Node) -> Client {
    let connected = tokio::time::timeout(PATIENCE, connect(&node.sql)).await;
    connected.expect("a connection is accepted").unwrap()
}

/// Somebody else connects, and is answered.
async fn others_are_served(node: &Node, during: &str) {
    let other = client(node).await;
    let answer = tokio::time::timeout(PATIENCE, other.query_one("SELECT a FROM t", &[])).await;
    assert_eq!(answer.expect(during).unwrap().get::<_, i32>(0), 1);
}

async fn cancel(node: &Node, client: &Client) {
    let stream = TcpStream::connect(&node.sql).await.unwrap();
    client.cancel_token().cancel_query_raw(stream, NoTls).await.unwrap();
}

/// The most that a process has had in memory.
fn resident_kib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn statements_without_an_end_hurt_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_alone(directory.path(), &free());
    node.sql("CREATE TABLE t (a int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for text in ENDLESS {
            let hostile = client(&node).await;
            let mut running = std::pin::pin!(hostile.query(text, &[]));
            let early = tokio::time::timeout(WATCH, &mut running).await;
            assert!(early.is_err(), "{text}: {early:?}");
            others_are_served(&node, text).await;
            cancel(&node, &hostile).await;
            let ended = tokio::time::timeout(PATIENCE, running).await.expect(text);
            assert_eq!(ended.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED), "{text}");

            hostile.batch_execute("SET statement_timeout = 100").await.unwrap();
            let running = hostile.query(text, &[]);
            let error = tokio::time::timeout(PATIENCE, running).await.expect(text).unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{text}");
            assert!(error.as_db_error().unwrap().message().contains("timeout"), "{text}");
            hostile.batch_execute("SELECT 1").await.unwrap();
        }
        for text in GREEDY {
            let error = client(&node).await.query(text, &[]).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::OUT_OF_MEMORY), "{text}");
            assert!(error.as_db_error().unwrap().hint().is_some(), "{text}");
        }

        // All of them at once, several of each.
        let mut running = Vec::new();
        for text in [ENDLESS, ENDLESS].concat().into_iter().chain(GREEDY) {
            let hostile = client(&node).await;
            let token = hostile.cancel_token();
            running.push((token, tokio::spawn(async move { hostile.query(text, &[]).await })));
        }
        tokio::time::sleep(WATCH).await;
        others_are_served(&node, "all of them").await;
        for (token, running) in running {
            let stream = TcpStream::connect(&node.sql).await.unwrap();
            token.cancel_query_raw(stream, NoTls).await.unwrap();
            let ended = tokio::time::timeout(PATIENCE, running).await.expect("it ends").unwrap();
            assert!(ended.is_err(), "{ended:?}");
        }

        // The client vanishes: the row that its transaction has written is free again.
        for text in &ENDLESS[..MANY_ROWS] {
            let message = session(&format!("BEGIN; UPDATE t SET n = n + 1; {text}"));
            let mut hostile = TcpStream::connect(&node.sql).await.unwrap();
            hostile.write_all(&message).await.unwrap();
            tokio::time::sleep(WATCH).await;
            drop(hostile);
            let other = client(&node).await;
            let update = other.execute("UPDATE t SET n = n + 10", &[]);
            tokio::time::timeout(PATIENCE, update).await.expect(text).unwrap();
        }
        let n: i32 = client(&node).await.query_one("SELECT n FROM t", &[]).await.unwrap().get(0);
        assert_eq!(n, 10 * MANY_ROWS as i32);
    });
    let resident = resident_kib(&node);
    assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
    assert_eq!(node.terminate(), Some(0));
}
