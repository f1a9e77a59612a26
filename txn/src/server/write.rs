//! Writes and resolutions.
//!
//! - I1. A write lies above every read of its key by others (timestamp cache) and above its newest version, also one that
//!   an erasure makes.
//! - I2. A write delivered again changes nothing: its sequence number is known from the intent. One delivered
//!   after its transaction's end leaves an intent that nobody commits (`mvcc::Finished`, and the markers).
//! - I3. Intents may be resolved in any portions: a resolution stops where its command is full, and says where.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::seam::WriteBatch;

use super::evaluation::{Conflict, Effect, Evaluation, Mode, NewVersion, Stop, error};
use crate::api::{ErrorKind, Put, Resolve, Response};
use crate::mvcc::{self, Finished, Intent, intent};

/// Bytes of the command that a resolution makes, unless one key alone needs more: what others wait behind.
const RESOLVED_BYTES: usize = 2 << 20;

impl Evaluation<'_> {
    /// Writes an intent, or notes the version of a one-phase commit.
    pub(super) fn put(&mut self, put: &Put) -> Result<Response, Stop> {
        let txn = self.txn()?;
        if !self.one_phase {
            self.not_ended(txn)?;
        }
        let mode = Mode::WRITE;
        if !self.ahead.is_free(&put.key)
            && !self.server.locks.admits(&put.key, &txn.id, mode.strength, self.place)
        {
            return Err(Stop::Conflict(Conflict::Locked(put.key.clone(), mode)));
        }
        let (stored, newest) = match self.ahead.find(&put.key) {
            Some(found) => found,
            None => {
                let snapshot = &self.eval.snapshot;
                (intent::get(snapshot, &put.key)?, mvcc::newest(snapshot, &put.key)?)
            }
        };
        let existing = self.intents.remove(&put.key).or(stored);
        if let Some(foreign) = existing.as_ref().filter(|intent| intent.txn.id != txn.id) {
            let found = vec![(put.key.clone(), foreign.clone())];
            self.discovered(&found);
            return Err(Stop::Conflict(Conflict::Intents { found, mode: Some(mode) }));
        }
        let above_reads = match self.ahead.is_unread(&put.key) {
            true => Timestamp::ZERO,
            false => match self.server.reads.max(&put.key) {
                // Everybody else read below the own read.
                (ts, Some(owner)) if owner == txn.id => ts,
                (ts, _) => ts.next(),
            },
        };
        let stored_ts = newest.as_ref().map_or(Timestamp::ZERO, |version| version.ts);
        let newest_ts = stored_ts.max(mvcc::erased_at(&self.eval.snapshot, &put.key)?);
        let ts = self.write_ts.max(above_reads).max(newest_ts.next());
        self.write_ts = ts;
        if self.one_phase {
            if existing.is_some() {
                let message = "a one-phase commit of a transaction that has intents";
                return Err(error(ErrorKind::Invalid, Timestamp::ZERO, message));
            }
            let newer = self.versions.get(&put.key).is_some_and(|new| new.sequence > put.sequence);
            if !newer {
                let (sequence, value) = (put.sequence, put.value.clone());
                self.versions.insert(put.key.clone(), NewVersion { sequence, value, newest });
            }
            return Ok(Response::default());
        }
        let intent = match existing {
            None => Intent::new(txn, ts, self.now, put.sequence, put.value.clone()),
            Some(mut own) => {
                own.add(ts, self.now, (put.sequence, put.value.clone()), txn.keep);
                self.write_ts = self.write_ts.max(own.ts());
                own
            }
        };
        self.intents.insert(put.key.clone(), intent);
        Ok(Response::default())
    }

    /// Turns intents of a finished transaction into versions, or removes them: as many as go into one command.
    pub(super) fn resolve(&mut self, resolve: &Resolve) -> Result<Response, Stop> {
        if let Some(numbers) = resolve.rolled_back {
            let (id, keys) = (resolve.txn_id.clone(), resolve.keys.clone());
            self.effects.push(Effect::RollBack { id, keys, numbers });
            return Ok(Response::default());
        }
        let finished = Finished::of_resolution(resolve);
        let mut keys = resolve.keys.clone();
        let mut resume = Bytes::new();
        for (at, key) in resolve.keys.iter().enumerate() {
            let mut changes = WriteBatch::default();
            let (snapshot, id) = (&self.eval.snapshot, &resolve.txn_id);
            if !mvcc::resolve(snapshot, &mut changes, key, id, &finished)? {
                continue;
            }
            if !self.batch.is_empty() && self.batch.bytes() + changes.bytes() > RESOLVED_BYTES {
                resume = key.clone();
                keys.truncate(at);
                break;
            }
            self.batch.append(changes);
            let commit_ts = finished.commit_ts.unwrap_or_default();
            self.batch_ts = self.batch_ts.max(self.now).max(commit_ts);
        }
        let id = resolve.txn_id.clone();
        self.effects.push(Effect::Release { id: id.clone(), keys });
        self.effects.push(Effect::Finished { id, finished });
        Ok(Response { resume, ..Response::default() })
    }
}
