//! The gateway's side of a transaction.
//!
//! Promise: what a [`Txn`] reads is one state of the database, with its own writes over it; on
//! [`Txn::commit`] all its writes become visible at one timestamp at which all its reads still hold, or none
//! does, or the caller is told that this is not known.
//!
//! Flow, from the caller down, each concern a file:
//!
//! 1. `buffer`: writes stay here until the commit; savepoints cost nothing. A transaction that outgrows it sends its
//!    writes as intents before (`flush`): from then on the servers have them, and the gateway knows only spans.
//! 2. `read`: reads go to the lease holders, range by range, and the buffer is laid over what comes back.
//!    A locking read takes its locks at the lease holder, where contention waits (`wait`).
//! 3. `refresh`: where a server finds that the read timestamp is too early, everything read so far (`spans`)
//!    is checked to be the same at a later one, and the transaction moves there.
//! 4. `erase`: the deletion of whole spans, which is all that its transaction writes.
//! 5. `commit`: one phase on one range; otherwise intents, then the record at the anchor. `heartbeat` tells
//!    others meanwhile that the transaction lives; `cleanup` resolves what is left, after the answer.
//! 6. `state`: the timestamps, and what is known of the nodes' clocks.
//! 7. `sender`: finding ranges, dividing work among them, following them when they move.
//!
//! Invariants (beside those of the files):
//!
//! - G1. The anchor never changes once anything carries it.
//! - G2. A key is in `locks` before a request that may lock it leaves, or (scans) when the answer arrives, be it an
//!   error; all buffered keys count as held from the first intent on. A lock of an unanswered scan is not known here: it
//!   has no version behind it, and whoever waits for it finds out that its owner is gone, since whatever ends a
//!   transaction that may have locked something tells its anchor.
//! - G3. Every read is recorded before the next request leaves.
//! - G4. After [`TxnError::Retry`] the transaction is dead; its locks are on their way to be released.
//! - G5. Heartbeats begin before the first lock or intent can exist, and end with the `Txn`.
//! - G6. Once a commit has begun, the writes do not change.
//! - G7. A write is in the buffer, or in an intent that is known to be laid, or undone and its number ignored by
//!   everybody (`TxnMeta::ignored`, the record, the resolutions). Every key with an intent is in the buffer or in `laid`.
//!
//! Hazards: a `Txn` that is dropped is rolled back in the background, unless its commit was on its way. A
//! future of it that is dropped may leave locks behind, which its rollback releases.
//!
//! Not done: pipelined writes of small transactions and parallel commit; flushing the buffer for reads that are evaluated
//! elsewhere; read committed; reads in the past.

mod buffer;
mod cleanup;
mod commit;
pub(crate) mod config;
mod deadline;
mod erase;
mod error;
mod flush;
mod heartbeat;
mod read;
mod refresh;
pub(crate) mod sender;
mod spans;
mod state;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::successor;

pub use buffer::Savepoint;
pub use deadline::CommitDeadline;
pub use error::{BodyError, TxnError};
use tokio::sync::oneshot;
pub use wait::RowLock;

use crate::api::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Row, Span};
use crate::coordinator::config::TxnOptions;
use crate::mvcc::Order;
use crate::rows::Rows;
use buffer::WriteBuffer;
use cleanup::Remains;
use heartbeat::{Pulse, aborted_error};
use sender::Sender;
use spans::SpanSet;
use state::TxnState;
use wait::NumberLine;

/// Returns to a savepoint behind which writes had been sent, at most.
const MAX_IGNORED: usize = 10_000;

/// How far a transaction has come.
enum Phase {
    Open,
    /// Dead, and cleaned up after: nothing was or will be committed.
    Failed(TxnError),
    /// A commit is on its way, and its outcome is not known.
    Committing,
    /// Committed or rolled back.
    Ended,
}

/// A serializable transaction. Dropping it rolls it back.
pub struct Txn {
    sender: Sender,
    state: TxnState,
    buffer: WriteBuffer,
    /// Locked keys, with the numbers of their locks.
    locks: BTreeMap<Bytes, u32>,
    lock_numbers: NumberLine,
    lock_timeout: Option<Duration>,
    /// Locks are being released.
    releasing: Option<oneshot::Receiver<()>>,
    /// Spans that the commit deletes as a whole. Nothing else is written then, or read any more.
    erased: Vec<Span>,
    /// Over the keys of the intents that are no longer in the buffer.
    laid: SpanSet,
    /// Intents may exist: in `laid`, and for the buffered writes.
    flushed: bool,
    /// Plain reads see own writes up to this number, and not what was written through since; see [`Txn::write_through`].
    pinned: Option<u32>,
    /// Runs from before the first lock or intent.
    pulse: Option<Pulse>,
    phase: Phase,
    /// A commit has begun. Open nevertheless: its future was dropped half-way.
    committing: bool,
    commit_deadlines: Vec<CommitDeadline>,
    deadline: Option<Duration>,
}

