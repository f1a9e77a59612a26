//! Clients whose blocks stay open for seconds, over tables whose indexes come and go meanwhile.
//!
//! Nothing that such a block has read is changed by others, so nothing but the end of its node's lease on the schema
//! keeps it from committing by an old descriptor. If it does, the index misses its row for ever. So a block waits twice:
//! before it writes, when it only knows the descriptor, and after, when it is bound to it. A change waits for all blocks that
//! it can reach, so most tables have one client only: if that one's node is cut off, the change goes on.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::SqlClient;
use super::link::Link;
use super::outcome::Trouble;
use super::statement::Param;
use crate::rng::SeedRng;
use crate::sim::clients::OP_TIMEOUT;
use crate::sim::cluster::{Cluster, NODES};

/// Tables.
pub(super) const TABLES: i32 = 4;
/// Clients: the first table has two.
pub(super) const CLIENTS: i32 = TABLES + 1;
/// Different tags.
const TAGS: i32 = 4;
/// Longest pause between two blocks.
const REST: Duration = Duration::from_millis(450);
/// Longest pause of a block, before or after its row is written: longer than a lease.
const PAUSE: Duration = Duration::from_secs(16);
/// As long as a lease.
const LEASE: Duration = Duration::from_secs(10);
/// Longest of both together.
const PAUSES: Duration = Duration::from_secs(18);

/// Creates a table, with its first rows: so many that its index is built in steps, beside those who write.
pub(super) fn creation(table: i32) -> [String; 2] {
    [
        format!("CREATE TABLE IF NOT EXISTS item_{table} (id INT PRIMARY KEY, tag INT NOT NULL)"),
        format!(
            "INSERT INTO item_{table} SELECT -g, g % {TAGS} FROM generate_series(1, 600) g \
             ON CONFLICT DO NOTHING"
        ),
    ]
}

/// Makes a table's index.
pub(super) fn index(table: i32) -> String {
    format!("CREATE INDEX IF NOT EXISTS item_{table}_tag ON item_{table} (tag)")
}

/// What is done to a table's schema.
pub(super) fn changes(table: i32) -> Vec<String> {
    vec![index(table), format!("DROP INDEX IF EXISTS item_{table}_tag")]
}

/// Inserts rows until `end`, each in a block of its own. No two clients of a seed have the same number.
pub(super) async fn linger(cluster: Rc<Cluster>, rng: SeedRng, number: i32, end: Instant) {
    let client = SqlClient::new(format!("linger {number}"), cluster, rng);
    let (table, mut id) = (number % TABLES, number * 100_000);
    while Instant::now() < end {
        tokio::time::sleep(client.rng.duration_between(Duration::ZERO, REST)).await;
        let Some(mut link) = client.link(*client.rng.pick(&NODES)).await else { continue };
        id += 1;
        // Every other client outlasts its node's lease by itself: if the node is cut off meanwhile, what it knows is old.
        let shortest = if number % 2 == 0 { Duration::ZERO } else { LEASE };
        let before = client.rng.duration_between(shortest, PAUSE);
        let after = client.rng.duration_between(Duration::ZERO, PAUSE.min(PAUSES - before));
        let work = async {
            // Any outcome will do: what counts is that table and index agree.
            let _ = insert(&mut link, table, id, [before, after]).await;
            link.leave_block().await;
            let _ = check(&mut link, table).await;
            link.leave_block().await;
        };
        if tokio::time::timeout(PAUSES + OP_TIMEOUT, work).await.is_err() {
            link.give_up();
        }
        client.keep(link);
    }
}

async fn insert(
    link: &mut Link,
    table: i32,
    id: i32,
    [before, after]: [Duration; 2],
) -> Result<(), Trouble> {
    let row = [Param::Int(id), Param::Int(id % TAGS)];
    link.begin().await?;
    // From here on the block relies on the descriptor that it has found.
    link.run(&format!("SELECT id FROM item_{table} WHERE id = $1"), &row[..1]).await?;
    tokio::time::sleep(before).await;
    link.run(&format!("INSERT INTO item_{table} (id, tag) VALUES ($1, $2)"), &row).await?;
    tokio::time::sleep(after).await;
    link.commit().await
}

/// What the table holds and what its index holds, if there is one, is the same (Q3).
pub(super) async fn check(link: &mut Link, number: i32) -> Result<(), Trouble> {
    link.begin().await?;
    let text = format!("SELECT id, tag FROM item_{number} ORDER BY id");
    let table = link.run(&text, &[]).await?.rows;
    let mut index = Vec::new();
    for tag in 0..TAGS {
        let text = format!("SELECT id, tag FROM item_{number} WHERE tag = $1");
        index.extend(link.run(&text, &[Param::Int(tag)]).await?.rows);
    }
    link.commit().await?;
    index.sort();
    if table != index {
        let missing: Vec<_> = table.iter().filter(|row| !index.contains(row)).collect();
        let beyond: Vec<_> = index.iter().filter(|row| !table.contains(row)).collect();
        link.complain(format!(
            "the index of item_{number} lacks {missing:?} and has {beyond:?} too many"
        ));
    }
    Ok(())
}
