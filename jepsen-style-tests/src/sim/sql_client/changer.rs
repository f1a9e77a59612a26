//! A client that changes the schema while the others work: indexes and columns come and go under their statements. What
//! the others read by way of an index must agree with the table all the same (Q3), and every change must end: soon, once
//! all is healed, however busy the others are.

use std::rc::Rc;
use std::time::Duration;

use kv::env::Rng;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::outcome::Trouble;
use super::{SqlClient, bank, linger};
use crate::rng::SeedRng;
use crate::sim::cluster::{Cluster, NODES};

/// Every one may be repeated, whatever became of it before.
const CHANGES: [&str; 9] = [
    "DROP INDEX IF EXISTS account_branch",
    INDEX,
    "CREATE UNIQUE INDEX IF NOT EXISTS account_balance ON account (balance, id)",
    "CREATE INDEX IF NOT EXISTS register_v ON register (v)",
    "ALTER TABLE account ADD COLUMN IF NOT EXISTS note BIGINT NOT NULL DEFAULT 7",
    "DROP INDEX IF EXISTS account_balance",
    "ALTER TABLE account DROP CONSTRAINT IF EXISTS rich, \
     ADD CONSTRAINT rich CHECK (balance < 1000000)",
    "ALTER TABLE account DROP COLUMN IF EXISTS note",
    "DROP INDEX IF EXISTS register_v",
];
const INDEX: &str = "CREATE INDEX IF NOT EXISTS account_branch ON account (branch, balance)";

/// Whatever the faults, a change comes to its end within this: success, error, or the end of its connection. It waits twice
/// for blocks that linger for 18 seconds, for another change whose node has died (10), for the lease of a dead node (10),
/// and meanwhile for nodes that are cut off (14) and for disks that give no answer (20).
const PATIENCE: Duration = Duration::from_secs(100);
/// With all healed, and the others at work, a change that is asked for until it succeeds has succeeded within this: when
/// it has waited for what the last faults have left (10 seconds a dead change, 10 a dead node's lease), and twice for
/// blocks that linger for 18: for those that know the table from before, and, to fill an index, for the rows that those
/// have locked which came in between.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// Longest pause between two changes.
const PAUSE: Duration = Duration::from_secs(10);
/// With all healed, and nobody else at work, an index must be there by then.
const GATE: Duration = Duration::from_secs(60);
/// Share of changes whose client thinks better of it while they run.
const CANCEL_PERCENT: u64 = 15;

/// Starts everything that changes the schema until `end`, and what lives with it beside the workloads.
pub(crate) fn disturb(
    cluster: &Rc<Cluster>,
    seed: u64,
    calm: Instant,
    end: Instant,
) -> Vec<JoinHandle<()>> {
    let rng = |number: i32| SeedRng::stream(seed, "schema", number.unsigned_abs().into());
    let mut tasks = vec![tokio::task::spawn_local(change_schema(
        cluster.clone(),
        rng(0),
        CHANGES.map(str::to_owned).to_vec(),
        PAUSE,
        [calm, end],
    ))];
    for table in 0..linger::TABLES {
        let (rng, changes) = (rng(1 + table), linger::changes(table));
        let changing = change_schema(cluster.clone(), rng, changes, PAUSE / 5, [calm, end]);
        tasks.push(tokio::task::spawn_local(changing));
    }
    for number in 0..linger::CLIENTS {
        let rng = SeedRng::stream(seed, "linger", number.unsigned_abs().into());
        let lingering = linger::linger(cluster.clone(), rng, number, end);
        tasks.push(tokio::task::spawn_local(lingering));
    }
    tasks
}

async fn change_schema(
    cluster: Rc<Cluster>,
    rng: SeedRng,
    changes: Vec<String>,
    pause: Duration,
    [calm, end]: [Instant; 2],
) {
    let client = SqlClient::new("schema".into(), cluster, rng);
    // In their order, so that nearly every one has something to do.
    let mut turn = client.rng.below(changes.len() as u64) as usize;
    while Instant::now() < end {
        tokio::time::sleep(client.rng.duration_between(Duration::ZERO, pause)).await;
        let text = &changes[turn % changes.len()];
        if Instant::now() >= calm {
            succeed(&client, text).await;
            turn += 1;
            continue;
        }
        let Some(mut link) = client.link(*client.rng.pick(&NODES)).await else { continue };
        turn += 1;
        if client.rng.percent(CANCEL_PERCENT) {
            link.cancel_within(Duration::from_secs(12));
        }
        // Any outcome will do: what counts is what the others read.
        if tokio::time::timeout(PATIENCE, link.run(text, &[])).await.is_err() {
            link.complain(format!("{text} does not end"));
            link.give_up();
        }
        client.keep(link);
    }
}

/// Asks for a change until it succeeds, which it must before long.
async fn succeed(client: &SqlClient, text: &str) {
    let deadline = Instant::now() + CHANGE_MAX;
    let mut last = None;
    let tries = async {
        loop {
            if let Some(mut link) = client.link(*client.rng.pick(&NODES)).await {
                let done = link.run(text, &[]).await;
                client.keep(link);
                match done {
                    Ok(_) => return,
                    Err(trouble) => last = Some(trouble),
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout_at(deadline, tries).await.is_err() {
        client.cluster.complain(format!("{text} does not succeed, with all healed: {last:?}"));
    }
}

/// With all healed: an index can be made, and agrees with its table.
pub(crate) async fn final_check(cluster: &Rc<Cluster>, rng: SeedRng) -> Vec<String> {
    let client = SqlClient::new("schema".into(), cluster.clone(), rng);
    let deadline = Instant::now() + GATE;
    let mut last = None;
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(mut link) = client.link(*client.rng.pick(&NODES)).await else { continue };
        let work = async {
            link.run(INDEX, &[]).await?;
            bank::read_every_way(&mut link).await?;
            for table in 0..linger::TABLES {
                link.run(&linger::index(table), &[]).await?;
                linger::check(&mut link, table).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(_)) => return Vec::new(),
            Ok(Err(trouble)) => last = Some(trouble),
            Err(_) => last = Some(Trouble::Fail("timeout".into())),
        }
    }
    vec![format!("a healed cluster makes no index: {last:?}")]
}
