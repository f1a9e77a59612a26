//! What a statement has written so far, and what it knows of keys that it is about to write.

use std::collections::BTreeMap;

use bytes::Bytes;
use txn::db::Txn;

use crate::error::SqlResult;
use crate::exec::context::{Pool, Reservation, Run};
use crate::exec::errors::from_txn;

/// About what an entry needs beside its key and value.
const ENTRY_BYTES: usize = 96;
/// Keys read at once, whose values are not counted before they are here.
const FORESEEN_KEYS: usize = 1_000;

/// Keys with their new values; none for a deletion.
pub(crate) struct Pending {
    entries: BTreeMap<Bytes, Option<Bytes>>,
    held: Reservation,
    /// What locking reads have found. The locks keep it true; it is forgotten portion by portion to save memory.
    known: BTreeMap<Bytes, Option<Bytes>>,
    known_held: Reservation,
}

impl Pending {
    pub(crate) fn new(pool: &Pool) -> Self {
        let (held, known_held) = (pool.reserve(), pool.reserve());
        Pending { entries: BTreeMap::new(), held, known: BTreeMap::new(), known_held }
    }

    /// True iff the statement has written this key.
    pub(super) fn contains(&self, key: &Bytes) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn set(&mut self, key: Bytes, value: Option<Bytes>) -> SqlResult<()> {
        self.held.grow(ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len))?;
        self.entries.insert(key, value);
        Ok(())
    }

    /// What is there now, if that has been found out: nothing, or a value.
    pub(super) fn known(&self, key: &Bytes) -> Option<&Option<Bytes>> {
        self.entries.get(key).or_else(|| self.known.get(key))
    }

    /// Forgets what was found, not what was written.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.known_held.clear();
    }

    /// The statement is done: its writes become the transaction's, all or none.
    pub(crate) fn apply(&mut self, txn: &mut Txn) -> SqlResult<()> {
        let entries = std::mem::take(&mut self.entries);
        self.held.clear();
        self.forget();
        // One write needs no way back.
        if entries.len() < 2 {
            return put_all(entries, txn);
        }
        let savepoint = txn.savepoint().map_err(from_txn)?;
        if let Err(error) = put_all(entries, txn) {
            txn.rollback_to(savepoint).map_err(from_txn)?;
            return Err(error);
        }
        txn.release(savepoint).map_err(from_txn)
    }
}

fn put_all(entries: BTreeMap<Bytes, Option<Bytes>>, txn: &mut Txn) -> SqlResult<()> {
    for (key, value) in entries {
        match value {
            Some(value) => txn.put(key, value),
            None => txn.delete(key),
        }
        .map_err(from_txn)?;
    }
    Ok(())
}

impl Run<'_> {
    /// What a key that is about to be written has now, after it is locked.
    pub(super) async fn locked(&mut self, key: &Bytes) -> SqlResult<Option<Bytes>> {
        match self.shared.pending.known(key) {
            Some(value) => Ok(value.clone()),
            None => self.txn.get_for_update(key.clone()).await.map_err(from_txn),
        }
    }

    /// Locks and reads keys that are about to be written, so that [`Run::locked`] knows them: a few requests, where
    /// each key by itself would be one.
    pub(super) async fn foresee(&mut self, mut keys: Vec<Bytes>) -> SqlResult<()> {
        keys.retain(|key| self.shared.pending.known(key).is_none());
        // One key is read when its turn comes.
        if keys.len() < 2 {
            return Ok(());
        }
        keys.sort_unstable();
        keys.dedup();
        for keys in keys.chunks(FORESEEN_KEYS) {
            let values = self.txn.get_many_for_update(keys).await.map_err(from_txn)?;
            let pending = &mut self.shared.pending;
            for (key, value) in keys.iter().zip(values) {
                let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
                pending.known_held.grow(ENTRY_BYTES + bytes)?;
                pending.known.insert(key.clone(), value);
            }
        }
        Ok(())
    }
}
