//! Where do a row's versions live? The figures behind `docs/design/0001-mvcc-layout.md`.
//!
//! Both layouts keep everything in one fjall keyspace, with a leading space byte:
//!
//! - `A`: every version under escaped key + inverted timestamp. The newest is found by a range seek.
//! - `B`: the newest version under the escaped key itself, its timestamp in the value's header; what it
//!   replaces moves to a history space under escaped key + inverted timestamp.
//!
//! A write reads the newest version first, as an evaluation must (write too old, duplicate key). Nothing is
//! fsynced: the Raft log is what makes a write durable. Run with `cargo bench -p txn --bench mvcc_layout` on a
//! quiet machine; the whole run takes two to four minutes.

#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails may simply stop")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use std::time::Instant;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

const DATA: u8 = b'd';
const HISTORY: u8 = b'h';
const LOCKS: u8 = b'l';
/// Ends an escaped key, so that no suffix of one key can lie between the versions of another.
const TERMINATOR: [u8; 2] = [0, 1];
/// A value's first byte: it is there, or it was deleted.
const LIVE: u8 = 1;
const DEAD: u8 = 2;

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    A,
    B,
}

struct Store {
    layout: Layout,
    db: Database,
    space: Keyspace,
    ts: u64,
    _dir: tempfile::TempDir,
}

struct Newest {
    ts: u64,
    live: bool,
    /// As stored: header and value.
    raw: fjall::Slice,
}

fn row(n: u64) -> [u8; 16] {
    let mut key = *b"tbl1ix1\x00\0\0\0\0\0\0\0\0";
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn escaped(space: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 12);
    out.push(space);
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend(TERMINATOR);
    out
}

fn versioned(space: u8, key: &[u8], ts: u64) -> Vec<u8> {
    let mut out = escaped(space, key);
    out.extend((!ts).to_be_bytes());
    out
}

/// Behind every version of `key`.
fn after(space: u8, key: &[u8]) -> Vec<u8> {
    let mut out = escaped(space, key);
    *out.last_mut().unwrap() += 1;
    out
}

