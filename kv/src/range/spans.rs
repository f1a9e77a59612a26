//! What is said of spans of keys: the entries of [`Space::Erased`], of one range.
//!
//! Such an entry lies under the first key of its span, and its value begins with the span's end. What the value says
//! behind that, and the suffix, are the owner's of the space. They are few, and every read asks for those that concern it:
//! so a range has them in memory, as of its applied index.
//!
//! - E1. What is said of a key is found in the key's own range. An entry is under a key of its range; what of its span lies
//!   beyond the range's end does not count here.
//! - E2. A split says again of the right side, under its first key, what was said of a span that reaches into it.
//! - E3. Which keys beneath it have got other data since it was said is known of an entry, but to one span over them; and of
//!   what was said before the process began, that it may have been all. It is no part of the replicated state.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::engine::{EngineError, EngineSnapshot};
use crate::keys::{self, Space};
use crate::range::batch::BatchOp;

const VERSION: u8 = 1;

/// An entry that is about a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEntry {
    /// First key.
    pub start: Bytes,
    /// End key, exclusive.
    pub end: Bytes,
    /// What tells entries under one key apart.
    pub suffix: Bytes,
    /// What is said.
    pub value: Bytes,
    /// Half-open, and within the span: no other keys have got other data since (E3). None: no keys.
    pub changed: Option<(Bytes, Bytes)>,
}

impl SpanEntry {
    /// Its value in the engine: a version, the length of the end (4 bytes, big-endian), the end, what is said.
    pub fn stored(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(5 + self.end.len() + self.value.len());
        out.put_u8(VERSION);
        out.put_u32(self.end.len() as u32);
        out.put_slice(&self.end);
        out.put_slice(&self.value);
        out.freeze()
    }

    /// The inverse of [`SpanEntry::stored`]; the parts share the buffer.
    pub fn of(start: Bytes, suffix: Bytes, stored: Bytes) -> Option<SpanEntry> {
        let mut rest = stored;
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let len = rest.try_get_u32().ok()? as usize;
        let end = (len <= rest.len()).then(|| rest.split_to(len))?;
        (start < end).then_some(SpanEntry { start, end, suffix, value: rest, changed: None })
    }

    /// The parts of the span, half-open and perhaps empty, whose data are as they were when it was said.
    pub fn unchanged(&self) -> [(&Bytes, &Bytes); 2] {
        match &self.changed {
            None => [(&self.start, &self.end), (&self.end, &self.end)],
            Some((from, to)) => [(&self.start, from), (to, &self.end)],
        }
    }

    fn has_changed(&self, key: &[u8]) -> bool {
        self.changed.as_ref().is_some_and(|(from, to)| &from[..] <= key && key < &to[..])
    }

    /// What it says of the keys of a half-open span, if there are any.
    fn clipped(&self, from: &Bytes, to: &Bytes) -> Option<SpanEntry> {
        let clip = |(start, end): (&Bytes, &Bytes)| {
            let (start, end) = (start.max(from).clone(), end.min(to).clone());
            (start < end).then_some((start, end))
        };
        let (start, end) = clip((&self.start, &self.end))?;
        let changed = self.changed.as_ref().and_then(|(start, end)| clip((start, end)));
        Some(SpanEntry { start, end, changed, ..self.clone() })
    }

    fn place(&self) -> (&Bytes, &Bytes) {
        (&self.start, &self.suffix)
    }
}

/// The entries of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanEntries {
    /// Ascending by start and suffix.
    entries: Vec<SpanEntry>,
    /// By position: how far the entries up to this one reach. Ascending.
    reach: Vec<Bytes>,
}

impl SpanEntries {
    /// Those under the keys of a half-open span, as the engine has them.
    pub fn load(
        engine: &dyn EngineSnapshot,
        (start, end): (&Bytes, &Bytes),
    ) -> Result<SpanEntries, EngineError> {
        let mut entries = Vec::new();
        for found in engine.scan(keys::engine_span(Space::Erased, start, end)) {
            let (engine_key, stored) = found?;
            let entry = keys::decode_engine_key(&engine_key)
                .and_then(|(start, suffix)| SpanEntry::of(start, suffix, stored))
                .ok_or_else(|| damaged(&engine_key))?;
            let changed = Some((entry.start.clone(), entry.end.clone()));
            entries.extend(SpanEntry { changed, ..entry }.clipped(start, end));
        }
        Ok(Self::of(entries))
    }

