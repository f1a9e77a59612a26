//! Erasures: deletions of whole spans, an entry each whatever lies beneath.
//!
//! Promise: a key's versions are those that are stored under it, and for every erasure that covers it a tombstone with
//! the erasure's timestamps. A tombstone that changes nothing need not be found: of a key under which nothing is stored, or
//! whose next older version is a tombstone, too.
//!
//! - I1. When an erasure is made there is no intent beneath it, and nothing stored beneath it that is as new. Later
//!   versions beneath it are newer: so by timestamps the tombstone has its place among them, and nothing has to be moved.
//! - I2. Who looks at a span sees every erasure that has keys in common with it: whoever makes one latches its whole span,
//!   and the range keeps what it has ([`kv::range::spans`]).
//! - I3. What is stored where nothing has changed since an erasure was made is older than it (I1), and need not be looked
//!   at: behind the deletion of a table a scan costs nothing, until something is written there or the process is a new one.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kv::clock::Timestamp;
use kv::engine::EngineError;
use kv::keys;
use kv::range::spans::SpanEntry;
use kv::seam::RangeSnapshot;

use super::version::Times;

/// The deletion of whatever had been in a half-open span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// First key.
    pub start: Bytes,
    /// End key, exclusive.
    pub end: Bytes,
    /// When.
    pub at: Times,
}

impl Erasure {
    /// As it is stored: newer ones of a key come first.
    pub fn entry(&self) -> SpanEntry {
        let mut value = BytesMut::with_capacity(16);
        value.put_u64(self.at.ts.raw());
        value.put_u64(self.at.local_ts.raw());
        SpanEntry {
            start: self.start.clone(),
            end: self.end.clone(),
            suffix: Bytes::copy_from_slice(&(!self.at.ts.raw()).to_be_bytes()),
            value: value.freeze(),
            changed: None,
        }
    }
}

fn times(entry: &SpanEntry) -> Result<Times, EngineError> {
    let damaged = || EngineError::Corrupt("undecodable erasure".into());
    let mut value = &entry.value[..];
    let mut read = || value.try_get_u64().map(Timestamp::from_raw).map_err(|_| damaged());
    Ok(Times { ts: read()?, local_ts: read()? })
}

/// The tombstones of the keys of a span, for who goes through it.
#[derive(Debug, Default)]
pub(crate) struct Erasures {
    /// Ascending and disjoint.
    parts: Vec<Part>,
    /// Half-open spans in which everything that is stored is older than something that erased it then.
    quiet: Vec<(Timestamp, Bytes, Bytes)>,
}

/// Keys that the same erasures cover.
#[derive(Debug)]
struct Part {
    start: Bytes,
    end: Bytes,
    /// The newest first.
    tombstones: Vec<Times>,
}

impl Erasures {
    /// Those over the keys of a half-open span.
    pub(crate) fn over(
        snapshot: &RangeSnapshot,
        start: &[u8],
        end: &[u8],
    ) -> Result<Erasures, EngineError> {
        let mut found = Vec::new();
        for entry in snapshot.spans(start, end) {
            found.push((entry, times(entry)?));
        }
        if found.is_empty() {
            return Ok(Erasures::default());
        }
        found.sort_by_key(|(_, at)| std::cmp::Reverse(at.ts));
        let mut bounds: Vec<&Bytes> = found.iter().flat_map(|(e, _)| [&e.start, &e.end]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let part = |pair: &[&Bytes]| {
            let covers = |entry: &SpanEntry| entry.start <= *pair[0] && *pair[1] <= entry.end;
            let here = found.iter().filter(|(entry, _)| covers(entry));
            Part {
                start: pair[0].clone(),
                end: pair[1].clone(),
                tombstones: here.map(|(_, at)| *at).collect(),
            }
        };
        let quiet = found.iter().flat_map(|(entry, at)| {
            entry.unchanged().map(|(from, to)| (at.ts, from.clone(), to.clone()))
        });
        let mut quiet: Vec<_> = quiet.filter(|(_, from, to)| from < to).collect();
        quiet.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        Ok(Erasures { parts: bounds.windows(2).map(part).collect(), quiet })
    }

    /// Those over one key.
    pub(crate) fn over_key(snapshot: &RangeSnapshot, key: &[u8]) -> Result<Erasures, EngineError> {
        match snapshot.span_entries() {
            0 => Ok(Erasures::default()),
            _ => Self::over(snapshot, key, &keys::successor(key)),
        }
    }

    /// True iff there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The tombstones of a key of the span, the newest first.
    pub(crate) fn of(&self, key: &[u8]) -> &[Times] {
        let at = self.parts.partition_point(|part| &part.end[..] <= key);
        match self.parts.get(at).filter(|part| &part.start[..] <= key) {
            Some(part) => &part.tombstones,
            None => &[],
        }
    }

    /// The parts of a half-open span, ascending, that may have a version stored which is not erased by a timestamp.
    pub(crate) fn rest_of(
        &self,
        (start, end): (&[u8], &[u8]),
        by: Timestamp,
    ) -> Vec<(Bytes, Bytes)> {
        let (mut from, end) = (Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
        let mut rest = Vec::new();
        for (_, quiet, to) in self.quiet.iter().filter(|(ts, ..)| *ts <= by) {
            if from < *quiet {
                rest.push((from.clone(), quiet.clone().min(end.clone())));
            }
            from = from.max(to.clone());
            if from >= end {
                return rest;
            }
        }
        rest.push((from, end));
        rest
    }

    /// All of them.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = &Times> {
        self.parts.iter().flat_map(|part| &part.tombstones)
    }
}
