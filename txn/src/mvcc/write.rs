//! What becomes of intents, and whether a span has changed.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::seam::{RangeSnapshot, WriteBatch};

use super::version::Version;
use super::{intent, layout};
use crate::mvcc::Intent;

/// The timestamp of the newest committed version of a key; zero if it has none.
pub fn newest_ts(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Timestamp, EngineError> {
    Ok(layout::newest(snapshot, key)?.map_or(Timestamp::ZERO, |version| version.ts))
}

/// Adds a committed version to a key.
pub fn put_version(
    snapshot: &RangeSnapshot,
    batch: &mut WriteBatch,
    key: Bytes,
    version: &Version,
) -> Result<(), EngineError> {
    let newest = layout::newest(snapshot, &key)?;
    layout::put(batch, key, version, newest.as_ref());
    Ok(())
}

/// Turns the intent of a transaction on a key into a version at `commit_ts`, or removes it if that is none.
/// Does nothing when the transaction has no intent there.
///
/// An intent above the commit timestamp is not part of what was committed: it is a late delivery of a write
/// whose first delivery has already been resolved (the version made of it pushed this one above). It goes.
pub fn resolve(
    snapshot: &RangeSnapshot,
    batch: &mut WriteBatch,
    key: &Bytes,
    txn_id: &[u8],
    commit_ts: Option<Timestamp>,
) -> Result<bool, EngineError> {
    let Some(found) = intent::get(snapshot, key)? else { return Ok(false) };
    if found.txn.id != txn_id {
        return Ok(false);
    }
    if let Some(commit_ts) = commit_ts
        && found.ts() <= commit_ts
    {
        let version = Version::new(commit_ts, found.local_ts(), found.value);
        put_version(snapshot, batch, key.clone(), &version)?;
    }
    intent::remove(batch, key.clone());
    Ok(true)
}

/// What happened to a span since it was read.
#[derive(Debug, PartialEq)]
pub enum Refreshed {
    /// Nothing: a read at the later timestamp sees the same.
    Unchanged,
    /// Another transaction committed something.
    Changed(Bytes),
    /// Other transactions may yet commit something.
    Intents(Vec<(Bytes, Intent)>),
}

/// Would a read of the span by `txn_id` see the same at `to` as it did at `from`? The transaction is not
/// committed, so every version is another's.
pub fn refresh(
    snapshot: &RangeSnapshot,
    txn_id: &[u8],
    (start, end): (&[u8], &[u8]),
    from: Timestamp,
    to: Timestamp,
) -> Result<Refreshed, EngineError> {
    for entry in layout::newest_of_span(snapshot, start, end) {
        let (key, newest) = entry?;
        if newest.ts <= from {
            continue;
        }
        if newest.ts <= to {
            return Ok(Refreshed::Changed(key));
        }
        let before = layout::find_older(snapshot, &key, to, |_| true)?;
        if before.is_some_and(|version| version.ts > from) {
            return Ok(Refreshed::Changed(key));
        }
    }
    let mut conflicts = Vec::new();
    for entry in intent::scan(snapshot, start, end) {
        let (key, found) = entry?;
        if found.txn.id != txn_id && found.ts() <= to {
            conflicts.push((key, found));
        }
    }
    Ok(if conflicts.is_empty() { Refreshed::Unchanged } else { Refreshed::Intents(conflicts) })
}
