//! The engines and a plain ordered map answer the same script alike; a crash leaves a prefix of batches.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::{Seeded, now};
use kv::engine::fjall::FjallEngine;
use kv::engine::{Engine, EngineBatch, EngineOp, EngineSnapshot, MAX_KEY_LEN};
use kv::env::Rng;
use kv::sim::disk::SimDisk;
use kv::sim::engine::SimEngine;

type Model = BTreeMap<Bytes, Bytes>;
type Entries = Vec<(Bytes, Bytes)>;

/// Few keys, so that they are written often; some are prefixes of others.
fn key(rng: &Seeded) -> Bytes {
    let mut key = vec![b'a' + rng.index(3) as u8];
    key.extend((0..rng.index(4)).map(|_| [0, 1, 0xff][rng.index(3)]));
    key.into()
}

fn value(rng: &Seeded) -> Bytes {
    let len = [0, 10, 100, 3000][rng.index(4)];
    vec![rng.index(256) as u8; len].into()
}

fn batch(rng: &Seeded) -> EngineBatch {
    let mut batch = EngineBatch::default();
    for _ in 0..1 + rng.index(8) {
        if rng.below(3) == 0 {
            batch.delete(key(rng));
        } else {
            batch.put(key(rng), value(rng));
        }
    }
    batch
}

fn update(model: &mut Model, batch: &EngineBatch) {
    for op in batch.ops() {
        match op {
            EngineOp::Put(key, value) => drop(model.insert(key.clone(), value.clone())),
            EngineOp::Delete(key) => drop(model.remove(key)),
        }
    }
}

fn all(snapshot: &dyn EngineSnapshot) -> Model {
    let range = Bytes::new()..Bytes::from_static(&[0xff; 8]);
    snapshot.scan(range).map(Result::unwrap).collect()
}

fn expected(model: &Model, range: &Range<Bytes>) -> Entries {
    if range.start >= range.end {
        return Vec::new();
    }
    model.range(range.clone()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn compare(snapshot: &dyn EngineSnapshot, model: &Model, rng: &Seeded) {
    for _ in 0..4 {
        let key = key(rng);
        assert_eq!(snapshot.get(&key).unwrap().as_ref(), model.get(&key));
        let range = key..self::key(rng);
        let mut entries = expected(model, &range);
        let found: Entries = snapshot.scan(range.clone()).map(Result::unwrap).collect();
        assert_eq!(found, entries);
        entries.reverse();
        entries.truncate(3);
        let found: Entries = snapshot.scan_reverse(range).take(3).map(Result::unwrap).collect();
        assert_eq!(found, entries);
    }
}

fn script(mut open: impl FnMut() -> Box<dyn Engine>, seed: u64, steps: usize) {
    let rng = Seeded::new(seed);
    let mut engine = open();
    let mut model = Model::new();
    let mut held: Vec<(Arc<dyn EngineSnapshot>, Model)> = Vec::new();
    for _ in 0..steps {
        match rng.below(20) {
            0..=11 => {
                let batch = batch(&rng);
                update(&mut model, &batch);
                engine.apply(batch).unwrap();
            }
            12 => engine.apply(EngineBatch::default()).unwrap(),
            13 => now(engine.sync()).unwrap(),
            14 => held.push((engine.snapshot(), model.clone())),
            15 if !held.is_empty() => {
                let (snapshot, model) = held.swap_remove(rng.index(held.len()));
                assert_eq!(all(&*snapshot), model, "a snapshot changed");
            }
            16 if rng.below(8) == 0 => {
                held.clear();
                now(engine.sync()).unwrap();
                drop(engine);
                engine = open();
                assert_eq!(all(&*engine.snapshot()), model);
            }
            _ => compare(&*engine.snapshot(), &model, &rng),
        }
    }
    for (snapshot, model) in &held {
        compare(&**snapshot, model, &rng);
    }
}

#[test]
fn fjall_is_an_ordered_map() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        script(|| Box::new(FjallEngine::open(dir.path()).unwrap()), seed, 400);
    }
}

