//! What clients do to each other: they wait, cancel and vanish.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::harness::{Node, connect, free};

/// How long something that must happen may take; nothing here waits for a timeout of the server's.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a statement is watched that must not end.
const WATCH: Duration = Duration::from_millis(300);

#[test]
fn who_waits_can_be_cancelled_and_who_vanishes_lets_go() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start_alone(directory.path(), &free());
    node.sql("CREATE TABLE t (a int PRIMARY KEY, n int NOT NULL); INSERT INTO t VALUES (1, 0)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let holder = connect(&node.sql).await.unwrap();
        let waiter = connect(&node.sql).await.unwrap();
        holder.batch_execute("BEGIN; UPDATE t SET n = n + 1 WHERE a = 1").await.unwrap();
        let add = "UPDATE t SET n = n + 10 WHERE a = 1";

        // Cancelled: an error of its own, and a connection that goes on.
        let mut waiting = std::pin::pin!(waiter.execute(add, &[]));
        tokio::time::timeout(WATCH, &mut waiting).await.unwrap_err();
        let stream = TcpStream::connect(&node.sql).await.unwrap();
        waiter.cancel_token().cancel_query_raw(stream, NoTls).await.unwrap();
        let error = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        let one: i32 = waiter.query_one("SELECT 1", &[]).await.unwrap().get(0);
        assert_eq!(one, 1);

        // The holder vanishes in the middle of its transaction: its lock and its change go with it.
        let mut waiting = std::pin::pin!(waiter.execute(add, &[]));
        tokio::time::timeout(WATCH, &mut waiting).await.unwrap_err();
        drop(holder);
        let changed = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
        assert_eq!(changed, 1);
        let n: i32 = waiter.query_one("SELECT n FROM t", &[]).await.unwrap().get(0);
        assert_eq!(n, 10);
    });
    assert_eq!(node.terminate(), Some(0));
}
