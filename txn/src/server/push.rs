//! Pushes: what about the transaction in the way?
//!
//! - I1. A committed transaction is never aborted, nor is one that shows signs of life. (Of a circle of transactions that
//!   wait for each other one gives up by itself: `wait`.)
//! - I2. A pusher creates no record. Where there is none it leaves a marker, and only the coordinator learns.
//! - I3. Where a record can no longer be created there is nothing left of the transaction but what was lost:
//!   a committed one is collected only after its last intent is resolved.

use std::time::Duration;

use kv::clock::Timestamp;

use super::evaluation::{Evaluation, Stop};
use super::markers::{Creation, committed_record};
use super::records::{self, is_finished};
use crate::api::{PushTxn, Response, TxnRecord, TxnStatus};
use crate::mvcc::record;

/// Without a sign of life for so long, a transaction is abandoned. Five heartbeats.
const EXPIRY: Duration = Duration::from_secs(5);

impl Evaluation<'_> {
    /// Says what became of a transaction and for whom it waits, or ends it if it is dead.
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
        if !expired {
            let waits = self.server.waits.of(&pushee.id, self.server.env.clock.monotonic());
            return Ok(Response { waits, ..records::answer(record) });
        }
        record.status = TxnStatus::Aborted as i32;
        if exists {
            self.put_record(pushee, &record);
        }
        self.refuse_record(pushee.anchor.clone(), pushee.id.clone(), pushee.min_ts);
        answer(record)
    }
}
