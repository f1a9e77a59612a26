//! The directory: which range holds which keys, as the ranges themselves last said.
//!
//! It is replicated in the meta range and cached by routers, under one rule: an entry is accepted iff its
//! generation exceeds that of every other entry it overlaps, and of its own id; what it overlaps goes, it
//! stays. A split gives both sides the next generation, so the two together displace their parent, in either
//! order. Holes are legal for a while. The directory only says whom to ask; the range's own replicated state
//! is the truth.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::range::descriptor::RangeDescriptor;

/// Descriptors by end key, disjoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    by_end: BTreeMap<Bytes, RangeDescriptor>,
}

impl Directory {
    /// Applies the rule of acceptance. Returns the entries that had to go when it was accepted, `None` when
    /// it was not. An entry equal to what is there is not accepted: there is nothing to do.
    pub fn upsert(&mut self, new: RangeDescriptor) -> Option<Vec<RangeDescriptor>> {
        let displaced: Vec<RangeDescriptor> = self
            .by_end
            .values()
            .filter(|old| old.overlaps(&new) || old.range_id == new.range_id)
            .cloned()
            .collect();
        if displaced.iter().any(|old| old.generation >= new.generation) {
            return None;
        }
        for old in &displaced {
            self.by_end.remove(&old.end);
        }
        self.by_end.insert(new.end.clone(), new);
        Some(displaced)
    }

    /// Adds an entry that was accepted before, on loading.
    pub fn load(&mut self, entry: RangeDescriptor) {
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
}
