//! Reads of a snapshot at a timestamp.
//!
//! - I1. A version is uncertain iff it is above the read timestamp, not above the global limit, and was not
//!   certainly written after the reader took its first reading of this lease holder's clock.
//! - I2. An intent that may commit at or below the read timestamp, or as an uncertain version, is a conflict.
//!   It does not end the search beneath it.
//! - I3. The own transaction's intents are seen up to the reader's sequence, and hide what is beneath.
//! - I4. An intent of a transaction that is known to be finished is read as what its resolution makes of it.
//! - I5. A limited scan has looked at every key between its beginning (its end, if it descends) and its resume key, and
//!   at none beyond: neither for a version nor for an intent.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::ControlFlow;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys::{self, Space};
use kv::seam::RangeSnapshot;

use super::erasure::Erasures;
use super::finished::Finished;
use super::intent;
use super::layout::{self, Order};
use super::version::{Seen, Times, Version};
use crate::api::SequenceRange;
use crate::mvcc::Intent;
use crate::rows::RowsBuilder;

/// So many conflicts are reported together; they are resolved together if their transaction is finished.
pub(super) const MAX_CONFLICTS: usize = 256;
/// A scan stops, with a resume key, once it has so many bytes.
const MAX_BYTES: usize = 4 << 20;
/// A scan reads so many versions before it looks for the intents among them.
const PORTION: usize = 1_024;

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
    /// But for these.
    pub ignored: &'a [SequenceRange],
    /// Transactions that are known to be finished: a plain reader takes their intents for what they become.
    pub finished: &'a BTreeMap<Bytes, Finished>,
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
    /// Keys with their values, in the scan's order.
    pub rows: RowsBuilder,
    /// Bytes of the keys and values.
    pub bytes: usize,
    /// Where a limited scan has to go on: the start of what is left, or its end (exclusive) if the scan descends.
    pub resume: Option<Bytes>,
    /// The greatest timestamp of a version that the reader must move to.
    pub uncertain: Option<Timestamp>,
    /// Keys with a current value that the reader does not see yet. Only for locking readers.
    pub newer: Vec<Bytes>,
    /// Intents that have to be out of the way first. While there are any, nothing else counts.
    pub conflicts: Vec<(Bytes, Intent)>,
    /// The number of the last own write that was seen.
    pub own_sequence: u32,
}

impl Outcome {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.rows.push(key, value);
    }

    fn is_full(&self, limit: usize) -> bool {
        self.rows.len() + self.newer.len() >= limit
            || self.bytes >= MAX_BYTES
            || self.conflicts.len() >= MAX_CONFLICTS
    }
}

/// Newest versions that were read of a span and not looked at, as they are stored.
#[derive(Default)]
struct Portion {
    bytes: Vec<u8>,
    entries: Vec<PortionEntry>,
}

/// Where a key and its stored version end; each begins where the one before ends.
struct PortionEntry {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Portion {
    /// Takes a version that has been looked at.
    fn push(&mut self, key: &[u8], stored: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(stored);
        let end = self.bytes.len();
        self.entries.push(PortionEntry { start, key_end: start + key.len(), end });
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    fn seen(&self, entry: &PortionEntry) -> (&[u8], Seen<'_>) {
        let seen = Seen::of(&self.bytes[entry.key_end..entry.end]);
        (&self.bytes[entry.start..entry.key_end], seen.expect("looked at when it was pushed"))
    }

    fn version(&self, entry: &PortionEntry) -> (Bytes, Version) {
        let (key, seen) = self.seen(entry);
        let value = seen.value.map(Bytes::copy_from_slice);
        (Bytes::copy_from_slice(key), Version { ts: seen.ts, local_ts: seen.local_ts, value })
    }

    fn versions(&self) -> impl Iterator<Item = (Bytes, Version)> {
        self.entries.iter().map(|entry| self.version(entry))
    }
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
        let erasures = Erasures::over_key(self.snapshot, key)?;
        if let Some(value) = self.read_key(key, intent, newest, &erasures, &mut outcome)? {
            outcome.push(key, &value);
        }
        Ok(outcome)
    }

