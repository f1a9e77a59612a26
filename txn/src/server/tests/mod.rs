//! One test for each anomaly and each hazard that the server's chapter names, on a cluster of one node.

#![allow(clippy::disallowed_methods, reason = "plays the outside world, on tokio's paused clock")]

mod ahead;
mod commits;
mod erase;
mod leases;
mod locks;
mod reads;
mod sizes;

use std::sync::Arc;

use bytes::Bytes;
use kv::clock::Timestamp;

use crate::api::*;
use crate::testing::{LocalCluster, MAX_OFFSET};

/// The rows of an answer, one by one.
trait Found {
    fn rows(&self) -> Vec<Row>;
}

impl Found for Response {
    fn rows(&self) -> Vec<Row> {
        self.clone().into_rows().expect("the server's rows are whole").to_vec()
    }
}

/// A hand-driven transaction: what a coordinator would keep.
#[derive(Clone)]
struct Txn {
    cluster: Arc<LocalCluster>,
    meta: TxnMeta,
    can_forward: bool,
}

fn key(key: &str) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

fn span(start: &str, end: &str) -> Span {
    Span { start: key(start), end: key(end) }
}

fn put(at: &str, value: &str, sequence: u32) -> RequestKind {
    RequestKind::Put(Put { key: key(at), value: Some(key(value)), sequence })
}

fn end(commit: bool, one_phase: bool, keys: &[&str]) -> RequestKind {
    let keys = keys.iter().map(|k| key(k)).collect();
    RequestKind::EndTxn(EndTxn { commit, one_phase, keys, ..EndTxn::default() })
}

fn kind_of<T: std::fmt::Debug>(result: Result<T, BatchError>) -> ErrorKind {
    result.expect_err("refused").kind()
}

impl Txn {
    fn new(cluster: &Arc<LocalCluster>, id: u8) -> Txn {
        let now = cluster.env.clock.now();
        Txn::at(cluster, id, now)
    }

    fn at(cluster: &Arc<LocalCluster>, id: u8, now: Timestamp) -> Txn {
        let meta = TxnMeta {
            id: Bytes::from(vec![id; 16]),
            anchor: Bytes::new(),
            min_ts: now.raw(),
            read_ts: now.raw(),
            write_ts: now.raw(),
            global_limit: now.saturating_add(MAX_OFFSET).raw(),
            priority: 1,
            ..TxnMeta::default()
        };
        Txn { cluster: cluster.clone(), meta, can_forward: false }
    }

    fn request(&self, kinds: Vec<RequestKind>) -> BatchRequest {
        BatchRequest {
            txn: Some(self.meta.clone()),
            // On the gateway's own node the beginning is the first reading.
            observed: vec![ObservedTs { node_id: 1, ts: self.meta.min_ts }],
            can_forward: self.can_forward,
            requests: kinds.into_iter().map(|kind| Request { kind: Some(kind) }).collect(),
            max_wait_ms: Some(300),
            ..BatchRequest::default()
        }
    }

    async fn send(
        &mut self,
        at: &str,
        kinds: Vec<RequestKind>,
    ) -> Result<Vec<Response>, BatchError> {
        let request = self.request(kinds);
        self.send_raw(at, request).await
    }

    /// Asks again for as long as others are in the way.
    async fn send_raw(
        &mut self,
        at: &str,
        mut request: BatchRequest,
    ) -> Result<Vec<Response>, BatchError> {
        let response = loop {
            let sent = self.cluster.try_send(at.as_bytes(), request.clone()).await;
            let response = sent.expect("served");
            match response.error {
                None => break response,
                Some(error) if error.kind() == ErrorKind::Waiting => {
                    request.tickets = error.ticket.into_iter().collect();
                }
                Some(error) => return Err(error),
            }
        };
        self.meta.read_ts = response.read_ts;
        self.meta.write_ts = response.write_ts;
        Ok(response.responses)
    }

    fn anchor(&mut self, at: &str) {
        if self.meta.anchor.is_empty() {
            self.meta.anchor = key(at);
        }
    }

    async fn get(&mut self, at: &str) -> Result<Option<Bytes>, BatchError> {
        let get = RequestKind::Get(Get { key: key(at), lock: false, mode: None });
        let mut answers = self.send(at, vec![get]).await?;
        Ok(answers.remove(0).rows().pop().map(|row| row.value))
    }

