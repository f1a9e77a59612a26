//! Locks over several processes: waits that are longer than an operation, deadlocks, and clients that go quiet.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::harness::{Cluster, connect};

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than an operation may go without an answer.
const LONG: Duration = Duration::from_secs(12);

async fn client(cluster: &Cluster, node: usize) -> Client {
    connect(&cluster.sql_addresses()[node]).await.unwrap()
}

fn code(error: &Error) -> &SqlState {
    error.code().unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn locks_are_waited_for_and_deadlocks_end_through_any_node() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(directory.path());
    cluster.node(0).sql("CREATE TABLE t (a int PRIMARY KEY, n int NOT NULL)");
    cluster.node(0).sql("INSERT INTO t SELECT g, 0 FROM generate_series(1, 10) g");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        long_waits(&cluster).await;
        silence(&cluster).await;
        one_deadlock(&cluster).await;
        many_deadlocks(&cluster).await;
    });
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}

async fn long_waits(cluster: &Cluster) {
    let (holder, waiter, other) =
        (client(cluster, 0).await, client(cluster, 1).await, client(cluster, 2).await);
    holder.batch_execute("BEGIN; UPDATE t SET n = n + 1 WHERE a = 1").await.unwrap();
    let begun = Instant::now();
    other.batch_execute("SET lock_timeout = '1s'").await.unwrap();
    let error = other.execute("DELETE FROM t WHERE a = 1", &[]).await.unwrap_err();
    assert_eq!(code(&error), &SqlState::LOCK_NOT_AVAILABLE);
    let wait = async {
        let changed = waiter.execute("UPDATE t SET n = n + 10 WHERE a = 1", &[]).await;
        (changed, begun.elapsed())
    };
    let release = async {
        tokio::time::sleep(LONG).await;
        holder.batch_execute("COMMIT").await
    };
    let both = async { tokio::join!(wait, release) };
    let ((changed, waited), released) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    released.unwrap();
    assert_eq!(changed.unwrap(), 1);
    assert!(waited >= LONG, "{waited:?}");
    let n: i32 = other.query_one("SELECT n FROM t WHERE a = 1", &[]).await.unwrap().get(0);
    assert_eq!(n, 11);
}

async fn silence(cluster: &Cluster) {
    let (silent, waiter) = (client(cluster, 0).await, client(cluster, 1).await);
    silent.batch_execute("SET idle_in_transaction_session_timeout = '500ms'").await.unwrap();
    silent.batch_execute("BEGIN; UPDATE t SET n = 0 WHERE a = 1").await.unwrap();
    let wait = waiter.execute("UPDATE t SET n = n + 100 WHERE a = 1", &[]);
    assert_eq!(tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap(), 1);
    assert!(silent.batch_execute("COMMIT").await.is_err());
    let n: i32 = waiter.query_one("SELECT n FROM t WHERE a = 1", &[]).await.unwrap().get(0);
    assert_eq!(n, 111);
}

async fn one_deadlock(cluster: &Cluster) {
    let (one, two) = (client(cluster, 0).await, client(cluster, 1).await);
    one.batch_execute("BEGIN; UPDATE t SET n = 1 WHERE a = 2").await.unwrap();
    two.batch_execute("BEGIN; UPDATE t SET n = 1 WHERE a = 3").await.unwrap();
    let first = async {
        one.batch_execute("UPDATE t SET n = 1 WHERE a = 3").await?;
        one.batch_execute("COMMIT").await
    };
    let second = async {
        two.batch_execute("UPDATE t SET n = 1 WHERE a = 2").await?;
        two.batch_execute("COMMIT").await
    };
    let both = async { tokio::join!(first, second) };
    let (first, second) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let (Ok(()), Err(error)) = (first, second) else { panic!("the younger one gives up") };
    assert_eq!(code(&error), &SqlState::T_R_DEADLOCK_DETECTED);
    assert!(error.as_db_error().unwrap().detail().unwrap().lines().count() >= 2);
}

/// Blocks that change three of a few rows in any order.
async fn many_deadlocks(cluster: &Cluster) {
    let mut clients = Vec::new();
    for number in 0..6 {
        let client = client(cluster, number % 3).await;
        clients.push(tokio::spawn(async move {
            for round in 0..5 {
                while let Err(error) = change_three(&client, number * 7 + round).await {
                    let retry =
                        [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::T_R_SERIALIZATION_FAILURE];
                    assert!(retry.contains(&code(&error)), "{error}");
                    client.batch_execute("ROLLBACK").await.unwrap();
                }
            }
        }));
    }
    let all = async {
        for client in clients {
            client.await.unwrap();
        }
    };
    tokio::time::timeout(2 * PATIENCE, all).await.unwrap();
    let client = client(cluster, 0).await;
    let sum: i64 = client.query_one("SELECT sum(n) FROM t WHERE a > 3", &[]).await.unwrap().get(0);
    assert_eq!(sum, 6 * 5 * 3);
}

async fn change_three(client: &Client, number: usize) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    for step in [0, 2, 5] {
        let row = i32::try_from((number + number * step) % 7 + 4).unwrap();
        client.execute("UPDATE t SET n = n + 1 WHERE a = $1", &[&row]).await?;
    }
    client.batch_execute("COMMIT").await
}