#[test]
fn the_simulated_engine_is_an_ordered_map() {
    for seed in 0..30 {
        let disk = SimDisk::new();
        script(|| Box::new(SimEngine::open_with(disk.clone(), 2000).unwrap()), seed, 600);
        let (journal, _) = disk.lengths("engine");
        assert!(journal < 1_000_000, "the journal is rewritten: {journal}");
    }
}

#[test]
fn a_scan_sees_its_snapshot_while_batches_are_applied() {
    let engine = SimEngine::open(SimDisk::new()).unwrap();
    let put = |n: u32, value: &'static [u8]| {
        let mut batch = EngineBatch::default();
        batch.put(Bytes::copy_from_slice(&n.to_be_bytes()), Bytes::from_static(value));
        engine.apply(batch).unwrap();
    };
    (0..500).for_each(|n| put(2 * n, b"old"));
    let snapshot = engine.snapshot();
    let mut n = 0;
    for entry in snapshot.scan(Bytes::new()..Bytes::from_static(&[0xff])) {
        let (key, value) = entry.unwrap();
        assert_eq!((&key[..], &value[..]), (&(2_u32 * n).to_be_bytes()[..], &b"old"[..]));
        // In front of the scan and behind it.
        put(999 - n, b"new");
        put(2 * n, b"new");
        n += 1;
    }
    assert_eq!(n, 500);
}

#[test]
fn a_crash_leaves_all_synced_batches_and_a_prefix_of_the_rest() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..60 {
        let rng = Seeded::new(seed);
        let disk = SimDisk::new();
        let mut model = Model::new();
        for _cycle in 0..12 {
            let engine = SimEngine::open_with(disk.clone(), 3000).unwrap();
            assert_eq!(all(&*engine.snapshot()), model);
            // What may be found after the crash: the state at the last sync, and each one after it.
            let mut states = vec![model.clone()];
            for _ in 0..rng.index(40) {
                if rng.below(12) == 0 {
                    now(engine.sync()).unwrap();
                    states = vec![model.clone()];
                } else {
                    let batch = batch(&rng);
                    update(&mut model, &batch);
                    engine.apply(batch).unwrap();
                    states.push(model.clone());
                }
            }
            drop(engine);
            disk.crash(&rng);
            let mut found = all(&*SimEngine::open_with(disk.clone(), 3000).unwrap().snapshot());
            let mut at = states.iter().rposition(|state| *state == found).expect("not a prefix");
            if rng.below(3) == 0 {
                // Recovery cut a torn tail; the cut itself may be lost, and changes nothing.
                disk.crash(&rng);
                found = all(&*SimEngine::open(disk.clone()).unwrap().snapshot());
                at = states.iter().rposition(|state| *state == found).expect("not a prefix");
            }
            lost += states.len() - 1 - at;
            kept += at;
            model = found;
        }
    }
    assert!(
        lost > 1000 && kept > 1000,
        "the crashes are too kind or too cruel: {lost} lost, {kept} kept"
    );
}

#[test]
fn keys_no_engine_can_hold_are_refused_and_nothing_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(FjallEngine::open(dir.path()).unwrap()),
        Box::new(SimEngine::open(SimDisk::new()).unwrap()),
    ];
    for engine in engines {
        for len in [0, MAX_KEY_LEN + 1] {
            let mut batch = EngineBatch::default();
            batch.put(Bytes::from_static(b"a"), Bytes::new());
            batch.put(vec![1; len].into(), Bytes::new());
            engine.apply(batch).unwrap_err();
        }
        assert!(all(&*engine.snapshot()).is_empty());
        let mut batch = EngineBatch::default();
        batch.put(vec![1; MAX_KEY_LEN].into(), Bytes::new());
        engine.apply(batch).unwrap();
        assert_eq!(all(&*engine.snapshot()).len(), 1);
    }
}
