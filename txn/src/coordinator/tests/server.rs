//! What the ranges in memory answer.

use bytes::Bytes;

use super::fake::{State, ends_with};
use crate::api::*;
use crate::rows::Rows;

impl State {
    pub(super) fn execute(&mut self, batch: &BatchRequest) -> BatchResponse {
        let mut txn = batch.txn.clone().unwrap_or_default();
        let one_phase = ends_with(batch, "commit1");
        let mut responses = Vec::new();
        for request in &batch.requests {
            match self.evaluate(&mut txn, request, batch.can_forward, one_phase) {
                Ok(response) => responses.push(response),
                Err((kind, retry_ts)) => {
                    let error = BatchError {
                        kind: kind as i32,
                        retry_ts,
                        message: "fake".into(),
                        ..BatchError::default()
                    };
                    return BatchResponse { error: Some(error), ..BatchResponse::default() };
                }
            }
        }
        if one_phase {
            if txn.write_ts > txn.read_ts && !batch.can_forward {
                let error = BatchError {
                    kind: ErrorKind::RetryAt as i32,
                    retry_ts: txn.write_ts,
                    message: "fake".into(),
                    ..BatchError::default()
                };
                return BatchResponse { error: Some(error), ..BatchResponse::default() };
            }
            self.remembered.insert(txn.id.clone(), txn.write_ts);
            for request in &batch.requests {
                if let Some(RequestKind::Put(put)) = &request.kind {
                    let versions = self.versions.entry(put.key.clone()).or_default();
                    versions.insert(txn.write_ts, put.value.clone());
                }
                if let Some(RequestKind::DeleteSpan(DeleteSpan { span })) = &request.kind {
                    for (_, versions) in
                        self.versions.range_mut(span.start.clone()..span.end.clone())
                    {
                        versions.insert(txn.write_ts, None);
                    }
                }
            }
        }
        let (read_ts, write_ts) = (txn.read_ts, txn.write_ts);
        BatchResponse { read_ts, write_ts, responses, ..BatchResponse::default() }
    }

