//! Tables that are emptied again and again while others write rows and read: what a DELETE of everything deletes, and
//! that it stays deleted.
//!
//! Every write has a number of its own. What is known of an operation is when it began and ended; an unknown one may have
//! happened at any time since it began. From that alone follows
//!
//! - W1. which rows a read must not show: those of writes that had not begun, that failed, or over which another write
//!   or a deletion began and ended between the write and the read;
//! - W2. which rows it must show: those with a write before it that no deletion can have come upon since;
//! - W3. how many rows a DELETE may say that it has deleted, by the same two rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kv::engine::Engine;
use kv::env::Rng;
use kv::keys::{self, Space};
use kv::range::bootstrap::KEYSPACE_END;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::SqlClient;
use super::link::Link;
use super::outcome::Trouble;
use super::statement::{Param, Reply};
use crate::rng::SeedRng;
use crate::sim::clients::{Failure, OP_TIMEOUT};
use crate::sim::cluster::{Cluster, NODES};

/// Tables; the last has an index.
const TABLES: u64 = 2;
/// Keys of a table.
pub(super) const KEYS: u64 = 12;
/// Where the first table's range may be cut, and where its spans end.
pub(super) const MIDDLE: u64 = 6;
const CLIENTS: u64 = 5;
/// Longest pause between two operations.
const THINK: Duration = Duration::from_millis(150);
/// With all healed, the last look must succeed by then.
const LAST_LOOK: Duration = Duration::from_secs(60);

/// Rows of a deletion that is made as one of a span in every seed, if it can be (`sim::cluster::txn_config`).
pub(in crate::sim) const MUCH: u64 = 5;
/// Of so many of them one could be.
const ENOUGH: usize = 20;

