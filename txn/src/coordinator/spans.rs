//! What a transaction has read: a bounded set of disjoint spans.
//!
//! - The set covers every span that was inserted. It may cover more: past its bounds neighbours are joined,
//!   which makes a refresh fail more often but never less.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use kv::keys::successor;

use crate::api::Span;
use crate::coordinator::config::Config;

/// Disjoint half-open spans, none adjacent to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanSet {
    spans: BTreeMap<Bytes, Bytes>,
    key_bytes: usize,
}

impl SpanSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.spans.iter().map(|(start, end)| Span { start: start.clone(), end: end.clone() })
    }

    /// Adds `[start, end)`; an empty span changes nothing.
    pub(crate) fn insert(&mut self, mut start: Bytes, mut end: Bytes) {
        if start >= end {
            return;
        }
        // From the right, so that each step's candidate is the last span that begins at or before the end.
        loop {
            let below = (Bound::Unbounded, Bound::Included(&end));
            let Some((low, high)) = self.spans.range::<Bytes, _>(below).next_back() else { break };
            if *high < start {
                break;
            }
            if *low <= start && *high >= end {
                return;
            }
            let (low, high) = (low.clone(), high.clone());
            self.spans.remove(&low);
            self.key_bytes -= low.len() + high.len();
            start = start.min(low);
            end = end.max(high);
        }
        self.key_bytes += start.len() + end.len();
        self.spans.insert(start, end);
    }

    /// Joins neighbours until the set is within its bounds, or is one span.
    pub(crate) fn condense(&mut self, max_spans: usize, max_bytes: usize) {
        while self.spans.len() > 1 && (self.spans.len() > max_spans || self.key_bytes > max_bytes) {
            let mut halved = BTreeMap::new();
            let mut spans = std::mem::take(&mut self.spans).into_iter();
            self.key_bytes = 0;
            while let Some((start, end)) = spans.next() {
                let end = spans.next().map_or(end, |(_, next_end)| next_end);
                self.key_bytes += start.len() + end.len();
                halved.insert(start, end);
            }
            self.spans = halved;
        }
    }
}

/// What a record says of the keys of a transaction, ascending, and of the spans over further ones: the names, or spans
/// over all if the names would make it large.
pub(crate) fn named_or_covered(
    keys: &[Bytes],
    spans: &SpanSet,
    config: &Config,
) -> (Vec<Bytes>, Vec<Span>) {
    if keys.iter().map(Bytes::len).sum::<usize>() <= config.max_record_bytes {
        return (keys.to_vec(), spans.iter().collect());
    }
    let mut cover = spans.clone();
    for key in keys {
        cover.insert(key.clone(), successor(key));
    }
    cover.condense(config.max_read_spans, config.max_record_bytes);
    (Vec::new(), cover.iter().collect())
}

impl SpanSet {
    /// Covers keys, ascending, by a span for each few of them. What lies between two keys costs a resolution little: it
    /// looks for intents.
    pub(crate) fn cover(&mut self, keys: &[Bytes], config: &Config) {
        for keys in keys.chunks(config.batch_requests.max(1)) {
            if let (Some(first), Some(last)) = (keys.first(), keys.last()) {
                self.insert(first.clone(), successor(last));
            }
        }
        self.condense(config.max_read_spans, config.max_record_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(spans: &[(&'static str, &'static str)]) -> SpanSet {
        let mut set = SpanSet::default();
        for (start, end) in spans {
            set.insert(Bytes::from(*start), Bytes::from(*end));
        }
        set
    }

    fn show(set: &SpanSet) -> String {
        let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
        let spans: Vec<_> =
            set.iter().map(|s| format!("{}-{}", text(&s.start), text(&s.end))).collect();
        let bytes: usize = set.iter().map(|s| s.start.len() + s.end.len()).sum();
        assert_eq!(bytes, set.key_bytes);
        spans.join(" ")
    }

    #[test]
    fn overlapping_and_adjacent_spans_are_one() {
        assert_eq!(show(&set(&[("b", "c"), ("e", "f")])), "b-c e-f");
        assert_eq!(show(&set(&[("b", "c"), ("c", "d")])), "b-d");
        assert_eq!(show(&set(&[("b", "c"), ("e", "f"), ("a", "g")])), "a-g");
        assert_eq!(show(&set(&[("a", "g"), ("b", "c")])), "a-g");
        assert_eq!(show(&set(&[("b", "d"), ("f", "h"), ("c", "g")])), "b-h");
        assert_eq!(show(&set(&[("b", "b"), ("d", "c")])), "");
    }

    #[test]
    fn a_record_names_keys_while_they_are_few() {
        let config = Config { max_record_bytes: 6, ..Config::default() };
        let none = SpanSet::default();
        let keys =
            |text: &'static str| -> Vec<Bytes> { text.split(' ').map(Bytes::from).collect() };
        assert_eq!(
            named_or_covered(&keys("a b c d"), &none, &config),
            (keys("a b c d"), Vec::new())
        );
        let (named, spans) = named_or_covered(&keys("a b c d e f g h"), &none, &config);
        assert!(named.is_empty());
        for key in keys("a b c d e f g h") {
            assert!(spans.iter().any(|span| span.start <= key && key < span.end));
        }
        assert!(spans.len() < 3);
    }

    #[test]
    fn what_was_laid_is_covered_whatever_the_names_are() {
        let config = Config { batch_requests: 2, max_record_bytes: 6, ..Config::default() };
        let mut laid = SpanSet::default();
        laid.cover(&["a", "b", "b\0", "q", "r"].map(Bytes::from), &config);
        let spans = |spans: Vec<Span>| -> Vec<String> {
            let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
            spans.iter().map(|s| text(&s.start) + "-" + &text(&s.end)).collect()
        };
        let (named, covered) = named_or_covered(&[Bytes::from("c")], &laid, &config);
        assert_eq!(
            (named, spans(covered)),
            (vec![Bytes::from("c")], vec!["a-q\0".to_owned(), "r-r\0".into()])
        );
        let many = ["c", "d", "e", "s", "t", "u", "v"].map(Bytes::from);
        let (named, covered) = named_or_covered(&many, &laid, &config);
        assert_eq!((named, spans(covered)), (vec![], vec!["a-t\0".to_owned(), "u-v\0".into()]));
    }

    #[test]
    fn condensing_covers_what_was_there() {
        let mut spans = set(&[("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")]);
        spans.condense(3, usize::MAX);
        assert_eq!(show(&spans), "a-d e-h i-j");
        spans.condense(3, 2);
        assert_eq!(show(&spans), "a-j");
    }
}
