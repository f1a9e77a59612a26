//! Sending writes before the commit, of a transaction that is larger than its buffer.
//!
//! - F1. What leaves the buffer is laid: all its batches were answered. If one fails, all of it stays, and is sent again.
//! - F2. Savepoints hold beyond it: a number that is undone is ignored by whoever reads, resolves or commits.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Txn;
use super::error::TxnError;
use super::wait::RowLock;

impl Txn {
    /// To be called between writes of a transaction that may be large: if the buffer has grown beyond its measure, its
    /// writes become intents, and there is room for more.
    pub async fn make_room(&mut self) -> Result<(), TxnError> {
        self.ensure_open()?;
        let config = &self.sender.config;
        if !self.buffer.exceeds(config.flush_keys, config.flush_bytes) {
            return Ok(());
        }
        let sent = self.flush().await;
        self.settle(sent)
    }

    /// So many writes and bytes are best written at once: [`Txn::write_through`], [`Txn::make_room`].
    pub fn room(&self) -> (usize, usize) {
        (self.sender.config.flush_keys, self.sender.config.flush_bytes)
    }

    /// Plain reads see none of the writes that follow, until [`Txn::unpin`] or a return to a savepoint; locking reads
    /// for the sake of a write do ([`Txn::get_many_newest_for_update`]). For a statement that must not see what it
    /// writes, and writes more than it can keep.
    pub fn pin(&mut self) {
        self.pinned.get_or_insert(self.buffer.sequence());
    }

    /// Ends what [`Txn::pin`] began.
    pub fn unpin(&mut self) {
        self.pinned = None;
    }

    /// Writes keys, at once: they are intents when this returns, and so is everything that was buffered.
    pub async fn write_through(
        &mut self,
        writes: impl IntoIterator<Item = (Bytes, Option<Bytes>)> + Send,
    ) -> Result<(), TxnError> {
        self.ensure_open()?;
        for (key, value) in writes {
            match value {
                Some(value) => self.put(key, value)?,
                None => self.delete(key)?,
            }
        }
        let sent = self.flush().await;
        self.settle(sent)
    }

    /// As [`Txn::get_many_for_update`], with the writes since [`Txn::pin`]; and the keys that they are of.
    pub async fn get_many_newest_for_update(
        &mut self,
        keys: &[Bytes],
    ) -> Result<(Vec<Option<Bytes>>, BTreeSet<Bytes>), TxnError> {
        keys.iter().try_for_each(|key| self.ready(key))?;
        self.see_until(None);
        let read = self.read_keys(keys, Some(RowLock::UPDATE)).await;
        let read = self.settle(read)?;
        Ok((read.values, self.since_pin(read.own)))
    }

    /// Those of the keys that were written since [`Txn::pin`].
    pub async fn written_since_pin(&mut self, keys: &[Bytes]) -> Result<BTreeSet<Bytes>, TxnError> {
        keys.iter().try_for_each(|key| self.ready(key))?;
        self.see_until(None);
        let read = self.read_keys(keys, None).await;
        let own = self.settle(read)?.own;
        Ok(self.since_pin(own))
    }

    fn since_pin(&self, own: Vec<(Bytes, u32)>) -> BTreeSet<Bytes> {
        let is_later = |sequence| self.pinned.is_some_and(|pinned| sequence > pinned);
        own.into_iter().filter(|(_, sequence)| is_later(*sequence)).map(|(key, _)| key).collect()
    }

    async fn flush(&mut self) -> Result<(), TxnError> {
        let Some(first) = self.buffer.first_written().cloned() else { return Ok(()) };
        self.hold(&first);
        let keys: Vec<Bytes> = self.buffer.iter().map(|(key, ..)| key.clone()).collect();
        // G2: before anything leaves.
        self.laid.cover(&keys, &self.sender.config);
        self.lay_intents().await?;
        for key in &keys {
            self.locks.remove(key);
        }
        self.buffer.forget();
        Ok(())
    }
}
