//! Waiting for others, as the gateway sees it.
//!
//! A server waits with a batch only for a while ([`crate::db::Config::lock_poll`]); then it answers that others are still
//! in the way, and is asked again. So a node that dies is noticed although somebody waits there, nobody waits for a client
//! that has gone, and how long to wait is decided here: until `lock_timeout`, or until the caller drops the operation.
//! Every answer is a sign of life, and gives the operation its whole time anew.
//!
//! - N1. An answer `Waiting` says that nothing was done, and that this delivery does nothing any more: a batch that must
//!   not be executed twice may be sent again.
//! - N2. `lock_timeout` counts for each key by itself, from when a request began to wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::Txn;
use super::buffer::Savepoint;
use super::error::TxnError;
use super::sender::{Patience, request};
use crate::api::{
    BatchRequest, BatchResponse, ErrorKind, LockMode, LockNumbers, LockStrength, RequestKind,
    Resolve, Ticket, WaitPolicy,
};

/// Longest wait for a release that others are waiting for anyway.
const RELEASE: Duration = Duration::from_secs(1);

/// How a read locks what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLock {
    /// What the lock keeps out.
    pub strength: LockStrength,
    /// What to do about locks of others.
    pub policy: WaitPolicy,
}

impl RowLock {
    /// SELECT FOR UPDATE.
    pub const UPDATE: RowLock =
        RowLock { strength: LockStrength::Update, policy: WaitPolicy::Block };

    pub(super) fn mode(self, number: u32) -> LockMode {
        LockMode { strength: self.strength as i32, policy: self.policy as i32, number }
    }
}

/// What an operation waits for.
#[derive(Debug, Default)]
pub(super) struct LockWait {
    /// As of the last answers: the place in the key's queue, and since when.
    last: BTreeMap<Bytes, (u64, Duration)>,
    next: BTreeMap<Bytes, (u64, Duration)>,
}

impl LockWait {
    /// Takes note of an answer; true iff others are in the way.
    pub(super) fn note(&mut self, response: &BatchResponse, now: Duration) -> bool {
        let Some(error) = response.error.as_ref() else { return false };
        if error.kind != ErrorKind::Waiting as i32 {
            return false;
        }
        let Ticket { key, number } = error.ticket.clone().unwrap_or_default();
        let waited = Duration::from_millis(error.waited_ms.into());
        let since = self.last.get(&key).map_or(now.saturating_sub(waited), |(_, since)| *since);
        self.next.insert(key, (number, since));
        true
    }

    /// All answers of a round have been noted.
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.next);
    }

    fn longest(&self, now: Duration) -> Duration {
        let since = self.last.values().map(|(_, since)| *since).min();
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Lets a batch wait so long.
    pub(super) fn complete(&self, batch: BatchRequest, longest: Duration) -> BatchRequest {
        let ticket = |(key, (number, _)): (&Bytes, &(u64, Duration))| Ticket {
            key: key.clone(),
            number: *number,
        };
        let millis = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
        let tickets = self.last.iter().map(ticket).collect();
        BatchRequest { max_wait_ms: Some(millis), tickets, ..batch }
    }
}

impl Txn {
    /// How long a server may wait with a batch, or that it is too late.
    pub(super) fn wait_budget(&self, wait: &LockWait) -> Result<Duration, TxnError> {
        let now = self.sender.env.clock.monotonic();
        let of_lock = self.lock_timeout.map(|limit| limit.saturating_sub(wait.longest(now)));
        let of_txn = self.deadline.map(|deadline| deadline.saturating_sub(now));
        let left = of_lock.into_iter().chain(of_txn).min();
        match left {
            Some(Duration::ZERO) if !wait.last.is_empty() => Err(TxnError::LockTimeout),
            // A millisecond at least: the batch is sent in whole ones.
            Some(left) => Ok(left.clamp(Duration::from_millis(1), self.sender.config.lock_poll)),
            None => Ok(self.sender.config.lock_poll),
        }
    }

    /// A lock is not waited for beyond it, from now on; none is without end.
    pub fn set_lock_timeout(&mut self, limit: Option<Duration>) {
        self.lock_timeout = limit;
    }

    /// What an answer says was locked, although it is an error.
    pub(super) fn note_locked(&mut self, response: &BatchResponse) {
        let number = self.lock_numbers.current;
        for key in &response.locked {
            self.locks.entry(key.clone()).or_insert(number);
        }
    }

