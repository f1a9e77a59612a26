//! Where a key lives in the engine (`docs/storage-format.md`).
//!
//! An engine key is a space byte, then the escaped and terminated user key, then a suffix that the owner of the
//! space chooses (a version's timestamp, a transaction's id). Escaping keeps the order and makes no encoded key
//! a prefix of another, so that whatever the suffix, all entries of a key lie between the encodings of the key
//! and of its successor: a span [a, b) is exactly one engine span a space, and no suffix crosses a boundary.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use crate::ids::RangeId;

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
const TERMINATOR: u8 = 0x01;

/// The part of the engine that an entry belongs to; the first byte of its engine key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// What the store knows of itself. Not replicated.
    Store = 1,
    /// What belongs to a range but to none of its keys: applied state, descriptor, lease, directory.
    RangeId = 2,
    /// What is addressed by a key but is not data: transaction records, under their anchor key.
    RangeLocal = 3,
    /// Locks and intents.
    Lock = 4,
    /// Data: under the plain key, or its versions, as the MVCC layout says.
    Data = 5,
    /// Older versions, where the MVCC layout moves them out of the way.
    History = 6,
    /// What is erased a whole span at a time. An entry lies under the first key of its span, and its value begins with
    /// the span's end (`kv::range::spans`): a split divides it, too.
    Erased = 7,
}

impl Space {
    /// The spaces that a range's span covers, in engine order. A split divides these.
    pub const KEYED: [Space; 5] =
        [Space::RangeLocal, Space::Lock, Space::Data, Space::History, Space::Erased];

    /// The keyed space with this number, if there is one.
    pub fn keyed_from(number: u32) -> Option<Space> {
        Self::KEYED.into_iter().find(|s| *s as u32 == number)
    }
}

/// The engine key of `suffix` under `key`.
pub fn engine_key(space: Space, key: &[u8], suffix: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len() + suffix.len() + 5);
    out.put_u8(space as u8);
    let mut rest = key;
    while let Some(zero) = memchr(ESCAPE, rest) {
        out.put_slice(&rest[..=zero]);
        out.put_u8(ESCAPED_ZERO);
        rest = &rest[zero + 1..];
    }
    out.put_slice(rest);
    out.put_slice(&[ESCAPE, TERMINATOR]);
    out.put_slice(suffix);
    out.freeze()
}

/// The length that an engine key has at most, for a user key and a suffix of these lengths.
pub fn engine_key_len_max(key_len: usize, suffix_len: usize) -> usize {
    2 * key_len + suffix_len + 3
}

/// The engine span that holds, in one space, everything of the half-open user span.
pub fn engine_span(space: Space, start: &[u8], end: &[u8]) -> Range<Bytes> {
    engine_key(space, start, &[])..engine_key(space, end, &[])
}

/// Splits an engine key of a keyed space into user key and suffix. `None` if it is not one.
pub fn decode_engine_key(engine_key: &Bytes) -> Option<(Bytes, Bytes)> {
    let body = engine_key.get(1..)?;
    let first = memchr(ESCAPE, body)?;
    if body.get(first + 1) == Some(&TERMINATOR) {
        // No escapes, as in nearly all of SQL's keys: no copy.
        return Some((engine_key.slice(1..1 + first), engine_key.slice(first + 3..)));
    }
    let mut key = Vec::with_capacity(body.len());
    let suffix = decode_engine_key_into(engine_key, &mut key)?.len();
    Some((key.into(), engine_key.slice(engine_key.len() - suffix..)))
}

/// As [`decode_engine_key`], with the user key in the place of what `key` held before. Gives the suffix.
pub fn decode_engine_key_into<'k>(engine_key: &'k [u8], key: &mut Vec<u8>) -> Option<&'k [u8]> {
    key.clear();
    let mut rest = engine_key.get(1..)?;
    loop {
        let zero = memchr(ESCAPE, rest)?;
        key.extend_from_slice(&rest[..zero]);
        let (&after, tail) = rest[zero + 1..].split_first()?;
        rest = tail;
        match after {
            TERMINATOR => return Some(rest),
            ESCAPED_ZERO => key.push(ESCAPE),
            _ => return None,
        }
    }
}

/// The engine key of something that belongs to a range as such.
pub fn range_id_key(range: RangeId, suffix: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(9 + suffix.len());
    out.put_u8(Space::RangeId as u8);
    out.put_u64(range.0);
    out.put_slice(suffix);
    out.freeze()
}

/// The engine span of everything that belongs to a range as such.
pub fn range_id_span(range: RangeId) -> Range<Bytes> {
    range_id_key(range, &[])..range_id_key(RangeId(range.0 + 1), &[])
}

/// The engine key of something that belongs to the store.
pub fn store_key(suffix: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + suffix.len());
    out.put_u8(Space::Store as u8);
    out.put_slice(suffix);
    out.freeze()
}

/// The least key greater than `key`.
pub fn successor(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len() + 1);
    out.put_slice(key);
    out.put_u8(0);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_keys_keep_the_order_and_never_prefix_each_other() {
        let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"a", b"a\0", b"a\0b"];
        for pair in keys.windows(2) {
            let low = engine_key(Space::Data, pair[0], b"\xff\xff\xff");
            let high = engine_key(Space::Data, pair[1], b"");
            assert!(low < high, "{pair:?}");
        }
        for key in keys {
            let encoded = engine_key(Space::Lock, key, b"suffix");
            assert_eq!(
                decode_engine_key(&encoded),
                Some((Bytes::copy_from_slice(key), Bytes::from_static(b"suffix")))
            );
        }
    }

    #[test]
    fn a_span_holds_every_suffix_of_its_keys_and_none_of_its_end() {
        let span = engine_span(Space::Data, b"a", b"b");
        assert!(span.contains(&engine_key(Space::Data, b"a", b"")));
        assert!(span.contains(&engine_key(Space::Data, b"a\xff\xff", b"\xff")));
        assert!(!span.contains(&engine_key(Space::Data, b"b", b"")));
        assert!(!span.contains(&engine_key(Space::Lock, b"a", b"")));
    }

    #[test]
    fn damaged_keys_are_refused() {
        for bad in [&b""[..], b"\x05", b"\x05abc", b"\x05a\x00", b"\x05a\x00\x07"] {
            assert_eq!(decode_engine_key(&Bytes::copy_from_slice(bad)), None);
        }
    }
}
