//! Keys that are about to be written are locked and read: one by one, or many at once before.

use bytes::Bytes;
use sql_values::error::SqlResult;
use txn::mvcc::Order;

use crate::context::Run;
use crate::errors::OrSql;
use crate::row;
use crate::store;

/// Keys read at once, whose values are not counted before they are here.
const FORESEEN_KEYS: usize = 1_000;
/// Fewer keys are locked and read one by one.
const ABSENT_KEYS: usize = 32;

/// True iff ascending keys, `count` of them, from one to another, are about all that there can be: they end in integers that
/// count up.
fn is_dense(count: usize, first: &[u8], last: &[u8]) -> bool {
    row::steps(first, last) == Some(count as u64 - 1)
}

impl Run<'_> {
    /// Finds out which keys were written through, of rows that are about to be updated or deleted.
    pub(super) async fn find_written(&mut self, keys: &[Bytes]) -> SqlResult<()> {
        if self.shared.pending.has_written_through() && !keys.is_empty() {
            let written = self.txn.written_since_pin(keys).await.or_sql()?;
            self.shared.pending.know_written(written);
        }
        Ok(())
    }

    /// Locks and reads keys, with what the statement has written through.
    async fn lock_newest(&mut self, keys: &[Bytes]) -> SqlResult<Vec<Option<Bytes>>> {
        if !self.shared.pending.has_written_through() {
            return self.txn.get_many_for_update(keys).await.or_sql();
        }
        let newest = self.txn.get_many_newest_for_update(keys).await;
        let (values, written) = newest.or_sql()?;
        self.shared.pending.know_written(written);
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
            for (key, value) in keys.iter().zip(values) {
                self.shared.pending.know(key, value)?;
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
