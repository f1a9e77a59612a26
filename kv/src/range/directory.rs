//! The directory: which range holds which keys, as the ranges themselves last said.
//!
//! It is replicated in the meta range and cached by routers, under one rule: an entry is accepted iff its
//! generation exceeds that of every other entry it overlaps, and of its own id; what it overlaps goes, it
//! stays. A split gives both sides the next generation, so the two together displace their parent, in either
//! order. Holes are legal for a while. The directory only says whom to ask; the range's own replicated state
//! is the truth.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::RangeId;
use crate::range::descriptor::RangeDescriptor;

/// Descriptors by end key, disjoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    by_end: BTreeMap<Bytes, RangeDescriptor>,
    /// Where each range ends.
    ends: BTreeMap<u64, Bytes>,
}

impl Directory {
    /// The entries that have to go if `new` is accepted by the rule, `None` if it is not. Looks at those alone.
    pub fn displaced(&self, new: &RangeDescriptor) -> Option<Vec<RangeDescriptor>> {
        let mut displaced: Vec<RangeDescriptor> =
            self.from(&new.start).take_while(|old| old.start < new.end).cloned().collect();
        if let Some(own) = self.ends.get(&new.range_id).and_then(|end| self.by_end.get(end))
            && !displaced.iter().any(|old| old.range_id == own.range_id)
        {
            displaced.push(own.clone());
        }
        displaced.iter().all(|old| old.generation < new.generation).then_some(displaced)
    }

    /// Applies the rule of acceptance. Returns the entries that had to go when it was accepted, `None` when
    /// it was not. An entry equal to what is there is not accepted: there is nothing to do.
    pub fn upsert(&mut self, new: RangeDescriptor) -> Option<Vec<RangeDescriptor>> {
        let displaced = self.displaced(&new)?;
        for old in &displaced {
            self.by_end.remove(&old.end);
            self.ends.remove(&old.range_id);
        }
        self.load(new);
        Some(displaced)
    }

    /// Adds an entry that was accepted before, on loading.
    pub fn load(&mut self, entry: RangeDescriptor) {
        self.ends.insert(entry.range_id, entry.end.clone());
        self.by_end.insert(entry.end.clone(), entry);
    }

    /// The range that holds `key`, unless there is a hole.
    pub fn lookup(&self, key: &[u8]) -> Option<&RangeDescriptor> {
        self.from(key).next().filter(|entry| entry.contains_key(key))
    }

    /// The entries that end after `key`, in key order.
    pub fn from(&self, key: &[u8]) -> impl Iterator<Item = &RangeDescriptor> {
        use std::ops::Bound;
        self.by_end
            .range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded))
            .map(|(_, entry)| entry)
    }

    /// What the directory says of a range.
    pub fn of(&self, range: RangeId) -> Option<&RangeDescriptor> {
        self.by_end.get(self.ends.get(&range.0)?)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.by_end.len()
    }

    /// True iff there are none.
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(id: u64, start: &'static str, end: &'static str, generation: u64) -> RangeDescriptor {
        RangeDescriptor {
            range_id: id,
            start: Bytes::from_static(start.as_bytes()),
            end: Bytes::from_static(end.as_bytes()),
            generation,
            replicas: Vec::new(),
        }
    }

    #[test]
    fn both_sides_of_a_split_displace_the_parent_in_either_order() {
        for order in [[0, 1], [1, 0]] {
            let sides = [range(1, "a", "m", 2), range(2, "m", "z", 2)];
            let mut directory = Directory::default();
            directory.upsert(range(1, "a", "z", 1)).expect("empty");
            for side in order {
                assert!(directory.upsert(sides[side].clone()).is_some());
            }
            assert_eq!(directory.lookup(b"b").map(|r| r.range_id), Some(1));
            assert_eq!(directory.lookup(b"m").map(|r| r.range_id), Some(2));
            assert_eq!(directory.len(), 2);
        }
    }

    #[test]
    fn an_older_or_equal_generation_changes_nothing() {
        let mut directory = Directory::default();
        directory.upsert(range(2, "m", "z", 2)).expect("empty");
        assert!(directory.upsert(range(1, "a", "z", 1)).is_none());
        assert!(directory.upsert(range(2, "m", "z", 2)).is_none());
        assert!(directory.upsert(range(1, "a", "n", 2)).is_none());
        assert_eq!(directory.lookup(b"a"), None);
        assert_eq!(directory.lookup(b"z"), None);
    }

    #[test]
    fn the_rule_of_acceptance_by_looking_at_everything() {
        use crate::env::Rng;
        // Entries of four ids, over ten keys; what is overlapped is found by looking at all.
        let rng = crate::sim::testing::Seeded::new(7);
        let mut directory = Directory::default();
        for _ in 0..20_000 {
            let start = rng.below(9) as u8;
            let end = start + 1 + rng.below(9 - u64::from(start)) as u8;
            let new = RangeDescriptor {
                range_id: rng.below(4),
                start: Bytes::from(vec![start]),
                end: Bytes::from(vec![end]),
                generation: rng.below(5),
                replicas: Vec::new(),
            };
            let all: Vec<RangeDescriptor> = directory.from(&[]).cloned().collect();
            let in_its_way =
                |old: &&RangeDescriptor| old.overlaps(&new) || old.range_id == new.range_id;
            let mut expected: Vec<&RangeDescriptor> = all.iter().filter(in_its_way).collect();
            let is_accepted = expected.iter().all(|old| old.generation < new.generation);
            let found = directory.upsert(new.clone());
            assert_eq!(found.is_some(), is_accepted);
            if let Some(mut found) = found {
                found.sort_by(|a, b| a.end.cmp(&b.end));
                expected.sort_by(|a, b| a.end.cmp(&b.end));
                assert_eq!(found.iter().collect::<Vec<_>>(), expected);
                assert_eq!(directory.of(RangeId(new.range_id)), Some(&new));
            }
            if directory.len() > 3 || rng.below(50) == 0 {
                directory = Directory::default();
            }
        }
    }
}
