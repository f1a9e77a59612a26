//! All that a replica holds, as bytes: what a snapshot is made of.
//!
//! A range has entries under its id and, in each keyed space, those of its span. Read from one view of the engine they are
//! the range at one applied index, which is among them.
//!
//! A *part* is entries one after the other: length of the key, length of the value (4 bytes each, big-endian), key, value.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::engine::{EngineError, EngineSnapshot};
use crate::keys::{self, Space};
use crate::range::descriptor::RangeDescriptor;

/// Bytes after which a part ends, or one entry.
pub const PART_BYTES_MAX: usize = 512 << 10;

/// The engine spans of everything that a range holds.
pub fn spans(descriptor: &RangeDescriptor) -> Vec<Range<Bytes>> {
    let mut spans = vec![keys::range_id_span(descriptor.id())];
    spans.extend(keyed_spans(&descriptor.start, &descriptor.end));
    spans
}

/// The engine spans of everything that lies under keys of the half-open user span.
pub fn keyed_spans(start: &[u8], end: &[u8]) -> impl Iterator<Item = Range<Bytes>> {
    Space::KEYED.map(|space| keys::engine_span(space, start, end)).into_iter()
}

/// The parts of a snapshot, made one by one.
pub struct Parts {
    view: Arc<dyn EngineSnapshot>,
    /// What is left, the next last.
    left: Vec<Range<Bytes>>,
    bytes_max: usize,
}

impl Parts {
    /// Of a range as the view has it; about so many bytes in each.
    pub fn new(
        view: Arc<dyn EngineSnapshot>,
        descriptor: &RangeDescriptor,
        bytes_max: usize,
    ) -> Parts {
        let mut left = spans(descriptor);
        left.reverse();
        Parts { view, left, bytes_max }
    }

    /// The next part, and whether it is the last one. A range has one part at least.
    pub fn next_part(&mut self) -> Result<(Bytes, bool), EngineError> {
        let mut part = BytesMut::new();
        while let Some(span) = self.left.pop() {
            let mut next = None;
            for entry in self.view.scan(span.clone()) {
                let (key, value) = entry?;
                if part.len() >= self.bytes_max {
                    next = Some(key);
                    break;
                }
                put(&mut part, &key, &value);
            }
            if let Some(next) = next {
                self.left.push(next..span.end);
                return Ok((part.freeze(), false));
            }
        }
        Ok((part.freeze(), true))
    }
}

fn put(part: &mut BytesMut, key: &[u8], value: &[u8]) {
    part.reserve(8 + key.len() + value.len());
    for len in [key.len(), value.len()] {
        part.put_u32(u32::try_from(len).expect("an entry is far below 4 GiB"));
    }
    part.put_slice(key);
    part.put_slice(value);
}

/// The entries of a part. `None`: it is none.
pub fn entries(mut part: Bytes) -> Option<Vec<(Bytes, Bytes)>> {
    let mut entries = Vec::new();
    while part.has_remaining() {
        let key = part.try_get_u32().ok()? as usize;
        let value = part.try_get_u32().ok()? as usize;
        if part.len() < key.checked_add(value)? {
            return None;
        }
        entries.push((part.split_to(key), part.split_to(value)));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, EngineBatch};
    use crate::sim::disk::SimDisk;
    use crate::sim::engine::SimEngine;

    #[test]
    fn the_parts_are_the_range_and_nothing_else() {
        let engine = SimEngine::open(SimDisk::new()).unwrap();
        let mut batch = EngineBatch::default();
        let range = RangeDescriptor {
            range_id: 7,
            start: "b".into(),
            end: "d".into(),
            ..RangeDescriptor::default()
        };
        let mut expected = Vec::new();
        for id in [6, 7, 8].map(crate::ids::RangeId) {
            let key = keys::range_id_key(id, b"a");
            batch.put(key.clone(), Bytes::from_static(b"x"));
            expected.extend((id == range.id()).then_some(key));
        }
        for space in Space::KEYED {
            for name in ["a", "b", "b\0", "c", "d"] {
                let key = keys::engine_key(space, name.as_bytes(), b"suffix");
                batch.put(key.clone(), Bytes::from(vec![7; 100]));
                expected.extend(range.contains_key(name.as_bytes()).then_some(key));
            }
        }
        engine.apply(batch).unwrap();
        for bytes_max in [1, 250, 100_000] {
            let mut parts = Parts::new(engine.snapshot(), &range, bytes_max);
            let (mut found, mut count) = (Vec::new(), 0);
            loop {
                let (part, is_last) = parts.next_part().unwrap();
                assert!(part.len() < bytes_max + 200);
                found.extend(entries(part).unwrap().into_iter().map(|(key, _)| key));
                count += 1;
                if is_last {
                    break;
                }
            }
            assert_eq!(found, expected);
            assert_eq!(count, [16, 6, 1][[1, 250, 100_000].binary_search(&bytes_max).unwrap()]);
        }
        let nothing = RangeDescriptor { range_id: 9, ..range.clone() };
        let nothing = RangeDescriptor { start: "x".into(), end: "y".into(), ..nothing };
        assert_eq!(
            Parts::new(engine.snapshot(), &nothing, 1).next_part().unwrap(),
            (Bytes::new(), true)
        );
    }

    #[test]
    fn a_part_that_was_cut_is_none() {
        let mut part = BytesMut::new();
        put(&mut part, b"key", b"value");
        let part = part.freeze();
        assert_eq!(entries(part.clone()).unwrap(), [("key".into(), "value".into())]);
        for len in 1..part.len() {
            assert_eq!(entries(part.slice(..len)), None);
        }
    }
}