impl Txn {
    pub(crate) fn begin(sender: Sender, options: TxnOptions) -> Self {
        let state = TxnState::begin(&sender.env, options.priority);
        let config = &sender.config;
        let buffer = WriteBuffer::new(config.max_buffer_keys, config.max_buffer_bytes);
        Txn {
            state,
            buffer,
            locks: BTreeMap::new(),
            lock_numbers: NumberLine::new(),
            lock_timeout: Some(config.lock_timeout),
            releasing: None,
            erased: Vec::new(),
            laid: SpanSet::default(),
            flushed: false,
            pinned: None,
            pulse: None,
            phase: Phase::Open,
            committing: false,
            commit_deadlines: Vec::new(),
            deadline: options.deadline,
            sender,
        }
    }

    /// The transaction's id: 16 random bytes.
    pub fn id(&self) -> &Bytes {
        &self.state.meta.id
    }

    /// The time that its reads see. Moves forward now and then, with all earlier reads still valid.
    pub fn read_ts(&self) -> Timestamp {
        self.state.read_ts()
    }

    /// True iff it has read anything: then its reads are bound to a time.
    pub fn has_read(&self) -> bool {
        !self.state.reads.is_empty()
    }

    /// Reads at the present time from here on, if everything that was read so far is still the same there. If not, the
    /// transaction is dead.
    pub async fn catch_up(&mut self) -> Result<(), TxnError> {
        self.ensure_open()?;
        let (now, deadline) = (self.sender.env.clock.now(), self.op_deadline());
        let moved = self.move_reads(now, deadline).await;
        self.settle(moved)
    }

    /// The commit must happen below this timestamp (the end of a schema lease, say) and all others that were given, or
    /// it fails with [`TxnError::DeadlineExceeded`].
    pub fn commit_before(&mut self, deadline: CommitDeadline) {
        self.commit_deadlines.push(deadline);
    }

    /// The value of a key, if it has one.
    pub async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, TxnError> {
        if key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        self.ready(&key)?;
        self.see_until(self.pinned);
        let read = self.read_key(key, None).await;
        self.settle(read)
    }

    /// As [`Txn::get`], and nobody else writes or locks the key before this transaction ends. Waits for others.
    pub async fn get_for_update(&mut self, key: Bytes) -> Result<Option<Bytes>, TxnError> {
        self.get_locked(key, RowLock::UPDATE).await
    }

    /// As [`Txn::get_for_update`], with another lock. A key that is left out has no value.
    pub async fn get_locked(
        &mut self,
        key: Bytes,
        lock: RowLock,
    ) -> Result<Option<Bytes>, TxnError> {
        self.ready(&key)?;
        self.see_until(self.pinned);
        let read = self.read_key(key, Some(lock)).await;
        self.settle(read)
    }

