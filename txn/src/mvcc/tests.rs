//! Reads, refreshes and writes over versions, intents and erasures, held to a model that has every tombstone by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::{Engine, EngineBatch};
use kv::env::Rng;
use kv::keys::{self, Space};
use kv::range::spans::SpanEntries;
use kv::seam::{RangeSnapshot, WriteBatch};

use super::*;
use crate::api::TxnMeta;
use crate::testing::{TestEngine, TestRng};

const KEYS: u64 = 12;
const OWN: Bytes = Bytes::from_static(b"own");

fn ts(raw: u64) -> Timestamp {
    Timestamp::from_raw(raw)
}

fn key(n: u64) -> Bytes {
    Bytes::from(vec![b'c' + n as u8])
}

/// What a key has, version by version.
#[derive(Clone, Default)]
struct Model {
    versions: BTreeMap<Bytes, BTreeMap<Timestamp, Version>>,
    intents: BTreeMap<Bytes, Intent>,
    /// When there was an erasure over a span.
    erased: Vec<(Bytes, Bytes, Times)>,
}

/// What a read may answer.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    rows: Vec<(Bytes, Bytes)>,
    resume: Option<Bytes>,
    uncertain: Option<Timestamp>,
    /// Of the model: the same without tombstones upon tombstones, which change nothing.
    needed: Option<Timestamp>,
    newer: Vec<Bytes>,
    conflicts: Vec<Bytes>,
}

impl Answer {
    /// Is this as the model has it?
    fn check(mut self, expected: &Answer, what: &str) {
        let possible = expected.needed..=expected.uncertain;
        assert!(possible.contains(&self.uncertain), "{:?} of {possible:?}, {what}", self.uncertain);
        (self.uncertain, self.needed) = (expected.uncertain, expected.needed);
        assert_eq!(self, *expected, "{what}");
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Timestamp,
    uncertainty: Uncertainty,
    locking: bool,
}

impl Model {
    fn newest(&self, key: &Bytes) -> Option<&Version> {
        self.versions.get(key)?.values().next_back()
    }

    /// Nothing may be written to a key at or below it.
    fn floor(&self, key: &Bytes) -> Timestamp {
        let erased = self.tombstones(key).map(|at| at.ts);
        erased.chain(self.newest(key).map(|version| version.ts)).max().unwrap_or_default()
    }

    fn tombstones(&self, key: &Bytes) -> impl Iterator<Item = Times> {
        self.erased.iter().filter(move |(start, end, _)| start <= key && key < end).map(|e| e.2)
    }

    /// With the key's first version its tombstones count, too.
    fn put(&mut self, key: Bytes, version: Version) {
        let tombstones: Vec<_> = self.tombstones(&key).map(Version::tombstone).collect();
        let versions = self.versions.entry(key).or_default();
        versions.extend(tombstones.into_iter().chain([version]).map(|v| (v.ts, v)));
    }

    fn erase(&mut self, start: &Bytes, end: &Bytes, at: Times) {
        for versions in self.versions.range_mut(start.clone()..end.clone()).map(|(_, v)| v) {
            versions.insert(at.ts, Version::tombstone(at));
        }
        self.erased.push((start.clone(), end.clone(), at));
    }

    fn read_key(&self, key: &Bytes, reading: Reading, answer: &mut Answer) {
        let is_uncertain = |ts: Timestamp, local_ts: Timestamp| {
            let Uncertainty { global_limit, local_limit } = reading.uncertainty;
            reading.locking || (ts <= global_limit && local_ts <= local_limit)
        };
        if let Some(intent) = self.intents.get(key) {
            if intent.txn.id == OWN {
                let value = intent.value.clone();
                return answer.rows.extend(value.map(|value| (key.clone(), value)));
            }
            if intent.ts() <= reading.at || is_uncertain(intent.ts(), intent.local_ts()) {
                answer.conflicts.push(key.clone());
            }
        }
        let Some(versions) = self.versions.get(key) else { return };
        let above = || versions.range(reading.at.next()..).map(|(_, version)| version);
        let uncertain = above().filter(|v| is_uncertain(v.ts, v.local_ts)).map(|v| v.ts).max();
        answer.uncertain = answer.uncertain.max(uncertain);
        let changes = |v: &&Version| {
            let before = versions.range(..v.ts).next_back();
            v.value.is_some() || before.is_some_and(|(_, before)| before.value.is_some())
        };
        let needed = above().filter(|v| is_uncertain(v.ts, v.local_ts)).filter(changes);
        answer.needed = answer.needed.max(needed.map(|v| v.ts).max());
        if reading.locking
            && let Some(newest) = above().next_back()
        {
            return answer.newer.extend(newest.value.is_some().then(|| key.clone()));
        }
        let seen = versions.range(..=reading.at).next_back();
        let value = seen.and_then(|(_, version)| version.value.clone());
        answer.rows.extend(value.map(|value| (key.clone(), value)));
    }

