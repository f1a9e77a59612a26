//! Where the versions of a key are kept. Nothing outside of this module knows.
//!
//! The newest version lies in the data space under the bare key; when a newer one arrives it moves to the
//! history space, under the key and its inverted timestamp, so that newer versions come first. A current read
//! is one point lookup, a scan of current rows passes over no old version, and a queue's deleted head costs
//! one entry a key whatever its past.
//!
//! - I1. A key with any version has its newest in the data space; every version in the history is older.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys::Space;
use kv::seam::{RangeEntry, RangeSnapshot, WriteBatch};

use super::version::Version;

fn suffix(ts: Timestamp) -> Bytes {
    Bytes::copy_from_slice(&(!ts.raw()).to_be_bytes())
}

/// The newest version of a key.
pub(crate) fn newest(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Option<Version>, EngineError> {
    snapshot.get(Space::Data, key, &[])?.map(Version::decode).transpose()
}

/// The first version that is `wanted`, of those older than the newest one and at most `at_most`, newest first.
pub(crate) fn find_older(
    snapshot: &RangeSnapshot,
    key: &[u8],
    at_most: Timestamp,
    mut wanted: impl FnMut(&Version) -> bool,
) -> Result<Option<Version>, EngineError> {
    for entry in snapshot.suffixes(Space::History, key, &suffix(at_most)) {
        let (_, stored) = entry?;
        let version = Version::decode(stored)?;
        if wanted(&version) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// The newest version of every key of a span, in key order. Lazy.
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

/// Adds a version to a key whose newest one is `newest`. A version with the same timestamp is replaced.
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
