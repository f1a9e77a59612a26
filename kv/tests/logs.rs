//! The logs and a plain model answer the same script alike; a crash leaves a prefix of batches.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::BTreeMap;

use common::{Seeded, now};
use kv::env::Rng;
use kv::ids::RangeId;
use kv::log::raft_engine::RaftEngineLog;
use kv::log::{GroupState, GroupWrite, INITIAL_INDEX, INITIAL_TERM, LogBatch, LogError, RaftLog};
use kv::sim::disk::SimDisk;
use kv::sim::log::SimLog;
use raft::eraftpb::{Entry, HardState};

/// What one group should hold, in the plainest way: entries by index.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    hard_state: HardState,
    truncated: (u64, u64),
    durable_applied: u64,
    replica_floor: u64,
    entries: BTreeMap<u64, Entry>,
}

type Model = BTreeMap<RangeId, Group>;

impl Group {
    fn new() -> Self {
        Self {
            hard_state: HardState::default(),
            truncated: (INITIAL_INDEX, INITIAL_TERM),
            durable_applied: 0,
            replica_floor: 0,
            entries: BTreeMap::new(),
        }
    }

    fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(self.truncated.0, |(index, _)| *index)
    }
}

/// A legal batch, applied to the model.
fn batch(rng: &Seeded, model: &mut Model) -> LogBatch {
    let mut batch = LogBatch::default();
    for range in (1..=4).map(RangeId) {
        if rng.below(2) == 0 {
            continue;
        }
        let mut write = GroupWrite::default();
        if model.contains_key(&range) && rng.below(60) == 0 {
            write.remove = true;
            let group = model.remove(&range).unwrap();
            let mut replica_floor = group.replica_floor;
            if rng.below(2) == 0 {
                replica_floor += rng.below(3);
                write.replica_floor = Some(replica_floor);
            }
            if replica_floor > 0 {
                model.insert(range, Group { replica_floor, ..Group::new() });
            }
            batch.groups.push((range, write));
            continue;
        }
        let group = model.entry(range).or_insert_with(Group::new);
        let term = group.hard_state.term + rng.below(2);
        if rng.below(40) == 0 {
            // A snapshot: ahead of the log, or inside it when the log has diverged.
            let index = group.truncated.0 + 1 + rng.below(40);
            write.reset = Some((index, term));
            group.truncated = (index, term);
            group.entries.clear();
        }
        if rng.below(4) > 0 {
            let (lowest, next) = (group.truncated.0 + 1, group.last() + 1);
            let back = if rng.below(5) == 0 { rng.below(next - lowest + 1) } else { 0 };
            for index in next - back..next - back + 1 + rng.below(5) {
                let data = vec![rng.index(256) as u8; [0, 20, 200, 12_000][rng.index(4)]];
                write.entries.push(Entry { index, term, data: data.into(), ..Entry::default() });
            }
            group.entries.split_off(&(next - back));
            group.entries.extend(write.entries.iter().map(|entry| (entry.index, entry.clone())));
        }
        if rng.below(3) == 0 {
            group.hard_state.term = term;
            group.hard_state.vote = rng.below(5);
            group.hard_state.commit = group.last();
            write.hard_state = Some(group.hard_state.clone());
        }
        if rng.below(6) == 0 {
            group.durable_applied =
                group.truncated.0 + rng.below(group.last() - group.truncated.0 + 1);
            write.durable_applied = Some(group.durable_applied);
        }
        if rng.below(20) == 0 {
            group.replica_floor += rng.below(3);
            write.replica_floor = Some(group.replica_floor);
        }
        if rng.below(6) == 0 {
            let to = group.durable_applied.min(group.last());
            write.truncate_to = Some(to);
            if to > group.truncated.0 {
                group.truncated = (to, group.entries[&to].term);
                group.entries = group.entries.split_off(&(to + 1));
            }
        }
        batch.groups.push((range, write));
    }
    batch
}

/// Everything the log shows.
fn contents(log: &dyn RaftLog) -> Model {
    let group = |range| {
        let state = log.state(range).unwrap().unwrap();
        let GroupState { hard_state, truncated, last_index, durable_applied, replica_floor } =
            state;
        let entries = log.entries(range, truncated.0 + 1, last_index + 1, u64::MAX).unwrap();
        let entries = entries.into_iter().map(|entry| (entry.index, entry)).collect();
        let group = Group { hard_state, truncated, durable_applied, replica_floor, entries };
        assert_eq!(group.last(), last_index);
        (range, group)
    };
    log.groups().into_iter().map(group).collect()
}

fn compare(log: &dyn RaftLog, model: &Model, rng: &Seeded) {
    let range = RangeId(1 + rng.below(5));
    let Some(group) = model.get(&range) else {
        assert_eq!(log.state(range).unwrap(), None);
        assert!(matches!(log.term(range, INITIAL_INDEX), Err(LogError::NoEntry { .. })));
        return;
    };
    let around = group.truncated.0.saturating_sub(2)..group.last() + 3;
    for index in around.clone() {
        let expected = match group.entries.get(&index) {
            Some(entry) => Some(entry.term),
            None => (index == group.truncated.0).then_some(group.truncated.1),
        };
        assert_eq!(log.term(range, index).ok(), expected);
    }
    let low = around.start + rng.below(around.end - around.start);
    let high = low + rng.below(around.end - low + 1);
    let bytes = rng.below(30_000);
    let found = log.entries(range, low, high, bytes);
    match (low..high).find(|index| !group.entries.contains_key(index)) {
        Some(missing) => {
            assert!(
                matches!(found, Err(LogError::NoEntry { index, .. }) if index == missing),
                "{found:?}"
            );
        }
        None => {
            let found = found.unwrap();
            assert!(!found.is_empty() || low == high);
            for (index, entry) in (low..).zip(&found) {
                assert_eq!(entry, &group.entries[&index]);
            }
            let size = |entry: &Entry| entry.data.len() as u64;
            let taken: u64 = found.iter().map(size).sum();
            assert!(taken <= bytes || found.len() == 1);
            if let Some(next) =
                group.entries.get(&(low + found.len() as u64)).filter(|e| e.index < high)
            {
                assert!(
                    taken + size(next) + 40 * (found.len() as u64 + 1) > bytes,
                    "one more had room"
                );
            }
        }
    }
}

