//! What a batch is going to touch, worked out before anything is held. Everything that arrives from the
//! network is checked here; evaluation relies on it.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::{self, Space};

use crate::api::{
    BatchRequest, EndTxn, MAX_KEY_BYTES, MAX_ONE_PHASE_WRITES, RequestKind, Span, TxnMeta,
};
use crate::concurrency::LatchSpan;

/// As many requests as any coordinator sends in one batch: writes, and the end of their transaction.
const MAX_REQUESTS: usize = MAX_ONE_PHASE_WRITES + 1;
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
    /// The batch acts at the present time or at this one, whichever is later (records, resolutions).
    pub(super) acts: Option<Timestamp>,
    /// The batch is a one-phase commit.
    pub(super) one_phase: bool,
    /// How many spans it deletes as a whole.
    deleted_spans: usize,
}

/// Where the record of a transaction lies among all records; what it is latched and marked under.
pub(super) fn record_key(anchor: &[u8], id: &[u8]) -> Bytes {
    keys::engine_key(Space::RangeLocal, anchor, id)
}

impl Plan {
    /// Checks a batch and declares what it touches. The error is for people.
    pub(super) fn new(request: &BatchRequest) -> Result<Plan, String> {
        if request.requests.is_empty() || request.requests.len() > MAX_REQUESTS {
            return Err(format!("a batch of {} requests", request.requests.len()));
        }
        if let Some(txn) = &request.txn {
            check_txn(txn)?;
        }
        let mut plan = Plan::default();
        let mut resolves = 0;
        for (n, one) in request.requests.iter().enumerate() {
            let kind = one.kind.as_ref().ok_or("a request of an unknown kind")?;
            let is_last = n + 1 == request.requests.len();
            resolves += usize::from(matches!(kind, RequestKind::Resolve(_)));
            plan.add(request.txn.as_ref(), kind, is_last)?;
        }
        if plan.records.len() > 1 {
            return Err("more than one request on transaction records in a batch".into());
        }
        if resolves > 0 && resolves < request.requests.len() {
            return Err("a resolution together with other requests".into());
        }
        if plan.deleted_spans > MAX_DELETED_SPANS
            || plan.deleted_spans > 0
                && !(plan.one_phase && plan.deleted_spans + 1 == request.requests.len())
        {
            return Err("deletions of spans that are too many, or no commit of their own".into());
        }
        if plan.one_phase && plan.reads {
            return Err("a read within a one-phase commit".into());
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        txn: Option<&TxnMeta>,
        kind: &RequestKind,
        is_last: bool,
    ) -> Result<(), String> {
        let txn = || txn.ok_or_else(|| "a request without its transaction".to_string());
        let anchored = || {
            let txn = txn()?;
            if txn.anchor.is_empty() { Err("no anchor key".to_string()) } else { Ok(txn) }
        };
        match kind {
            RequestKind::Get(get) => {
                if get.lock {
                    anchored()?
                } else {
                    txn()?
                };
                self.reads = true;
                self.key(&get.key, get.lock)
            }
            RequestKind::Scan(scan) => {
                if scan.lock {
                    anchored()?
                } else {
                    txn()?
                };
                self.reads = true;
                self.span(&scan.span, scan.lock)
            }
            RequestKind::Refresh(refresh) => {
                txn()?;
                self.reads = true;
                self.span(&refresh.span, false)
            }
            RequestKind::Put(put) => {
                if put.sequence == 0 {
                    return Err("a write without its sequence number".into());
                }
                anchored()?;
                self.key(&put.key, true)
            }
            RequestKind::DeleteSpan(delete) => {
                self.deleted_spans += 1;
                anchored()?;
                self.span(&delete.span, true)
            }
            RequestKind::EndTxn(EndTxn { one_phase, .. }) => {
                if !is_last {
                    return Err("a transaction ends before its batch".into());
                }
                self.one_phase = *one_phase;
                let txn = anchored()?;
                self.record(&txn.anchor, &txn.id, txn.min_ts, true)
            }
            RequestKind::Heartbeat(_) => {
                let txn = anchored()?;
                self.record(&txn.anchor, &txn.id, txn.min_ts, true)
            }
            RequestKind::PushTxn(push) => {
                check_txn(&push.pushee)?;
                self.record(&push.pushee.anchor, &push.pushee.id, push.pushee.min_ts, true)
            }
            RequestKind::QueryTxn(query) => self.record(&query.anchor, &query.txn_id, 0, false),
            RequestKind::ReportWait(wait) => {
                check_txn(&wait.holder)?;
                self.memory(&anchored()?.anchor)
            }
            RequestKind::BreakWait(wait) => {
                check_id(&wait.waiter)?;
                self.memory(&wait.key)
            }
            RequestKind::CollectTxn(gone) => self.record(&gone.anchor, &gone.txn_id, 0, true),
            RequestKind::Resolve(resolve) => {
                check_id(&resolve.txn_id)?;
                check_ts(resolve.commit_ts)?;
                if resolve.keys.is_empty() || !resolve.spans.is_empty() {
                    return Err("a resolution of no keys, or also of spans".into());
                }
                self.acts = self.acts.max(Some(Timestamp::ZERO));
                resolve.keys.iter().try_for_each(|key| self.key(key, true))
            }
        }
    }

    /// Of what is only remembered: by the lease holder of a key, without latches.
    fn memory(&mut self, key: &Bytes) -> Result<(), String> {
        self.acts = self.acts.max(Some(Timestamp::ZERO));
        self.cover(key, &keys::successor(key))
    }

    fn record(
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
        self.records.push(LatchSpan { start, end, write });
        self.acts = self.acts.max(Some(Timestamp::from_raw(min_ts)));
        self.cover(anchor, &keys::successor(anchor))
    }

    fn key(&mut self, key: &Bytes, write: bool) -> Result<(), String> {
        let end = keys::successor(key);
        self.cover(key, &end)?;
        self.spans.push(LatchSpan { start: key.clone(), end, write });
        Ok(())
    }

    fn span(&mut self, span: &Span, write: bool) -> Result<(), String> {
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

fn check_txn(txn: &TxnMeta) -> Result<(), String> {
    check_id(&txn.id)?;
    check_ts(txn.min_ts)?;
    check_ts(txn.read_ts)?;
    check_ts(txn.write_ts)?;
    Ok(())
}

fn check_id(id: &Bytes) -> Result<(), String> {
    match id.len() {
        16 => Ok(()),
        n => Err(format!("a transaction id of {n} bytes")),
    }
}

fn check_ts(raw: u64) -> Result<(), String> {
    if raw < TS_END { Ok(()) } else { Err("a timestamp beyond the end of time".into()) }
}
