//! A power loss in the middle of raft-engine's log, page by page, and its other hazards.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "the crash images are made by hand")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Seeded, now};
use kv::env::Rng;
use kv::ids::RangeId;
use kv::log::raft_engine::{RaftEngineLog, RaftEngineOptions};
use kv::log::{GroupWrite, LogBatch, RaftLog};
use raft::eraftpb::Entry;

const PAGE: usize = 4096;

fn entry(index: u64, data: Vec<u8>) -> Entry {
    Entry { index, term: 6, data: data.into(), ..Entry::default() }
}

fn noise(rng: &Seeded, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn append(log: &dyn RaftLog, range: u64, entries: Vec<Entry>, sync: bool) {
    let write = GroupWrite { entries, ..GroupWrite::default() };
    now(log.write(LogBatch { groups: vec![(RangeId(range), write)] }, sync)).unwrap();
}

fn newest(dir: &Path) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "raftlog"));
    files.sort();
    files.pop().unwrap()
}

fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn any_lost_page_leaves_a_prefix_of_batches() {
    let rng = Seeded::new(1);
    let live = tempfile::tempdir().unwrap();
    let log = RaftEngineLog::open(live.path()).unwrap();
    append(&log, 1, (11..=30).map(|index| entry(index, noise(&rng, 100))).collect(), true);
    let synced_end = data_end(&fs::read(newest(live.path())).unwrap());
    let mut next = 31;
    let mut ends = vec![30];
    for size in [100, 7000, 20_000, 10, 9000, 30_000, 50] {
        append(
            &log,
            1,
            vec![entry(next, noise(&rng, size)), entry(next + 1, noise(&rng, size / 2))],
            false,
        );
        next += 2;
        ends.push(next - 1);
    }
    let image = fs::read(newest(live.path())).unwrap();
    let unsynced = data_end(&image) - synced_end;
    let mut seen = vec![0; ends.len()];
    for case in 0..60 {
        let at = synced_end + rng.index(unsynced);
        let mut torn = image.clone();
        match case % 3 {
            0 => torn.truncate(at),
            1 => torn[at..].fill(0),
            _ => {
                let end = (at + 1).next_multiple_of(PAGE).min(torn.len());
                torn[at..end].fill(0);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(newest(live.path()).file_name().unwrap()), torn).unwrap();
        for round in 0..2 {
            let log = RaftEngineLog::open(dir.path()).unwrap();
            let last = log.state(RangeId(1)).unwrap().unwrap().last_index - round;
            let whole = ends.iter().position(|end| *end == last);
            let entries = log.entries(RangeId(1), 11, last + 1, u64::MAX).unwrap();
            assert_eq!(
                entries.len() as u64,
                last - 10,
                "case {case}: every entry that is there is readable"
            );
            // What is written after the cut is found again.
            append(&log, 1, vec![entry(last + round + 1, noise(&rng, 300))], true);
            if round == 0 {
                seen[whole.expect("a prefix of batches")] += 1;
            }
        }
    }
    assert!(seen.iter().filter(|count| **count > 0).count() >= 4, "{seen:?}");
}

#[test]
fn two_logs_read_on_one_thread_keep_their_own_entries() {
    // The same places in the same files: raft-engine's cache of the last block knows them only by place.
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let logs: Vec<_> = dirs.iter().map(|dir| RaftEngineLog::open(dir.path()).unwrap()).collect();
    for index in 11..30 {
        for (n, log) in logs.iter().enumerate() {
            append(log, 1, vec![entry(index, vec![n as u8; 100])], false);
        }
    }
    for index in 11..30 {
        for (n, log) in logs.iter().enumerate() {
            let found = log.entries(RangeId(1), index, index + 1, u64::MAX).unwrap();
            assert_eq!(found, [entry(index, vec![n as u8; 100])]);
        }
    }
}

#[test]
fn small_files_are_purged_and_nothing_is_lost() {
    let options = RaftEngineOptions { file_bytes: 64 << 10, purge_above_bytes: 256 << 10 };
    let dir = tempfile::tempdir().unwrap();
    let rng = Seeded::new(5);
    let mut log = RaftEngineLog::open_with(dir.path(), &options).unwrap();
    // The last group is never truncated, so that its entries have to be rewritten.
    append(&log, 9, (11..=60).map(|index| entry(index, vec![9; 200])).collect(), false);
    let mut last = [10; 3];
    for round in 0..1500 {
        let mut groups = Vec::new();
        for (n, last) in last.iter_mut().enumerate() {
            let mut write = GroupWrite::default();
            if rng.below(50) == 0 {
                *last = if rng.below(2) == 0 {
                    *last + 20
                } else {
                    *last - rng.below(3).min(*last - 11)
                };
                write.reset = Some((*last, 6));
            }
            write.entries = (*last + 1..*last + 4).map(|i| entry(i, vec![n as u8; 700])).collect();
            *last += 3;
            write.durable_applied = Some(*last);
            write.truncate_to = (rng.below(5) == 0).then_some(*last - 1);
            groups.push((RangeId(n as u64 + 1), write));
        }
        now(log.write(LogBatch { groups }, false)).unwrap();
        if round % 250 == 249 {
            drop(log);
            log = RaftEngineLog::open_with(dir.path(), &options).unwrap();
            for (n, last) in last.iter().enumerate() {
                let range = RangeId(n as u64 + 1);
                let state = log.state(range).unwrap().unwrap();
                assert_eq!(state.last_index, *last);
                let first = state.truncated.0 + 1;
                let found = log.entries(range, first, *last + 1, u64::MAX).unwrap();
                let expected: Vec<_> =
                    (first..=*last).map(|i| entry(i, vec![n as u8; 700])).collect();
                assert_eq!(found, expected);
            }
            let kept = log.entries(RangeId(9), 11, 61, u64::MAX).unwrap();
            assert_eq!(kept, (11..=60).map(|index| entry(index, vec![9; 200])).collect::<Vec<_>>());
            assert_eq!(log.groups(), [1, 2, 3, 9].map(RangeId));
        }
    }
    let bytes: u64 =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 4 << 20, "9 MB were written, {bytes} bytes are left");
}