    fn of(entries: impl IntoIterator<Item = SpanEntry>) -> SpanEntries {
        let placed = entries.into_iter().map(|e| ((e.start.clone(), e.suffix.clone()), e));
        let entries = placed.collect::<BTreeMap<_, _>>().into_values().collect();
        let mut spans = SpanEntries { entries, reach: Vec::new() };
        spans.measure();
        spans
    }

    fn measure(&mut self) {
        self.reach.clear();
        for entry in &self.entries {
            let before = self.reach.last().unwrap_or(&entry.end);
            self.reach.push(before.max(&entry.end).clone());
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True iff there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those whose spans have keys in the half-open span. It costs about as much as there are.
    pub fn overlapping<'s>(
        &'s self,
        start: &'s [u8],
        end: &[u8],
    ) -> impl Iterator<Item = &'s SpanEntry> + use<'s> {
        let behind = self.entries.partition_point(|entry| entry.start < end);
        let before = self.entries[..behind].iter().zip(&self.reach).rev();
        // Nothing before this one reaches so far.
        let before = before.take_while(move |(_, reach)| &reach[..] > start);
        before.map(|(entry, _)| entry).filter(move |entry| &entry.end[..] > start)
    }

    /// Adds an entry, in the place of one with the same start and suffix.
    fn put(&mut self, entry: SpanEntry) {
        match self.entries.binary_search_by(|other| other.place().cmp(&entry.place())) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
        self.measure();
    }

    /// Removes an entry, if it is there.
    fn remove(&mut self, start: &Bytes, suffix: &Bytes) {
        self.entries.retain(|entry| entry.place() != (start, suffix));
        self.measure();
    }

    /// What is said of the keys of a half-open span: a side of a split (E2).
    pub fn within(&self, start: &Bytes, end: &Bytes) -> SpanEntries {
        Self::of(self.entries.iter().filter_map(|entry| entry.clipped(start, end)))
    }

    /// Those under a key.
    pub fn under<'s>(&'s self, key: &'s Bytes) -> impl Iterator<Item = &'s SpanEntry> {
        self.entries.iter().filter(move |entry| entry.start == *key)
    }

    /// Takes note of a change to a range that is being applied. None: what it says of a span is undecodable.
    pub fn note(self: &mut Arc<Self>, op: &BatchOp) -> Option<()> {
        match Space::keyed_from(op.space)? {
            Space::Erased => {
                // Not a part of some message, which would stay in memory with it.
                let own = |part: &Bytes| Bytes::copy_from_slice(part);
                let (start, suffix) = (own(&op.key), own(&op.suffix));
                let spans = Arc::make_mut(self);
                match &op.value {
                    Some(stored) => spans.put(SpanEntry::of(start, suffix, own(stored))?),
                    None => spans.remove(&start, &suffix),
                }
            }
            Space::Data | Space::History if !self.is_empty() && self.is_news(&op.key) => {
                Arc::make_mut(self).note_change(&op.key);
            }
            _ => {}
        }
        Some(())
    }

    /// True iff some entry does not know yet that the key has got other data.
    fn is_news(&self, key: &[u8]) -> bool {
        self.overlapping(key, &keys::successor(key)).any(|entry| !entry.has_changed(key))
    }

    /// A key has got other data.
    fn note_change(&mut self, key: &[u8]) {
        let (key, behind) = (Bytes::copy_from_slice(key), keys::successor(key));
        let covering = self.entries.iter_mut().filter(|e| e.start <= key && key < e.end);
        for entry in covering {
            entry.changed = Some(match entry.changed.take() {
                None => (key.clone(), behind.clone()),
                Some((from, to)) => (from.min(key.clone()), to.max(behind.clone())),
            });
        }
    }
}

fn damaged(engine_key: &Bytes) -> EngineError {
    EngineError::Corrupt(format!("undecodable entry of a span under {engine_key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: &'static str, end: &'static str, suffix: u8) -> SpanEntry {
        let suffix = Bytes::from(vec![suffix]);
        let value = Bytes::from_static(b"v");
        SpanEntry { start: start.into(), end: end.into(), suffix, value, changed: None }
    }

    fn show<'e>(entries: impl IntoIterator<Item = &'e SpanEntry>) -> String {
        let show = |e: &SpanEntry| {
            let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
            format!("{}-{}@{}", text(&e.start), text(&e.end), e.suffix[0])
        };
        let mut shown: Vec<_> = entries.into_iter().map(show).collect();
        shown.sort();
        shown.join(" ")
    }

    #[test]
    fn entries_round_trip_and_damage_is_none() {
        let stored = entry("a", "b", 1).stored();
        let of = |stored: Bytes| SpanEntry::of("a".into(), Bytes::from_static(&[1]), stored);
        assert_eq!(of(stored.clone()), Some(entry("a", "b", 1)));
        for cut in 0..6 {
            assert_eq!(of(stored.slice(..cut)), None);
        }
        assert_eq!(of(entry("a", "a", 1).stored()), None, "a span without a key");
    }

    #[test]
    fn what_overlaps_is_what_comparing_all_of_them_finds() {
        let keys = ["a", "b", "c", "d", "e", "f", "g"];
        let mut random = 7_u64;
        let mut below = |n: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % n
        };
        for _ in 0..500 {
            let mut spans = SpanEntries::default();
            let mut all: Vec<SpanEntry> = Vec::new();
            for _ in 0..below(8) {
                let start = below(6);
                let new = entry(keys[start], keys[start + 1 + below(6 - start)], below(3) as u8);
                all.retain(|old| old.place() != new.place());
                all.push(new.clone());
                spans.put(new);
                if below(4) == 0 {
                    let gone = all.swap_remove(below(all.len()));
                    spans.remove(&gone.start, &gone.suffix);
                }
            }
            let start = below(6);
            let end = keys[start + 1 + below(6 - start)];
            let start = keys[start];
            let expected = all.iter().filter(|e| &e.start[..] < end.as_bytes());
            let expected = show(expected.filter(|e| &e.end[..] > start.as_bytes()));
            assert_eq!(show(spans.overlapping(start.as_bytes(), end.as_bytes())), expected);
        }
    }