    /// The values of many keys, in the order of the keys. A request for each range and portion of a batch's size, not
    /// one for each key.
    pub async fn get_many(&mut self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, TxnError> {
        let readable = keys.iter().filter(|key| key.len() <= MAX_KEY_BYTES);
        readable.into_iter().try_for_each(|key| self.ready(key))?;
        self.see_until(self.pinned);
        let read = self.read_keys(keys, None).await;
        self.settle(read).map(|read| read.values)
    }

    /// As [`Txn::get_many`], with a lock on every key as by [`Txn::get_for_update`]. After an error some may be locked.
    pub async fn get_many_for_update(
        &mut self,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, TxnError> {
        self.get_many_locked(keys, RowLock::UPDATE).await
    }

    /// As [`Txn::get_many_for_update`], with another lock. A key that is left out has no value.
    pub async fn get_many_locked(
        &mut self,
        keys: &[Bytes],
        lock: RowLock,
    ) -> Result<Vec<Option<Bytes>>, TxnError> {
        keys.iter().try_for_each(|key| self.ready(key))?;
        self.see_until(self.pinned);
        let read = self.read_keys(keys, Some(lock)).await;
        self.settle(read).map(|read| read.values)
    }

    /// The first `limit` rows of `[start, end)`, ascending.
    pub async fn scan(
        &mut self,
        start: Bytes,
        end: Bytes,
        limit: usize,
    ) -> Result<Vec<Row>, TxnError> {
        let rows = self.scan_rows((start, end), Order::Ascending, limit, None).await?;
        Ok(rows.to_vec())
    }

    /// As [`Txn::scan`], with a lock on every row found (and on some beyond, where this transaction's own
    /// writes fill the limit). Keys without a row are not locked.
    pub async fn scan_for_update(
        &mut self,
        start: Bytes,
        end: Bytes,
        limit: usize,
    ) -> Result<Vec<Row>, TxnError> {
        let lock = Some(RowLock::UPDATE);
        let rows = self.scan_rows((start, end), Order::Ascending, limit, lock).await?;
        Ok(rows.to_vec())
    }

    /// The last `limit` rows of `[start, end)`, descending. What lies before them is not read.
    pub async fn scan_reverse(
        &mut self,
        start: Bytes,
        end: Bytes,
        limit: usize,
    ) -> Result<Vec<Row>, TxnError> {
        let rows = self.scan_rows((start, end), Order::Descending, limit, None).await?;
        Ok(rows.to_vec())
    }

    /// The first `limit` rows of `[start, end)` in an order, with a lock on every row found if one is asked for, as by
    /// [`Txn::scan_for_update`].
    pub async fn scan_rows(
        &mut self,
        (start, end): (Bytes, Bytes),
        order: Order,
        limit: usize,
        lock: Option<RowLock>,
    ) -> Result<Rows, TxnError> {
        self.ensure_open()?;
        self.ensure_goes_on()?;
        let (start, end) = (bound(start), bound(end));
        self.see_until(self.pinned);
        let read = self.read_span((start, end), order, limit, lock).await;
        self.settle(read)
    }

    /// Sets a key. Nothing is sent before the commit, or before [`Txn::make_room`].
    pub fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), TxnError> {
        self.ready(&key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(TxnError::RowTooLarge { bytes: value.len() });
        }
        self.buffer.put(key, Some(value))
    }

    /// Deletes a key, be it there or not. As [`Txn::put`].
    pub fn delete(&mut self, key: Bytes) -> Result<(), TxnError> {
        self.ready(&key)?;
        self.buffer.put(key, None)
    }

    /// True iff so many writes, of so many bytes together, can be buffered: none of them fails for being too much.
    pub fn has_room(&self, keys: usize, bytes: usize) -> bool {
        self.buffer.has_room(keys, bytes)
    }

    /// Marks the present state of the writes and of the locks.
    pub fn savepoint(&mut self) -> Result<Savepoint, TxnError> {
        self.ensure_open()?;
        self.ensure_goes_on()?;
        let savepoint = self.buffer.savepoint()?;
        self.lock_numbers.mark(savepoint);
        Ok(savepoint)
    }

    /// Undoes the writes since the savepoint, which stays, while later ones are gone. What was locked since is free for
    /// others soon; [`Txn::released`] says when.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<(), TxnError> {
        self.ensure_open()?;
        if self.state.meta.ignored.len() >= MAX_IGNORED {
            return Err(TxnError::TooLarge);
        }
        if let Some(undone) = self.buffer.rollback_to(savepoint)? {
            self.state.ignore(undone);
        }
        self.release_since(savepoint);
        self.pinned = None;
        Ok(())
    }

    /// Forgets a savepoint and later ones; the writes stay.
    pub fn release(&mut self, savepoint: Savepoint) -> Result<(), TxnError> {
        self.ensure_open()?;
        self.buffer.release(savepoint)?;
        self.lock_numbers.forget(savepoint);
        Ok(())
    }

    /// Commits, and returns the timestamp at which it happened. Whatever comes back, the transaction has ended;
    /// [`TxnError::Ambiguous`] is the only error after which its writes may be there.
    pub async fn commit(&mut self) -> Result<Timestamp, TxnError> {
        self.ensure_open()?;
        self.committing = true;
        match self.try_commit().await {
            Ok(ts) => {
                // Locks of a transaction that wrote nothing; the others are dealt with.
                if self.buffer.is_empty() && !self.flushed && self.erased.is_empty() {
                    self.abandon();
                    self.end_as(Phase::Ended);
                    self.released().await;
                }
                self.end_as(Phase::Ended);
                Ok(ts)
            }
            Err(TxnError::Ambiguous) => {
                self.end_as(Phase::Ended);
                Err(TxnError::Ambiguous)
            }
            Err(error) => {
                self.abandon();
                self.end_as(Phase::Failed(error.clone()));
                Err(error)
            }
        }
    }

