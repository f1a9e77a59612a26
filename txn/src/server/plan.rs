//! What a batch is going to touch, worked out before anything is held. Everything that arrives from the
//! network is checked here; evaluation relies on it.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::{self, Space};

use crate::api::{BatchRequest, MAX_KEY_BYTES, Span, TxnMeta};
use crate::concurrency::LatchSpan;

/// Spans that a batch may delete as a whole: those of a table's indexes.
const MAX_DELETED_SPANS: usize = 64;
/// Timestamps at or above it are refused: arithmetic on the others cannot overflow.
const TS_END: u64 = 1 << 63;

/// What a batch touches.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Spans of user keys.
    pub(super) spans: Vec<LatchSpan>,
    /// Spans of transaction records, as [`record_key`]s.
    pub(super) records: Vec<LatchSpan>,
    /// Smallest span that covers all of it.
    pub(super) start: Bytes,
    /// Its end.
    pub(super) end: Bytes,
    /// The batch reads at the transaction's read timestamp.
    pub(super) reads: bool,
    /// The earliest timestamp that it has read at before, if it checks that.
    pub(super) refreshes_from: Option<Timestamp>,
    /// The batch may write something.
    pub(super) writes: bool,
    /// It writes at the transaction's write timestamp.
    pub(super) puts: bool,
    /// The batch acts at the present time or at this one, whichever is later (records, resolutions).
    pub(super) acts: Option<Timestamp>,
    /// The batch is a one-phase commit.
    pub(super) one_phase: bool,
    /// How many spans it deletes as a whole.
    pub(super) deleted_spans: usize,
    /// How many resolutions it has.
    pub(super) resolves: usize,
}

/// Where the record of a transaction lies among all records; what it is latched and marked under.
pub(super) fn record_key(anchor: &[u8], id: &[u8]) -> Bytes {
    keys::engine_key(Space::RangeLocal, anchor, id)
}

impl Plan {
    /// Checks a batch by what its requests have declared. The error is for people.
    pub(super) fn check(&self, request: &BatchRequest) -> Result<(), String> {
        let requests = request.requests.len();
        if self.records.len() > 1 {
            return Err("more than one request on transaction records in a batch".into());
        }
        if self.resolves > 0 && self.resolves < requests {
            return Err("a resolution together with other requests".into());
        }
        let spans = self.deleted_spans;
        if spans > MAX_DELETED_SPANS || spans > 0 && !(self.one_phase && spans + 1 == requests) {
            return Err("deletions of spans that are too many, or no commit of their own".into());
        }
        if self.one_phase && self.reads {
            return Err("a read within a one-phase commit".into());
        }
        Ok(())
    }

    /// Of what is only remembered: by the lease holder of a key, without latches.
    pub(super) fn memory(&mut self, key: &Bytes) -> Result<(), String> {
        self.acts = self.acts.max(Some(Timestamp::ZERO));
        self.cover(key, &keys::successor(key))
    }

    pub(super) fn record(
        &mut self,
        anchor: &Bytes,
        id: &Bytes,
        min_ts: u64,
        write: bool,
    ) -> Result<(), String> {
        check_id(id)?;
        if anchor.is_empty() {
            return Err("no anchor key".into());
        }
        let start = record_key(anchor, id);
        let end = keys::successor(&start);
        self.writes |= write;
        self.records.push(LatchSpan { start, end, write });
        self.acts = self.acts.max(Some(Timestamp::from_raw(min_ts)));
        self.cover(anchor, &keys::successor(anchor))
    }

    pub(super) fn key(&mut self, key: &Bytes, write: bool) -> Result<(), String> {
        let end = keys::successor(key);
        self.cover(key, &end)?;
        self.spans.push(LatchSpan { start: key.clone(), end, write });
        Ok(())
    }

    /// Half-open, of user keys that are written at the transaction's write timestamp.
    pub(super) fn put(&mut self, start: &Bytes, end: &Bytes) -> Result<(), String> {
        (self.writes, self.puts) = (true, true);
        self.cover(start, end)?;
        self.spans.push(LatchSpan { start: start.clone(), end: end.clone(), write: true });
        Ok(())
    }

    pub(super) fn span(&mut self, span: &Span, write: bool) -> Result<(), String> {
        self.cover(&span.start, &span.end)?;
        self.spans.push(LatchSpan { start: span.start.clone(), end: span.end.clone(), write });
        Ok(())
    }

    fn cover(&mut self, start: &Bytes, end: &Bytes) -> Result<(), String> {
        if start >= end {
            return Err("a span without a key in it".into());
        }
        if start.len() > MAX_KEY_BYTES + 1 || end.len() > MAX_KEY_BYTES + 1 {
            return Err(format!("a key of more than {MAX_KEY_BYTES} bytes"));
        }
        if self.end.is_empty() || start < &self.start {
            self.start = start.clone();
        }
        if end > &self.end {
            self.end = end.clone();
        }
        Ok(())
    }
}

pub(super) fn check_txn(txn: &TxnMeta) -> Result<(), String> {
    check_id(&txn.id)?;
    check_ts(txn.min_ts)?;
    check_ts(txn.read_ts)?;
    check_ts(txn.write_ts)?;
    Ok(())
}

pub(super) fn check_id(id: &Bytes) -> Result<(), String> {
    match id.len() {
        16 => Ok(()),
        n => Err(format!("a transaction id of {n} bytes")),
    }
}

pub(super) fn check_ts(raw: u64) -> Result<(), String> {
    if raw < TS_END { Ok(()) } else { Err("a timestamp beyond the end of time".into()) }
}
