//! The timestamp cache: when was each key last read?
//!
//! Promise: a write that is placed above [`TimestampCache::max`] of its key changes nothing that was read.
//!
//! - I1. `max` of a key never goes down.
//! - I2. An owner is named only if nobody else read the key at that timestamp: the owner's own write may then
//!   be *at* it (everyone else read below).
//! - I3. Whatever is forgotten, the low-water mark covers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys;

use super::key::Key;

/// A read: when, and by whom if that is a single transaction.
pub type Mark = (Timestamp, Option<Bytes>);

/// A span that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Marked {
    /// Its first key.
    pub start: Bytes,
    /// Its end, exclusive.
    pub end: Bytes,
    /// When, and by whom.
    pub mark: Mark,
}

/// What a span counts for beside its keys, where it is told to others.
const MARKED_BYTES: usize = 48;

/// An interval map from spans to their latest reads.
#[derive(Debug)]
pub struct TimestampCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    low_water: Timestamp,
    /// Disjoint intervals by their start.
    spans: BTreeMap<Key, Interval>,
}

#[derive(Clone, Debug)]
struct Interval {
    end: Key,
    mark: Mark,
}

impl TimestampCache {
    /// An empty cache that remembers at most about `capacity` spans.
    pub fn new(capacity: usize) -> Self {
        TimestampCache { capacity, state: Mutex::default() }
    }

    /// The half-open span was read at `ts`, by `owner` alone if there is one.
    pub fn add(&self, start: &Bytes, end: &Bytes, ts: Timestamp, owner: Option<&Bytes>) {
        let mut state = self.state.lock().expect("no panic under the cache's lock");
        if ts <= state.low_water || start >= end {
            return;
        }
        state.add(Key::new(start), Key::new(end), (ts, owner.map(|id| Bytes::copy_from_slice(id))));
        if state.spans.len() > self.capacity {
            state.forget_oldest();
        }
    }

    /// A key was read at `ts`, by `owner` alone if there is one.
    pub fn add_key(&self, key: &Bytes, ts: Timestamp, owner: Option<&Bytes>) {
        self.add(key, &keys::successor(key), ts, owner);
    }

    /// The latest read of a key.
    pub fn max(&self, key: &[u8]) -> Mark {
        let state = self.state.lock().expect("no panic under the cache's lock");
        let key = Key::new(key);
        match state.spans.range(..=&key).next_back() {
            Some((_, interval)) if key < interval.end && interval.mark.0 > state.low_water => {
                interval.mark.clone()
            }
            _ => (state.low_water, None),
        }
    }

    /// What is remembered of a span: the latest of its reads one by one, as far as so many bytes go, and a timestamp that all
    /// others were at or below.
    pub fn of_span(&self, start: &Bytes, end: &Bytes, bytes: usize) -> (Timestamp, Vec<Marked>) {
        let (low_water, mut found) = {
            let state = self.state.lock().expect("no panic under the cache's lock");
            let (start, end) = (Key::new(start), Key::new(end));
            let before = state.spans.range(..&start).next_back();
            let before = before.filter(|(_, interval)| interval.end > start);
            let found = before.into_iter().chain(state.spans.range(&start..&end));
            let later = found.filter(|(_, interval)| interval.mark.0 > state.low_water);
            let own = |(from, interval): (&Key, &Interval)| (from.clone(), interval.clone());
            (state.low_water, later.map(own).collect::<Vec<_>>())
        };
        found.sort_by_key(|(_, interval)| Reverse(interval.mark.0));
        let (mut left, mut told) = (bytes, Vec::new());
        for (from, Interval { end: to, mark }) in found {
            let (from, to) = (from.to_bytes().max(start.clone()), to.to_bytes().min(end.clone()));
            let size = from.len() + to.len() + MARKED_BYTES;
            if size > left {
                return (mark.0, told);
            }
            left -= size;
            told.push(Marked { start: from, end: to, mark });
        }
        (low_water, told)
    }

    /// The latest read of any key of a span.
    pub fn max_of_span(&self, start: &Bytes, end: &Bytes) -> Mark {
        let state = self.state.lock().expect("no panic under the cache's lock");
        let (start, end) = (Key::new(start), Key::new(end));
        let before = state.spans.range(..&start).next_back();
        let before = before.filter(|(_, interval)| interval.end > start);
        let inside = state.spans.range(&start..&end);
        let mut max = (state.low_water, None);
        for (_, interval) in before.into_iter().chain(inside) {
            merge(&mut max, &interval.mark);
        }
        max
    }
}

/// Two readers at one timestamp leave no owner.
fn merge(into: &mut Mark, other: &Mark) {
    if other.0 > into.0 {
        *into = other.clone();
    } else if other.0 == into.0 && other.1 != into.1 {
        into.1 = None;
    }
}

