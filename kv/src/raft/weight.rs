//! How many bytes a group's log has, about: those of the entries that were written since the group was opened.

use std::collections::VecDeque;

use raft::eraftpb::Entry;

use super::bytes_of;

/// Bytes that are counted together.
const BUCKET_BYTES: u64 = 4 << 10;

/// The bytes of a log's entries, in buckets by index.
#[derive(Default)]
pub(super) struct Weight {
    /// The last index of each bucket, ascending, and its bytes.
    buckets: VecDeque<(u64, u64)>,
    bytes: u64,
}

impl Weight {
    /// These entries are at the end of the log now, in the place of what was at and behind the first of them.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        // A bucket that is replaced in part counts on, as if it were not.
        while self.buckets.len() > 1
            && self
                .buckets
                .get(self.buckets.len() - 2)
                .is_some_and(|(last, _)| *last >= first.index)
        {
            self.bytes -= self.buckets.pop_back().map_or(0, |(_, bytes)| bytes);
        }
        for entry in entries {
            let bytes = bytes_of(entry) as u64;
            self.bytes += bytes;
            match self.buckets.back_mut() {
                Some((last, in_bucket)) if *in_bucket < BUCKET_BYTES => {
                    (*last, *in_bucket) = (entry.index, *in_bucket + bytes);
                }
                _ => self.buckets.push_back((entry.index, bytes)),
            }
        }
    }

    /// The log begins behind this index.
    pub(super) fn truncate(&mut self, index: u64) {
        while self.buckets.front().is_some_and(|(last, _)| *last <= index) {
            self.bytes -= self.buckets.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(indexes: std::ops::Range<u64>, bytes: usize) -> Vec<Entry> {
        let entry = |index| Entry { index, data: vec![7; bytes].into(), ..Entry::default() };
        indexes.map(entry).collect()
    }

    #[test]
    fn what_is_cut_and_what_is_replaced_counts_no_more() {
        let mut weight = Weight::default();
        weight.append(&entries(11..111, 10_000));
        assert!((1_000_000..1_100_000).contains(&weight.bytes()), "{}", weight.bytes());
        weight.truncate(60);
        assert!((450_000..550_000).contains(&weight.bytes()), "{}", weight.bytes());
        weight.append(&entries(71..72, 10_000));
        assert!((100_000..250_000).contains(&weight.bytes()), "{}", weight.bytes());
        weight.truncate(71);
        assert_eq!((weight.bytes(), weight.buckets.len()), (0, 0));
    }
}
