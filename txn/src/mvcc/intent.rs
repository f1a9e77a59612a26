//! Intents: writes of unfinished transactions, and the exclusive locks that they are.

use bytes::{BufMut, Bytes, BytesMut};
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys::Space;
use kv::seam::{RangeSnapshot, WriteBatch};
use prost::Message;

use super::layout::{self, Order};
use crate::api::{SequenceRange, TxnMeta};

const FORMAT: u8 = 1;

/// An earlier write of the same transaction to the same key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Earlier {
    /// Its number within the transaction.
    #[prost(uint32, tag = "1")]
    pub sequence: u32,
    /// Its value; none deleted.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// The write of an unfinished transaction to a key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Intent {
    /// Whose it is: id, anchor, beginning, priority; `write_ts` is the intent's timestamp.
    #[prost(message, required, tag = "1")]
    pub txn: TxnMeta,
    /// The lease holder's clock when it was written.
    #[prost(fixed64, tag = "2")]
    pub local_ts: u64,
    /// Number of the newest write.
    #[prost(uint32, tag = "3")]
    pub sequence: u32,
    /// The newest value; none deletes.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub value: Option<Bytes>,
    /// Earlier writes, ascending by sequence.
    #[prost(message, repeated, tag = "5")]
    pub history: Vec<Earlier>,
}

impl Intent {
    /// A transaction's first write to a key.
    pub fn new(
        txn: &TxnMeta,
        ts: Timestamp,
        clock: Timestamp,
        sequence: u32,
        value: Option<Bytes>,
    ) -> Self {
        let txn = TxnMeta {
            id: txn.id.clone(),
            anchor: txn.anchor.clone(),
            min_ts: txn.min_ts,
            write_ts: ts.raw(),
            priority: txn.priority,
            ..TxnMeta::default()
        };
        Intent { txn, local_ts: clock.min(ts).raw(), sequence, value, history: Vec::new() }
    }

    /// Its timestamp. The transaction commits at it or later.
    pub fn ts(&self) -> Timestamp {
        Timestamp::from_raw(self.txn.write_ts)
    }

    /// The lease holder's clock when it was written.
    pub fn local_ts(&self) -> Timestamp {
        Timestamp::from_raw(self.local_ts)
    }

    /// What a read of the own transaction at `sequence` sees of it, with the write's number, if it does not see the
    /// writes in `ignored`. `None`: nothing.
    pub fn visible_at(
        &self,
        sequence: u32,
        ignored: &[SequenceRange],
    ) -> Option<(u32, Option<Bytes>)> {
        let is_seen = |number: u32| {
            let is_ignored = ignored.iter().any(|r| r.first <= number && number <= r.last);
            number <= sequence && !is_ignored
        };
        if is_seen(self.sequence) {
            return Some((self.sequence, self.value.clone()));
        }
        let earlier = self.history.iter().rev().find(|e| is_seen(e.sequence))?;
        Some((earlier.sequence, earlier.value.clone()))
    }

    /// Adds a write of the same transaction. Returns false when it is already there: requests are delivered
    /// again, and late. What it supersedes stays in the history if its number is `keep` at most.
    pub fn add(
        &mut self,
        ts: Timestamp,
        clock: Timestamp,
        (sequence, value): (u32, Option<Bytes>),
        keep: u32,
    ) -> bool {
        if sequence == self.sequence || self.history.iter().any(|e| e.sequence == sequence) {
            return false;
        }
        if sequence > self.sequence {
            let superseded = Earlier { sequence: self.sequence, value: self.value.take() };
            if superseded.sequence <= keep {
                self.history.push(superseded);
            }
            self.sequence = sequence;
            self.value = value;
        } else {
            let at = self.history.partition_point(|e| e.sequence < sequence);
            self.history.insert(at, Earlier { sequence, value });
        }
        self.txn.write_ts = self.txn.write_ts.max(ts.raw());
        self.local_ts = clock.raw().min(self.txn.write_ts);
        true
    }

    fn decode_stored(stored: Bytes) -> Result<Self, EngineError> {
        match stored.first() {
            Some(&FORMAT) => Intent::decode(stored.slice(1..))
                .map_err(|e| EngineError::Corrupt(format!("undecodable intent: {e}"))),
            other => Err(EngineError::Corrupt(format!("intent of unknown format {other:?}"))),
        }
    }
}

/// The intent on a key.
pub fn get(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Option<Intent>, EngineError> {
    snapshot.get(Space::Lock, key, &[])?.map(Intent::decode_stored).transpose()
}

/// The intents of a span, in key order. Lazy.
pub(crate) fn scan<'s>(
    snapshot: &'s RangeSnapshot,
    start: &[u8],
    end: &[u8],
    order: Order,
) -> layout::Entries<'s, Intent> {
    if layout::is_key(start, end) {
        return layout::one(start, get(snapshot, start));
    }
    order.entries(snapshot, Space::Lock, (start, end), Intent::decode_stored)
}

/// Writes an intent, over an earlier one of the same transaction if there is one.
pub fn put(batch: &mut WriteBatch, key: Bytes, intent: &Intent) {
    let mut out = BytesMut::with_capacity(1 + intent.encoded_len());
    out.put_u8(FORMAT);
    intent.encode(&mut out).expect("a BytesMut grows");
    batch.put(Space::Lock, key, Bytes::new(), out.freeze());
}

/// Removes the intent on a key.
pub fn remove(batch: &mut WriteBatch, key: Bytes) {
    batch.delete(Space::Lock, key, Bytes::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_sees_the_newest_own_write_at_or_below_its_sequence() {
        let ts = Timestamp::from_raw;
        let value = |v: &'static str| Some(Bytes::from(v));
        let mut intent = Intent::new(&TxnMeta::default(), ts(5), ts(5), 2, value("two"));
        assert!(intent.add(ts(6), ts(6), (5, None), 4));
        assert!(intent.add(ts(4), ts(7), (4, value("four")), 4), "late, out of order");
        assert!(!intent.add(ts(9), ts(9), (2, value("again")), 4), "delivered twice");
        assert_eq!(intent.ts(), ts(6));
        assert_eq!(intent.visible_at(1, &[]), None);
        assert_eq!(intent.visible_at(3, &[]), Some((2, value("two"))));
        assert_eq!(intent.visible_at(4, &[]), Some((4, value("four"))));
        assert_eq!(intent.visible_at(9, &[]), Some((5, None)));
        let ignored = |first, last| [SequenceRange { first, last }];
        assert_eq!(intent.visible_at(9, &ignored(5, 5)), Some((4, value("four"))));
        assert_eq!(intent.visible_at(9, &ignored(3, 9)), Some((2, value("two"))));
        assert_eq!(intent.visible_at(9, &ignored(1, 9)), None);
        // Nothing goes back to what was written after the latest savepoint.
        let mut pruned = intent.clone();
        assert!(pruned.add(ts(8), ts(8), (7, value("seven")), 4));
        assert_eq!(pruned.visible_at(6, &[]), Some((4, value("four"))));
        let stored = {
            let mut batch = WriteBatch::default();
            put(&mut batch, Bytes::from_static(b"k"), &intent);
            batch.ops[0].value.clone().unwrap()
        };
        assert_eq!(Intent::decode_stored(stored.clone()).unwrap(), intent);
        assert!(Intent::decode_stored(stored.slice(1..)).is_err());
    }
}
