//! What a statement has written so far, and what it knows of keys that it is about to write.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sql_values::error::SqlResult;
use sql_values::memory::{Pool, Reservation};
use txn::api::MAX_VALUE_BYTES;
use txn::db::{Savepoint, Txn, TxnError};

use crate::errors::{OrSql, from_txn};

/// About what an entry needs beside its key and value.
const ENTRY_BYTES: usize = 96;
/// Which part of a statement's memory may be what it has written.
const KEPT_PART: usize = 4;

/// Keys with their new values; none for a deletion.
pub(crate) struct Pending {
    entries: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
    held: Reservation,
    /// What locking reads have found. The locks keep it true; it is forgotten portion by portion to save memory.
    known: BTreeMap<Bytes, Option<Bytes>>,
    known_held: Reservation,
    /// Of a statement that has written through: where it began.
    through: Option<Savepoint>,
    /// Keys of the present portion that were written through before.
    written: BTreeSet<Bytes>,
}

impl Pending {
    pub(crate) fn new(pool: &Pool) -> Self {
        let (held, known_held) = (pool.reserve(), pool.reserve());
        Pending {
            entries: BTreeMap::new(),
            bytes: 0,
            held,
            known: BTreeMap::new(),
            known_held,
            through: None,
            written: BTreeSet::new(),
        }
    }

    /// True iff the statement has written this key: of those that were written through, as far as was foreseen.
    pub(crate) fn contains(&self, key: &Bytes) -> bool {
        self.entries.contains_key(key) || self.written.contains(key)
    }

    /// True iff there are writes of the statement that are not kept here any more.
    pub(crate) fn has_written_through(&self) -> bool {
        self.through.is_some()
    }

    pub(crate) fn set(&mut self, key: Bytes, value: Option<Bytes>) -> SqlResult<()> {
        let value_bytes = value.as_ref().map_or(0, Bytes::len);
        // No memory helps against this bound.
        if value_bytes > MAX_VALUE_BYTES {
            return Err(from_txn(TxnError::RowTooLarge { bytes: value_bytes }));
        }
        let bytes = key.len() + value_bytes;
        self.held.grow(ENTRY_BYTES + bytes)?;
        self.bytes += bytes;
        self.entries.insert(key, value);
        Ok(())
    }

    /// What is there now, if that has been found out: nothing, or a value.
    pub(crate) fn known(&self, key: &Bytes) -> Option<&Option<Bytes>> {
        self.entries.get(key).or_else(|| self.known.get(key))
    }

    /// A locking read has found what is there.
    pub(crate) fn know(&mut self, key: &Bytes, value: Option<Bytes>) -> SqlResult<()> {
        let bytes = key.len() + value.as_ref().map_or(0, Bytes::len);
        self.known_held.grow(ENTRY_BYTES + bytes)?;
        self.known.insert(key.clone(), value);
        Ok(())
    }

    /// These keys were written through before.
    pub(crate) fn know_written(&mut self, keys: impl IntoIterator<Item = Bytes>) {
        self.written.extend(keys);
    }

    /// Forgets what was found, not what was written.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        self.known_held.clear();
        self.written.clear();
    }

    /// Forgets what was written and has not been written through.
    pub(crate) fn drop_entries(&mut self) {
        self.take_entries();
    }

    fn take_entries(&mut self) -> BTreeMap<Bytes, Option<Bytes>> {
        self.bytes = 0;
        self.held.clear();
        std::mem::take(&mut self.entries)
    }

    /// If the statement has written more than it should keep, sends it to the transaction's ranges. It still does not see it.
    pub(crate) async fn write_through(&mut self, pool: &Pool, txn: &mut Txn) -> SqlResult<()> {
        let (keys, bytes) = txn.room();
        // A part of the statement's memory, too, however little that is.
        let is_large = self.held.bytes() > pool.limit() / KEPT_PART;
        if self.entries.len() <= keys && self.bytes <= bytes && !is_large {
            return Ok(());
        }
        if self.through.is_none() {
            self.through = Some(txn.savepoint().or_sql()?);
            txn.pin();
        }
        let entries = self.take_entries();
        txn.write_through(entries).await.or_sql()
    }

    /// The statement is done: its writes become the transaction's, all or none. A transaction that grows large by them
    /// sends them.
    pub(crate) async fn apply(&mut self, txn: &mut Txn) -> SqlResult<()> {
        let bytes = self.bytes;
        let entries = self.take_entries();
        self.forget();
        let begun = match self.through.take() {
            Some(savepoint) => savepoint,
            // One write needs no way back, and neither do those that will fit.
            None if entries.len() < 2 => return put_all(entries, txn),
            None if txn.has_room(entries.len(), bytes) => {
                put_all(entries, txn)?;
                return txn.make_room().await.or_sql();
            }
            None => txn.savepoint().or_sql()?,
        };
        txn.unpin();
        if let Err(error) = put_all(entries, txn) {
            txn.rollback_to(begun).or_sql()?;
            return Err(error);
        }
        txn.release(begun).or_sql()?;
        txn.make_room().await.or_sql()
    }

    /// The statement has failed: what it has written through is undone.
    pub(crate) fn abandon(&mut self, txn: &mut Txn) {
        self.take_entries();
        self.forget();
        if let Some(begun) = self.through.take() {
            // If the transaction has failed with it, there is nothing left to be undone.
            let _ = txn.rollback_to(begun).and_then(|()| txn.release(begun));
        }
    }
}

fn put_all(entries: BTreeMap<Bytes, Option<Bytes>>, txn: &mut Txn) -> SqlResult<()> {
    for (key, value) in entries {
        match value {
            Some(value) => txn.put(key, value),
            None => txn.delete(key),
        }
        .or_sql()?;
    }
    Ok(())
}