    /// Ends the transaction without a trace. What it holds is released in the background; [`Txn::released`] says when.
    pub fn rollback(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.abandon();
        }
        // A commit on its way cannot be called back: M1 of `commit`.
        self.end_as(Phase::Ended);
    }

    fn end_as(&mut self, phase: Phase) {
        self.phase = phase;
        self.pulse = None;
    }

    fn ready(&mut self, key: &Bytes) -> Result<(), TxnError> {
        self.ensure_open()?;
        self.ensure_goes_on()?;
        if key.is_empty() {
            return Err(TxnError::Invalid("a key must not be empty".into()));
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(TxnError::KeyTooLarge { bytes: key.len() });
        }
        Ok(())
    }

    fn ensure_open(&mut self) -> Result<(), TxnError> {
        match &self.phase {
            // Some intents may be there already, so that neither the writes nor the protocol can change.
            Phase::Open if self.committing => {
                return self.settle(Err(TxnError::retry("the commit was interrupted")));
            }
            Phase::Open => {}
            Phase::Failed(error) => return Err(error.clone()),
            Phase::Committing => return Err(TxnError::Ambiguous),
            Phase::Ended => return Err(TxnError::Invalid("the transaction has ended".into())),
        }
        let alive = self.ensure_alive();
        self.settle(alive)
    }

    fn ensure_alive(&self) -> Result<(), TxnError> {
        match self.pulse.as_ref().is_some_and(Pulse::is_aborted) {
            true => Err(aborted_error()),
            false => Ok(()),
        }
    }

    /// A transaction that must be run again cannot go on (G4).
    fn settle<T>(&mut self, result: Result<T, TxnError>) -> Result<T, TxnError> {
        if let Err(error) = &result
            && error.is_retry()
        {
            self.abandon();
            self.end_as(Phase::Failed(error.clone()));
        }
        result
    }

    /// Before the first request leaves that may lock something or lay an intent.
    fn hold(&mut self, anchor: &Bytes) {
        if self.state.meta.anchor.is_empty() {
            self.state.meta.anchor = anchor.clone();
        }
        if self.pulse.is_none() {
            self.pulse = Some(Pulse::start(&self.sender, self.state.meta.clone()));
        }
    }

    /// Own writes up to this number are seen by what is read next; by default all.
    fn see_until(&mut self, sequence: Option<u32>) {
        self.state.meta.sequence = sequence.unwrap_or(self.buffer.sequence());
    }

    fn held_keys(&self, with_writes: bool) -> BTreeSet<Bytes> {
        let written = self.buffer.iter().filter(|_| with_writes).map(|(key, ..)| key.clone());
        self.locks.keys().cloned().chain(written).collect()
    }

    /// Releases what the transaction holds. Only while nothing is, or can become, committed.
    fn abandon(&mut self) {
        if self.pulse.take().is_none() {
            return;
        }
        let keys = self.held_keys(self.flushed).into_iter().collect();
        let (meta, spans) = (self.state.meta.clone(), self.laid.clone());
        let remains = Remains { meta, keys, spans, commit_ts: None, intents: self.flushed };
        self.releasing = Some(remains.spawn(&self.sender));
    }

    async fn unless_aborted<T>(&self, future: impl Future<Output = T>) -> Result<T, TxnError> {
        match &self.pulse {
            Some(pulse) => pulse.unless_aborted(future).await,
            None => Ok(future.await),
        }
    }

    fn op_deadline(&self) -> Duration {
        let limit = self.sender.deadline_in(self.sender.config.op_timeout);
        self.deadline.map_or(limit, |deadline| limit.min(deadline))
    }
}

/// A bound of a span, no longer than need be: no key lies between what is longer than every key and what it begins with.
fn bound(key: Bytes) -> Bytes {
    if key.len() <= MAX_KEY_BYTES + 1 { key } else { successor(&key[..MAX_KEY_BYTES]) }
}

impl Drop for Txn {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.abandon();
        }
    }
}
