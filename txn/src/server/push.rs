//! Pushes: what about the transaction in the way?
//!
//! - I1. A committed transaction is never aborted, and a transaction that shows signs of life only by one that
//!   precedes it. The order is total, so of any circle of waiting transactions somebody may push.
//! - I2. A pusher creates no record. Where there is none it leaves a marker, and only the coordinator learns.
//! - I3. Where a record can no longer be created there is nothing left of the transaction but what was lost:
//!   a committed one is collected only after its last intent is resolved.

use std::time::Duration;

use kv::clock::Timestamp;

use super::evaluation::{Evaluation, Stop};
use super::markers::{Creation, committed_record};
use super::records::{self, is_finished};
use crate::api::{PushTxn, Response, TxnMeta, TxnRecord, TxnStatus};
use crate::mvcc::record;

/// Without a sign of life for so long, a transaction is abandoned. Five heartbeats.
const EXPIRY: Duration = Duration::from_secs(5);

/// Does `a` win over `b` when they block each other? Total over different transactions.
fn precedes(a: &TxnMeta, b: &TxnMeta) -> bool {
    (b.priority, a.min_ts, &a.id) < (a.priority, b.min_ts, &b.id)
}

impl Evaluation<'_> {
    /// Says what became of a transaction, or ends it.
    pub(super) fn push_txn(&mut self, push: &PushTxn) -> Result<Response, Stop> {
        let pushee = &push.pushee;
        let answer = |record| Ok(records::answer(record));
        let found = record::get(&self.eval.snapshot, &pushee.anchor, &pushee.id)?;
        let exists = found.is_some();
        let mut record = match found {
            Some(found) if is_finished(&found) => return answer(found),
            Some(found) => found,
            None => {
                let pending = TxnRecord {
                    status: TxnStatus::Pending as i32,
                    min_ts: pushee.min_ts,
                    priority: pushee.priority,
                    ..TxnRecord::default()
                };
                let markers = &self.server.markers;
                match markers.creation(&pushee.anchor, &pushee.id, pushee.min_ts) {
                    Creation::Allowed => pending,
                    Creation::Committed(ts) => return answer(committed_record(ts)),
                    Creation::Refused => {
                        let status = TxnStatus::Aborted as i32;
                        return answer(TxnRecord { status, ..pending });
                    }
                }
            }
        };
        let last_active = Timestamp::from_raw(record.heartbeat_ts.max(push.last_active));
        let expired = self.now > last_active.saturating_add(EXPIRY);
        let pusher = self.request.txn.as_ref().filter(|pusher| pusher.id != pushee.id);
        let wins = push.force && pusher.is_some_and(|pusher| precedes(pusher, pushee));
        if !expired && !wins {
            return answer(record);
        }
        record.status = TxnStatus::Aborted as i32;
        if exists {
            self.put_record(pushee, &record);
        }
        self.refuse_record(pushee.anchor.clone(), pushee.id.clone(), pushee.min_ts);
        answer(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_transactions_precedes_the_other() {
        let txn = |priority, min_ts, id: &'static [u8]| TxnMeta {
            priority,
            min_ts,
            id: id.into(),
            ..TxnMeta::default()
        };
        let order = [txn(2, 9, b"z"), txn(1, 3, b"z"), txn(1, 4, b"a"), txn(1, 4, b"b")];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(precedes(a, b), i < j, "{i} {j}");
            }
        }
    }
}