    fn scan(
        &self,
        (start, end): (&Bytes, &Bytes),
        order: Order,
        limit: usize,
        r: Reading,
    ) -> Answer {
        let span = || start.clone()..end.clone();
        let stored = self.versions.range(span()).map(|(key, _)| key);
        let mut keys: Vec<&Bytes> =
            stored.chain(self.intents.range(span()).map(|(key, _)| key)).collect();
        keys.sort();
        keys.dedup();
        if order == Order::Descending {
            keys.reverse();
        }
        let mut answer = Answer::default();
        for key in keys {
            self.read_key(key, r, &mut answer);
            if answer.rows.len() + answer.newer.len() >= limit {
                answer.resume = match order {
                    Order::Ascending => Some(keys::successor(key)).filter(|next| next < end),
                    Order::Descending => Some(key.clone()).filter(|key| start < key),
                };
                break;
            }
        }
        answer
    }
}

fn answer(outcome: Outcome) -> Answer {
    let own = |part: &[u8]| Bytes::copy_from_slice(part);
    Answer {
        rows: outcome.rows.iter().map(|(key, value)| (own(key), own(value))).collect(),
        resume: outcome.resume,
        uncertain: outcome.uncertain,
        needed: None,
        newer: outcome.newer,
        conflicts: outcome.conflicts.into_iter().map(|(key, _)| key).collect(),
    }
}

/// A range, or what splits have made of it: one engine, and what is said of its spans.
struct World {
    engine: TestEngine,
    spans: Arc<SpanEntries>,
    model: Model,
    rng: TestRng,
}

impl World {
    fn new(seed: u64) -> Self {
        let (engine, spans, model) = (TestEngine::default(), Arc::default(), Model::default());
        World { engine, spans, model, rng: TestRng::new(seed) }
    }

    fn snapshot(&self) -> RangeSnapshot {
        RangeSnapshot::new(self.engine.snapshot(), "a".into(), "z".into())
            .with_spans(self.spans.clone())
    }

    fn apply(&mut self, batch: WriteBatch) {
        let mut changes = EngineBatch::default();
        for op in &batch.ops {
            let at = keys::engine_key(Space::keyed_from(op.space).unwrap(), &op.key, &op.suffix);
            match op.value.clone() {
                Some(value) => changes.put(at, value),
                None => changes.delete(at),
            }
            self.spans.note(op).unwrap();
        }
        self.engine.apply(changes).unwrap();
    }

    fn some_key(&self) -> Bytes {
        key(self.rng.below(KEYS))
    }

    fn some_span(&self) -> (Bytes, Bytes) {
        let (a, b) = (self.rng.below(KEYS), self.rng.below(KEYS));
        (key(a.min(b)), key(a.max(b) + 1))
    }

    fn some_ts_above(&self, floor: Timestamp) -> (Timestamp, Timestamp) {
        let ts = ts(floor.raw() + 1 + self.rng.below(6));
        (ts, Timestamp::from_raw(ts.raw().saturating_sub(self.rng.below(12))))
    }

    fn value(&self) -> Option<Bytes> {
        (self.rng.below(4) > 0).then(|| Bytes::from(self.rng.below(1_000).to_string()))
    }

    /// Changes something.
    fn change(&mut self) {
        let mut batch = WriteBatch::default();
        let snapshot = self.snapshot();
        match self.rng.below(12) {
            0..5 => {
                let key = self.some_key();
                if self.model.intents.contains_key(&key) {
                    return;
                }
                let floor = self.model.floor(&key);
                let stored = newest(&snapshot, &key).unwrap().map_or(Timestamp::ZERO, |v| v.ts);
                assert_eq!(stored.max(erased_at(&snapshot, &key).unwrap()), floor);
                let (ts, clock) = self.some_ts_above(floor);
                let version = Version::new(ts, clock, self.value());
                put_version(&snapshot, &mut batch, key.clone(), &version).unwrap();
                self.model.put(key, version);
            }
            5..7 => {
                let key = self.some_key();
                if self.model.intents.contains_key(&key) {
                    return;
                }
                let (ts, clock) = self.some_ts_above(self.model.floor(&key));
                let id = if self.rng.below(2) == 0 { OWN } else { Bytes::from_static(b"other") };
                let txn = TxnMeta { id, ..TxnMeta::default() };
                let intent = Intent::new(&txn, ts, clock, 1, self.value());
                intent::put(&mut batch, key.clone(), &intent);
                self.model.intents.insert(key, intent);
            }
            7..10 => {
                let Some((key, intent)) = self.model.intents.pop_first() else { return };
                let commit_ts = (self.rng.below(3) > 0)
                    .then(|| Timestamp::from_raw(intent.ts().raw() + self.rng.below(4)));
                let finished = Finished { commit_ts, ignored: Vec::new() };
                assert!(resolve(&snapshot, &mut batch, &key, &intent.txn.id, &finished).unwrap());
                if let Some(version) = finished.version_of(&intent) {
                    self.model.put(key, version);
                }
            }
            10 => {
                let (start, end) = self.some_span();
                if self.model.intents.range(start.clone()..end.clone()).next().is_some() {
                    return;
                }
                let (mut floor, mut from) = (Timestamp::ZERO, Some(start.clone()));
                while let Some(start) = from {
                    let slice = 1 + self.rng.below(4) as usize;
                    let (ts, rest) = newest_ts_of_span(&snapshot, (&start, &end), slice).unwrap();
                    (floor, from) = (floor.max(ts), rest);
                }
                let all = (0..KEYS).map(key).filter(|key| start <= *key && *key < end);
                assert_eq!(floor, all.map(|key| self.model.floor(&key)).max().unwrap());
                let (ts, clock) = self.some_ts_above(floor);
                let at = Times::new(ts, clock);
                batch.put_span(&Erasure { start: start.clone(), end: end.clone(), at }.entry());
                self.model.erase(&start, &end, at);
            }
            _ => {
                // The process begins anew: nothing is known of what has changed.
                let all = (Bytes::from_static(b"a"), Bytes::from_static(b"z"));
                let loaded = SpanEntries::load(&*self.engine.snapshot(), (&all.0, &all.1)).unwrap();
                assert_eq!(loaded.len(), self.spans.len());
                self.spans = Arc::new(loaded);
            }
        }
        self.apply(batch);
    }

