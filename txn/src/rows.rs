//! Rows: keys with their values, one behind the other in one buffer. What a scan finds stays in it all the way from the
//! engine to whoever asked: a row by itself costs no allocation, and nobody is counted as its owner.
//!
//! A row is the lengths of its key and its value (four bytes each, the least first), then both.

use bytes::{BufMut, Bytes, BytesMut};

const HEAD: usize = 8;

/// A key and its value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Row {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// Rows that are complete. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    packed: Bytes,
    len: usize,
    last: usize,
}

impl Rows {
    /// Rows as they were packed; none if they were not.
    pub fn unpack(packed: Bytes) -> Option<Rows> {
        let (mut at, mut len, mut last) = (0, 0, 0);
        while at < packed.len() {
            let (key, value) = lengths(packed.get(at..)?)?;
            last = at;
            at = at.checked_add(HEAD)?.checked_add(key)?.checked_add(value)?;
            len += 1;
        }
        (at == packed.len()).then_some(Rows { packed, len, last })
    }

    /// The bytes that [`Rows::unpack`] takes.
    pub fn packed(self) -> Bytes {
        self.packed
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True iff there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.packed)
    }

    /// The last row's key.
    pub fn last_key(&self) -> Option<&[u8]> {
        Iter(self.packed.get(self.last..)?).next().map(|(key, _)| key)
    }

    /// The first rows, `count` at most, taken out.
    pub fn take(&mut self, count: usize) -> Rows {
        if count >= self.len {
            return std::mem::take(self);
        }
        let (mut end, mut last) = (0, 0);
        for (key, value) in self.iter().take(count) {
            last = end;
            end += HEAD + key.len() + value.len();
        }
        self.len -= count;
        // Of what is left, the last row is the same.
        self.last -= end;
        Rows { packed: self.packed.split_to(end), len: count, last }
    }

    /// Every row by itself; all share the buffer.
    pub fn to_vec(&self) -> Vec<Row> {
        let own = |part: &[u8]| self.packed.slice_ref(part);
        self.iter().map(|(key, value)| Row { key: own(key), value: own(value) }).collect()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for Rows {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(rows: I) -> Rows {
        let mut builder = RowsBuilder::default();
        for (key, value) in rows {
            builder.push(key.as_ref(), value.as_ref());
        }
        builder.finish()
    }
}

/// Takes rows one by one.
#[derive(Debug, Default)]
pub struct RowsBuilder {
    packed: BytesMut,
    len: usize,
    last: usize,
}

impl RowsBuilder {
    /// Adds a row behind the others. Both parts are below 4 GiB (`MAX_KEY_BYTES`, `MAX_VALUE_BYTES`).
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.last = self.packed.len();
        self.len += 1;
        self.packed.reserve(HEAD + key.len() + value.len());
        self.packed.put_u32_le(key.len() as u32);
        self.packed.put_u32_le(value.len() as u32);
        self.packed.put_slice(key);
        self.packed.put_slice(value);
    }

    /// Adds all of some rows.
    pub fn append(&mut self, rows: Rows) {
        if rows.is_empty() {
            return;
        }
        self.last = self.packed.len() + rows.last;
        self.len += rows.len;
        match self.packed.is_empty() {
            // As a whole, if nobody else has them.
            true => self.packed = rows.packed.into(),
            false => self.packed.extend_from_slice(&rows.packed),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True iff there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.packed)
    }

    /// Drops the rows of some keys.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let kept: Rows = self.iter().filter(|(key, _)| keep(key)).collect();
        (self.len, self.last) = (kept.len, kept.last);
        self.packed = kept.packed.into();
    }

    /// The rows.
    pub fn finish(self) -> Rows {
        Rows { packed: self.packed.freeze(), len: self.len, last: self.last }
    }
}

/// Walks over rows.
#[derive(Clone, Debug)]
pub struct Iter<'r>(&'r [u8]);

impl<'r> Iterator for Iter<'r> {
    type Item = (&'r [u8], &'r [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key_len, value_len) = lengths(self.0)?;
        let (key, rest) = self.0[HEAD..].split_at(key_len);
        let (value, rest) = rest.split_at(value_len);
        self.0 = rest;
        Some((key, value))
    }
}

fn lengths(packed: &[u8]) -> Option<(usize, usize)> {
    let (key, rest) = packed.split_first_chunk::<4>()?;
    let (value, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*key) as usize, u32::from_le_bytes(*value) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut builder = RowsBuilder::default();
        assert!(builder.is_empty());
        builder.push(b"a", b"one");
        builder.push(b"", b"");
        builder.append([("c", "3"), ("d", "4")].into_iter().collect());
        builder.retain(|key| key != b"c");
        assert_eq!(builder.len(), 3);
        let rows = builder.finish();
        assert_eq!((rows.len(), rows.last_key()), (3, Some(&b"d"[..])));
        let shown: Vec<_> = rows.iter().collect();
        assert_eq!(shown, [(&b"a"[..], &b"one"[..]), (b"", b""), (b"d", b"4")]);
        let mut rest = rows.clone();
        let first = rest.take(2);
        assert_eq!((first.len(), first.last_key()), (2, Some(&b""[..])));
        assert_eq!(first.iter().chain(rest.iter()).collect::<Vec<_>>(), shown);
        assert_eq!((rest.len(), rest.last_key()), (1, Some(&b"d"[..])));
        assert_eq!((rest.take(9).len(), rest.len(), rest.last_key()), (1, 0, None));
        assert_eq!(rows.to_vec()[2], Row { key: "d".into(), value: "4".into() });
        assert_eq!(Rows::unpack(rows.clone().packed()), Some(rows));
        assert_eq!(Rows::unpack(Bytes::new()), Some(Rows::default()));
        assert_eq!(Rows::default().last_key(), None);
    }

    #[test]
    fn what_was_cut_short_is_no_rows() {
        let packed = [("key", "value"), ("k", "")].into_iter().collect::<Rows>().packed();
        let whole = [0, 16, packed.len()];
        for cut in 0..=packed.len() {
            assert_eq!(Rows::unpack(packed.slice(..cut)).is_some(), whole.contains(&cut), "{cut}");
        }
        assert_eq!(Rows::unpack(Bytes::from_static(&[0xff; 12])), None);
    }
}
