//! A batch: changes to the keys of one range that are replicated and applied together.

use bytes::Bytes;
use prost::Message;

use crate::keys::Space;
use crate::range::spans::SpanEntry;

/// One change to the keyed part of a range.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchOp {
    /// The number of a keyed [`Space`].
    #[prost(uint32, tag = "1")]
    pub space: u32,
    /// User key, unescaped.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    /// What follows the key in that space.
    #[prost(bytes = "bytes", tag = "3")]
    pub suffix: Bytes,
    /// The new value; none removes the entry.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub value: Option<Bytes>,
}

impl BatchOp {
    /// Of a change that says something of a span: where that ends.
    pub(crate) fn span_end(&self) -> Option<Bytes> {
        let stored = self.value.as_ref().filter(|_| self.space == Space::Erased as u32)?;
        SpanEntry::of(self.key.clone(), Bytes::new(), stored.clone()).map(|entry| entry.end)
    }
}

/// Changes to one range that are replicated and applied together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBatch {
    /// The changes in order; later ones win.
    pub ops: Vec<BatchOp>,
    bytes: usize,
}

impl WriteBatch {
    /// Sets an entry.
    pub fn put(&mut self, space: Space, key: Bytes, suffix: Bytes, value: Bytes) {
        self.push(BatchOp { space: space as u32, key, suffix, value: Some(value) });
    }

    /// Sets an entry that is about a span (`kv::range::spans`).
    pub fn put_span(&mut self, entry: &SpanEntry) {
        self.put(Space::Erased, entry.start.clone(), entry.suffix.clone(), entry.stored());
    }

    /// Removes an entry, if it is there.
    pub fn delete(&mut self, space: Space, key: Bytes, suffix: Bytes) {
        self.push(BatchOp { space: space as u32, key, suffix, value: None });
    }

    fn push(&mut self, op: BatchOp) {
        let len = op.encoded_len();
        // With the tag of a field and its length.
        self.bytes += 1 + prost::length_delimiter_len(len) + len;
        self.ops.push(op);
    }

    /// Adds the changes of another batch behind the own ones.
    pub fn append(&mut self, other: WriteBatch) {
        self.bytes += other.bytes;
        self.ops.extend(other.ops);
    }

    /// Bytes that the changes take in a command.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True iff there is nothing to replicate.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}
