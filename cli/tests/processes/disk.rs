//! Disks that are full, and disks that give back something else than was written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Cluster, Node, eventually, free, text};

/// As many rows of a megabyte fill more than one table of the engine in memory, which it then writes to its files.
const ROWS: usize = 90;
/// How often a replica is damaged until it is the lease holder's, and how many rows are read each time: others than
/// before, since those are in the holder's cache.
const ROUNDS: usize = 6;
const ROWS_READ: usize = 10;
/// How long the two good replicas may take until they answer: a lease ends within four seconds, and a debug build on
/// a busy machine reads eighty megabytes.
const TAKE_OVER_MAX: Duration = Duration::from_secs(30);

/// A file size limit is a disk that takes no more.
#[test]
fn a_full_disk_stops_the_node_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = free();
    let mut node = Node::start_alone(directory.path(), &addresses);
    node.sql("CREATE TABLE t (a int PRIMARY KEY, b text)");
    let limit = Command::new("prlimit").args(["--fsize=1000", "--pid", &node.id()]).status();
    assert!(limit.unwrap().success());
    let output =
        node.try_sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g");
    assert!(!output.status.success());
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    assert!(log.contains("File too large") && log.contains("Free space on the disk"), "{log}");
    let node = Node::start_alone(directory.path(), &addresses);
    let count = node.sql("SELECT count(*) FROM t");
    assert!(["0\n", "1000\n"].contains(&count.as_str()), "{count}");
}

/// The engine's table files of a node.
fn tables(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![store.join("data")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.parent().is_some_and(|parent| parent.ends_with("tables")) {
                found.push(path);
            }
        }
    }
    found
}

/// The table files, once no flush and no compaction changes them any more.
fn settled_tables(store: &Path) -> Vec<PathBuf> {
    let mut before = Vec::new();
    eventually("table files", || {
        std::thread::sleep(Duration::from_millis(500));
        let now = tables(store);
        let settled = !now.is_empty() && now == before;
        before = now;
        settled.then(|| before.clone())
    })
}

/// Changes a bit in every half kilobyte of the files, beside their ends, and returns what they were.
fn flip(files: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut before = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut flipped = bytes.clone();
        let end = flipped.len() * 9 / 10;
        flipped[..end].iter_mut().step_by(512).for_each(|byte| *byte ^= 1);
        // In place, since the node holds the file open.
        std::fs::write(file, flipped).unwrap();
        before.push((file.clone(), bytes));
    }
    before
}

#[test]
fn a_replica_with_flipped_bits_stops_and_the_other_two_take_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path());
    cluster.node(0).sql("CREATE TABLE t (a int PRIMARY KEY, b text)");
    for row in 0..ROWS {
        let insert = format!("INSERT INTO t SELECT {row}, repeat('meridian', 125000)");
        cluster.node(0).sql(&insert);
    }
    let expected = format!("{ROWS_READ}\t{}\n", ROWS_READ * 1_000_000);
    // Only the lease holder reads. Whichever node it is by now, its own replica is damaged.
    for round in 0..ROUNDS {
        let damaged = round % 3;
        let (first, end) = (round * ROWS_READ, (round + 1) * ROWS_READ);
        let scan =
            format!("SELECT count(*), sum(length(b)) FROM t WHERE a >= {first} AND a < {end}");
        let store = cluster.store(damaged);
        let before = flip(&settled_tables(&store));
        let begun = Instant::now();
        for reader in (0..3).filter(|reader| *reader != damaged) {
            let output = eventually("a scan", || {
                let output = cluster.node(reader).try_sql(&scan);
                assert!(begun.elapsed() < TAKE_OVER_MAX, "{}", text(&output.stderr));
                output.status.success().then_some(output)
            });
            assert_eq!(text(&output.stdout), expected);
        }
        if !cluster.node_mut(damaged).is_alive() {
            eprintln!("answered after {:?}", begun.elapsed());
            assert_eq!(cluster.node_mut(damaged).ended(), Some(1));
            let log = cluster.node(damaged).log();
            assert!(
                log.contains("storage engine is damaged") && log.contains("Check the disk"),
                "{log}"
            );
            return;
        }
        for (file, bytes) in before {
            // A compaction may have removed it.
            if file.exists() {
                std::fs::write(file, bytes).unwrap();
            }
        }
    }
    panic!("no node has noticed that its table files are damaged");
}
