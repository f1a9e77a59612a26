//! The life of a transaction record: what its commands (heartbeats, the end, questions, removal) have in common.
//!
//! - I1. A record is created only while the markers allow it, and only by its coordinator.
//! - I2. A finished record never changes.
//! - I3. A commit is at one timestamp for reads and writes, and below its deadline.
//! - I4. A commit in one phase leaves no record: that of a beat goes with the batch that commits.
//!
//! HAZARD: an answer `Aborted` to a commit means that *this* delivery did not commit, and that none will from
//! now on. After an earlier delivery with unknown outcome, and a change of lease in between, that one may have.

use bytes::Bytes;
use kv::clock::Timestamp;

use super::evaluation::{Effect, Evaluation, Stop, error};
use crate::api::{ErrorKind, Response, TxnMeta, TxnRecord, TxnStatus};
use crate::mvcc::record;

/// Without the keys, which may be many: no asker needs them.
pub(super) fn answer(record: TxnRecord) -> Response {
    let record = TxnRecord { keys: Vec::new(), spans: Vec::new(), ..record };
    Response { record: Some(Box::new(record)), ..Response::default() }
}

pub(super) fn aborted() -> Stop {
    error(ErrorKind::Aborted, Timestamp::ZERO, "the transaction was aborted by another")
}

/// True iff the record will never change.
pub(super) fn is_finished(record: &TxnRecord) -> bool {
    matches!(record.status(), TxnStatus::Committed | TxnStatus::Aborted)
}

impl Evaluation<'_> {
    /// Writes a record of the batch's, or a pushed, transaction.
    pub(super) fn put_record(&mut self, txn: &TxnMeta, record: &TxnRecord) {
        record::put(&mut self.batch, txn.anchor.clone(), txn.id.clone(), record);
        self.batch_ts = self.batch_ts.max(self.now);
    }

    /// The record must not be created any more, once this batch is applied.
    pub(super) fn refuse_record(&mut self, anchor: Bytes, id: Bytes, min_ts: u64) {
        let ts = self.now.max(Timestamp::from_raw(min_ts));
        self.effects.push(Effect::Refuse { anchor, id, ts });
    }
}