impl Store {
    fn new(layout: Layout) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::builder(dir.path()).cache_size(512 << 20).open().unwrap();
        let space = db.keyspace("store", KeyspaceCreateOptions::default).unwrap();
        Self { layout, db, space, ts: 1 << 40, _dir: dir }
    }

    /// The newest version at or below the read timestamp (here: always "now").
    fn newest(&self, key: &[u8]) -> Option<Newest> {
        match self.layout {
            Layout::A => {
                let range = versioned(DATA, key, self.ts)..after(DATA, key);
                let (key, raw) = self.space.range(range).next()?.into_inner().unwrap();
                let ts = !u64::from_be_bytes(key[key.len() - 8..].try_into().unwrap());
                Some(Newest { ts, live: raw[0] == LIVE, raw })
            }
            Layout::B => {
                let raw = self.space.get(escaped(DATA, key)).unwrap()?;
                let ts = u64::from_be_bytes(raw[1..9].try_into().unwrap());
                Some(Newest { ts, live: raw[0] == LIVE, raw })
            }
        }
    }

    /// A version older than the newest: what a read in the past or below a running writer needs.
    fn older(&self, key: &[u8], ts: u64) -> Option<fjall::Slice> {
        let space = match self.layout {
            Layout::A => DATA,
            Layout::B => {
                let newest = self.newest(key)?;
                if newest.ts <= ts {
                    return Some(newest.raw);
                }
                HISTORY
            }
        };
        let range = versioned(space, key, ts)..after(space, key);
        Some(self.space.range(range).next()?.into_inner().unwrap().1)
    }

    fn write(&mut self, batch: &mut OwnedWriteBatch, key: &[u8], value: Option<&[u8]>) {
        self.ts += 1;
        let mut raw = Vec::with_capacity(9 + value.map_or(0, <[u8]>::len));
        raw.push(if value.is_some() { LIVE } else { DEAD });
        // Every evaluation looks at the newest version before it writes.
        let newest = self.newest(key);
        match self.layout {
            Layout::A => {
                std::hint::black_box(newest.map(|newest| newest.ts));
                raw.extend(value.unwrap_or_default());
                batch.insert(&self.space, versioned(DATA, key, self.ts), raw);
            }
            Layout::B => {
                if let Some(newest) = newest {
                    batch.insert(&self.space, versioned(HISTORY, key, newest.ts), newest.raw);
                }
                raw.extend(self.ts.to_be_bytes());
                raw.extend(value.unwrap_or_default());
                batch.insert(&self.space, escaped(DATA, key), raw);
            }
        }
    }

    fn write_one(&mut self, key: &[u8], value: Option<&[u8]>) {
        let mut batch = self.db.batch();
        self.write(&mut batch, key, value);
        batch.commit().unwrap();
    }

    /// Live rows from `key` on, at most `limit`: bytes seen, and the last key's number.
    fn scan(&self, from: u64, limit: usize) -> Vec<(u64, usize)> {
        let mut found = Vec::with_capacity(limit);
        let mut previous: Vec<u8> = Vec::new();
        let mut end = escaped(DATA, &row(u64::MAX));
        end.push(0xff);
        for entry in self.space.range(escaped(DATA, &row(from))..end) {
            let (key, raw) = entry.into_inner().unwrap();
            let user = match self.layout {
                Layout::A => &key[..key.len() - 8],
                Layout::B => &key[..],
            };
            if self.layout == Layout::A {
                if previous == user {
                    continue;
                }
                previous.clear();
                previous.extend_from_slice(user);
            }
            if raw[0] == DEAD {
                continue;
            }
            found.push((number_of(user), raw.len()));
            if found.len() == limit {
                break;
            }
        }
        found
    }

    /// What garbage collection does with a row that has been dead for long: all its versions go.
    fn collect(&self, batch: &mut OwnedWriteBatch, key: &[u8]) {
        let mut spaces = vec![(DATA, escaped(DATA, key)..after(DATA, key))];
        if self.layout == Layout::B {
            spaces.push((HISTORY, escaped(HISTORY, key)..after(HISTORY, key)));
        }
        for (_, range) in spaces {
            for entry in self.space.range(range) {
                batch.remove(&self.space, entry.key().unwrap());
            }
        }
    }

    fn settle(&self) {
        self.space.rotate_memtable_and_wait().unwrap();
        self.db.persist(PersistMode::SyncAll).unwrap();
        while self.db.active_compactions() > 0 || self.db.outstanding_flushes() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Tables only: journals are pre-allocated and the same for both.
    fn disk_mb(&self) -> f64 {
        self.space.disk_space() as f64 / 1e6
    }
}

/// Unescapes the row number at the end of an escaped key without its timestamp.
fn number_of(user: &[u8]) -> u64 {
    let mut number = 0u64;
    let mut bytes = user[1 + 9..user.len() - 2].iter();
    while let Some(&byte) = bytes.next() {
        if byte == 0 {
            bytes.next();
        }
        number = number << 8 | u64::from(byte);
    }
    number
}

/// Values of fixed size that do not compress away: half random, half text.
struct Values {
    state: u64,
    size: usize,
}

impl Values {
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn value(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size + 16);
        while out.len() < self.size {
            out.extend(self.number().to_be_bytes());
            out.extend(b"a column");
        }
        out.truncate(self.size);
        out
    }
}

/// Microseconds per operation.
fn time(ops: u64, mut op: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    (0..ops).for_each(&mut op);
    start.elapsed().as_secs_f64() * 1e6 / ops as f64
}

