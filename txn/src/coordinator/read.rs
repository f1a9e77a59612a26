//! Reads: from the lease holders, seen through the write buffer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::successor;
use kv::range::descriptor::RangeDescriptor;
use kv::seam::SendError;

use super::Txn;
use super::error::TxnError;
use super::sender::{Backoff, request};
use super::wait::{LockWait, RowLock};
use crate::api::{ErrorKind, Get, MAX_KEY_BYTES, RequestKind, Response, Scan, Span, WaitPolicy};
use crate::mvcc::Order;
use crate::rows::{Rows, RowsBuilder};

/// Rows that one request asks for at most.
const PAGE_ROWS: usize = 10_000;

/// What was read of many keys.
pub(super) struct KeysRead {
    /// In the order of the keys.
    pub(super) values: Vec<Option<Bytes>>,
    /// Keys with intents of the transaction itself, and the numbers of its writes there.
    pub(super) own: Vec<(Bytes, u32)>,
}

/// Which range a read goes to.
#[derive(Clone, Copy)]
enum At<'k> {
    /// The one that holds the key.
    Key(&'k Bytes),
    /// The one that holds the last keys before the first of the two, none of them below the second.
    Before(&'k Bytes, &'k Bytes),
}

impl Txn {
    pub(super) async fn read_key(
        &mut self,
        key: Bytes,
        lock: Option<RowLock>,
    ) -> Result<Option<Bytes>, TxnError> {
        let buffered = self.buffer.get(&key).cloned();
        if let Some(value) = &buffered
            && (lock.is_none() || self.locks.contains_key(&key))
        {
            return Ok(value.clone());
        }
        let portion = std::slice::from_ref(&key);
        self.may_lock(lock, portion)?;
        let (mut responses, _) = self.read(At::Key(&key), lock, self.gets(portion, lock)).await?;
        let response = responses.pop().expect("the sender counts answers");
        if response.skipped {
            return Ok(None);
        }
        self.record_read(key.clone(), successor(&key));
        Ok(match buffered {
            Some(value) => value,
            None => value_of(response, &key)?,
        })
    }

    /// Keys in any order, also twice. One request for those of a range, up to the bounds of a batch; one after the
    /// other and in the order of the keys, so that two transactions that lock the same keys do not cross.
    pub(super) async fn read_keys(
        &mut self,
        keys: &[Bytes],
        lock: Option<RowLock>,
    ) -> Result<KeysRead, TxnError> {
        let is_known = |key: &&Bytes| {
            let is_buffered = self.buffer.get(key).is_some();
            let is_nowhere = key.len() > MAX_KEY_BYTES;
            is_nowhere || is_buffered && (lock.is_none() || self.locks.contains_key(*key))
        };
        let asked: BTreeSet<&Bytes> = keys.iter().filter(|key| !is_known(key)).collect();
        let asked: Vec<Bytes> = asked.into_iter().cloned().collect();
        let more = asked.iter().filter(|key| !self.locks.contains_key(*key)).count();
        if lock.is_some() && self.locks.len() + more > self.sender.config.max_locks {
            return Err(TxnError::TooLarge);
        }
        let mut found = BTreeMap::new();
        let mut own = Vec::new();
        let mut rest = asked.as_slice();
        while let Some(first) = rest.first() {
            let portion = self.portion(rest);
            self.may_lock(lock, portion)?;
            let (responses, _) = self.read(At::Key(first), lock, self.gets(portion, lock)).await?;
            let mut read = 0;
            for (key, response) in portion.iter().zip(responses) {
                if !response.resume.is_empty() {
                    break;
                }
                read += 1;
                if response.skipped {
                    continue;
                }
                self.state.reads.insert(key.clone(), successor(key));
                if response.own_sequence > 0 {
                    own.push((key.clone(), response.own_sequence));
                }
                found.extend(value_of(response, key)?.map(|value| (key.clone(), value)));
            }
            self.condense_reads();
            if read == 0 {
                return Err(TxnError::Invalid("a batch of reads without an answer".into()));
            }
            rest = &rest[read..];
        }
        let value = |key: &Bytes| match self.buffer.get(key) {
            Some(buffered) => buffered.clone(),
            None => found.get(key).cloned(),
        };
        Ok(KeysRead { values: keys.iter().map(value).collect(), own })
    }