/// Creates the tables.
pub(super) const CREATION: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS sweep_0 (id INT PRIMARY KEY, v BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sweep_1 (id INT PRIMARY KEY, v BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS sweep_1_v ON sweep_1 (v)",
];

/// What an operation did; spans of keys are half-open.
#[derive(Clone, Debug)]
enum What {
    Write { key: u64, number: i64 },
    Delete { from: u64, to: u64, count: u64 },
    Read { from: u64, to: u64, rows: BTreeMap<u64, i64> },
}

/// An operation that has, or may have, happened.
#[derive(Clone, Debug)]
struct Op {
    start: Duration,
    /// None: nobody knows whether it happened, nor what it said.
    end: Option<Duration>,
    what: What,
}

impl Op {
    /// It certainly had happened when something began.
    fn is_before(&self, start: Duration) -> bool {
        self.end.is_some_and(|end| end < start)
    }
}

/// What was done to a table.
#[derive(Debug, Default)]
struct Table {
    writes: BTreeMap<u64, Vec<Op>>,
    deletes: Vec<Op>,
    reads: Vec<Op>,
}

impl Table {
    fn add(&mut self, op: Op) {
        match &op.what {
            What::Write { key, .. } => self.writes.entry(*key).or_default().push(op),
            What::Delete { .. } => self.deletes.push(op),
            What::Read { .. } => self.reads.push(op),
        }
    }

    fn writes(&self, key: u64) -> &[Op] {
        self.writes.get(&key).map_or(&[], |writes| writes)
    }

    fn deletes(&self, key: u64) -> impl Iterator<Item = &Op> {
        let covers = move |op: &&Op| match op.what {
            What::Delete { from, to, .. } => from <= key && key < to,
            _ => false,
        };
        self.deletes.iter().filter(covers)
    }

    /// Another operation came between the write and what began at a time (W1).
    fn is_gone(&self, key: u64, write: &Op, start: Duration) -> bool {
        let Some(end) = write.end else { return false };
        let came_between = |op: &Op| end < op.start && op.is_before(start);
        self.writes(key).iter().any(came_between) || self.deletes(key).any(came_between)
    }

    /// Something other than `by` that takes place from `start` to `end` certainly finds the key (W2).
    fn is_there(&self, key: u64, by: &Op, start: Duration, end: Duration) -> bool {
        let before = self.writes(key).iter().filter(|write| write.is_before(start));
        let Some(last) = before.max_by_key(|write| write.start) else { return false };
        let came_upon = |op: &Op| op.start < end && op.end.is_none_or(|over| over > last.start);
        !self.deletes(key).any(|op| !std::ptr::eq(op, by) && came_upon(op))
    }

    fn judge(&self) -> Vec<String> {
        let mut found = Vec::new();
        for read in &self.reads {
            let (What::Read { from, to, rows }, Some(end)) = (&read.what, read.end) else {
                continue;
            };
            for key in *from..*to {
                let writes = self.writes(key);
                let Some(number) = rows.get(&key) else {
                    if self.is_there(key, read, read.start, end) {
                        found.push(format!("row {key} is missing in {read:?}"));
                    }
                    continue;
                };
                let is_it =
                    |op: &&Op| matches!(op.what, What::Write { number: n, .. } if n == *number);
                match writes.iter().find(is_it) {
                    Some(write) if write.start <= end && !self.is_gone(key, write, read.start) => {}
                    Some(write) => found.push(format!("{write:?} is gone, and in {read:?}")),
                    None => found.push(format!("nobody wrote {number} of {read:?}")),
                }
            }
        }
        for delete in &self.deletes {
            let (What::Delete { from, to, count }, Some(end)) = (&delete.what, delete.end) else {
                continue;
            };
            let least = (*from..*to).filter(|key| self.is_there(*key, delete, delete.start, end));
            let may_be = |key: &u64| {
                let mut begun = self.writes(*key).iter().filter(|write| write.start <= end);
                begun.any(|write| !self.is_gone(*key, write, delete.start))
            };
            let possible = least.count() as u64..=(*from..*to).filter(may_be).count() as u64;
            if !possible.contains(count) {
                found.push(format!("{delete:?} should have been of {possible:?} rows"));
            }
        }
        found
    }
}

/// The tables and what is done to them.
#[derive(Clone)]
pub(crate) struct Sweeps {
    cluster: Rc<Cluster>,
    start: Instant,
    tables: Rc<RefCell<[Table; TABLES as usize]>>,
}

impl Sweeps {
    /// Nothing has been done yet.
    pub(crate) fn new(cluster: &Rc<Cluster>) -> Self {
        Sweeps { cluster: cluster.clone(), start: Instant::now(), tables: Rc::default() }
    }

    /// Starts the clients.
    pub(crate) fn start(&self, seed: u64, end: Instant) -> Vec<JoinHandle<()>> {
        let client = |number| {
            let rng = SeedRng::stream(seed, "sweep", number);
            tokio::task::spawn_local(self.clone().work(rng, number, end))
        };
        (0..CLIENTS).map(client).collect()
    }

    async fn work(self, rng: SeedRng, number: u64, end: Instant) {
        let client = SqlClient::new(format!("sweep {number}"), self.cluster.clone(), rng);
        let mut next = number as i64 * 1_000_000;
        while Instant::now() < end {
            tokio::time::sleep(client.rng.duration_between(Duration::ZERO, THINK)).await;
            let Some(link) = client.link(*client.rng.pick(&NODES)).await else { continue };
            let table = client.rng.below(TABLES);
            let (from, to) = match client.rng.below(3) {
                0 => (0, MIDDLE),
                1 => (MIDDLE, KEYS),
                _ => (0, KEYS),
            };
            next += 1;
            let what = match client.rng.below(10) {
                0..6 => What::Write { key: client.rng.below(KEYS), number: next },
                6..8 => What::Delete { from, to, count: 0 },
                _ => What::Read { from, to, rows: BTreeMap::new() },
            };
            self.run(&client, link, table, what).await;
        }
    }

    /// Runs an operation, and keeps what is known of it.
    async fn run(&self, client: &SqlClient, mut link: Link, table: u64, what: What) -> bool {
        let start = self.start.elapsed();
        let done = tokio::time::timeout(OP_TIMEOUT, run(&mut link, table, &what)).await;
        let done = match done {
            Ok(Ok(done)) => Some(Some(done)),
            Ok(Err(Trouble::Unknown(_))) => Some(None),
            Ok(Err(Trouble::Retry(_) | Trouble::Fail(_))) => None,
            Err(_) => match link.give_up() {
                Failure::Info(_) => Some(None),
                Failure::Fail(_) => None,
            },
        };
        if link.is_usable() {
            link.leave_block().await;
        }
        client.keep(link);
        let is_done = matches!(done, Some(Some(_)));
        if let Some(done) = done {
            let end = done.is_some().then(|| self.start.elapsed());
            let op = Op { start, end, what: done.unwrap_or(what) };
            self.tables.borrow_mut()[table as usize].add(op);
        }
        is_done
    }

    /// With all healed: looks once more, and says what was wrong.
    pub(crate) async fn judge(&self, rng: SeedRng) -> Vec<String> {
        let client = SqlClient::new("sweep".into(), self.cluster.clone(), rng);
        let deadline = Instant::now() + LAST_LOOK;
        for table in 0..TABLES {
            loop {
                let everything = What::Read { from: 0, to: KEYS, rows: BTreeMap::new() };
                if let Some(link) = client.link(*client.rng.pick(&NODES)).await
                    && self.run(&client, link, table, everything).await
                {
                    break;
                }
                if Instant::now() > deadline {
                    return vec![format!("a healed cluster does not show sweep_{table}")];
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let tables = self.tables.borrow();
        let mut found: Vec<String> = tables.iter().flat_map(Table::judge).collect();
        let is_much = |op: &&Op| matches!(op.what, What::Delete { count, .. } if count >= MUCH);
        let much = tables.iter().flat_map(|table| &table.deletes).filter(is_much).count();
        if much >= ENOUGH && self.erasures() == 0 {
            found.push(format!("{much} deletions of {MUCH} rows and more, and none of a span"));
        }
        found
    }

    fn erasures(&self) -> usize {
        let all = keys::engine_span(Space::Erased, &[], KEYSPACE_END);
        let engines = NODES.into_iter().filter_map(|node| self.cluster.engine(node));
        engines.map(|engine| engine.snapshot().scan(all.clone()).count()).max().unwrap_or_default()
    }
}

/// Runs an operation; what was done, as it was answered.
async fn run(link: &mut Link, table: u64, what: &What) -> Result<What, Trouble> {
    let bounds = |from: u64, to: u64| [Param::key(from), Param::key(to)];
    match what {
        What::Write { key, number } => {
            let text = format!(
                "INSERT INTO sweep_{table} (id, v) VALUES ($1, $2) \
                 ON CONFLICT (id) DO UPDATE SET v = excluded.v"
            );
            link.run(&text, &[Param::key(*key), Param::Big(*number)]).await?;
            Ok(what.clone())
        }
        What::Delete { from, to, .. } => {
            let mut text = format!("DELETE FROM sweep_{table}");
            let mut params = bounds(*from, *to).to_vec();
            match (*from, *to) == (0, KEYS) {
                true => params.clear(),
                false => text += " WHERE id >= $1 AND id < $2",
            }
            if link.roll(5) > 0 {
                let count = link.run(&text, &params).await?.count;
                return Ok(What::Delete { from: *from, to: *to, count });
            }
            link.begin().await?;
            let count = link.run(&text, &params).await?.count;
            link.commit().await?;
            Ok(What::Delete { from: *from, to: *to, count })
        }
        What::Read { from, to, .. } => {
            let by = match link.roll(3) {
                0 => "",
                1 => " AND v >= 0",
                _ => " ORDER BY id DESC",
            };
            let text = format!("SELECT id, v FROM sweep_{table} WHERE id >= $1 AND id < $2{by}");
            let Reply { rows, .. } = link.run(&text, &bounds(*from, *to)).await?;
            let row = |row: &Vec<Option<i64>>| Some((u64::try_from(row[0]?).ok()?, row[1]?));
            let rows = rows.iter().filter_map(row).collect();
            Ok(What::Read { from: *from, to: *to, rows })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(start: u64, end: u64, what: What) -> Op {
        let at = Duration::from_millis;
        Op { start: at(start), end: (end > 0).then(|| at(end)), what }
    }

    fn write(start: u64, end: u64, key: u64, number: i64) -> Op {
        op(start, end, What::Write { key, number })
    }

    fn delete(start: u64, end: u64, count: u64) -> Op {
        op(start, end, What::Delete { from: 0, to: KEYS, count })
    }

    fn read(start: u64, end: u64, rows: &[(u64, i64)]) -> Op {
        op(start, end, What::Read { from: 0, to: KEYS, rows: rows.iter().copied().collect() })
    }

    fn verdicts(ops: &[Op]) -> usize {
        let mut table = Table::default();
        ops.iter().for_each(|op| table.add(op.clone()));
        table.judge().len()
    }

    #[test]
    fn a_row_that_was_deleted_must_not_be_shown_and_one_that_was_not_must() {
        let before = [write(1, 2, 3, 7), delete(3, 4, 1)];
        let with = |op: Op| verdicts(&[&before[..], &[op]].concat());
        assert_eq!(with(read(5, 6, &[])), 0);
        assert_eq!(with(read(5, 6, &[(3, 7)])), 1, "deleted");
        assert_eq!(with(read(3, 6, &[(3, 7)])), 0, "at the same time");
        assert_eq!(with(read(5, 6, &[(3, 8)])), 1, "never written");
        assert_eq!(with(read(5, 6, &[(4, 7)])), 1, "written elsewhere");
        let after = [write(1, 2, 3, 7), write(5, 6, 3, 9), delete(3, 4, 1)];
        let with = |op: Op| verdicts(&[&after[..], &[op]].concat());
        assert_eq!(with(read(7, 8, &[(3, 9)])), 0);
        assert_eq!(with(read(7, 8, &[])), 1, "nobody deleted it");
        assert_eq!(with(read(7, 8, &[(3, 7)])), 1, "overwritten and deleted");
        // An unknown deletion may come at any time, an unknown write too.
        assert_eq!(verdicts(&[write(1, 2, 3, 7), delete(1, 0, 0), read(8, 9, &[])]), 0);
        assert_eq!(verdicts(&[write(1, 0, 3, 7), delete(3, 4, 0), read(8, 9, &[(3, 7)])]), 0);
        assert_eq!(verdicts(&[write(1, 0, 3, 7), read(8, 9, &[])]), 0);
    }

    #[test]
    fn a_deletion_counts_what_was_there() {
        let rows = [write(1, 2, 3, 7), write(1, 2, 4, 8)];
        let with = |ops: &[Op]| verdicts(&[&rows[..], ops].concat());
        assert_eq!([1, 2, 3].map(|count| with(&[delete(3, 4, count)])), [1, 0, 1]);
        assert_eq!(with(&[delete(3, 4, 2), delete(5, 6, 0)]), 0);
        assert_eq!(with(&[delete(3, 4, 2), delete(5, 6, 1)]), 1);
        let beside = [write(3, 5, 9, 9), delete(4, 6, 2)];
        assert_eq!(with(&beside), 0, "before or after");
        assert_eq!(with(&[write(3, 0, 9, 9), delete(4, 6, 3)]), 0);
        assert_eq!(
            with(&[delete(1, 0, 0), delete(4, 6, 1)]),
            0,
            "an unknown one may have come first"
        );
    }
}
