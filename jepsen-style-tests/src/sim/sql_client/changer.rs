//! A client that changes the schema while the others work: indexes and columns come and go under their statements. What
//! the others read by way of an index must agree with the table all the same (Q3).

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::outcome::Trouble;
use super::{SqlClient, bank};
use crate::rng::SeedRng;
use crate::sim::cluster::{Cluster, NODES};

/// Every one may be repeated, whatever became of it before.
const CHANGES: [&str; 10] = [
    "DROP INDEX IF EXISTS account_branch",
    INDEX,
    INDEX,
    "CREATE UNIQUE INDEX IF NOT EXISTS account_balance ON account (balance, id)",
    "DROP INDEX IF EXISTS account_balance",
    "ALTER TABLE account ADD COLUMN IF NOT EXISTS note BIGINT NOT NULL DEFAULT 7",
    "ALTER TABLE account DROP COLUMN IF EXISTS note",
    "ALTER TABLE account DROP CONSTRAINT IF EXISTS rich, \
     ADD CONSTRAINT rich CHECK (balance < 1000000)",
    "CREATE INDEX IF NOT EXISTS register_v ON register (v)",
    "DROP INDEX IF EXISTS register_v",
];
const INDEX: &str = "CREATE INDEX IF NOT EXISTS account_branch ON account (branch, balance)";

/// A change waits for other nodes' leases, and these for their healing. After this the client hangs up.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longest pause between two changes.
const PAUSE: Duration = Duration::from_secs(10);
/// A change whose node died keeps others out for 300 seconds; then, with all healed, one must succeed.
const GATE: Duration = Duration::from_secs(360);
/// Share of changes whose client thinks better of it while they run.
const CANCEL_PERCENT: u64 = 15;

/// Changes the schema until `end`.
pub(crate) async fn change_schema(cluster: Rc<Cluster>, rng: SeedRng, end: Instant) {
    let client = SqlClient::new("schema".into(), cluster, rng);
    while Instant::now() < end {
        tokio::time::sleep(client.rng.duration_between(Duration::ZERO, PAUSE)).await;
        let Some(mut link) = client.link(*client.rng.pick(&NODES)).await else { continue };
        let text = *client.rng.pick(&CHANGES);
        if client.rng.percent(CANCEL_PERCENT) {
            link.cancel_within(Duration::from_secs(12));
        }
        // Any outcome will do: what counts is what the others read.
        if tokio::time::timeout(PATIENCE, link.run(text, &[])).await.is_err() {
            link.give_up();
        }
        client.keep(link);
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
            bank::read_every_way(&mut link).await
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(_)) => return Vec::new(),
            Ok(Err(trouble)) => last = Some(trouble),
            Err(_) => last = Some(Trouble::Fail("timeout".into())),
        }
    }
    vec![format!("a healed cluster makes no index: {last:?}")]
}
