//! Where the versions of a key are kept. Nothing outside of this module knows.
//!
//! The newest version lies in the data space under the bare key; when a newer one arrives it moves to the
//! history space, under the key and its inverted timestamp, so that newer versions come first. A current read
//! is one point lookup, a scan of current rows passes over no old version, and a queue's deleted head costs
//! one entry a key whatever its past. Tombstones that a whole span of keys has in common are an entry each, an
//! [`super::erasure`], and lie between the versions that are stored under a key by their timestamps alone.
//!
//! - I1. A key with any stored version has its newest in the data space; every version in the history is older.

use std::ops::ControlFlow;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys::{self, Space};
use kv::seam::{RangeEntry, RangeSnapshot, WriteBatch};

use super::erasure::Erasures;
use super::version::{Seen, Times, Version};

fn suffix(ts: Timestamp) -> Bytes {
    Bytes::copy_from_slice(&(!ts.raw()).to_be_bytes())
}

/// The newest version that is stored under a key.
pub(crate) fn newest(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Option<Version>, EngineError> {
    snapshot.get(Space::Data, key, &[])?.map(Version::decode).transpose()
}

/// When a key was last erased together with others; zero if never.
pub(crate) fn erased_at(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Timestamp, EngineError> {
    let erasures = Erasures::over_key(snapshot, key)?;
    Ok(erasures.of(key).first().map_or(Timestamp::ZERO, |newest| newest.ts))
}

/// Stored versions that are older than the newest one and at most `at_most`, newest first. Lazy.
fn older(
    snapshot: &RangeSnapshot,
    key: &[u8],
    at_most: Timestamp,
) -> impl Iterator<Item = Result<Version, EngineError>> {
    let stored = snapshot.suffixes(Space::History, key, &suffix(at_most));
    stored.map(|entry| Version::decode(entry?.1))
}

/// True iff a version of the key is stored that is older than the newest one, at most `at_most` and later than `after`.
pub(crate) fn has_older(
    snapshot: &RangeSnapshot,
    key: &[u8],
    at_most: Timestamp,
    after: Timestamp,
) -> Result<bool, EngineError> {
    let newest = older(snapshot, key, at_most).next().transpose()?;
    Ok(newest.is_some_and(|version| version.ts > after))
}

/// The first version that is `wanted`, of those at most `at_most`, newest first. `newest` is the newest that is stored under
/// the key, and the tombstones are those of its erasures.
pub(crate) fn find(
    snapshot: &RangeSnapshot,
    key: &[u8],
    newest: Version,
    tombstones: &[Times],
    at_most: Timestamp,
    mut wanted: impl FnMut(&Version) -> bool,
) -> Result<Option<Version>, EngineError> {
    let newest = Some(newest).filter(|newest| newest.ts <= at_most);
    // The history is not looked at before it is needed.
    let history = std::iter::once_with(|| older(snapshot, key, at_most)).flatten();
    let mut stored = newest.into_iter().map(Ok).chain(history).peekable();
    let mut tombstones = tombstones.iter().filter(|at| at.ts <= at_most).peekable();
    loop {
        let is_erased_next = match (stored.peek(), tombstones.peek()) {
            (Some(Ok(version)), Some(at)) => version.ts < at.ts,
            (None, Some(_)) => true,
            _ => false,
        };
        let next = match is_erased_next {
            true => tombstones.next().map(|at| Ok(Version::tombstone(*at))),
            false => stored.next(),
        };
        let Some(version) = next.transpose()? else { return Ok(None) };
        if wanted(&version) {
            return Ok(Some(version));
        }
    }
}

/// The greatest timestamp of what is stored or erased in a half-open span, looking at so many keys at most; and where to
/// go on, if these were not all.
pub(crate) fn newest_ts_of_span(
    snapshot: &RangeSnapshot,
    (start, end): (&[u8], &[u8]),
    most: usize,
) -> Result<(Timestamp, Option<Bytes>), EngineError> {
    let erasures = Erasures::over(snapshot, start, end)?;
    let mut newest = erasures.tombstones().map(|at| at.ts).max().unwrap_or_default();
    let (mut left, mut resume) = (most, None);
    for (from, to) in erasures.rest_of((start, end), newest) {
        if left == 0 {
            break;
        }
        snapshot.visit(Space::Data, (&from, &to), false, &mut |key, stored| {
            newest = newest.max(Seen::of(stored)?.ts);
            left -= 1;
            if left > 0 {
                return Ok(ControlFlow::Continue(()));
            }
            resume = Some(keys::successor(key)).filter(|next| next < end);
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok((newest, resume))
}

/// The newest stored version of every key of a span, in key order. Lazy.
pub(crate) fn newest_of_span<'s>(
    snapshot: &'s RangeSnapshot,
    start: &[u8],
    end: &[u8],
    order: Order,
) -> Entries<'s, Version> {
    if is_key(start, end) {
        return one(start, newest(snapshot, start));
    }
    order.entries(snapshot, Space::Data, (start, end), Version::decode)
}

/// What a span has, by key.
pub(crate) type Entries<'s, T> = Box<dyn Iterator<Item = Result<(Bytes, T), EngineError>> + 's>;

/// Which key of a span comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

impl Order {
    /// What a space without suffixes has in a span. Lazy.
    pub(crate) fn entries<'s, T: 's>(
        self,
        snapshot: &'s RangeSnapshot,
        space: Space,
        (start, end): (&[u8], &[u8]),
        decode: fn(Bytes) -> Result<T, EngineError>,
    ) -> Entries<'s, T> {
        let decoded = move |entry: Result<RangeEntry, EngineError>| {
            let (key, _, stored) = entry?;
            Ok((key, decode(stored)?))
        };
        match self {
            Order::Ascending => Box::new(snapshot.scan(space, start, end).map(decoded)),
            Order::Descending => Box::new(snapshot.scan_reverse(space, start, end).map(decoded)),
        }
    }
}

/// True iff a span has room for one key only. Such a span is looked up and not scanned: the engine's scans pass over
/// everything that was written to a key since its last flush, and the keys that are refreshed most are those that are
/// written most.
pub(crate) fn is_key(start: &[u8], end: &[u8]) -> bool {
    end.strip_prefix(start) == Some(&[0])
}

/// What was found under the only key of a span.
pub(crate) fn one<'s, T: 's>(key: &[u8], found: Result<Option<T>, EngineError>) -> Entries<'s, T> {
    let key = Bytes::copy_from_slice(key);
    Box::new(found.transpose().into_iter().map(move |found| Ok((key.clone(), found?))))
}

/// Adds a version to a key whose newest stored one is `newest`. A version with the same timestamp is replaced.
pub(crate) fn put(batch: &mut WriteBatch, key: Bytes, version: &Version, newest: Option<&Version>) {
    match newest {
        Some(newest) if version.ts < newest.ts => {
            batch.put(Space::History, key, suffix(version.ts), version.encode());
        }
        Some(newest) if version.ts > newest.ts => {
            batch.put(Space::History, key.clone(), suffix(newest.ts), newest.encode());
            batch.put(Space::Data, key, Bytes::new(), version.encode());
        }
        _ => batch.put(Space::Data, key, Bytes::new(), version.encode()),
    }
}
