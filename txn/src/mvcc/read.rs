//! Reads of a snapshot at a timestamp.
//!
//! - I1. A version is uncertain iff it is above the read timestamp, not above the global limit, and was not
//!   certainly written after the reader took its first reading of this lease holder's clock.
//! - I2. An intent that may commit at or below the read timestamp, or as an uncertain version, is a conflict.
//!   It does not end the search beneath it.
//! - I3. The own transaction's intents are seen up to the reader's sequence, and hide what is beneath.

use std::collections::BTreeMap;
use std::iter::Peekable;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys;
use kv::seam::RangeSnapshot;

use super::version::Version;
use super::{intent, layout};
use crate::mvcc::Intent;

/// So many conflicts are reported together; they are resolved together if their transaction is finished.
const MAX_CONFLICTS: usize = 256;
/// A scan stops, with a resume key, once it has so many bytes.
const MAX_BYTES: usize = 4 << 20;

/// How far above its read timestamp a reader has to look.
#[derive(Clone, Copy, Debug)]
pub struct Uncertainty {
    /// No version above it can have been acknowledged when the transaction began.
    pub global_limit: Timestamp,
    /// No version with a local timestamp above it can have been acknowledged when the transaction began.
    pub local_limit: Timestamp,
}

impl Uncertainty {
    /// Nothing is uncertain.
    pub const NONE: Uncertainty =
        Uncertainty { global_limit: Timestamp::ZERO, local_limit: Timestamp::ZERO };

    fn contains(&self, ts: Timestamp, local_ts: Timestamp) -> bool {
        ts <= self.global_limit && local_ts <= self.local_limit
    }
}

/// Who reads, and when.
pub struct Reader<'a> {
    /// What is read.
    pub snapshot: &'a RangeSnapshot,
    /// Intents written earlier in the same batch.
    pub overlay: &'a BTreeMap<Bytes, Intent>,
    /// The reading transaction.
    pub txn_id: &'a Bytes,
    /// Own writes are seen up to it.
    pub sequence: u32,
    /// Versions are seen up to it.
    pub read_ts: Timestamp,
    /// Ignored by a locking reader.
    pub uncertainty: Uncertainty,
    /// The reader wants the newest version of a key or none at all: everything above `read_ts` counts as
    /// uncertain, every foreign intent as a conflict.
    pub locking: bool,
}

/// What a read found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Keys with their values, in order.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Where a limited scan has to go on.
    pub resume: Option<Bytes>,
    /// The greatest timestamp of a version that the reader must move to.
    pub uncertain: Option<Timestamp>,
    /// Keys with a current value that the reader does not see yet. Only for locking readers.
    pub newer: Vec<Bytes>,
    /// Intents that have to be out of the way first. While there are any, nothing else counts.
    pub conflicts: Vec<(Bytes, Intent)>,
}

impl Reader<'_> {
    /// Reads a key.
    pub fn get(&self, key: &Bytes) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::default();
        let intent = match self.overlay.get(key) {
            Some(intent) => Some(intent.clone()),
            None => intent::get(self.snapshot, key)?,
        };
        let newest = layout::newest(self.snapshot, key)?;
        if let Some(value) = self.read_key(key, intent, newest, &mut outcome)? {
            outcome.rows.push((key.clone(), value));
        }
        Ok(outcome)
    }

    /// Reads a span, ascending, at most `limit` rows.
    pub fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::default();
        let mut bytes = 0;
        let mut locks = intent::scan(self.snapshot, start, end).peekable();
        let from = Bytes::copy_from_slice(start);
        let to = Bytes::copy_from_slice(end);
        let mut overlay = self.overlay.range(from..to).peekable();
        let mut data = layout::newest_of_span(self.snapshot, start, end).peekable();
        loop {
            let next = [
                peek_key(&mut locks)?,
                overlay.peek().map(|(key, _)| (*key).clone()),
                peek_key(&mut data)?,
            ];
            let Some(key) = next.into_iter().flatten().min() else { return Ok(outcome) };
            let stored = take(&mut locks, &key)?;
            let intent = match overlay.next_if(|(k, _)| **k == key) {
                Some((_, intent)) => Some(intent.clone()),
                None => stored,
            };
            let newest = take(&mut data, &key)?;
            if let Some(value) = self.read_key(&key, intent, newest, &mut outcome)? {
                bytes += key.len() + value.len();
                outcome.rows.push((key.clone(), value));
            }
            let full = outcome.rows.len() + outcome.newer.len() >= limit || bytes >= MAX_BYTES;
            if full || outcome.conflicts.len() >= MAX_CONFLICTS {
                let resume = keys::successor(&key);
                outcome.resume = (resume < end).then_some(resume);
                return Ok(outcome);
            }
        }
    }

    fn read_key(
        &self,
        key: &Bytes,
        intent: Option<Intent>,
        newest: Option<Version>,
        outcome: &mut Outcome,
    ) -> Result<Option<Bytes>, EngineError> {
        if let Some(intent) = intent {
            if intent.txn.id == *self.txn_id {
                if let Some(value) = intent.visible_at(self.sequence) {
                    return Ok(value);
                }
            } else if self.conflicts_with(&intent) {
                outcome.conflicts.push((key.clone(), intent));
            }
        }
        let Some(newest) = newest else { return Ok(None) };
        if newest.ts <= self.read_ts {
            return Ok(newest.value);
        }
        let mut uncertain = self.is_uncertain(&newest).then_some(newest.ts);
        if self.locking && newest.value.is_some() {
            outcome.newer.push(key.clone());
        }
        // A version above the global limit is neither visible nor uncertain: start below it.
        let from = match self.locking || uncertain.is_some() {
            true => self.read_ts,
            false => self.read_ts.max(self.uncertainty.global_limit),
        };
        let visible = layout::find_older(self.snapshot, key, from, |version| {
            if version.ts > self.read_ts && uncertain.is_none() && self.is_uncertain(version) {
                uncertain = Some(version.ts);
            }
            version.ts <= self.read_ts
        })?;
        outcome.uncertain = outcome.uncertain.max(uncertain);
        // The newest state is what a locking reader answers with, once it has moved to it.
        Ok(if self.locking { None } else { visible.and_then(|version| version.value) })
    }

    fn is_uncertain(&self, version: &Version) -> bool {
        self.locking || self.uncertainty.contains(version.ts, version.local_ts)
    }

    fn conflicts_with(&self, intent: &Intent) -> bool {
        self.locking
            || intent.ts() <= self.read_ts
            || self.uncertainty.contains(intent.ts(), intent.local_ts())
    }
}

type Keyed<T> = Result<(Bytes, T), EngineError>;

fn peek_key<T>(
    entries: &mut Peekable<impl Iterator<Item = Keyed<T>>>,
) -> Result<Option<Bytes>, EngineError> {
    match entries.peek() {
        Some(Ok((key, _))) => Ok(Some(key.clone())),
        None => Ok(None),
        Some(Err(_)) => match entries.next() {
            Some(Err(error)) => Err(error),
            _ => unreachable!("the peeked entry is an error"),
        },
    }
}

fn take<T>(
    entries: &mut Peekable<impl Iterator<Item = Keyed<T>>>,
    key: &Bytes,
) -> Result<Option<T>, EngineError> {
    match entries.next_if(|entry| entry.as_ref().map_or(true, |(k, _)| k == key)) {
        Some(entry) => entry.map(|(_, value)| Some(value)),
        None => Ok(None),
    }
}
