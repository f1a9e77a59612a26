//! What a lease holder has served on a range, for the holder that it hands the lease over to: a [`ReadSummary`].
//!
//! - I1. Whatever must lie above a read, or must not be after a marker, by the memory of the old holder, must by the new one's.
//! - I2. It is bounded: of what has no room, the new holder knows the latest time at which it was.
//! - I3. What cannot be understood counts as the strictest summary that the old lease allows: everything was read at its end.

use bytes::Bytes;
use kv::clock::Timestamp;
use kv::keys::{self, Space};
use kv::range::descriptor::RangeDescriptor;
use kv::range::lease::Lease;
use kv::seam::ReadSummary;
use prost::Message;

use super::markers::Markers;
use crate::concurrency::{Marked, TimestampCache};

const VERSION: u8 = 1;
/// Of reads, and of markers.
const BYTES_MAX: usize = 64 << 10;

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, required, tag = "1")]
    reads: Memory,
    #[prost(message, required, tag = "2")]
    markers: Memory,
}

/// Of a timestamp cache.
#[derive(Clone, PartialEq, Message)]
struct Memory {
    /// All that is not among the spans was at or below it.
    #[prost(fixed64, tag = "1")]
    low_water: u64,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<MarkedSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct MarkedSpan {
    #[prost(bytes = "bytes", tag = "1")]
    start: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    end: Bytes,
    #[prost(fixed64, tag = "3")]
    ts: u64,
    /// Empty: of nobody in particular.
    #[prost(bytes = "bytes", tag = "4")]
    owner: Bytes,
}

/// What these know of a range.
pub(super) fn of_range(
    range: &RangeDescriptor,
    reads: &TimestampCache,
    markers: &Markers,
) -> ReadSummary {
    let records = keys::engine_span(Space::RangeLocal, &range.start, &range.end);
    let summary = Summary {
        reads: memory(reads, &range.start, &range.end),
        markers: memory(markers.cache(), &records.start, &records.end),
    };
    let mut out = vec![VERSION];
    summary.encode(&mut out).expect("the buffer grows");
    ReadSummary(out.into())
}

/// From now on these know of a range what the summary says. It was made for a lease that ends no later than this one.
pub(super) fn learn(
    summary: &ReadSummary,
    (range, lease): (&RangeDescriptor, &Lease),
    reads: &TimestampCache,
    markers: &Markers,
) {
    let understood = match summary.0.split_first() {
        Some((&VERSION, body)) => Summary::decode(body).ok(),
        _ => None,
    };
    let summary = understood.unwrap_or_else(|| {
        let strictest = Memory { low_water: lease.expiration, spans: Vec::new() };
        Summary { reads: strictest.clone(), markers: strictest }
    });
    let records = keys::engine_span(Space::RangeLocal, &range.start, &range.end);
    remember(reads, summary.reads, &range.start, &range.end);
    remember(markers.cache(), summary.markers, &records.start, &records.end);
}

fn memory(cache: &TimestampCache, start: &Bytes, end: &Bytes) -> Memory {
    let (low_water, spans) = cache.of_span(start, end, BYTES_MAX);
    let span = |Marked { start, end, mark: (ts, owner) }| MarkedSpan {
        start,
        end,
        ts: ts.raw(),
        owner: owner.unwrap_or_default(),
    };
    Memory { low_water: low_water.raw(), spans: spans.into_iter().map(span).collect() }
}

fn remember(cache: &TimestampCache, memory: Memory, start: &Bytes, end: &Bytes) {
    cache.add(start, end, Timestamp::from_raw(memory.low_water), None);
    for MarkedSpan { start, end, ts, owner } in memory.spans {
        let owner = (!owner.is_empty()).then_some(owner);
        cache.add(&start, &end, Timestamp::from_raw(ts), owner.as_ref());
    }
}
