//! What becomes of intents, and whether a span has changed.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::seam::{RangeSnapshot, WriteBatch};

use super::erasure::Erasures;
use super::finished::Finished;
use super::intent;
use super::layout::{self, Order};
use super::read::MAX_CONFLICTS;
use super::version::Version;
use crate::mvcc::Intent;

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

/// Turns the intent of a finished transaction on a key into the version that it becomes, or removes it if that is none.
/// Does nothing when the transaction has no intent there.
pub fn resolve(
    snapshot: &RangeSnapshot,
    batch: &mut WriteBatch,
    key: &Bytes,
    txn_id: &[u8],
    finished: &Finished,
) -> Result<bool, EngineError> {
    let Some(found) = intent::get(snapshot, key)? else { return Ok(false) };
    if found.txn.id != txn_id {
        return Ok(false);
    }
    if let Some(version) = finished.version_of(&found) {
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
    /// Another transaction committed something, at or after this key.
    Changed(Bytes),
    /// Other transactions may yet commit something, or have: some of their intents.
    Intents(Vec<(Bytes, Intent)>),
}

/// Would a read of the span by `txn_id` see the same at `to` as it did at `from`? The transaction is not
/// committed, so every version is another's. Intents of `finished` transactions are what they become. What was erased
/// meanwhile counts as changed, be there anything beneath it or not.
pub fn refresh(
    snapshot: &RangeSnapshot,
    (txn_id, finished): (&[u8], &BTreeMap<Bytes, Finished>),
    (start, end): (&[u8], &[u8]),
    from: Timestamp,
    to: Timestamp,
) -> Result<Refreshed, EngineError> {
    let erasures = Erasures::over(snapshot, start, end)?;
    if erasures.tombstones().any(|at| from < at.ts && at.ts <= to) {
        return Ok(Refreshed::Changed(Bytes::copy_from_slice(start)));
    }
    let rest = erasures.rest_of((start, end), from);
    let newest = |(start, end): &(Bytes, Bytes)| {
        layout::newest_of_span(snapshot, start, end, Order::Ascending)
    };
    for entry in rest.iter().flat_map(newest) {
        let (key, newest) = entry?;
        if newest.ts <= from {
            continue;
        }
        if newest.ts <= to {
            return Ok(Refreshed::Changed(key));
        }
        if layout::has_older(snapshot, &key, to, from)? {
            return Ok(Refreshed::Changed(key));
        }
    }
    let mut conflicts = Vec::new();
    for entry in intent::scan(snapshot, start, end, Order::Ascending) {
        let (key, found) = entry?;
        if found.txn.id == txn_id {
            continue;
        }
        if let Some(finished) = finished.get(&found.txn.id) {
            let version = finished.version_of(&found);
            if version.is_some_and(|version| from < version.ts && version.ts <= to) {
                return Ok(Refreshed::Changed(key));
            }
        } else if found.ts() <= to {
            conflicts.push((key, found));
            if conflicts.len() >= MAX_CONFLICTS {
                break;
            }
        }
    }
    Ok(if conflicts.is_empty() { Refreshed::Unchanged } else { Refreshed::Intents(conflicts) })
}
