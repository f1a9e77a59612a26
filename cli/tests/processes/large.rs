//! Large values and large statements on three processes: each ends in a result or in a SQLSTATE that says why, and
//! afterwards every node answers. What no message carries must never get into a range's log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::{Client, Error};

use crate::harness::{Cluster, connect};

/// What "at once" is, for a statement that is refused before anything is sent: a debug build on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

fn state(error: &Error) -> String {
    error.code().map_or_else(|| format!("{error:?}"), |state| state.code().to_owned())
}

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT {what}"), &[]).await.unwrap().get(0)
}

/// Every node writes and reads.
async fn all_answer(cluster: &Cluster) {
    for (n, address) in cluster.sql_addresses().iter().enumerate() {
        let client = connect(address).await.unwrap();
        let key = n as i32;
        client
            .execute("INSERT INTO alive VALUES ($1) ON CONFLICT (k) DO NOTHING", &[&key])
            .await
            .unwrap_or_else(|error| panic!("node {n} does not write: {}", state(&error)));
        assert!(count(&client, "count(*) FROM alive").await >= 1);
    }
}

async fn copy(client: &Client, lines: impl Iterator<Item = String>) -> Result<u64, Error> {
    let sink = client.copy_in("COPY t FROM STDIN").await?;
    let mut sink = Box::pin(sink);
    for line in lines {
        sink.send(Bytes::from(line)).await?;
    }
    sink.as_mut().finish().await
}

async fn large_things(cluster: &Cluster) {
    let addresses = cluster.sql_addresses();
    let client = connect(&addresses[0]).await.unwrap();
    client.batch_execute("CREATE TABLE alive (k int PRIMARY KEY)").await.unwrap();
    client.batch_execute("CREATE TABLE t (k int PRIMARY KEY, v text)").await.unwrap();

    // 1,000 rows of 40 KB: small writes, and one large resolution behind them.
    let insert = "INSERT INTO t SELECT g, repeat('x', 40000) FROM generate_series(1, 1000) g";
    assert_eq!(client.execute(insert, &[]).await.unwrap(), 1_000);
    assert_eq!(count(&client, "sum(length(v)) FROM t").await, 40_000_000);
    all_answer(cluster).await;

    // One phase would copy every old version.
    assert_eq!(client.execute("DELETE FROM t WHERE k <= 500", &[]).await.unwrap(), 500);
    let update = "UPDATE t SET v = repeat('y', 41000)";
    assert_eq!(client.execute(update, &[]).await.unwrap(), 500);
    assert_eq!(client.execute("DELETE FROM t", &[]).await.unwrap(), 500);
    all_answer(cluster).await;

    // A value that no command holds, through each node: the lease holder's own gateway has no network in between.
    for address in addresses {
        let client = connect(address).await.unwrap();
        let start = Instant::now();
        let refused = client
            .execute("INSERT INTO t SELECT 1, repeat('x', 34000000)", &[])
            .await
            .expect_err("no range holds it");
        assert_eq!(state(&refused), "54000");
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
    let refused = client
        .execute("CREATE INDEX ON t (v)", &[])
        .await
        .map(drop)
        .and(client.execute("INSERT INTO t SELECT 1, repeat('x', 40000)", &[]).await.map(drop))
        .expect_err("an index holds no such key");
    assert_eq!(state(&refused), "54000");
    client.batch_execute("DROP INDEX t_v_idx").await.unwrap();
    all_answer(cluster).await;

    // The largest that is promised, and 40 of a megabyte in one transaction.
    client.execute("INSERT INTO t SELECT 2, repeat('x', 7000000)", &[]).await.unwrap();
    client.execute("UPDATE t SET v = repeat('y', 7000000)", &[]).await.unwrap();
    client.batch_execute("BEGIN").await.unwrap();
    for k in 10..50_i32 {
        let value = "z".repeat(1_000_000);
        client.execute("INSERT INTO t VALUES ($1, $2)", &[&k, &value]).await.unwrap();
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(count(&client, "sum(length(v)) FROM t").await, 47_000_000);
    all_answer(cluster).await;
    assert_eq!(client.execute("DELETE FROM t", &[]).await.unwrap(), 41);

    let lines = (0..2_000).map(|k| format!("{k}\t{}\n", "c".repeat(40_000)));
    assert_eq!(copy(&client, lines).await.unwrap(), 2_000);
    let lines = (5_000..5_003).map(|k| format!("{k}\t{}\n", "c".repeat(8_000_000)));
    assert_eq!(state(&copy(&client, lines).await.expect_err("too large")), "54000");
    assert_eq!(count(&client, "count(*) FROM t").await, 2_000);
    all_answer(cluster).await;
}

#[test]
fn large_values_end_in_a_result_or_a_state_and_stop_no_range() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(directory.path());
    cluster.node(0).sql("SELECT 1");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(large_things(&cluster));
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}
