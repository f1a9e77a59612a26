//! What became of a transaction, and what that makes of its intents.

use bytes::Bytes;
use kv::clock::Timestamp;

use super::intent::Intent;
use super::version::Version;
use crate::api::{Resolve, SequenceRange, TxnRecord, TxnStatus};

/// How a transaction ended. Never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// When it committed, if it did.
    pub commit_ts: Option<Timestamp>,
    /// Writes that were not committed with the others.
    pub ignored: Vec<SequenceRange>,
}

impl Finished {
    /// What a record says, if it is that of a finished transaction.
    pub fn of_record(record: &TxnRecord) -> Option<Finished> {
        match record.status() {
            TxnStatus::Committed => Some(Finished {
                commit_ts: Some(Timestamp::from_raw(record.commit_ts)),
                ignored: record.ignored.clone(),
            }),
            TxnStatus::Aborted => Some(Finished::default()),
            TxnStatus::Pending | TxnStatus::Unrecorded => None,
        }
    }

    /// What a resolution says.
    pub fn of_resolution(resolve: &Resolve) -> Finished {
        let commit_ts = (resolve.commit_ts != 0).then_some(Timestamp::from_raw(resolve.commit_ts));
        Finished { commit_ts, ignored: resolve.ignored.clone() }
    }

    /// The version that an intent of the transaction becomes, if any.
    ///
    /// An intent above the commit timestamp is not part of what was committed: it is a late delivery of a write
    /// whose first delivery has already been resolved (the version made of it pushed this one above).
    pub fn version_of(&self, intent: &Intent) -> Option<Version> {
        let commit_ts = self.commit_ts.filter(|commit_ts| intent.ts() <= *commit_ts)?;
        let (_, value): (u32, Option<Bytes>) = intent.visible_at(u32::MAX, &self.ignored)?;
        Some(Version::new(commit_ts, intent.local_ts(), value))
    }
}
