//! What a statement has written so far, and what it knows of keys that it is about to write.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sql_values::error::SqlResult;
use sql_values::memory::{Pool, Reservation};
use txn::api::MAX_VALUE_BYTES;
use txn::db::{Savepoint, Txn, TxnError};
use txn::mvcc::Order;

use crate::context::Run;
use crate::errors::{OrSql, from_txn};
use crate::row;
use crate::store;

/// About what an entry needs beside its key and value.
const ENTRY_BYTES: usize = 96;
/// Keys read at once, whose values are not counted before they are here.
const FORESEEN_KEYS: usize = 1_000;

/// Fewer keys are locked and read one by one.
const ABSENT_KEYS: usize = 32;

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
    pub(super) fn contains(&self, key: &Bytes) -> bool {
        self.entries.contains_key(key) || self.written.contains(key)
    }

    /// True iff there are writes of the statement that are not kept here any more.
    pub(super) fn has_written_through(&self) -> bool {
        self.through.is_some()
    }

    pub(super) fn set(&mut self, key: Bytes, value: Option<Bytes>) -> SqlResult<()> {
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
    pub(super) fn known(&self, key: &Bytes) -> Option<&Option<Bytes>> {
        self.entries.get(key).or_else(|| self.known.get(key))
    }

    /// Forgets what was found, not what was written.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.known_held.clear();
        self.written.clear();
    }

    /// Forgets what was written and has not been written through.
    pub(super) fn drop_entries(&mut self) {
        self.take_entries();
    }

    fn take_entries(&mut self) -> BTreeMap<Bytes, Option<Bytes>> {
        self.bytes = 0;
        self.held.clear();
        std::mem::take(&mut self.entries)
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

/// True iff ascending keys, `count` of them, from one to another, are about all that there can be: they end in integers that
/// count up.
fn is_dense(count: usize, first: &[u8], last: &[u8]) -> bool {
    row::steps(first, last) == Some(count as u64 - 1)
}

impl Run<'_> {
    /// Between two portions: if the statement has written more than it should keep, sends it. It still does not see it.
    pub(super) async fn write_through(&mut self) -> SqlResult<()> {
        let (keys, bytes) = self.txn.room();
        let pending = &mut self.shared.pending;
        // A part of the statement's memory, too, however little that is.
        let is_large = pending.held.bytes() > self.shared.pool.limit() / KEPT_PART;
        if pending.entries.len() <= keys && pending.bytes <= bytes && !is_large {
            return Ok(());
        }
        if pending.through.is_none() {
            pending.through = Some(self.txn.savepoint().or_sql()?);
            self.txn.pin();
        }
        let entries = pending.take_entries();
        self.txn.write_through(entries).await.or_sql()
    }

    /// Finds out which keys were written through, of rows that are about to be updated or deleted.
    pub(super) async fn find_written(&mut self, keys: &[Bytes]) -> SqlResult<()> {
        if self.shared.pending.has_written_through() && !keys.is_empty() {
            let written = self.txn.written_since_pin(keys).await.or_sql()?;
            self.shared.pending.written.extend(written);
        }
        Ok(())
    }

    /// Locks and reads keys, with what the statement has written through.
    async fn lock_newest(&mut self, keys: &[Bytes]) -> SqlResult<Vec<Option<Bytes>>> {
        if self.shared.pending.through.is_none() {
            return self.txn.get_many_for_update(keys).await.or_sql();
        }
        let newest = self.txn.get_many_newest_for_update(keys).await;
        let (values, written) = newest.or_sql()?;
        self.shared.pending.written.extend(written);
        Ok(values)
    }

    /// What a key that is about to be written has now, after it is locked.
    pub(super) async fn locked(&mut self, key: &Bytes) -> SqlResult<Option<Bytes>> {
        match self.shared.pending.known(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.lock_newest(std::slice::from_ref(key)).await?.pop().flatten()),
        }
    }

    /// True iff it is known, for the price of one read, that none of these keys is there: they ascend and are all that a
    /// short span could have, as those of a load are. Nothing is locked then. Should another transaction write one of
    /// them meanwhile, this one cannot be serialized, and waits for the locks when it runs again.
    async fn are_absent(&mut self, keys: &[Bytes]) -> SqlResult<bool> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(false) };
        if !self.ctx.may_repeat
            || keys.len() < ABSENT_KEYS
            || self.shared.pending.has_written_through()
            || !is_dense(keys.len(), first, last)
        {
            return Ok(false);
        }
        let span = (first.clone(), store::after(last));
        let found = self.txn.scan_rows(span, Order::Ascending, 1, None).await.or_sql()?;
        Ok(found.is_empty())
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
            let values = match self.are_absent(keys).await? {
                true => vec![None; keys.len()],
                false => self.lock_newest(keys).await?,
            };
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

#[cfg(test)]
mod tests {
    use sql_values::types::{Datum, SqlType};

    use super::is_dense;
    use crate::row;

    #[test]
    fn keys_are_dense_if_no_other_could_be_between_them() {
        let key = |head: &str, tail: i64| {
            let mut key = head.as_bytes().to_vec();
            row::encode_key_datum(&mut key, SqlType::Int8, &Datum::Int8(tail), false).unwrap();
            key
        };
        assert!(is_dense(3, &key("t", 254), &key("t", 256)));
        assert!(is_dense(1_001, &key("t", 1_000), &key("t", 2_000)));
        assert!(!is_dense(3, &key("t", 254), &key("t", 257)));
        assert!(!is_dense(3, &key("t", 254), &key("u", 256)));
        assert!(!is_dense(3, &key("t", 254), &key("tt", 256)));
        assert!(!is_dense(3, &key("t", 191), &key("t", 193)), "of other lengths");
    }
}