type Figures = Vec<(String, f64, &'static str)>;

fn load(store: &mut Store, values: &mut Values, rows: u64, versions: u64) {
    for _ in 0..versions {
        for chunk in (0..rows).step_by(64) {
            let mut batch = store.db.batch();
            for n in chunk..rows.min(chunk + 64) {
                // Even numbers only: odd ones are misses that lie between rows.
                let value = values.value();
                store.write(&mut batch, &row(2 * n), Some(&value));
            }
            batch.commit().unwrap();
        }
    }
    store.settle();
}

fn rows_and_sizes(layout: Layout, size: usize, rows: u64) -> Figures {
    let mut figures = Figures::new();
    let mut values = Values { state: 1, size };
    let reads = 100_000.min(rows * 4);
    let mut store = Store::new(layout);
    load(&mut store, &mut values, rows, 1);
    figures.push(("disk, 1 version".into(), store.disk_mb(), "MB"));
    let hot = rows.min(20_000);
    let point = |store: &Store, values: &mut Values, hot: u64, reads: u64| {
        let hit = |values: &mut Values| {
            let found = store.newest(&row(2 * (values.number() % hot))).unwrap();
            assert!(found.live);
            std::hint::black_box(found.raw.len());
        };
        time(reads / 4, |_| hit(values));
        time(reads, |_| hit(values))
    };
    figures.push(("get newest, 1 version".into(), point(&store, &mut values, hot, reads), "us"));
    let miss =
        time(reads, |_| assert!(store.newest(&row(2 * (values.number() % hot) + 1)).is_none()));
    figures.push(("get missing key".into(), miss, "us"));
    let scan = |store: &Store, values: &mut Values, rows: u64, scans: u64| {
        time(scans, |_| {
            assert_eq!(store.scan(2 * (values.number() % (rows - 100)), 100).len(), 100);
        })
    };
    let scans = if size > 10_000 { 500 } else { 3_000 };
    scan(&store, &mut values, rows, scans / 4);
    figures.push(("scan 100 rows, 1 version".into(), scan(&store, &mut values, rows, scans), "us"));
    let writes = rows / 2;
    let inserts = time(writes, |n| {
        let value = values.value();
        store.write_one(&row(2 * (rows + n)), Some(&value));
    });
    figures.push(("insert".into(), inserts, "us"));
    let updates = time(writes, |_| {
        let (key, value) = (row(2 * (values.number() % rows)), values.value());
        store.write_one(&key, Some(&value));
    });
    figures.push(("update".into(), updates, "us"));
    let deletes = time(writes, |n| store.write_one(&row(2 * (rows + n)), None));
    figures.push(("delete".into(), deletes, "us"));
    store.settle();
    figures.push(("disk, after the writes".into(), store.disk_mb(), "MB"));

    let (rows, versions) = (rows / 10, 20);
    let mut store = Store::new(layout);
    load(&mut store, &mut values, rows, versions);
    figures.push(("disk, 20 versions".into(), store.disk_mb(), "MB"));
    figures.push(("get newest, 20 versions".into(), point(&store, &mut values, rows, reads), "us"));
    let first = store.ts - rows * versions;
    let older = time(reads / 2, |_| {
        let at = first + rows * (values.number() % (versions - 1) + 1);
        assert!(store.older(&row(2 * (values.number() % rows)), at).is_some());
    });
    figures.push(("get an older version of 20".into(), older, "us"));
    scan(&store, &mut values, rows, scans / 8);
    figures.push((
        "scan 100 rows, 20 versions".into(),
        scan(&store, &mut values, rows, scans / 2),
        "us",
    ));
    figures
}

/// Producers append at the tail, a consumer takes the oldest row and deletes it. Rows dead for longer than
/// the retention (in operations) are collected in batches.
fn queue(layout: Layout) -> Figures {
    const OPS: u64 = 12_000;
    const RETENTION: u64 = 1_000;
    let mut store = Store::new(layout);
    let mut values = Values { state: 2, size: 100 };
    for n in 0..100 {
        let value = values.value();
        store.write_one(&row(n), Some(&value));
    }
    let mut collected = 0;
    let mut worst = 0f64;
    let per_op = time(OPS, |n| {
        let value = values.value();
        store.write_one(&row(100 + n), Some(&value));
        let start = Instant::now();
        let (head, _) = store.scan(0, 1)[0];
        worst = worst.max(start.elapsed().as_secs_f64() * 1e6);
        assert_eq!(head, n);
        store.write_one(&row(head), None);
        if n - collected >= RETENTION + 100 {
            let mut batch = store.db.batch();
            for dead in collected..collected + 100 {
                store.collect(&mut batch, &row(dead));
            }
            batch.commit().unwrap();
            collected += 100;
        }
    });
    vec![
        ("queue: insert + scan head + delete".into(), per_op, "us"),
        ("queue: slowest scan of the head".into(), worst, "us"),
    ]
}

/// A transaction wrote a million rows: every lock entry, which carries the value, becomes a version. Half of
/// the rows are new, half replace one.
fn intents(layout: Layout) -> Figures {
    const ROWS: u64 = 1_000_000;
    const BATCH: u64 = 250;
    let mut store = Store::new(layout);
    let mut values = Values { state: 3, size: 100 };
    for chunk in (0..ROWS).step_by(BATCH as usize) {
        let mut batch = store.db.batch();
        for n in chunk..chunk + BATCH {
            let value = values.value();
            if n % 2 == 0 {
                store.write(&mut batch, &row(n), Some(&value));
            }
            batch.insert(&store.space, escaped(LOCKS, &row(n)), value);
        }
        batch.commit().unwrap();
    }
    store.settle();
    let resolve = time(ROWS / BATCH, |chunk| {
        let mut batch = store.db.batch();
        let from = escaped(LOCKS, &row(chunk * BATCH));
        let to = escaped(LOCKS, &row((chunk + 1) * BATCH));
        let locks: Vec<_> = store.space.range(from..to).map(|e| e.into_inner().unwrap()).collect();
        assert_eq!(locks.len() as u64, BATCH);
        for (n, (lock, value)) in (chunk * BATCH..).zip(locks) {
            store.write(&mut batch, &row(n), Some(&value));
            batch.remove(&store.space, lock);
        }
        batch.commit().unwrap();
    }) / BATCH as f64;
    let start = Instant::now();
    let left = store.space.range(escaped(LOCKS, &row(0))..escaped(LOCKS, &row(ROWS))).count();
    assert_eq!(left, 0);
    let sweep = start.elapsed().as_secs_f64() * 1e3;
    store.settle();
    let start = Instant::now();
    assert_eq!(store.space.range(escaped(LOCKS, &row(0))..escaped(LOCKS, &row(ROWS))).count(), 0);
    let settled = start.elapsed().as_secs_f64() * 1e3;
    vec![
        ("resolve one of 1,000,000 intents".into(), resolve, "us"),
        ("look for locks over them all, at once".into(), sweep, "ms"),
        ("look for locks over them all, settled".into(), settled, "ms"),
        ("disk, resolved".into(), store.disk_mb(), "MB"),
    ]
}

fn report(title: &str, run: impl Fn(Layout) -> Figures) {
    let (a, b) = (run(Layout::A), run(Layout::B));
    println!("\n{title:<42}{:>12}{:>12}{:>9}", "A", "B", "B/A");
    for ((name, a, unit), (_, b, _)) in a.into_iter().zip(b) {
        println!("{name:<38}{unit:>4}{a:>12.2}{b:>12.2}{:>9.2}", b / a);
    }
}

fn main() {
    let start = Instant::now();
    for (size, rows) in [(100, 200_000), (1_000, 50_000), (20_000, 4_000)] {
        report(&format!("values of {size} bytes, {rows} rows"), |layout| {
            rows_and_sizes(layout, size, rows)
        });
    }
    report("a queue, 100 bytes", queue);
    report("intents, 100 bytes", intents);
    println!("\n{:.0} s in all", start.elapsed().as_secs_f64());
}