    /// Gives back what was locked since a savepoint, in the background.
    pub(super) fn release_since(&mut self, savepoint: Savepoint) {
        let Some(numbers) = self.lock_numbers.roll_back(savepoint) else { return };
        let mut keys = Vec::new();
        self.locks.retain(|key, number| {
            let stays = *number < numbers.first;
            if !stays {
                keys.push(key.clone());
            }
            stays
        });
        if keys.is_empty() {
            return;
        }
        let (sender, txn_id) = (self.sender.clone(), self.state.meta.id.clone());
        let (done, released) = tokio::sync::oneshot::channel();
        let release = async move {
            let patience = Patience { each: sender.config.op_timeout, end: Duration::MAX };
            let sent = sender.fan_out(keys, patience, |keys| {
                let resolve = Resolve {
                    txn_id: txn_id.clone(),
                    keys: keys.to_vec(),
                    rolled_back: Some(numbers),
                    ..Resolve::default()
                };
                let requests = vec![request(RequestKind::Resolve(Box::new(resolve)))];
                BatchRequest { requests, ..BatchRequest::default() }
            });
            // What is not released now is found to be nobody's after the transaction's end.
            let _ = sent.await;
            // Nobody may want to know.
            let _ = done.send(());
        };
        self.sender.env.tasks.spawn("txn-savepoint", Box::pin(release));
        self.releasing = Some(released);
    }

    /// Waits until what [`Txn::rollback_to`] or [`Txn::rollback`] gives back is free for others, a second at most: whoever
    /// does not want to wait for a lock should not meet one that is gone.
    pub async fn released(&mut self) {
        if let Some(released) = &mut self.releasing {
            // In time or not, and if the node ends: there is nothing more to do.
            let _ = self.sender.env.clock.timeout(RELEASE, released).await;
        }
        self.releasing = None;
    }
}

/// Numbers of locks by savepoints: a lock has the number of the time between two savepoints in which it was taken.
#[derive(Debug)]
pub(super) struct NumberLine {
    current: u32,
    /// Something was locked with the current number.
    used: bool,
    /// Savepoints, with the first number after each.
    marks: Vec<(Savepoint, u32)>,
}

impl NumberLine {
    pub(super) fn new() -> Self {
        NumberLine { current: 1, used: false, marks: Vec::new() }
    }

    /// The number of a lock that is taken now.
    pub(super) fn take(&mut self) -> u32 {
        self.used = true;
        self.current
    }

    pub(super) fn mark(&mut self, savepoint: Savepoint) {
        if self.used {
            self.current = self.current.saturating_add(1);
            self.used = false;
        }
        self.marks.push((savepoint, self.current));
    }

    pub(super) fn forget(&mut self, savepoint: Savepoint) {
        if let Some(at) = self.marks.iter().rposition(|(mark, _)| *mark == savepoint) {
            self.marks.truncate(at);
        }
    }

    /// Which numbers are void, if any.
    fn roll_back(&mut self, savepoint: Savepoint) -> Option<LockNumbers> {
        let at = self.marks.iter().rposition(|(mark, _)| *mark == savepoint)?;
        self.marks.truncate(at + 1);
        let first = self.marks[at].1;
        let last = self.current;
        if first == last && !self.used {
            return None;
        }
        self.current = last.saturating_add(1);
        self.used = false;
        Some(LockNumbers { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::buffer::WriteBuffer;

    #[test]
    fn a_savepoint_costs_a_number_only_if_something_is_locked() {
        let mut buffer = WriteBuffer::new(10, 10);
        let mut line = NumberLine::new();
        for _ in 0..3 {
            let savepoint = buffer.savepoint().unwrap();
            line.mark(savepoint);
            assert_eq!(line.roll_back(savepoint), None);
            line.forget(savepoint);
        }
        assert_eq!(line.take(), 1);
        let outer = buffer.savepoint().unwrap();
        line.mark(outer);
        assert_eq!(line.take(), 2);
        let inner = buffer.savepoint().unwrap();
        line.mark(inner);
        assert_eq!(line.take(), 3);
        assert_eq!(line.roll_back(inner), Some(LockNumbers { first: 3, last: 3 }));
        assert_eq!(line.take(), 4);
        assert_eq!(line.roll_back(outer), Some(LockNumbers { first: 2, last: 4 }));
        assert_eq!(line.roll_back(inner), None, "it is gone");
        assert_eq!(line.take(), 5);
        assert_eq!(line.roll_back(outer), Some(LockNumbers { first: 2, last: 5 }));
    }
}