    fn evaluate(
        &mut self,
        txn: &mut TxnMeta,
        request: &Request,
        can_forward: bool,
        one_phase: bool,
    ) -> Result<Response, (ErrorKind, u64)> {
        let mut response = Response::default();
        match request.kind.as_ref().expect("a kind") {
            RequestKind::Get(get) => {
                let end = kv::keys::successor(&get.key);
                // As a server of an earlier build.
                response.listed = self.rows(txn, &get.key, &end, 1, can_forward)?.0;
            }
            RequestKind::Scan(scan) => {
                let limit = scan.limit as usize;
                let span = &scan.span;
                if scan.reverse {
                    // All of it, of which the last rows are answered with.
                    let all = self.rows(txn, &span.start, &span.end, usize::MAX, can_forward)?;
                    let rows: Vec<Row> = all.0.into_iter().rev().take(limit).collect();
                    let full = rows.len() == limit;
                    let last = rows.last().map(|row| row.key.clone()).unwrap_or_default();
                    response.listed = rows;
                    if full && last > span.start {
                        response.resume = last;
                    }
                    return Ok(response);
                }
                let (rows, resume) = self.rows(txn, &span.start, &span.end, limit, can_forward)?;
                response.rows = pack(rows);
                response.resume = resume;
            }
            RequestKind::Put(put) => {
                let newest = self.versions.get(&put.key).and_then(|v| v.keys().next_back());
                txn.write_ts = txn.write_ts.max(newest.map_or(0, |ts| ts + 1));
                if !one_phase {
                    self.intents.insert(put.key.clone(), (txn.id.clone(), put.value.clone()));
                }
            }
            RequestKind::DeleteSpan(DeleteSpan { span }) => {
                let beneath = self.versions.range(span.start.clone()..span.end.clone());
                let newest = beneath.filter_map(|(_, versions)| versions.keys().next_back()).max();
                txn.write_ts = txn.write_ts.max(newest.map_or(0, |ts| ts + 1));
            }
            RequestKind::Refresh(refresh) => {
                for (_, versions) in
                    self.versions.range(refresh.span.start.clone()..refresh.span.end.clone())
                {
                    if versions.range(refresh.from_ts + 1..=txn.read_ts).next().is_some() {
                        return Err((ErrorKind::RefreshFailed, 0));
                    }
                }
            }
            RequestKind::EndTxn(end) if end.one_phase => {
                let aborted = |record: &TxnRecord| record.status == TxnStatus::Aborted as i32;
                if self.records.get(&txn.id).is_some_and(aborted) {
                    return Err((ErrorKind::Aborted, 0));
                }
                self.records.remove(&txn.id);
            }
            RequestKind::EndTxn(end) => {
                let status = if end.commit { TxnStatus::Committed } else { TxnStatus::Aborted };
                let record = self.records.entry(txn.id.clone()).or_default();
                if record.status == TxnStatus::Aborted as i32 && end.commit {
                    return Err((ErrorKind::Aborted, 0));
                }
                if record.status != TxnStatus::Committed as i32 {
                    record.status = status as i32;
                    record.commit_ts = if end.commit { txn.write_ts } else { 0 };
                    record.keys = end.keys.clone();
                }
                response.record = Some(Box::new(record.clone()));
            }
            RequestKind::Heartbeat(beat) => {
                let fresh = TxnRecord { status: TxnStatus::Pending as i32, ..TxnRecord::default() };
                let record = self.records.entry(txn.id.clone()).or_insert(fresh);
                record.heartbeat_ts = beat.now;
                response.record = Some(Box::new(record.clone()));
            }
            RequestKind::QueryTxn(query) => {
                let record = match self.remembered.get(&query.txn_id) {
                    Some(ts) => {
                        let status = TxnStatus::Committed as i32;
                        TxnRecord { status, commit_ts: *ts, ..TxnRecord::default() }
                    }
                    None => self.records.get(&query.txn_id).cloned().unwrap_or_default(),
                };
                response.record = Some(Box::new(record));
            }
            RequestKind::Resolve(resolve) => {
                for key in &resolve.keys {
                    if self.intents.get(key).is_some_and(|(owner, _)| *owner == resolve.txn_id) {
                        let (_, value) = self.intents.remove(key).expect("just seen");
                        if resolve.commit_ts != 0 {
                            let versions = self.versions.entry(key.clone()).or_default();
                            versions.insert(resolve.commit_ts, value);
                        }
                    }
                }
            }
            RequestKind::CollectTxn(collect) => {
                self.records.remove(&collect.txn_id);
            }
            RequestKind::PushTxn(_) | RequestKind::ReportWait(_) | RequestKind::BreakWait(_) => {
                unreachable!("a coordinator never pushes")
            }
        }
        Ok(response)
    }

    fn rows(
        &self,
        txn: &mut TxnMeta,
        start: &Bytes,
        end: &Bytes,
        limit: usize,
        can_forward: bool,
    ) -> Result<(Vec<Row>, Bytes), (ErrorKind, u64)> {
        let mut rows = Vec::new();
        for (key, versions) in self.versions.range(start.clone()..end.clone()) {
            if rows.len() == limit {
                return Ok((rows, key.clone()));
            }
            let newest = versions.keys().next_back().copied().unwrap_or(0);
            if newest > txn.read_ts && newest <= txn.global_limit {
                if !can_forward || !rows.is_empty() {
                    return Err((ErrorKind::RetryAt, newest));
                }
                txn.read_ts = newest;
                txn.write_ts = txn.write_ts.max(newest);
            }
            let seen = versions.range(..=txn.read_ts).next_back();
            if let Some((_, Some(value))) = seen {
                rows.push(Row { key: key.clone(), value: value.clone() });
            }
        }
        Ok((rows, Bytes::new()))
    }
}

fn pack(rows: Vec<Row>) -> Bytes {
    rows.into_iter().map(|row| (row.key, row.value)).collect::<Rows>().packed()
}