    /// Reads a span, at most `limit` rows.
    ///
    /// Intents are looked for only as far as the versions reach that have been read. The engine keeps what was
    /// removed from the lock space for a while: after a large transaction, to look beyond would be to pass over all
    /// that it has left, once for every page of the table.
    pub fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<Outcome, EngineError> {
        if layout::is_key(start, end) {
            return self.get(&Bytes::copy_from_slice(start));
        }
        let mut outcome = Outcome::default();
        let erasures = Erasures::over(self.snapshot, start, end)?;
        // What is left of the span.
        let (mut from, mut to) = (Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
        let mut portion = Portion::default();
        let mut size = limit.clamp(1, PORTION);
        let mut last = None;
        let reverse = order == Order::Descending;
        let mut rest = erasures.rest_of((start, end), self.read_ts);
        if reverse {
            rest.reverse();
        }
        for (start, end) in rest {
            if last.is_some() {
                break;
            }
            self.snapshot.visit(Space::Data, (&start, &end), reverse, &mut |key, stored| {
                let newest = Seen::of(stored)?.ts;
                if !erasures.is_empty() && self.is_erased(newest, erasures.of(key)) {
                    return Ok(ControlFlow::Continue(()));
                }
                portion.push(key, stored);
                if portion.entries.len() < size {
                    return Ok(ControlFlow::Continue(()));
                }
                size = (size * 2).min(PORTION);
                let part = match order {
                    Order::Ascending => {
                        let after = keys::successor(key);
                        (std::mem::replace(&mut from, after.clone()), after)
                    }
                    Order::Descending => {
                        let here = Bytes::copy_from_slice(key);
                        (here.clone(), std::mem::replace(&mut to, here))
                    }
                };
                last = self.part(&part, order, (&portion, &erasures), limit, &mut outcome)?;
                portion.clear();
                let is_over = last.is_some() || from >= to;
                Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        if last.is_none() && from < to {
            let versions = (&portion, &erasures);
            last = self.part(&(from, to), order, versions, limit, &mut outcome)?;
        }
        if let Some(last) = last {
            outcome.resume = match order {
                Order::Ascending => Some(keys::successor(&last)).filter(|next| next < end),
                Order::Descending => Some(last).filter(|last| start < last),
            };
        }
        Ok(outcome)
    }

    /// True iff all that the reader may see of a key with this newest stored version has been erased.
    fn is_erased(&self, newest: Timestamp, tombstones: &[Times]) -> bool {
        tombstones.first().is_some_and(|erased| newest < erased.ts && erased.ts <= self.read_ts)
    }

    /// Reads a part of a span whose newest versions are known, but for those that are erased. Returns the last key that was
    /// read if the answer is full.
    fn part(
        &self,
        part: &(Bytes, Bytes),
        order: Order,
        (portion, erasures): (&Portion, &Erasures),
        limit: usize,
        outcome: &mut Outcome,
    ) -> Result<Option<Bytes>, EngineError> {
        let mut locks = intent::scan(self.snapshot, &part.0, &part.1, order).peekable();
        let mut overlay = self.overlay.range::<Bytes, _>(&part.0..&part.1);
        if locks.peek().is_some() || overlay.next().is_some() {
            let versions = (portion.versions(), erasures);
            return self.merge(part, order, locks, versions, limit, outcome);
        }
        for entry in &portion.entries {
            let (key, seen) = portion.seen(entry);
            let is_newest = erasures.of(key).first().is_none_or(|erased| erased.ts < seen.ts);
            if seen.ts <= self.read_ts && is_newest {
                if let Some(value) = seen.value {
                    outcome.push(key, value);
                }
            } else {
                let (key, version) = portion.version(entry);
                if let Some(value) = self.read_key(&key, None, Some(version), erasures, outcome)? {
                    outcome.push(&key, &value);
                }
            }
            if outcome.is_full(limit) {
                return Ok(Some(Bytes::copy_from_slice(key)));
            }
        }
        Ok(None)
    }

    /// Reads a part of a span whose newest versions are known, with the intents in it. Returns the last key that was
    /// read if the answer is full.
    fn merge(
        &self,
        (from, to): &(Bytes, Bytes),
        order: Order,
        mut locks: Peekable<layout::Entries<'_, Intent>>,
        (versions, erasures): (impl Iterator<Item = (Bytes, Version)>, &Erasures),
        limit: usize,
        outcome: &mut Outcome,
    ) -> Result<Option<Bytes>, EngineError> {
        let mut versions = versions.peekable();
        let overlay = self.overlay.range::<Bytes, _>(from..to);
        let overlay: Box<dyn Iterator<Item = (&Bytes, &Intent)>> = match order {
            Order::Ascending => Box::new(overlay),
            Order::Descending => Box::new(overlay.rev()),
        };
        let mut overlay = overlay.peekable();
        loop {
            let next = [
                peek_key(&mut locks)?,
                overlay.peek().map(|(key, _)| (*key).clone()),
                versions.peek().map(|(key, _)| key.clone()),
            ]
            .into_iter()
            .flatten();
            let next = match order {
                Order::Ascending => next.min(),
                Order::Descending => next.max(),
            };
            let Some(key) = next else { return Ok(None) };
            let stored = take(&mut locks, &key)?;
            let intent = match overlay.next_if(|(k, _)| **k == key) {
                Some((_, intent)) => Some(intent.clone()),
                None => stored,
            };
            let newest = versions.next_if(|(k, _)| *k == key).map(|(_, version)| version);
            if let Some(value) = self.read_key(&key, intent, newest, erasures, outcome)? {
                outcome.push(&key, &value);
            }
            if outcome.is_full(limit) {
                return Ok(Some(key));
            }
        }
    }

    fn read_key(
        &self,
        key: &Bytes,
        intent: Option<Intent>,
        newest: Option<Version>,
        erasures: &Erasures,
        outcome: &mut Outcome,
    ) -> Result<Option<Bytes>, EngineError> {
        if let Some(intent) = intent {
            if intent.txn.id == *self.txn_id {
                if let Some((sequence, value)) = intent.visible_at(self.sequence, self.ignored) {
                    outcome.own_sequence = sequence;
                    return Ok(value);
                }
            } else if let Some(finished) = self.finished_owner(&intent) {
                if let Some(version) = finished.version_of(&intent) {
                    if version.ts <= self.read_ts {
                        return Ok(version.value);
                    }
                    let uncertain = self.is_uncertain(version.times()).then_some(version.ts);
                    outcome.uncertain = outcome.uncertain.max(uncertain);
                }
            } else if self.conflicts_with(&intent) {
                outcome.conflicts.push((key.clone(), intent));
            }
        }
        let Some(newest) = newest else { return Ok(None) };
        let tombstones = erasures.of(key);
        let (last, is_live) = match tombstones.first() {
            Some(erased) if newest.ts < erased.ts => (*erased, false),
            _ => (newest.times(), newest.value.is_some()),
        };
        if last.ts <= self.read_ts {
            return Ok(newest.value.filter(|_| is_live));
        }
        let mut uncertain = self.is_uncertain(last).then_some(last.ts);
        if self.locking && is_live {
            outcome.newer.push(key.clone());
        }
        // A version above the global limit is neither visible nor uncertain: start below it.
        let from = match self.locking || uncertain.is_some() {
            true => self.read_ts,
            false => self.read_ts.max(self.uncertainty.global_limit),
        };
        let visible = layout::find(self.snapshot, key, newest, tombstones, from, |version| {
            if version.ts > self.read_ts
                && uncertain.is_none()
                && self.is_uncertain(version.times())
            {
                uncertain = Some(version.ts);
            }
            version.ts <= self.read_ts
        })?;
        outcome.uncertain = outcome.uncertain.max(uncertain);
        // The newest state is what a locking reader answers with, once it has moved to it.
        Ok(if self.locking { None } else { visible.and_then(|version| version.value) })
    }

    /// Whoever locks or writes a key needs the intent gone.
    fn finished_owner(&self, intent: &Intent) -> Option<&Finished> {
        self.finished.get(&intent.txn.id).filter(|_| !self.locking)
    }

    fn is_uncertain(&self, Times { ts, local_ts }: Times) -> bool {
        self.locking || self.uncertainty.contains(ts, local_ts)
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

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::{Arc, Mutex};

    use kv::clock::Timestamp;
    use kv::engine::{Engine, EngineBatch, EngineIter, EngineSnapshot};
    use kv::keys::Space;
    use kv::seam::WriteBatch;

    use super::*;
    use crate::api::TxnMeta;
    use crate::mvcc::put_version;
    use crate::testing::TestEngine;

    /// Keeps the far ends of the spans that were asked for.
    struct Watched(Arc<dyn EngineSnapshot>, Mutex<Vec<Bytes>>);

    impl EngineSnapshot for Watched {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
            self.0.get(key)
        }
        fn scan(&self, range: Range<Bytes>) -> EngineIter<'_> {
            self.1.lock().unwrap().push(range.end.clone());
            self.0.scan(range)
        }
        fn scan_reverse(&self, range: Range<Bytes>) -> EngineIter<'_> {
            self.1.lock().unwrap().push(range.start.clone());
            self.0.scan_reverse(range)
        }
    }

    fn key(n: usize) -> Bytes {
        format!("k{n:04}").into()
    }

    /// 600 rows of which every third has an intent of another transaction beside it, and every tenth of its own.
    #[test]
    fn a_scan_looks_for_intents_as_far_as_its_rows_reach() {
        let engine = TestEngine::default();
        let ts = Timestamp::from_raw;
        let mut batch = WriteBatch::default();
        let snapshot = RangeSnapshot::new(engine.snapshot(), "a".into(), "z".into());
        for n in 0..600 {
            let version = Version::new(ts(5), ts(5), Some("old".into()));
            put_version(&snapshot, &mut batch, key(2 * n), &version).unwrap();
            let txn = |id: &'static [u8]| TxnMeta { id: id.into(), ..TxnMeta::default() };
            if n % 10 == 0 {
                let intent = Intent::new(&txn(b"own"), ts(6), ts(6), 1, Some("new".into()));
                intent::put(&mut batch, key(2 * n + 1), &intent);
            } else if n % 3 == 0 {
                // Later than the reader.
                let intent = Intent::new(&txn(b"other"), ts(90), ts(90), 1, None);
                intent::put(&mut batch, key(2 * n), &intent);
            }
        }
        let mut changes = EngineBatch::default();
        for op in batch.ops {
            let space = Space::keyed_from(op.space).unwrap();
            let at = keys::engine_key(space, &op.key, &op.suffix);
            changes.put(at, op.value.unwrap());
        }
        engine.apply(changes).unwrap();
        let watched = Arc::new(Watched(engine.snapshot(), Mutex::default()));
        let snapshot = RangeSnapshot::new(watched.clone(), "a".into(), "z".into());
        let (overlay, own) = (BTreeMap::new(), Bytes::from_static(b"own"));
        let reader = Reader {
            snapshot: &snapshot,
            overlay: &overlay,
            txn_id: &own,
            sequence: 1,
            ignored: &[],
            finished: &BTreeMap::new(),
            read_ts: ts(10),
            uncertainty: Uncertainty::NONE,
            locking: false,
        };
        for limit in [1, 7, 300, 10_000] {
            let own = (0..60).map(|n| key(20 * n + 1));
            let mut expected: Vec<_> = (0..600).map(|n| key(2 * n)).chain(own).collect();
            expected.sort();
            for order in [Order::Ascending, Order::Descending] {
                let (mut from, mut to) = (Bytes::from_static(b"a"), Bytes::from_static(b"z"));
                let mut seen = Vec::new();
                loop {
                    let outcome = reader.scan(&from, &to, order, limit).unwrap();
                    assert!(outcome.conflicts.is_empty());
                    assert!(outcome.rows.len() <= limit);
                    seen.extend(outcome.rows.iter().map(|(key, _)| Bytes::copy_from_slice(key)));
                    let Some(resume) = outcome.resume else { break };
                    match order {
                        Order::Ascending => from = resume,
                        Order::Descending => to = resume,
                    }
                }
                assert_eq!(seen, expected, "limit {limit}, {order:?}");
                expected.reverse();
            }
        }
        watched.1.lock().unwrap().clear();
        reader.scan(b"a", b"z", Order::Ascending, 3).unwrap();
        let ends = std::mem::take(&mut *watched.1.lock().unwrap());
        let reach = keys::engine_span(Space::Lock, b"a", &keys::successor(&key(4))).end;
        assert_eq!(ends[1..], [reach], "the third row's key, and not the end of the span");
        reader.scan(b"a", b"z", Order::Descending, 3).unwrap();
        let starts = std::mem::take(&mut *watched.1.lock().unwrap());
        let reach = keys::engine_span(Space::Lock, &key(2 * 597), b"z").start;
        assert_eq!(starts[1..], [reach], "backwards as well");
        // A span of one key is no scan.
        let end = keys::successor(&key(20));
        for order in [Order::Ascending, Order::Descending] {
            assert_eq!(reader.scan(&key(20), &end, order, 9).unwrap().rows.len(), 1);
        }
        let refreshed = crate::mvcc::refresh(
            &snapshot,
            (b"own", &BTreeMap::new()),
            (&key(20), &end),
            ts(1),
            ts(9),
        );
        assert_eq!(refreshed.unwrap(), crate::mvcc::Refreshed::Changed(key(20)));
        assert!(watched.1.lock().unwrap().is_empty());
    }
}
