//! Clients whose blocks stay open for seconds, over a table whose index comes and goes meanwhile.
//!
//! Nothing that such a block has read is changed by others, so nothing but the end of its node's lease on the schema
//! keeps it from committing by an old descriptor. If it does, the index misses its row for ever. So a block waits twice:
//! before it writes, when it only knows the descriptor, and after, when it is bound to it.

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

/// What is done to the table's schema.
pub(super) const CHANGES: [&str; 2] = [INDEX, "DROP INDEX IF EXISTS item_tag"];
/// Its index.
pub(super) const INDEX: &str = "CREATE INDEX IF NOT EXISTS item_tag ON item (tag)";
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

/// Inserts rows until `end`, each in a block of its own. No two clients of a seed have the same number.
pub(super) async fn linger(cluster: Rc<Cluster>, rng: SeedRng, number: i32, end: Instant) {
    let client = SqlClient::new(format!("linger {number}"), cluster, rng);
    let mut id = number * 100_000;
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
            let _ = insert(&mut link, id, [before, after]).await;
            link.leave_block().await;
            let _ = check(&mut link).await;
            link.leave_block().await;
        };
        if tokio::time::timeout(PAUSES + OP_TIMEOUT, work).await.is_err() {
            link.give_up();
        }
        client.keep(link);
    }
}

async fn insert(link: &mut Link, id: i32, [before, after]: [Duration; 2]) -> Result<(), Trouble> {
    let row = [Param::Int(id), Param::Int(id % TAGS)];
    link.begin().await?;
    // From here on the block relies on the descriptor that it has found.
    link.run("SELECT id FROM item WHERE id = $1", &row[..1]).await?;
    tokio::time::sleep(before).await;
    link.run("INSERT INTO item (id, tag) VALUES ($1, $2)", &row).await?;
    tokio::time::sleep(after).await;
    link.commit().await
}

/// What the table holds and what its index holds, if there is one, is the same (Q3).
pub(super) async fn check(link: &mut Link) -> Result<(), Trouble> {
    link.begin().await?;
    let table = link.run("SELECT id, tag FROM item ORDER BY id", &[]).await?.rows;
    let mut index = Vec::new();
    for tag in 0..TAGS {
        let text = "SELECT id, tag FROM item WHERE tag = $1";
        index.extend(link.run(text, &[Param::Int(tag)]).await?.rows);
    }
    link.commit().await?;
    index.sort();
    if table != index {
        let missing: Vec<_> = table.iter().filter(|row| !index.contains(row)).collect();
        let beyond: Vec<_> = index.iter().filter(|row| !table.contains(row)).collect();
        link.complain(format!("item's index lacks {missing:?} and has {beyond:?} too many"));
    }
    Ok(())
}
