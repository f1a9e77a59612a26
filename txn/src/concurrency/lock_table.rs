//! The lock table: who waits for whom.
//!
//! Promise: requests that want to lock or write a key get it one after the other, in the order of their
//! arrival; a plain reader waits only for intents. What is in here is best effort, and may vanish at any
//! time: serializability rests on intents, timestamp cache and refreshes, fairness alone on this.
//!
//! A key has at most one holder: a transaction that took an exclusive lock in a locking read (known only here),
//! or one whose intent was met during an evaluation (the truth is in the lock space). A request that is in the
//! way of another holds a [`Place`] in the key's queue until it is done, and only the first place is admitted.
//!
//! - I1. A holder is entered under a latch on its key, and so is its removal by resolution: no stale intent
//!   is entered after the intent is gone.
//! - I2. A request holds one place at a time: requests never wait for each other in a circle. (Transactions may,
//!   through the locks that they hold; a push after a while ends it.)
//! - I3. Whoever leaves the front of a free key's queue wakes the next.
//!
//! Bounds: so many keys, beyond which locks of locking reads are not remembered, and those of an intent push out
//! everything that nobody waits for; waiters as many as there are requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kv::clock::Timestamp;
use tokio::sync::oneshot;

use crate::api::TxnMeta;

/// At most about so many keys are remembered.
const MAX_KEYS: usize = 100_000;

/// Who has a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The transaction.
    pub txn: TxnMeta,
    /// When it was certainly alive.
    pub last_active: Timestamp,
    /// An intent was seen, so that readers wait too.
    pub intent: bool,
}

/// The lock table of a node. Cheap to clone; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct LockTable(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    keys: BTreeMap<Bytes, KeyState>,
}

#[derive(Debug, Default)]
struct KeyState {
    holder: Option<Holder>,
    /// Locking requests by order of arrival.
    queue: BTreeMap<u64, Option<oneshot::Sender<()>>>,
    readers: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A request's place in a key's queue, or among its readers. Left on drop.
#[derive(Debug)]
pub struct Place {
    table: LockTable,
    key: Bytes,
    number: u64,
}

impl Place {
    /// The key that is waited for.
    pub fn key(&self) -> &Bytes {
        &self.key
    }
}

/// Why a request cannot go on, and how it learns that it can.
#[derive(Debug)]
pub struct Blocked {
    /// Completes when it is worth another try.
    pub wake: oneshot::Receiver<()>,
    /// Who is in the way; none if only earlier requests are.
    pub holder: Option<Holder>,
    /// No earlier request waits for the same key.
    pub first: bool,
}

impl LockTable {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().expect("no panic under the lock table's lock"))
    }

    /// May a locking request of `txn_id` have the key now? `place` is the request's, if it has one.
    pub fn admits(&self, key: &[u8], txn_id: &[u8], place: Option<&Place>) -> bool {
        self.with(|state| state.keys.get(key).is_none_or(|k| k.admits(key, txn_id, place)))
    }

    /// Enters the queue of a key.
    pub fn enqueue(&self, key: &Bytes) -> Place {
        let number = self.with(|state| {
            state.next += 1;
            let number = state.next;
            state.keys.entry(key.clone()).or_default().queue.insert(number, None);
            number
        });
        Place { table: self.clone(), key: key.clone(), number }
    }

    /// What a locking request waits for. `None`: it may try again at once.
    pub fn block(&self, place: &Place, txn_id: &[u8]) -> Option<Blocked> {
        self.with(|state| {
            let key = state.keys.get_mut(&place.key)?;
            if key.admits(&place.key, txn_id, Some(place)) {
                return None;
            }
            let (sender, wake) = oneshot::channel();
            let first = key.queue.keys().next() == Some(&place.number);
            key.queue.insert(place.number, Some(sender));
            let holder = key.holder.clone().filter(|h| h.txn.id != txn_id);
            Some(Blocked { wake, holder, first })
        })
    }

    /// What a plain reader waits for. `None`: it may try again at once.
    pub fn block_reader(&self, key: &Bytes, txn_id: &[u8]) -> Option<(Blocked, Place)> {
        self.with(|state| {
            state.next += 1;
            let number = state.next;
            let entry = state.keys.get_mut(key)?;
            let holder = entry.holder.clone().filter(|h| h.intent && h.txn.id != txn_id)?;
            let (sender, wake) = oneshot::channel();
            let first = entry.readers.is_empty();
            entry.readers.insert(number, sender);
            let place = Place { table: self.clone(), key: key.clone(), number };
            Some((Blocked { wake, holder: Some(holder), first }, place))
        })
    }

    /// A locking read of `txn` got the key. Call under its latch, after [`LockTable::admits`].
    pub fn acquire(&self, key: &Bytes, txn: &TxnMeta, now: Timestamp) {
        self.with(|state| {
            let full = state.keys.len() >= MAX_KEYS;
            match state.keys.get_mut(key).map(|entry| &mut entry.holder) {
                Some(Some(holder)) if holder.txn.id == txn.id => {
                    holder.last_active = holder.last_active.max(now);
                    return;
                }
                // Not remembered: the next one to write is not held up, and this transaction's refresh tells.
                None if full => return,
                _ => {}
            }
            let holder = Holder { txn: txn.clone(), last_active: now, intent: false };
            state.keys.entry(key.clone()).or_default().holder = Some(holder);
        });
    }

    /// An intent of `txn` was met on the key. Call under its latch.
    pub fn discover(&self, key: &Bytes, txn: &TxnMeta, last_active: Timestamp) {
        let holder = Holder { txn: txn.clone(), last_active, intent: true };
        self.with(|state| {
            if state.keys.len() >= MAX_KEYS && !state.keys.contains_key(key) {
                // Met again when they are in the way again.
                state.keys.retain(|_, k| !k.queue.is_empty() || !k.readers.is_empty());
            }
            state.keys.entry(key.clone()).or_default().holder = Some(holder);
        });
    }

    /// The transaction has nothing on the key any more.
    pub fn release(&self, key: &Bytes, txn_id: &[u8]) {
        self.with(|state| {
            let held = state.keys.get(key).and_then(|k| k.holder.as_ref());
            if held.is_some_and(|h| h.txn.id == txn_id) {
                state.free(key);
            }
        });
    }

    /// This node no longer decides over the span: forgets its holders, wakes everybody. They are refused when
    /// they try again.
    pub fn clear(&self, start: &Bytes, end: &Bytes) {
        self.with(|state| {
            let keys: Vec<Bytes> =
                state.keys.range(start.clone()..end.clone()).map(|(key, _)| key.clone()).collect();
            for key in keys {
                if let Some(entry) = state.keys.get_mut(&key) {
                    entry.queue.values_mut().filter_map(Option::take).for_each(wake);
                }
                state.free(&key);
            }
        });
    }

    /// Number of keys with a holder or a waiter.
    pub fn len(&self) -> usize {
        self.with(|state| state.keys.len())
    }

    /// True iff there is neither a holder nor a waiter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KeyState {
    fn admits(&self, key: &[u8], txn_id: &[u8], place: Option<&Place>) -> bool {
        match &self.holder {
            // Whoever holds the lock does not queue for it.
            Some(holder) => holder.txn.id == txn_id,
            None => {
                let own = place.filter(|place| place.key == key).map(|place| place.number);
                self.queue.keys().next().copied().is_none_or(|first| Some(first) == own)
            }
        }
    }
}