fn script(mut open: impl FnMut() -> Box<dyn RaftLog>, seed: u64, steps: usize) {
    let rng = Seeded::new(seed);
    let mut model = Model::new();
    let mut log = open();
    for _ in 0..steps {
        match rng.below(10) {
            0..=5 => {
                let batch = batch(&rng, &mut model);
                now(log.write(batch, rng.below(4) == 0)).unwrap();
            }
            6 if rng.below(4) == 0 => {
                now(log.write(LogBatch::default(), true)).unwrap();
                drop(log);
                log = open();
                assert_eq!(contents(&*log), model);
            }
            _ => compare(&*log, &model, &rng),
        }
    }
    assert_eq!(contents(&*log), model);
}

#[test]
fn raft_engine_is_a_log() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        script(|| Box::new(RaftEngineLog::open(dir.path()).unwrap()), seed, 500);
    }
}

#[test]
fn the_simulated_log_is_a_log() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        script(|| Box::new(SimLog::open_with(disk.clone(), false, 20_000).unwrap()), seed, 500);
    }
}

/// One node's life: writes and syncs, then a power loss. True iff everything acknowledged as synced is there.
fn crash_cycles(seed: u64, mutant: bool) -> bool {
    let rng = Seeded::new(seed);
    let disk = SimDisk::new();
    let mut model = Model::new();
    for _cycle in 0..8 {
        let log = SimLog::open_with(disk.clone(), mutant, 30_000).unwrap();
        assert_eq!(contents(&log), model);
        let mut states = vec![model.clone()];
        for _ in 0..rng.index(30) {
            let sync = rng.below(6) == 0;
            let batch = batch(&rng, &mut model);
            now(log.write(batch, sync)).unwrap();
            if sync {
                states.clear();
            }
            states.push(model.clone());
        }
        drop(log);
        disk.crash(&rng);
        let mut found = contents(&SimLog::open_with(disk.clone(), mutant, 30_000).unwrap());
        if rng.below(3) == 0 {
            disk.crash(&rng);
            found = contents(&SimLog::open_with(disk.clone(), mutant, 30_000).unwrap());
        }
        if !states.contains(&found) {
            return false;
        }
        model = found;
    }
    true
}

#[test]
fn a_crash_leaves_all_synced_batches_and_a_prefix_of_the_rest() {
    for seed in 0..60 {
        assert!(crash_cycles(seed, false), "seed {seed}");
    }
}

#[test]
fn the_mutant_that_acknowledges_before_the_sync_is_found() {
    let found = (0..20).filter(|seed| !crash_cycles(*seed, true)).count();
    assert!(found >= 15, "found by {found} of 20 seeds");
}

#[test]
fn broken_rules_are_refused_and_nothing_of_the_batch_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let logs: [Box<dyn RaftLog>; 2] = [
        Box::new(RaftEngineLog::open(dir.path()).unwrap()),
        Box::new(SimLog::open(SimDisk::new(), false).unwrap()),
    ];
    let entry = |index| Entry { index, ..Entry::default() };
    let entries = (11..=20).map(entry).collect();
    let good = GroupWrite { entries, replica_floor: Some(7), ..GroupWrite::default() };
    let bad = [
        GroupWrite { entries: vec![entry(22)], ..GroupWrite::default() },
        GroupWrite { entries: vec![entry(10)], ..GroupWrite::default() },
        GroupWrite { entries: vec![entry(21), entry(23)], ..GroupWrite::default() },
        GroupWrite { truncate_to: Some(15), durable_applied: Some(14), ..GroupWrite::default() },
        GroupWrite { truncate_to: Some(21), durable_applied: Some(21), ..GroupWrite::default() },
        GroupWrite { reset: Some((30, 6)), entries: vec![entry(32)], ..GroupWrite::default() },
        GroupWrite { remove: true, durable_applied: Some(14), ..GroupWrite::default() },
        GroupWrite { replica_floor: Some(6), ..GroupWrite::default() },
        GroupWrite { remove: true, replica_floor: Some(6), ..GroupWrite::default() },
    ];
    for log in logs {
        now(log.write(LogBatch { groups: vec![(RangeId(2), good.clone())] }, true)).unwrap();
        for bad in &bad {
            let groups = vec![(RangeId(1), good.clone()), (RangeId(2), bad.clone())];
            let refused = now(log.write(LogBatch { groups }, true));
            assert!(matches!(refused, Err(LogError::Refused { range: RangeId(2), .. })), "{bad:?}");
            assert_eq!(log.groups(), [RangeId(2)]);
            assert_eq!(log.state(RangeId(2)).unwrap().unwrap().last_index, 20);
        }
    }
}
