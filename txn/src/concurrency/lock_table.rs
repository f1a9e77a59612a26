//! The lock table: who waits for whom.
//!
//! Promise: requests whose locks conflict get a key one after the other, in the order of their arrival; a plain
//! reader waits only for intents. What is in here is best effort, and may vanish at any time: serializability rests
//! on intents, timestamp cache and refreshes, fairness alone on this.
//!
//! A key has holders whose locks do not conflict: transactions that took a lock in a locking read (known only here), or
//! one whose intent was met during an evaluation (the truth is in the lock space). A request that is in the way of
//! another holds a [`Place`] in the key's queue until it is done, and only a place without an earlier one that conflicts
//! is admitted.
//!
//! - I1. A holder is entered under a latch on its key, and so is its removal by resolution: no stale intent
//!   is entered after the intent is gone.
//! - I2. A request holds one place at a time: requests never wait for each other in a circle. (Transactions may,
//!   through the locks that they hold; see [`super::Waits`].)
//! - I3. Whatever changes at a key, whoever can go on then is woken.
//! - I4. A request that comes again with its earlier number has its earlier place, ahead of all that came since.
//! - I5. A lock has the numbers of the savepoints under which it was taken. Going back releases it if no other is left:
//!   a lock that is taken again has a new number, so a late release does it no harm.
//!
//! Bounds: so many keys, beyond which locks of locking reads are not remembered, and those of an intent push out
//! everything that nobody waits for; waiters as many as there are requests; so many numbers of a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kv::clock::Timestamp;
use tokio::sync::oneshot;

use crate::api::{LockNumbers, LockStrength, TxnMeta};

/// At most about so many keys are remembered.
const MAX_KEYS: usize = 100_000;
/// Numbers of one lock that are told apart. Beyond, it is released only with the transaction, or a little early.
const MAX_NUMBERS: usize = 16;

/// A transaction that has a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The transaction.
    pub txn: TxnMeta,
    /// When it was certainly alive.
    pub last_active: Timestamp,
    /// An intent was seen, so that readers wait too.
    pub intent: bool,
    /// Locks of locking reads, with their savepoints' numbers, ascending.
    locks: Vec<(u32, LockStrength)>,
}

impl Holder {
    /// The holder of an intent.
    pub fn of_intent(txn: &TxnMeta, last_active: Timestamp) -> Self {
        Holder { txn: owned(txn), last_active, intent: true, locks: Vec::new() }
    }

    fn conflicts(&self, strength: LockStrength) -> bool {
        self.intent || self.locks.iter().any(|(_, held)| held.conflicts(strength))
    }
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
    /// One for each transaction.
    holders: Vec<Holder>,
    /// Locking requests by order of arrival; the second number tells a request from its own repetition.
    queue: BTreeMap<(u64, u64), Waiter>,
    /// Plain readers that wait for an intent, likewise.
    readers: BTreeMap<(u64, u64), Option<oneshot::Sender<()>>>,
}

#[derive(Debug)]
struct Waiter {
    txn_id: Bytes,
    strength: LockStrength,
    wake: Option<oneshot::Sender<()>>,
}

/// A request's place in a key's queue, or among its readers. Left on drop.
#[derive(Debug)]
pub struct Place {
    table: LockTable,
    key: Bytes,
    number: (u64, u64),
    /// None: among the readers.
    strength: Option<LockStrength>,
}

impl Place {
    /// The key that is waited for.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// The lock that is waited for; none is a reader's.
    pub fn strength(&self) -> Option<LockStrength> {
        self.strength
    }

    /// To come again with.
    pub fn number(&self) -> u64 {
        self.number.0
    }
}

/// Why a request cannot go on, and how it learns that it can.
#[derive(Debug)]
pub struct Blocked {
    /// Completes when it is worth another try.
    pub wake: oneshot::Receiver<()>,
    /// Who is in the way; none if only earlier requests are.
    pub holders: Vec<Holder>,
    /// Those of them that no earlier request waits for: it is this one that asks about them.
    pub asks: Vec<Holder>,
}