impl State {
    fn add(&mut self, start: Key, end: Key, mark: Mark) {
        // Most reads are of single keys, read before or not: one place in the map.
        if let Some((from, interval)) = self.spans.range_mut(..=&start).next_back()
            && interval.end > start
        {
            if *from == start && interval.end == end {
                return merge(&mut interval.mark, &mark);
            }
        } else if self.spans.range(&start..&end).next().is_none() {
            self.spans.insert(start, Interval { end, mark });
            return;
        }
        self.cut(&start);
        self.cut(&end);
        let inside: Vec<_> = self
            .spans
            .range(&start..&end)
            .map(|(start, interval)| (start.clone(), interval.clone()))
            .collect();
        let mut cursor = start;
        let mut pieces: Vec<(Key, Interval)> = Vec::new();
        let mut push = |start: Key, end: Key, mark: Mark| match pieces.last_mut() {
            Some((_, last)) if last.mark == mark => last.end = end,
            _ => pieces.push((start, Interval { end, mark })),
        };
        for (from, interval) in &inside {
            if cursor < *from {
                push(cursor, from.clone(), mark.clone());
            }
            let mut merged = interval.mark.clone();
            merge(&mut merged, &mark);
            push(from.clone(), interval.end.clone(), merged);
            cursor = interval.end.clone();
        }
        if cursor < end {
            push(cursor, end, mark);
        }
        for (from, _) in inside {
            self.spans.remove(&from);
        }
        self.spans.extend(pieces);
    }

    /// Makes `key` a boundary.
    fn cut(&mut self, key: &Key) {
        let Some((_, interval)) = self.spans.range_mut(..key).next_back() else { return };
        if interval.end > *key {
            let right = interval.clone();
            interval.end = key.clone();
            self.spans.insert(key.clone(), right);
        }
    }

    /// Drops the older half and raises the low-water mark over it, so that the cost is constant a read.
    fn forget_oldest(&mut self) {
        let mut times: Vec<Timestamp> = self.spans.values().map(|i| i.mark.0).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        self.low_water = self.low_water.max(*median);
        let low_water = self.low_water;
        self.spans.retain(|_, interval| interval.mark.0 > low_water);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRng;
    use kv::env::Rng;

    fn key(n: u64) -> Bytes {
        Bytes::from(vec![b'a' + n as u8])
    }

    #[test]
    fn agrees_with_a_naive_model() {
        for seed in 0..200 {
            let rng = TestRng::new(seed);
            let cache = TimestampCache::new(1_000);
            let mut model: Vec<Mark> = vec![(Timestamp::ZERO, None); 20];
            for _ in 0..60 {
                let (a, b) = (rng.below(20), rng.below(20));
                let (low, high) = (a.min(b), a.max(b) + 1);
                let ts = Timestamp::from_raw(1 + rng.below(12));
                let owner = (rng.below(3) > 0).then(|| Bytes::from(vec![rng.below(3) as u8]));
                cache.add(&key(low), &key(high), ts, owner.as_ref());
                for slot in &mut model[low as usize..high as usize] {
                    merge(slot, &(ts, owner.clone()));
                }
                for (n, slot) in model.iter().enumerate() {
                    assert_eq!(cache.max(&key(n as u64)), *slot, "seed {seed}");
                }
                let mut whole = (Timestamp::ZERO, None);
                model[low as usize..high as usize].iter().for_each(|m| merge(&mut whole, m));
                assert_eq!(cache.max_of_span(&key(low), &key(high)), whole, "seed {seed}");
            }
        }
    }

    #[test]
    fn what_is_told_of_a_span_covers_all_that_was_read_there() {
        for seed in 0..100 {
            let rng = TestRng::new(seed);
            let (cache, other) = (TimestampCache::new(30), TimestampCache::new(1_000));
            for _ in 0..60 {
                let (a, b) = (rng.below(20), rng.below(20));
                let ts = Timestamp::from_raw(1 + rng.below(40));
                let owner = (rng.below(3) > 0).then(|| Bytes::from(vec![rng.below(3) as u8]));
                cache.add(&key(a.min(b)), &key(a.max(b) + 1), ts, owner.as_ref());
            }
            let (start, end) = (key(5), key(15));
            let bytes = rng.below(20) as usize * (MARKED_BYTES + 2);
            let (low, spans) = cache.of_span(&start, &end, bytes);
            assert!(spans.len() <= bytes / (MARKED_BYTES + 2), "seed {seed}");
            other.add(&start, &end, low, None);
            for Marked { start, end, mark: (ts, owner) } in spans {
                other.add(&start, &end, ts, owner.as_ref());
            }
            for n in 0..20 {
                let (was, told) = (cache.max(&key(n)), other.max(&key(n)));
                match (5..15).contains(&n) {
                    // One that is told of by itself keeps its owner.
                    true => assert!(told.0 > was.0 || told == was || told == (low, None)),
                    false => assert_eq!(told, (Timestamp::ZERO, None)),
                }
                assert!(!(5..15).contains(&n) || told.0 >= was.0, "seed {seed}");
            }
        }
    }

    #[test]
    fn what_is_forgotten_is_covered_by_the_low_water_mark() {
        let rng = TestRng::new(7);
        let cache = TimestampCache::new(50);
        let mut model: BTreeMap<Bytes, Timestamp> = BTreeMap::new();
        for _ in 0..2_000 {
            let key = Bytes::from(rng.below(400).to_be_bytes().to_vec());
            let ts = Timestamp::from_raw(1 + rng.below(1_000));
            cache.add_key(&key, ts, None);
            let newest = model.entry(key).or_default();
            *newest = (*newest).max(ts);
            assert!(cache.state.lock().unwrap().spans.len() <= 50);
        }
        for (key, ts) in model {
            assert!(cache.max(&key).0 >= ts);
        }
    }
}
