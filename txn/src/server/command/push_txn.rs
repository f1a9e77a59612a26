//! Pushes: what about the transaction in the way?
//!
//! - I1. A committed transaction is never aborted, nor is one that shows signs of life. (Of a circle of transactions that
//!   wait for each other one gives up by itself: `server::wait`.)
//! - I2. A pusher creates no record. Where there is none it leaves a marker, and only the coordinator learns.
//! - I3. Where a record can no longer be created there is nothing left of the transaction but what was lost:
//!   a committed one is collected only after its last intent is resolved.

use std::time::Duration;

use kv::clock::Timestamp;

use super::{Command, Within};
use crate::api::{PushTxn, Response, TxnRecord, TxnStatus};
use crate::mvcc::record;
use crate::server::evaluation::{Evaluation, Stop};
use crate::server::markers::{Creation, committed_record};
use crate::server::plan::{Plan, check_txn};
use crate::server::records::{self, is_finished};

/// Without a sign of life for so long, a transaction is abandoned. Five heartbeats.
const EXPIRY: Duration = Duration::from_secs(5);

impl Command for PushTxn {
    fn declare(&self, plan: &mut Plan, _: Within<'_>) -> Result<(), String> {
        let pushee = &self.pushee;
        check_txn(pushee)?;
        plan.record(&pushee.anchor, &pushee.id, pushee.min_ts, true)
    }

    fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<Response, Stop> {
        let pushee = &self.pushee;
        let answer = |record| Ok(records::answer(record));
        let found = record::get(&evaluation.eval.snapshot, &pushee.anchor, &pushee.id)?;
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
                let markers = &evaluation.server.markers;
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
        let last_active = Timestamp::from_raw(record.heartbeat_ts.max(self.last_active));
        let expired = evaluation.now > last_active.saturating_add(EXPIRY);
        if !expired {
            let waits =
                evaluation.server.waits.of(&pushee.id, evaluation.server.env.clock.monotonic());
            return Ok(Response { waits, ..records::answer(record) });
        }
        record.status = TxnStatus::Aborted as i32;
        if exists {
            evaluation.put_record(pushee, &record);
        }
        evaluation.refuse_record(pushee.anchor.clone(), pushee.id.clone(), pushee.min_ts);
        answer(record)
    }
}
