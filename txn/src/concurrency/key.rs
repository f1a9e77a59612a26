//! Keys of maps with many entries: where they differ early, as most do, they are compared without a look elsewhere in memory.
//!
//! A key is copied: nothing of the frame that it came in stays in memory for it.

use std::cmp::Ordering;

use bytes::Bytes;

/// Bytes that are kept in the key itself.
const HEAD: usize = 16;

/// A key, ordered as its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The first bytes, with zeros behind a shorter key: ordered as the bytes are, but for zeros at the end.
    head: [u64; 2],
    /// How many of them are the key's; one more when there is a rest.
    len: u8,
    rest: Box<[u8]>,
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Key {
        let (first, rest) = key.split_at(key.len().min(HEAD));
        let mut head = [0; HEAD];
        head[..first.len()].copy_from_slice(first);
        let [a, b]: [[u8; 8]; 2] = [
            head[..8].try_into().expect("eight of sixteen"),
            head[8..].try_into().expect("eight of sixteen"),
        ];
        Key {
            head: [u64::from_be_bytes(a), u64::from_be_bytes(b)],
            len: first.len() as u8 + u8::from(!rest.is_empty()),
            rest: rest.into(),
        }
    }

    /// Its bytes.
    pub(super) fn to_bytes(&self) -> Bytes {
        let head = self.head.map(u64::to_be_bytes).concat();
        let first = usize::from(self.len).min(HEAD);
        [&head[..first], &self.rest].concat().into()
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of two with the same head, the one with fewer bytes there is the other's beginning.
        (self.head, self.len).cmp(&(other.head, other.len)).then_with(|| self.rest.cmp(&other.rest))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use kv::env::Rng;

    use super::*;
    use crate::testing::TestRng;

    #[test]
    fn keys_are_ordered_as_their_bytes() {
        let rng = TestRng::new(11);
        let key = || -> Vec<u8> {
            let zeros = rng.below(20) as usize;
            let mut key = vec![0; zeros];
            key.extend((0..rng.below(4)).map(|_| rng.below(2) as u8));
            key
        };
        for _ in 0..20_000 {
            let (a, b) = (key(), key());
            assert_eq!(Key::new(&a).cmp(&Key::new(&b)), a.cmp(&b), "{a:?} {b:?}");
            assert_eq!(Key::new(&a) == Key::new(&b), a == b);
        }
    }
}
