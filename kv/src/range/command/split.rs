//! Divides a range in two that cover the same keys with the same replicas.
//!
//! Nothing moves: both sides' entries lie in the engine as before, and the right side begins a log of its own. It inherits
//! lease, floor and what is closed, so that its holder serves at once. Only what is said of spans across the boundary is said again
//! ([`crate::range::spans`]).

use std::sync::Arc;

use bytes::Bytes;

use super::{Kind, Rejection, SideEffects};
use crate::clock::Timestamp;
use crate::engine::{EngineBatch, EngineError};
use crate::keys::{self, Space};
use crate::range::descriptor::RangeDescriptor;
use crate::range::state::RangeState;

/// Divides a range in two.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Split {
    /// The left side: same id, generation one higher.
    #[prost(message, required, tag = "1")]
    pub left: RangeDescriptor,
    /// The right side: a fresh id, same generation as the new left side.
    #[prost(message, required, tag = "2")]
    pub right: RangeDescriptor,
}

impl Kind for Split {
    type Body = Split;

    fn span(split: &Split) -> Option<(Bytes, Bytes)> {
        Some((split.right.start.clone(), split.right.start.clone()))
    }

    fn check(Split { left, right }: &Split, state: &RangeState) -> Result<(), Rejection> {
        let old = &state.descriptor;
        let divides = left.range_id == old.range_id
            && left.start == old.start
            && left.end == right.start
            && right.end == old.end
            && left.start < left.end
            && right.start < right.end
            && left.generation == old.generation + 1
            && right.generation == left.generation;
        if divides { Ok(()) } else { Err(Rejection::Bounds) }
    }

    fn apply(
        split: Split,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        let floor = Timestamp::from_raw(state.applied.floor);
        let mut right = RangeState::initial(split.right, state.lease.clone(), floor);
        // As far as this very command closes it: the left side goes on from there, and so does the right.
        right.applied.closed_ts = state.applied.closed_ts;
        right.save(batch);
        let RangeDescriptor { start, end, .. } = &right.descriptor;
        right.spans = Arc::new(state.spans.within(start, end));
        for entry in right.spans.under(start) {
            let place = keys::engine_key(Space::Erased, start, &entry.suffix);
            batch.put(place, entry.stored());
        }
        state.spans = Arc::new(state.spans.within(&split.left.start, &split.left.end));
        state.descriptor = split.left;
        state.save_descriptor(batch);
        Ok(SideEffects { created: Some(Box::new(right)), ..SideEffects::default() })
    }
}