    /// Before a request for these keys is sent: an answer that never comes may have locked them.
    fn may_lock(&mut self, lock: Option<RowLock>, keys: &[Bytes]) -> Result<(), TxnError> {
        let (Some(_), Some(first)) = (lock, keys.first()) else { return Ok(()) };
        if self.locks.len() >= self.sender.config.max_locks && !self.locks.contains_key(first) {
            return Err(TxnError::TooLarge);
        }
        self.hold(first);
        let number = self.lock_numbers.take();
        for key in keys {
            self.locks.entry(key.clone()).or_insert(number);
        }
        Ok(())
    }

    /// Gets of those of the keys that a range has.
    fn gets(
        &self,
        keys: &[Bytes],
        lock: Option<RowLock>,
    ) -> impl Fn(&RangeDescriptor) -> Vec<RequestKind> + use<> {
        let get = |key: &Bytes| {
            let mode = lock.map(|lock| lock.mode(self.locks.get(key).copied().unwrap_or_default()));
            Get { key: key.clone(), lock: lock.is_some(), mode }
        };
        let gets: Vec<Get> = keys.iter().map(get).collect();
        move |range| {
            let here = gets.iter().take_while(|get| range.contains_key(&get.key));
            here.map(|get| RequestKind::Get(get.clone())).collect()
        }
    }