    #[test]
    fn both_sides_of_a_split_have_what_is_said_of_their_keys() {
        let mut spans = SpanEntries::default();
        for entry in
            [entry("a", "c", 1), entry("b", "z", 2), entry("c", "m", 3), entry("m", "n", 4)]
        {
            spans.put(entry);
        }
        let within =
            |start: &'static str, end: &'static str| spans.within(&start.into(), &end.into());
        assert_eq!(show(&within("a", "m").entries), "a-c@1 b-m@2 c-m@3");
        assert_eq!(show(&within("m", "zz").entries), "m-n@4 m-z@2");
        assert_eq!((within("a", "zz"), within("zz", "zzz").len()), (spans.clone(), 0));
    }

    #[test]
    fn what_has_changed_since_lies_within_one_span() {
        let mut spans = SpanEntries::default();
        spans.put(entry("b", "x", 1));
        let parts = |spans: &SpanEntries| {
            let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
            let of = |e: &SpanEntry| e.unchanged().map(|(from, to)| text(from) + "-" + &text(to));
            spans.entries.iter().flat_map(of).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(parts(&spans), "b-x x-x");
        for (key, is_news) in [("a", false), ("x", false), ("f", true), ("d", true), ("e", false)] {
            assert_eq!(spans.is_news(key.as_bytes()), is_news, "{key}");
            if is_news {
                spans.note_change(key.as_bytes());
            }
        }
        assert_eq!(parts(&spans), "b-d f\0-x");
        let within = |start: &'static str, end: &'static str| {
            parts(&spans.within(&start.into(), &end.into()))
        };
        assert_eq!([within("a", "e"), within("e", "y")], ["b-d e-e", "e-e f\0-x"]);
        assert_eq!([within("a", "m"), within("m", "y")], ["b-d f\0-m", "m-x x-x"]);
    }

    #[test]
    fn of_what_was_loaded_all_may_have_changed() {
        use crate::engine::{Engine, EngineBatch};
        let engine = crate::sim::engine::SimEngine::open(crate::sim::disk::SimDisk::new()).unwrap();
        let mut batch = EngineBatch::default();
        let written = entry("b", "x", 1);
        batch.put(keys::engine_key(Space::Erased, b"b", &written.suffix), written.stored());
        engine.apply(batch).unwrap();
        let loaded = SpanEntries::load(&*engine.snapshot(), (&"a".into(), &"m".into())).unwrap();
        assert_eq!(show(&loaded.entries), "b-m@1");
        assert!(!loaded.is_news(b"c"));
    }
}
