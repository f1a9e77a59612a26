//! Transaction records: under the anchor key in the range-local space, suffix the transaction's id, so that
//! a split divides them with the keys.

use bytes::{BufMut, Bytes, BytesMut};
use kv::engine::EngineError;
use kv::keys::Space;
use kv::seam::{RangeSnapshot, WriteBatch};
use prost::Message;

use crate::api::TxnRecord;

const FORMAT: u8 = 1;

/// The record of a transaction.
pub fn get(
    snapshot: &RangeSnapshot,
    anchor: &[u8],
    id: &[u8],
) -> Result<Option<TxnRecord>, EngineError> {
    let Some(stored) = snapshot.get(Space::RangeLocal, anchor, id)? else { return Ok(None) };
    match stored.first() {
        Some(&FORMAT) => TxnRecord::decode(stored.slice(1..))
            .map(Some)
            .map_err(|e| EngineError::Corrupt(format!("undecodable transaction record: {e}"))),
        other => {
            Err(EngineError::Corrupt(format!("transaction record of unknown format {other:?}")))
        }
    }
}

/// Writes a record.
pub fn put(batch: &mut WriteBatch, anchor: Bytes, id: Bytes, record: &TxnRecord) {
    let mut out = BytesMut::with_capacity(1 + record.encoded_len());
    out.put_u8(FORMAT);
    record.encode(&mut out).expect("a BytesMut grows");
    batch.put(Space::RangeLocal, anchor, id, out.freeze());
}

/// Removes a record.
pub fn remove(batch: &mut WriteBatch, anchor: Bytes, id: Bytes) {
    batch.delete(Space::RangeLocal, anchor, id);
}