    /// The first keys, within the bounds of a batch.
    fn portion<'k>(&self, keys: &'k [Bytes]) -> &'k [Bytes] {
        let config = &self.sender.config;
        let mut bytes = 0;
        let fits = |key: &&Bytes| {
            bytes += key.len();
            bytes <= config.batch_bytes
        };
        let count = keys.iter().take(config.batch_requests).take_while(fits).count();
        &keys[..count.max(1)]
    }

    /// Rows of `[start, end)`, from one end of it, `limit` at most. What lies behind the last of them is neither read nor
    /// remembered as read.
    pub(super) async fn read_span(
        &mut self,
        (mut start, mut end): (Bytes, Bytes),
        order: Order,
        limit: usize,
        lock: Option<RowLock>,
    ) -> Result<Rows, TxnError> {
        let skips = lock.is_some_and(|lock| lock.policy == WaitPolicy::Skip);
        let mut rows = RowsBuilder::default();
        // Between the two is what is left.
        while start < end && rows.len() < limit {
            let mut number = 0;
            if lock.is_some() {
                // Which keys will be locked is not known yet: the record may live under any key. But the empty
                // key stands for having no anchor.
                self.hold(&start.clone().max(Bytes::from_static(b"\0")));
                number = self.lock_numbers.take();
            }
            // Rows that buffered deletions eat are asked for in the next turn.
            let page = (limit - rows.len()).min(PAGE_ROWS) as u32;
            let clip = |range: &RangeDescriptor| Span {
                start: start.clone().max(range.start.clone()),
                end: end.clone().min(range.end.clone()),
            };
            let scan = |range: &RangeDescriptor| {
                vec![RequestKind::Scan(Scan {
                    span: clip(range),
                    limit: page,
                    lock: lock.is_some(),
                    mode: lock.map(|lock| lock.mode(number)),
                    reverse: order == Order::Descending,
                })]
            };
            let at = match order {
                Order::Ascending => At::Key(&start),
                Order::Descending => At::Before(&end, &start),
            };
            let (mut responses, range) = self.read(at, lock, scan).await?;
            let response = responses.pop().expect("the sender counts answers");
            let resume = response.resume.clone();
            let found = rows_of(response)?;
            let mut covered = clip(&range);
            match (resume, order) {
                (none, _) if none.is_empty() => {}
                (resume, _) if resume <= covered.start || covered.end < resume => {
                    return Err(TxnError::Invalid("a scan resumes outside of its span".into()));
                }
                (resume, Order::Ascending) => covered.end = resume,
                (resume, Order::Descending) if resume < covered.end => covered.start = resume,
                _ => return Err(TxnError::Invalid("a scan does not get ahead".into())),
            }
            if lock.is_some() {
                for (key, _) in found.iter() {
                    self.locks.entry(Bytes::copy_from_slice(key)).or_insert(number);
                }
                if self.locks.len() > self.sender.config.max_locks {
                    return Err(TxnError::TooLarge);
                }
            }
            if skips {
                // What was left out was not read.
                for (key, _) in found.iter() {
                    self.record_read(Bytes::copy_from_slice(key), successor(key));
                }
            } else {
                self.record_read(covered.start.clone(), covered.end.clone());
            }
            let written = self.buffer.range(&covered.start, &covered.end);
            match order {
                Order::Ascending => {
                    merge(&mut rows, found, written, limit, |a, b| a < b);
                    start = covered.end;
                }
                Order::Descending => {
                    merge(&mut rows, found, written.rev(), limit, |a, b| a > b);
                    end = covered.start;
                }
            }
        }
        Ok(rows.finish())
    }

    /// Sends reads to the range of `at` (`read_on` says which, at least one), waiting for others and moving the
    /// transaction in time where the answer demands it. What was read must be recorded before anything else is sent.
    async fn read(
        &mut self,
        at: At<'_>,
        lock: Option<RowLock>,
        read_on: impl Fn(&RangeDescriptor) -> Vec<RequestKind>,
    ) -> Result<(Vec<Response>, RangeDescriptor), TxnError> {
        let mut deadline = self.op_deadline();
        let mut wait = LockWait::default();
        let mut backoff = Backoff::new();
        let mut moves = 0;
        loop {
            let range = match at {
                At::Key(key) => self.sender.lookup(key, deadline).await,
                At::Before(end, start) => self.sender.lookup_before(end, start, deadline).await,
            };
            let range = range.map_err(TxnError::from_send)?;
            let batch = self.state.batch(read_on(&range).into_iter().map(request).collect());
            let batch = wait.complete(batch, self.wait_budget(&wait)?);
            let sent = self.sender.send(range.clone(), Arc::new(batch), true, deadline);
            let answer = match self.unless_aborted(sent).await? {
                Ok(answer) => answer,
                Err(SendError::Moved) if backoff.pause(&self.sender.env, deadline).await => {
                    continue;
                }
                Err(error) => return Err(TxnError::from_send(error)),
            };
            self.state.learn(&answer);
            if lock.is_some() {
                self.note_locked(&answer.response);
            }
            if wait.note(&answer.response, self.sender.env.clock.monotonic()) {
                wait.turn();
                deadline = self.op_deadline();
                continue;
            }
            let Some(error) = answer.response.error else {
                return Ok((answer.response.responses, range));
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
        self.condense_reads();
    }

    fn condense_reads(&mut self) {
        let config = &self.sender.config;
        self.state.reads.condense(config.max_read_spans, config.max_read_span_bytes);
    }
}

/// The value of a key in the answer to its get.
fn value_of(response: Response, key: &Bytes) -> Result<Option<Bytes>, TxnError> {
    let mut found = rows_of(response)?.to_vec().into_iter();
    Ok(found.find(|row| row.key == *key).map(|row| row.value))
}

fn rows_of(response: Response) -> Result<Rows, TxnError> {
    let cut = || TxnError::Invalid("an answer whose rows are cut short".into());
    response.into_rows().ok_or_else(cut)
}

/// Appends to `out`, up to `limit` rows, what the server found in a span with the buffered writes of that span
/// laid over it. Both are in one order, in which a key comes before another.
fn merge<'a>(
    out: &mut RowsBuilder,
    found: Rows,
    written: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
    limit: usize,
    before: impl Fn(&[u8], &[u8]) -> bool,
) {
    let mut written = written.peekable();
    if written.peek().is_none() && out.len() + found.len() <= limit {
        return out.append(found);
    }
    let mut found = found.iter().peekable();
    while out.len() < limit {
        let next_written = match (found.peek(), written.peek()) {
            (None, None) => return,
            (Some(_), None) => None,
            (None, Some(_)) => written.next(),
            (Some((found, _)), Some((key, _))) if before(found, key) => None,
            (Some((same, _)), Some((key, _))) => {
                if same == key {
                    found.next();
                }
                written.next()
            }
        };
        match next_written {
            Some((key, Some(value))) => out.push(key, value),
            Some((_, None)) => {}
            None => {
                if let Some((key, value)) = found.next() {
                    out.push(key, value);
                }
            }
        }
    }
}