impl State {
    fn free(&mut self, key: &Bytes) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.holder = None;
            self.settle(key);
        }
    }

    /// After a change: wakes whoever can go on, and drops the key when nobody is left.
    fn settle(&mut self, key: &Bytes) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        if entry.holder.as_ref().is_none_or(|h| !h.intent) {
            std::mem::take(&mut entry.readers).into_values().for_each(wake);
        }
        if entry.holder.is_none() {
            match entry.queue.values_mut().next() {
                Some(first) => first.take().into_iter().for_each(wake),
                None => {
                    self.keys.remove(key);
                }
            }
        }
    }
}

fn wake(sender: oneshot::Sender<()>) {
    // A waiter that is gone needs no waking; its place's drop wakes the next.
    let _ = sender.send(());
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.with(|state| {
            if let Some(entry) = state.keys.get_mut(&self.key) {
                entry.queue.remove(&self.number);
                entry.readers.remove(&self.number);
                state.settle(&self.key);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn txn(id: u8) -> TxnMeta {
        TxnMeta { id: Bytes::from(vec![id]), ..TxnMeta::default() }
    }

    #[test]
    fn a_free_key_goes_to_the_first_in_its_queue_alone() {
        let (table, key) = (LockTable::default(), Bytes::from_static(b"k"));
        table.acquire(&key, &txn(1), Timestamp::ZERO);
        let (first, second) = (table.enqueue(&key), table.enqueue(&key));
        let wait = table.block(&first, b"\x02").unwrap();
        let mut later = table.block(&second, b"\x03").unwrap();
        assert!(wait.first && !later.first);
        assert!(table.block_reader(&key, b"\x04").is_none(), "no intent, no waiting");
        table.release(&key, b"\x09");
        table.release(&key, b"\x01");
        assert!(wait.wake.now_or_never().is_some());
        assert!((&mut later.wake).now_or_never().is_none());
        assert!(!table.admits(&key, b"\x05", None), "newcomers do not pass");
        assert!(table.admits(&key, b"\x02", Some(&first)));
        // The first in the queue goes away without taking the key.
        drop(first);
        assert!(later.wake.now_or_never().is_some());
        drop(second);
        assert!(table.is_empty());
    }

    #[test]
    fn readers_wait_for_intents_and_the_table_is_bounded() {
        let table = LockTable::default();
        let key = |n: usize| Bytes::from(n.to_be_bytes().to_vec());
        for n in 0..MAX_KEYS + 10 {
            table.acquire(&key(n), &txn(1), Timestamp::ZERO);
        }
        assert_eq!(table.len(), MAX_KEYS);
        assert!(table.admits(&key(MAX_KEYS), b"\x02", None), "not remembered");
        let place = table.enqueue(&key(3));
        table.discover(&key(MAX_KEYS), &txn(1), Timestamp::ZERO);
        assert_eq!(table.len(), 2, "what is waited for, and what was met");
        let (blocked, reader) = table.block_reader(&key(MAX_KEYS), b"\x02").unwrap();
        table.clear(&key(0), &key(MAX_KEYS + 1));
        assert!(blocked.wake.now_or_never().is_some());
        drop((place, reader));
        assert!(table.is_empty());
    }
}
