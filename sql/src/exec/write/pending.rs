//! What a statement has written so far.

use std::collections::BTreeMap;

use bytes::Bytes;
use txn::db::Txn;

use crate::error::SqlResult;
use crate::exec::context::{Reservation, Run};
use crate::exec::errors::from_txn;

/// About what an entry needs beside its key and value.
const ENTRY_BYTES: usize = 96;

/// Keys with their new values; none for a deletion.
pub(crate) struct Pending {
    entries: BTreeMap<Bytes, Option<Bytes>>,
    held: Reservation,
}

impl Pending {
    pub(crate) fn new(held: Reservation) -> Self {
        Pending { entries: BTreeMap::new(), held }
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

    /// The statement is done: its writes become the transaction's, all or none.
    pub(crate) fn apply(&mut self, txn: &mut Txn) -> SqlResult<()> {
        let entries = std::mem::take(&mut self.entries);
        self.held.clear();
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
        match self.shared.pending.entries.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.txn.get_for_update(key.clone()).await.map_err(from_txn),
        }
    }
}