    fn last_ts(&self) -> u64 {
        let stored = self.model.versions.values().flat_map(BTreeMap::keys);
        stored.chain(self.model.erased.iter().map(|(.., at)| &at.ts)).max().map_or(1, |ts| ts.raw())
    }

    fn read(&self, snapshot: &RangeSnapshot, (low, high): (&Bytes, &Bytes)) {
        let at = self.rng.below(self.last_ts() + 3);
        let limit = at + self.rng.below(10);
        let uncertainty = match self.rng.below(2) {
            0 => Uncertainty::NONE,
            _ => Uncertainty {
                global_limit: ts(limit),
                local_limit: ts(limit.saturating_sub(self.rng.below(8))),
            },
        };
        let reading = Reading { at: ts(at), uncertainty, locking: self.rng.below(5) == 0 };
        let (overlay, finished) = (BTreeMap::new(), BTreeMap::new());
        let reader = Reader {
            snapshot,
            overlay: &overlay,
            txn_id: &OWN,
            sequence: 1,
            ignored: &[],
            finished: &finished,
            read_ts: ts(at),
            uncertainty,
            locking: reading.locking,
        };
        let (start, end) = self.some_span();
        let (start, end) = (start.max(low.clone()), end.min(high.clone()));
        if start >= end {
            return;
        }
        let limit = [1, 2, 3, 100][self.rng.below(4) as usize];
        for order in [Order::Ascending, Order::Descending] {
            let found = answer(reader.scan(&start, &end, order, limit).unwrap());
            let expected = self.model.scan((&start, &end), order, limit, reading);
            let what = format!("{start:?} to {end:?}, {order:?}, {limit}, {reading:?}");
            found.check(&expected, &what);
        }
        let mut expected = Answer::default();
        self.model.read_key(&start, reading, &mut expected);
        answer(reader.get(&start).unwrap()).check(&expected, &format!("{start:?}, {reading:?}"));

        let from = ts(self.rng.below(at + 1));
        let refreshed =
            refresh(snapshot, (&OWN, &finished), (&start, &end), from, reading.at).unwrap();
        let changed = |versions: &BTreeMap<Timestamp, Version>| {
            versions.range(from.next()..).any(|(ts, _)| *ts <= reading.at)
        };
        let mut beneath = self.model.versions.range(start.clone()..end.clone());
        let has_changed = beneath.any(|(_, versions)| changed(versions));
        let overlaps = |(from_key, to_key, at): &(Bytes, Bytes, Times)| {
            *from_key < end && start < *to_key && from < at.ts && at.ts <= reading.at
        };
        let was_erased = self.model.erased.iter().any(overlaps);
        let intents = self.model.intents.range(start.clone()..end.clone());
        let others = intents.filter(|(_, i)| i.txn.id != OWN && i.ts() <= reading.at).count();
        match refreshed {
            Refreshed::Changed(_) => assert!(has_changed || was_erased),
            Refreshed::Intents(found) => assert_eq!((has_changed, found.len()), (false, others)),
            Refreshed::Unchanged => assert_eq!((has_changed, others), (false, 0)),
        }
    }
}

#[test]
fn what_is_read_is_what_a_tombstone_on_every_key_would_show() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.change();
            let snapshot = world.snapshot();
            let everything = ("a".into(), "z".into());
            for _ in 0..3 {
                world.read(&snapshot, (&everything.0, &everything.1));
            }
        }
        // The same from both sides of a split.
        let at = key(1 + world.rng.below(KEYS - 1));
        let bounds = [Bytes::from_static(b"a"), at, Bytes::from_static(b"z")];
        for side in bounds.windows(2) {
            let spans = Arc::new(world.spans.within(&side[0], &side[1]));
            let engine = world.engine.snapshot();
            let snapshot =
                RangeSnapshot::new(engine, side[0].clone(), side[1].clone()).with_spans(spans);
            for _ in 0..10 {
                world.read(&snapshot, (&side[0], &side[1]));
            }
        }
    }
}
