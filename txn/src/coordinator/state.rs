//! A transaction's place in time: its timestamps, what it read there, and what it knows of the nodes' clocks.
//!
//! - T1. `read_ts <= write_ts`; neither goes back; `global_limit`, `min_ts` and the id never change.
//! - T2. Everything in `reads` would read the same at `read_ts` as it did when it was read.
//! - T3. `observed[n]` is the first reading of node n's own clock after the transaction began. It is never used
//!   for another node: the server picks its own.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kv::clock::Timestamp;
use kv::env::Env;
use kv::ids::NodeId;

use super::sender::Answer;
use super::spans::SpanSet;
use crate::api::{BatchRequest, ObservedTs, Request, SequenceRange, TxnMeta};

/// See the module.
pub(crate) struct TxnState {
    pub(crate) meta: TxnMeta,
    pub(crate) reads: SpanSet,
    observed: BTreeMap<NodeId, Timestamp>,
}

impl TxnState {
    /// A transaction that begins now.
    pub(crate) fn begin(env: &Env, priority: u32) -> Self {
        let now = env.clock.now();
        let mut id = BytesMut::with_capacity(16);
        id.extend_from_slice(&env.rng.next_u64().to_be_bytes());
        id.extend_from_slice(&env.rng.next_u64().to_be_bytes());
        let meta = TxnMeta {
            id: id.freeze(),
            anchor: Bytes::new(),
            min_ts: now.raw(),
            read_ts: now.raw(),
            write_ts: now.raw(),
            global_limit: now.saturating_add(env.clock.max_offset()).raw(),
            priority,
            ..TxnMeta::default()
        };
        // The read timestamp is a reading of this node's own clock.
        let observed = BTreeMap::from([(env.node_id, now)]);
        TxnState { meta, reads: SpanSet::default(), observed }
    }

    pub(crate) fn read_ts(&self) -> Timestamp {
        Timestamp::from_raw(self.meta.read_ts)
    }

    pub(crate) fn write_ts(&self) -> Timestamp {
        Timestamp::from_raw(self.meta.write_ts)
    }

    /// The reads hold at `ts`: T2 is the caller's to prove.
    pub(crate) fn forward(&mut self, ts: Timestamp) {
        self.meta.read_ts = self.meta.read_ts.max(ts.raw());
        self.forward_writes(Timestamp::from_raw(self.meta.read_ts));
    }

    /// The writes cannot commit below `ts`.
    pub(crate) fn forward_writes(&mut self, ts: Timestamp) {
        self.meta.write_ts = self.meta.write_ts.max(ts.raw());
    }

    /// Writes that may have been sent are undone. They are later than all that were undone and are still ignored, or
    /// around them.
    pub(crate) fn ignore(&mut self, undone: SequenceRange) {
        let ignored = &mut self.meta.ignored;
        ignored.retain(|range| range.first < undone.first);
        match ignored.last_mut() {
            Some(last) if last.last + 1 >= undone.first => last.last = undone.last,
            _ => ignored.push(undone),
        }
    }

    /// A batch of this transaction. With nothing read, the server may move it in time by itself.
    pub(crate) fn batch(&self, requests: Vec<Request>) -> BatchRequest {
        let observed = self.observed.iter();
        BatchRequest {
            txn: Some(self.meta.clone()),
            observed_ts: 0,
            can_forward: self.reads.is_empty(),
            packs_rows: true,
            requests,
            observed: observed
                .map(|(node, ts)| ObservedTs { node_id: node.0, ts: ts.raw() })
                .collect(),
            ..BatchRequest::default()
        }
    }

    /// As [`TxnState::batch`], but the timestamps must stay as they are.
    pub(crate) fn fixed_batch(&self, requests: Vec<Request>) -> BatchRequest {
        BatchRequest { can_forward: false, ..self.batch(requests) }
    }

    /// Learns from an answer, be it an error or not. Before the reads of that answer are recorded: only what
    /// was read earlier forbids the server to have moved the read timestamp.
    pub(crate) fn learn(&mut self, answer: &Answer) {
        let response = &answer.response;
        if response.now != 0 {
            self.observed.entry(answer.node).or_insert(Timestamp::from_raw(response.now));
        }
        if response.error.is_none() {
            if self.reads.is_empty() {
                self.forward(Timestamp::from_raw(response.read_ts));
            }
            self.forward_writes(Timestamp::from_raw(response.write_ts));
        }
    }
}