    async fn lock(&mut self, at: &str) -> Result<Option<Bytes>, BatchError> {
        self.anchor(at);
        let get = RequestKind::Get(Get { key: key(at), lock: true, mode: None });
        let mut answers = self.send(at, vec![get]).await?;
        Ok(answers.remove(0).rows().pop().map(|row| row.value))
    }

    async fn lock_as(
        &mut self,
        at: &str,
        strength: LockStrength,
        policy: WaitPolicy,
    ) -> Result<Response, BatchError> {
        self.anchor(at);
        let mode = LockMode { strength: strength as i32, policy: policy as i32, number: 1 };
        let get = RequestKind::Get(Get { key: key(at), lock: true, mode: Some(mode) });
        Ok(self.send(at, vec![get]).await?.remove(0))
    }

    async fn scan(&mut self, from: &str, to: &str, limit: u32) -> Result<Response, BatchError> {
        self.scan_as(Scan { span: span(from, to), limit, ..Scan::default() }).await
    }

    async fn scan_reverse(
        &mut self,
        from: &str,
        to: &str,
        limit: u32,
    ) -> Result<Response, BatchError> {
        self.scan_as(Scan { span: span(from, to), limit, reverse: true, ..Scan::default() }).await
    }

    async fn scan_as(&mut self, scan: Scan) -> Result<Response, BatchError> {
        let at = String::from_utf8(scan.span.start.to_vec()).unwrap();
        Ok(self.send(&at, vec![RequestKind::Scan(scan)]).await?.remove(0))
    }

    async fn put(&mut self, at: &str, value: &str) -> Result<(), BatchError> {
        self.anchor(at);
        self.meta.sequence += 1;
        let put = put(at, value, self.meta.sequence);
        self.send(at, vec![put]).await.map(drop)
    }

    async fn refresh(&mut self, from: &str, to: &str, from_ts: u64) -> Result<(), BatchError> {
        let refresh = RequestKind::Refresh(Refresh { span: span(from, to), from_ts });
        self.send(from, vec![refresh]).await.map(drop)
    }

    async fn commit_two_phase(&mut self, keys: &[&str]) -> Result<TxnRecord, BatchError> {
        let at = String::from_utf8(self.meta.anchor.to_vec()).unwrap();
        let mut answers = self.send(&at, vec![end(true, false, keys)]).await?;
        Ok(*answers.remove(0).record.expect("a record"))
    }

    fn one_phase(&mut self, writes: &[(&str, &str)]) -> BatchRequest {
        self.anchor(writes[0].0);
        let mut kinds = Vec::new();
        for (at, value) in writes {
            self.meta.sequence += 1;
            kinds.push(put(at, value, self.meta.sequence));
        }
        let keys: Vec<&str> = writes.iter().map(|(at, _)| *at).collect();
        kinds.push(end(true, true, &keys));
        self.request(kinds)
    }

    async fn commit(&mut self, writes: &[(&str, &str)]) -> Result<(), BatchError> {
        let request = self.one_phase(writes);
        self.send_raw(writes[0].0, request).await.map(drop)
    }

    async fn resolve(&self, keys: &[&str], commit_ts: u64) {
        let resolve = Resolve {
            txn_id: self.meta.id.clone(),
            keys: keys.iter().map(|k| key(k)).collect(),
            commit_ts,
            ..Resolve::default()
        };
        let request = BatchRequest {
            requests: vec![Request { kind: Some(RequestKind::Resolve(Box::new(resolve))) }],
            ..BatchRequest::default()
        };
        let response = self.cluster.try_send(keys[0].as_bytes(), request).await.expect("served");
        assert_eq!(response.error, None);
    }

    async fn push(&mut self, pushee: &Txn, last_active: u64) -> TxnStatus {
        let pushee_meta = pushee.meta.clone();
        let push = PushTxn { pushee: pushee_meta, last_active, ..PushTxn::default() };
        let at = String::from_utf8(pushee.meta.anchor.to_vec()).unwrap();
        let mut answers = self.send(&at, vec![RequestKind::PushTxn(Box::new(push))]).await.unwrap();
        answers.remove(0).record.expect("a record").status()
    }
}

/// Commits a value with a transaction of its own, beginning now.
async fn seed(cluster: &Arc<LocalCluster>, at: &str, value: &str) {
    let mut txn = Txn::new(cluster, 200);
    txn.meta.id = Bytes::copy_from_slice(&(u128::from(txn.meta.min_ts) << 64).to_be_bytes());
    txn.can_forward = true;
    txn.commit(&[(at, value)]).await.expect("nothing is in the way");
}
