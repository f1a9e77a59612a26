//! kill -9 of each node in turn, under a load of inserts.
//!
//! Promised: every insert that was acknowledged is there afterwards, counted from each node; nothing is there that nobody
//! sent; and no client waits longer than [`STALL_MAX`] for its next acknowledgement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, connect};

/// A client that hears of no success for longer has hung. A lease of a dead node ends within 4 s, an election takes
/// about as long at most.
const STALL_MAX: Duration = Duration::from_secs(10);
const WRITERS: i64 = 4;
/// How long the load runs between two faults.
const PROGRESS: Duration = Duration::from_secs(2);

/// What a client knows at the end.
#[derive(Default)]
pub(crate) struct Written {
    /// Rows that the cluster said it has.
    pub(crate) acknowledged: BTreeSet<i64>,
    /// Rows that it may have.
    unknown: BTreeSet<i64>,
    pub(crate) longest_stall: Duration,
}

impl Written {
    pub(crate) fn add(&mut self, other: Written) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
        self.longest_stall = self.longest_stall.max(other.longest_stall);
    }

    /// Everything that was acknowledged is among the rows, and nothing that failed.
    pub(crate) fn check(&self, rows: &str) {
        let rows: BTreeSet<i64> = rows.lines().map(|row| row.parse().unwrap()).collect();
        let lost: Vec<_> = self.acknowledged.difference(&rows).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let strange: Vec<_> =
            rows.difference(&self.acknowledged).filter(|id| !self.unknown.contains(id)).collect();
        assert!(strange.is_empty(), "there, although they failed: {strange:?}");
    }
}

/// Inserts rows of its own numbers, every `step`th from the first, through whichever node answers, until it is told to
/// stop.
pub(crate) async fn write(
    writer: i64,
    step: i64,
    addresses: Vec<String>,
    stop: Arc<AtomicBool>,
) -> Written {
    let mut written = Written::default();
    let mut last_success = Instant::now();
    let mut next = writer;
    let mut at = writer as usize;
    while !stop.load(Ordering::Relaxed) {
        at += 1;
        let Some(client) = connect(&addresses[at % addresses.len()]).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let insert = "INSERT INTO t VALUES ($1, $2)";
        while !stop.load(Ordering::Relaxed) {
            let id = next;
            next += step;
            match client.execute(insert, &[&id, &writer]).await {
                Ok(rows) => {
                    assert_eq!(rows, 1);
                    written.acknowledged.insert(id);
                    written.longest_stall = written.longest_stall.max(last_success.elapsed());
                    last_success = Instant::now();
                }
                Err(error) => {
                    let state = error.code().map(|state| state.code().to_owned());
                    // An error that says that nothing was written is believed, and checked.
                    if !matches!(state.as_deref(), Some("40001" | "57P01")) {
                        written.unknown.insert(id);
                    }
                    if client.is_closed() {
                        break;
                    }
                }
            }
        }
    }
    written.longest_stall = written.longest_stall.max(last_success.elapsed());
    written
}

#[test]
fn no_acknowledged_insert_is_lost_when_each_node_is_killed_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    cluster.node(0).sql("CREATE TABLE t (id bigint PRIMARY KEY, writer bigint NOT NULL)");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let addresses = cluster.sql_addresses().to_vec();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| runtime.spawn(write(writer, WRITERS, addresses.clone(), stop.clone())))
        .collect();
    for index in 0..3 {
        std::thread::sleep(PROGRESS);
        cluster.kill(index);
        // Longer than a lease: the survivors have to take over, not to wait.
        std::thread::sleep(Duration::from_secs(6));
        cluster.restart(index);
        // It serves again before the next one goes: two of three are a majority, one is not.
        cluster.node(index).sql("SELECT 1 FROM t LIMIT 1");
    }
    std::thread::sleep(PROGRESS);
    stop.store(true, Ordering::Relaxed);
    let mut all = Written::default();
    for writer in writers {
        all.add(runtime.block_on(writer).unwrap());
    }
    let (acknowledged, unknown) = (all.acknowledged.len(), all.unknown.len());
    eprintln!("{acknowledged} acknowledged, {unknown} unknown, stall {:?}", all.longest_stall);
    assert!(acknowledged > 100, "{acknowledged} acknowledged");
    for index in 0..3 {
        all.check(&cluster.node(index).sql("SELECT id FROM t"));
    }
    assert!(all.longest_stall < STALL_MAX, "a client waited {:?}", all.longest_stall);
    assert_eq!(cluster.terminate(), [Some(0); 3]);
}
