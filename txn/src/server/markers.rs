//! Tombstone markers: which transaction records must not be created any more.
//!
//! A marker is a timestamp under a record's key, in a timestamp cache of its own. A record may be created iff its
//! marker is below the transaction's `min_ts`. Only the coordinator creates its record, so that it learns at
//! the latest at commit that somebody gave it up; who gives it up while there is no record leaves a marker.
//!
//! - I1. A marker that blocks never unblocks: a later lease holder's low-water mark is the start of its lease,
//!   above everything that was marked under the lease before; or it was told of them ([`super::summary`]). (A range's
//!   first lease has none before it, and no mark.) So nobody marks but who serves.
//! - I2. A blocking marker with an owner says that the transaction committed in one phase at that timestamp.
//!   Without an owner it says nothing about what became of it, only that nothing more will.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::{self, Space};

use super::plan::record_key;
use crate::api::{TxnRecord, TxnStatus};
use crate::concurrency::TimestampCache;

const CAPACITY: usize = 100_000;

/// The markers of a node.
#[derive(Debug)]
pub(super) struct Markers(TimestampCache);

/// May a record be created?
#[derive(Debug, PartialEq)]
pub(super) enum Creation {
    /// Yes.
    Allowed,
    /// No: the transaction committed in one phase.
    Committed(Timestamp),
    /// No: it is finished, or has been given up.
    Refused,
}

impl Markers {
    pub(super) fn new() -> Self {
        Markers(TimestampCache::new(CAPACITY))
    }

    /// May the record be created?
    pub(super) fn creation(&self, anchor: &[u8], id: &[u8], min_ts: u64) -> Creation {
        match self.0.max(&record_key(anchor, id)) {
            (ts, _) if ts.raw() < min_ts => Creation::Allowed,
            (ts, Some(owner)) if owner == id => Creation::Committed(ts),
            _ => Creation::Refused,
        }
    }

    /// The record must never be created, provided that `ts` is at least the transaction's `min_ts`.
    pub(super) fn refuse(&self, anchor: &[u8], id: &[u8], ts: Timestamp) {
        self.0.add_key(&record_key(anchor, id), ts, None);
    }

    /// The transaction committed in one phase at `ts`.
    pub(super) fn committed(&self, anchor: &[u8], id: &Bytes, ts: Timestamp) {
        self.0.add_key(&record_key(anchor, id), ts, Some(id));
    }

    /// As the timestamp cache that they are.
    pub(super) fn cache(&self) -> &TimestampCache {
        &self.0
    }

    /// A lease on the span began at `ts`: what was marked before is not known.
    pub(super) fn lease_began(&self, start: &[u8], end: &[u8], ts: Timestamp) {
        let span = keys::engine_span(Space::RangeLocal, start, end);
        self.0.add(&span.start, &span.end, ts, None);
    }
}

/// The record that a one-phase commit would have left.
pub(super) fn committed_record(commit_ts: Timestamp) -> TxnRecord {
    TxnRecord {
        status: TxnStatus::Committed as i32,
        commit_ts: commit_ts.raw(),
        ..TxnRecord::default()
    }
}
