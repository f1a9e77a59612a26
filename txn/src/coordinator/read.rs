//! Reads: from the lease holders, seen through the write buffer.

use std::time::Duration;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::successor;
use kv::range::descriptor::RangeDescriptor;
use kv::seam::SendError;

use super::Txn;
use super::error::TxnError;
use super::sender::{Backoff, request};
use crate::api::{ErrorKind, Get, RequestKind, Response, Row, Scan, Span};

/// Rows that one request asks for at most.
const PAGE_ROWS: usize = 10_000;

impl Txn {
    pub(super) async fn read_key(
        &mut self,
        key: Bytes,
        lock: bool,
    ) -> Result<Option<Bytes>, TxnError> {
        let buffered = self.buffer.get(&key).cloned();
        if let Some(value) = &buffered
            && (!lock || self.locks.contains(&key))
        {
            return Ok(value.clone());
        }
        if lock {
            // Before it is sent: an answer that never comes may have locked it.
            if self.locks.len() >= self.sender.config.max_locks {
                return Err(TxnError::TooLarge);
            }
            self.hold(&key);
            self.locks.insert(key.clone());
        }
        let deadline = self.op_deadline();
        let get = |_: &RangeDescriptor| RequestKind::Get(Get { key: key.clone(), lock });
        let (response, _) = self.read(&key, lock, deadline, get).await?;
        self.record_read(key.clone(), successor(&key));
        let found = response.rows.into_iter().find(|row| row.key == key).map(|row| row.value);
        Ok(buffered.unwrap_or(found))
    }

    pub(super) async fn read_span(
        &mut self,
        start: Bytes,
        end: Bytes,
        limit: usize,
        lock: bool,
    ) -> Result<Vec<Row>, TxnError> {
        let deadline = self.op_deadline();
        let mut rows = Vec::new();
        let mut cursor = start;
        while cursor < end && rows.len() < limit {
            if lock {
                // Which keys will be locked is not known yet: the record may live under any key. But the empty
                // key stands for having no anchor.
                self.hold(&cursor.clone().max(Bytes::from_static(b"\0")));
            }
            // Rows that buffered deletions eat are asked for in the next turn.
            let page = (limit - rows.len()).min(PAGE_ROWS) as u32;
            let clip = |range: &RangeDescriptor| end.clone().min(range.end.clone());
            let scan = |range: &RangeDescriptor| {
                let span = Span { start: cursor.clone(), end: clip(range) };
                RequestKind::Scan(Scan { span, limit: page, lock })
            };
            let (response, range) = self.read(&cursor, lock, deadline, scan).await?;
            let covered = match response.resume {
                none if none.is_empty() => clip(&range),
                resume if cursor < resume && resume <= clip(&range) => resume,
                _ => return Err(TxnError::Invalid("a scan resumes outside of its span".into())),
            };
            if lock {
                self.locks.extend(response.rows.iter().map(|row| row.key.clone()));
                if self.locks.len() > self.sender.config.max_locks {
                    return Err(TxnError::TooLarge);
                }
            }
            self.record_read(cursor.clone(), covered.clone());
            merge(&mut rows, response.rows, self.buffer.range(&cursor, &covered), limit);
            cursor = covered;
        }
        Ok(rows)
    }

    /// Sends one read to the range of `at`, moving the transaction in time where the answer demands it. What
    /// was read must be recorded before anything else is sent.
    async fn read(
        &mut self,
        at: &Bytes,
        lock: bool,
        deadline: Duration,
        read_on: impl Fn(&RangeDescriptor) -> RequestKind,
    ) -> Result<(Response, RangeDescriptor), TxnError> {
        let failed = if lock { TxnError::from_wait } else { TxnError::from_send };
        let mut backoff = Backoff::new();
        let mut moves = 0;
        loop {
            let range = self.sender.lookup(at, deadline).await.map_err(TxnError::from_send)?;
            let batch = self.state.batch(vec![request(read_on(&range))]);
            let sent = self.sender.send(range.clone(), &batch, true, deadline);
            let mut answer = match self.unless_aborted(sent).await? {
                Ok(answer) => answer,
                Err(SendError::Moved) if backoff.pause(&self.sender.env, deadline).await => {
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            self.state.learn(&answer);
            let Some(error) = answer.response.error else {
                let response = answer.response.responses.pop().expect("the sender counts answers");
                return Ok((response, range));
            };
            if error.kind != ErrorKind::RetryAt as i32 || moves == self.sender.config.max_refreshes
            {
                return Err(TxnError::from_server(&error));
            }
            moves += 1;
            self.move_reads(Timestamp::from_raw(error.retry_ts), deadline).await?;
        }
    }

    fn record_read(&mut self, start: Bytes, end: Bytes) {
        self.state.reads.insert(start, end);
        let config = &self.sender.config;
        self.state.reads.condense(config.max_read_spans, config.max_read_span_bytes);
    }
}

/// Appends to `out`, up to `limit` rows, what the server found in a span with the buffered writes of that span
/// laid over it. Both ascend.
fn merge<'a>(
    out: &mut Vec<Row>,
    found: Vec<Row>,
    written: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
    limit: usize,
) {
    let mut found = found.into_iter().peekable();
    let mut written = written.peekable();
    while out.len() < limit {
        let next_written = match (found.peek(), written.peek()) {
            (None, None) => return,
            (Some(_), None) => None,
            (None, Some(_)) => written.next(),
            (Some(row), Some((key, _))) if row.key < **key => None,
            (Some(row), Some((key, _))) => {
                if row.key == **key {
                    found.next();
                }
                written.next()
            }
        };
        match next_written {
            Some((key, Some(value))) => out.push(Row { key: key.clone(), value: value.clone() }),
            Some((_, None)) => {}
            None => out.extend(found.next()),
        }
    }
}