impl LockTable {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().expect("no panic under the lock table's lock"))
    }

    /// May a request of `txn_id` lock the key now? `place` is the request's, if it has one.
    pub fn admits(
        &self,
        key: &[u8],
        txn_id: &[u8],
        strength: LockStrength,
        place: Option<&Place>,
    ) -> bool {
        let own = place.filter(|place| place.key == key && place.strength.is_some());
        let own = own.map(|place| place.number);
        self.with(|state| state.keys.get(key).is_none_or(|k| k.admits(txn_id, strength, own)))
    }

    /// The first key of the span that a request of `txn_id` may not lock now. As [`LockTable::admits`].
    pub fn first_refused(
        &self,
        (start, end): (&Bytes, &Bytes),
        txn_id: &[u8],
        strength: LockStrength,
        place: Option<&Place>,
    ) -> Option<Bytes> {
        let own = place.filter(|place| place.strength.is_some());
        self.with(|state| {
            let is_refused = |(key, k): &(&Bytes, &KeyState)| {
                let own = own.filter(|place| place.key == **key).map(|place| place.number);
                !k.admits(txn_id, strength, own)
            };
            let mut keys = state.keys.range(start.clone()..end.clone());
            keys.find(is_refused).map(|(key, _)| key.clone())
        })
    }

    /// True iff nobody has a lock in the span or waits for one.
    pub fn has_nothing(&self, start: &Bytes, end: &Bytes) -> bool {
        self.with(|state| state.keys.range(start.clone()..end.clone()).next().is_none())
    }

    /// Enters the queue of a key, or its readers: at the end, or where the request was before (I4).
    pub fn enqueue(
        &self,
        key: &Bytes,
        txn_id: &[u8],
        strength: Option<LockStrength>,
        earlier: Option<u64>,
    ) -> Place {
        let key = Bytes::copy_from_slice(key);
        let number = self.with(|state| {
            state.next += 1;
            // A number of another node's table may be any.
            let number = (earlier.unwrap_or(state.next).min(state.next), state.next);
            let entry = state.keys.entry(key.clone()).or_default();
            match strength {
                Some(strength) => {
                    let txn_id = Bytes::copy_from_slice(txn_id);
                    entry.queue.insert(number, Waiter { txn_id, strength, wake: None });
                }
                None => drop(entry.readers.insert(number, None)),
            }
            number
        });
        Place { table: self.clone(), key, number, strength }
    }

    /// What a request waits for. `None`: it may try again at once.
    pub fn block(&self, place: &Place, txn_id: &[u8]) -> Option<Blocked> {
        self.with(|state| {
            let key = state.keys.get_mut(&place.key)?;
            let (sender, wake) = oneshot::channel();
            let Some(strength) = place.strength else {
                let of_other = |holder: &&Holder| holder.intent && holder.txn.id != txn_id;
                let holders: Vec<_> = key.holders.iter().filter(of_other).cloned().collect();
                if holders.is_empty() {
                    return None;
                }
                key.readers.insert(place.number, Some(sender));
                let first = key.readers.keys().next() == Some(&place.number);
                let asks = if first { holders.clone() } else { Vec::new() };
                return Some(Blocked { wake, holders, asks });
            };
            if key.admits(txn_id, strength, Some(place.number)) {
                return None;
            }
            key.queue.get_mut(&place.number)?.wake = Some(sender);
            let holders = key.in_the_way(txn_id, strength);
            let is_asked = |holder: &&Holder| {
                let mut earlier = key.queue.range(..place.number);
                earlier.any(|(_, w)| w.txn_id != holder.txn.id && holder.conflicts(w.strength))
            };
            let asks = holders.iter().filter(|holder| !is_asked(holder)).cloned().collect();
            Some(Blocked { wake, holders, asks })
        })
    }

    /// Who keeps a request without a place from locking the key.
    pub fn in_the_way(&self, key: &[u8], txn_id: &[u8], strength: LockStrength) -> Vec<Holder> {
        self.with(|state| {
            state.keys.get(key).map_or(Vec::new(), |key| key.in_the_way(txn_id, strength))
        })
    }

    /// A locking read of `txn`, which is [`owned`], got the key. Call under its latch, after [`LockTable::admits`]. True if
    /// it had no lock there before.
    pub fn acquire(
        &self,
        key: &Bytes,
        txn: &TxnMeta,
        (number, strength): (u32, LockStrength),
        now: Timestamp,
    ) -> bool {
        self.with(|state| {
            let full = state.keys.len() >= MAX_KEYS;
            // Not remembered: the next one to write is not held up, and this transaction's refresh tells.
            if full && !state.keys.contains_key(key) {
                return true;
            }
            let entry = match state.keys.get_mut(key) {
                Some(entry) => entry,
                None => state.keys.entry(Bytes::copy_from_slice(key)).or_default(),
            };
            if let Some(holder) = entry.holders.iter_mut().find(|h| h.txn.id == txn.id) {
                holder.last_active = holder.last_active.max(now);
                holder.add_lock(number, strength);
                return false;
            }
            let locks = vec![(number, strength)];
            entry.holders.push(Holder { txn: txn.clone(), last_active: now, intent: false, locks });
            // Other requests of the same transaction have it now too.
            entry.wake(|waiter| waiter.txn_id == txn.id);
            true
        })
    }

    /// An intent of `txn` was met on the key. Call under its latch.
    pub fn discover(&self, key: &Bytes, txn: &TxnMeta, last_active: Timestamp) {
        self.with(|state| {
            if state.keys.len() >= MAX_KEYS && !state.keys.contains_key(key) {
                // Met again when they are in the way again.
                state.keys.retain(|_, k| !k.queue.is_empty() || !k.readers.is_empty());
            }
            let entry = state.keys.entry(Bytes::copy_from_slice(key)).or_default();
            match entry.holders.iter_mut().find(|h| h.txn.id == txn.id) {
                Some(holder) => {
                    holder.intent = true;
                    holder.last_active = holder.last_active.max(last_active);
                }
                None => entry.holders.push(Holder::of_intent(txn, last_active)),
            }
        });
    }

    /// The transaction has nothing on the key any more. Its requests that wait there are woken, too.
    pub fn release(&self, key: &Bytes, txn_id: &[u8]) {
        self.with(|state| {
            if let Some(entry) = state.keys.get_mut(key) {
                entry.holders.retain(|h| h.txn.id != txn_id);
                entry.wake(|waiter| waiter.txn_id == txn_id);
                state.settle(key);
            }
        });
    }

    /// The transaction has gone back to a savepoint: what it locked since is free (I5).
    pub fn roll_back(&self, key: &Bytes, txn_id: &[u8], numbers: LockNumbers) {
        self.with(|state| {
            if let Some(entry) = state.keys.get_mut(key) {
                entry.holders.retain_mut(|holder| {
                    if holder.txn.id != txn_id || holder.locks.is_empty() {
                        return true;
                    }
                    holder.locks.retain(|(n, _)| !(numbers.first..=numbers.last).contains(n));
                    holder.intent || !holder.locks.is_empty()
                });
                state.settle(key);
            }
        });
    }

    /// The transaction has nothing in the span any more.
    pub fn release_span(&self, start: &Bytes, end: &Bytes, txn_id: &[u8]) {
        self.with(|state| {
            let has = |k: &KeyState| k.holders.iter().any(|holder| holder.txn.id == txn_id);
            let held = state.keys.range(start.clone()..end.clone()).filter(|(_, k)| has(k));
            let keys: Vec<Bytes> = held.map(|(key, _)| key.clone()).collect();
            for key in keys {
                if let Some(entry) = state.keys.get_mut(&key) {
                    entry.holders.retain(|holder| holder.txn.id != txn_id);
                    entry.wake(|waiter| waiter.txn_id == txn_id);
                }
                state.settle(&key);
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
                    entry.holders.clear();
                    entry.wake(|_| true);
                }
                state.settle(&key);
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

impl Holder {
    fn add_lock(&mut self, number: u32, strength: LockStrength) {
        let at = self.locks.partition_point(|(n, _)| *n < number);
        match self.locks.get_mut(at) {
            Some((n, held)) if *n == number => {
                // FOR SHARE and FOR NO KEY UPDATE together keep out what FOR UPDATE does, but for FOR KEY SHARE.
                *held = (*held).min(strength);
            }
            _ => self.locks.insert(at, (number, strength)),
        }
        if self.locks.len() > MAX_NUMBERS {
            let (_, weakened) = self.locks.remove(MAX_NUMBERS - 1);
            let last = self.locks.last_mut().expect("there are many");
            last.1 = last.1.min(weakened);
        }
    }
}

impl KeyState {
    fn in_the_way(&self, txn_id: &[u8], strength: LockStrength) -> Vec<Holder> {
        let others = self.holders.iter().filter(|holder| holder.txn.id != txn_id);
        others.filter(|holder| holder.conflicts(strength)).cloned().collect()
    }

    fn admits(&self, txn_id: &[u8], strength: LockStrength, own: Option<(u64, u64)>) -> bool {
        let mut is_holder = false;
        for holder in &self.holders {
            match holder.txn.id == txn_id {
                true => is_holder = true,
                false if holder.conflicts(strength) => return false,
                false => {}
            }
        }
        // Whoever has a lock does not queue for it, nor for a stronger one.
        is_holder
            || self
                .queue
                .iter()
                .take_while(|(number, _)| own.is_none_or(|own| **number < own))
                .all(|(_, earlier)| !earlier.strength.conflicts(strength))
    }

    fn wake(&mut self, of: impl Fn(&Waiter) -> bool) {
        for waiter in self.queue.values_mut().filter(|waiter| of(waiter)) {
            waiter.wake.take().into_iter().for_each(wake);
        }
    }

    /// Wakes those who would be admitted.
    fn wake_admitted(&mut self) {
        // The strongest lock that an earlier request waits for.
        let mut earlier: Option<LockStrength> = None;
        for waiter in self.queue.values_mut() {
            let of_others = |holder: &&Holder| holder.txn.id != waiter.txn_id;
            let mut others = self.holders.iter().filter(of_others);
            let queued = earlier.is_some_and(|earlier| earlier.conflicts(waiter.strength));
            let holds = || self.holders.iter().any(|holder| holder.txn.id == waiter.txn_id);
            if waiter.wake.is_some()
                && !others.any(|holder| holder.conflicts(waiter.strength))
                && (!queued || holds())
            {
                waiter.wake.take().into_iter().for_each(wake);
            }
            earlier = Some(earlier.map_or(waiter.strength, |e| e.min(waiter.strength)));
            if earlier == Some(LockStrength::Update) && self.holders.is_empty() {
                return;
            }
        }
    }
}

impl State {
    /// After a change: wakes whoever can go on, and drops the key when nobody is left.
    fn settle(&mut self, key: &Bytes) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        if !entry.holders.iter().any(|holder| holder.intent) {
            entry.readers.values_mut().filter_map(Option::take).for_each(wake);
        }
        entry.wake_admitted();
        if entry.holders.is_empty() && entry.queue.is_empty() && entry.readers.is_empty() {
            self.keys.remove(key);
        }
    }
}

/// What is remembered does not keep the request's buffer alive.
pub fn owned(txn: &TxnMeta) -> TxnMeta {
    TxnMeta {
        id: Bytes::copy_from_slice(&txn.id),
        anchor: Bytes::copy_from_slice(&txn.anchor),
        ..txn.clone()
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
mod scripts;
#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use LockStrength::{KeyShare, NoKeyUpdate, Share, Update};

    fn txn(id: u8) -> TxnMeta {
        TxnMeta { id: Bytes::from(vec![id]), ..TxnMeta::default() }
    }

    fn acquire(table: &LockTable, key: &Bytes, id: u8, number: u32, strength: LockStrength) {
        table.acquire(key, &txn(id), (number, strength), Timestamp::ZERO);
    }

    /// PostgreSQL's table of conflicting row-level locks.
    #[test]
    fn strengths_conflict_as_in_postgresql() {
        let table = [
            (KeyShare, [false, false, false, true]),
            (Share, [false, false, true, true]),
            (NoKeyUpdate, [false, true, true, true]),
            (Update, [true, true, true, true]),
        ];
        for (a, row) in table {
            for (b, conflicts) in [KeyShare, Share, NoKeyUpdate, Update].into_iter().zip(row) {
                assert_eq!(a.conflicts(b), conflicts, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn readers_wait_for_intents_and_the_table_is_bounded() {
        let table = LockTable::default();
        let key = |n: usize| Bytes::from(n.to_be_bytes().to_vec());
        for n in 0..MAX_KEYS + 10 {
            acquire(&table, &key(n), 1, 0, Update);
        }
        assert_eq!(table.len(), MAX_KEYS);
        assert!(table.admits(&key(MAX_KEYS), b"\x02", Update, None), "not remembered");
        let place = table.enqueue(&key(3), b"\x02", Some(Update), None);
        table.discover(&key(MAX_KEYS), &txn(1), Timestamp::ZERO);
        assert_eq!(table.len(), 2, "what is waited for, and what was met");
        let reader = table.enqueue(&key(MAX_KEYS), b"\x02", None, None);
        let blocked = table.block(&reader, b"\x02").unwrap();
        table.clear(&key(0), &key(MAX_KEYS + 1));
        assert!(blocked.wake.now_or_never().is_some());
        drop((place, reader));
        assert!(table.is_empty());
    }
}
