//! The end of a group's log, kept in memory: what is read again soon after it was written, by replication and by the
//! apply loop (etcd and TiKV call it the entry cache).
//!
//! - I1. What it holds is what the log holds: entries enter when they are written, and all that they replace goes.
//! - I2. Its entries are contiguous and reach to the log's last one. Applied ones are gone.
//! - I3. It is never needed: whatever it does not have, the log has.
//!
//! Bound: so many bytes in all groups of a store. A group for which there is no room keeps nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use raft::eraftpb::Entry;

use super::bytes_of;

/// Bytes that the recent entries of a store take at most.
const RECENT_BYTES_MAX: usize = 32 << 20;

/// What the recent entries of all groups of a store take.
#[derive(Default)]
pub(crate) struct RecentBytes(AtomicUsize);

/// A group's recent entries, and the term of those further back.
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
    all: Arc<RecentBytes>,
    /// Every entry from this index to the last one is of this term.
    tail: Option<(u64, u64)>,
}

impl Recent {
    pub(super) fn new(all: Arc<RecentBytes>) -> Self {
        Recent { entries: VecDeque::new(), bytes: 0, all, tail: None }
    }

    /// These entries are at the end of the log now, in the place of what was at and behind the first of them.
    pub(super) fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first().map(|entry| entry.index) else { return };
        while self.entries.back().is_some_and(|last| last.index >= first) {
            let replaced = self.entries.pop_back();
            self.count(replaced.as_ref(), false);
        }
        if self.entries.back().is_some_and(|last| last.index + 1 != first) {
            self.clear();
        }
        for entry in entries {
            match self.tail {
                Some((start, term)) if term == entry.term && start < entry.index => {}
                _ => self.tail = Some((entry.index, entry.term)),
            }
            self.count(Some(&entry), true);
            self.entries.push_back(entry);
        }
        if self.all.0.load(Ordering::Relaxed) > RECENT_BYTES_MAX {
            self.clear();
        }
    }

    /// Entries through this one are not needed again.
    pub(super) fn applied(&mut self, index: u64) {
        while self.entries.front().is_some_and(|first| first.index <= index) {
            let applied = self.entries.pop_front();
            self.count(applied.as_ref(), false);
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(16);
        }
    }

    /// The entries of the half-open interval, up to `max_bytes` but one at least, if they begin here.
    pub(super) fn read(&self, low: u64, high: u64, max_bytes: u64) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.index;
        let last = self.entries.back()?.index;
        if low < first || low >= high || high > last + 1 {
            return None;
        }
        let from = usize::try_from(low - first).ok()?;
        let count = usize::try_from(high - low).ok()?;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let before = bytes;
            bytes += bytes_of(entry) as u64;
            before == 0 || bytes <= max_bytes
        };
        Some(self.entries.range(from..from + count).take_while(fits).cloned().collect())
    }

    /// The term of an entry of the log, if it is known here.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        self.tail.filter(|(start, _)| *start <= index).map(|(_, term)| term)
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    fn count(&mut self, entry: Option<&Entry>, comes: bool) {
        let bytes = entry.map_or(0, bytes_of);
        if comes {
            self.bytes += bytes;
            self.all.0.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.bytes -= bytes;
            self.all.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64, bytes: usize) -> Entry {
        Entry { index, term, data: vec![7; bytes].into(), ..Entry::default() }
    }

    fn indexes(read: Option<Vec<Entry>>) -> Option<Vec<(u64, u64)>> {
        read.map(|entries| entries.iter().map(|entry| (entry.index, entry.term)).collect())
    }

    #[test]
    fn what_is_replaced_goes_and_what_is_applied_too() {
        let all = Arc::<RecentBytes>::default();
        let mut recent = Recent::new(all.clone());
        assert_eq!((recent.read(1, 2, 99), recent.term(1)), (None, None));
        recent.append(vec![entry(11, 5, 10), entry(12, 5, 10), entry(13, 6, 10)]);
        assert_eq!(indexes(recent.read(12, 14, 999)), Some(vec![(12, 5), (13, 6)]));
        assert_eq!((recent.term(12), recent.term(13)), (None, Some(6)), "of the last term only");
        // Another leader's entries in the place of two.
        recent.append(vec![entry(12, 7, 10)]);
        assert_eq!(recent.read(12, 14, 999), None, "the log has no 13 any more");
        assert_eq!(indexes(recent.read(11, 13, 999)), Some(vec![(11, 5), (12, 7)]));
        assert_eq!((recent.term(11), recent.term(12)), (None, Some(7)));
        recent.append(vec![entry(13, 7, 10)]);
        assert_eq!(recent.term(12), Some(7));
        recent.applied(12);
        assert_eq!(recent.read(12, 14, 999), None);
        assert_eq!(indexes(recent.read(13, 14, 999)), Some(vec![(13, 7)]));
        assert_eq!(recent.term(12), Some(7), "terms stay known");
        // What was written while there was no room for it is not here: nor is what came before.
        recent.append(vec![entry(15, 7, 10)]);
        assert_eq!((recent.read(13, 14, 999), recent.read(13, 16, 999)), (None, None));
        assert_eq!(indexes(recent.read(15, 16, 999)), Some(vec![(15, 7)]));
        drop(recent);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_read_has_one_entry_at_least_and_the_store_a_bound() {
        let all = Arc::<RecentBytes>::default();
        let mut recent = Recent::new(all.clone());
        recent.append((1..=9).map(|index| entry(index, 5, 1_000)).collect());
        assert_eq!(recent.read(1, 10, 0).unwrap().len(), 1);
        assert_eq!(recent.read(1, 10, 3_000).unwrap().len(), 2, "each has a little more");
        let mut other = Recent::new(all.clone());
        other.append(vec![entry(1, 5, RECENT_BYTES_MAX)]);
        assert_eq!((other.read(1, 2, 1), other.term(1)), (None, Some(5)));
        assert_eq!(recent.read(1, 10, u64::MAX).unwrap().len(), 9, "who has had room keeps it");
    }
}
