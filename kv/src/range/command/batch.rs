//! Changes to keys of the range, all or none.

use bytes::Bytes;

use super::{Kind, MAX_COMMAND_BYTES, Rejection, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::keys::{self, Space};
use crate::range::batch::BatchOp;
use crate::range::state::{RangeState, damaged};

/// Bytes of a batch at most, as [`crate::range::batch::WriteBatch::bytes`] counts them; a larger one is rejected.
pub const MAX_BATCH_BYTES: usize = MAX_COMMAND_BYTES - 1024;

/// Changes to keys of the range, all or none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Batch {
    /// The changes in order.
    #[prost(message, repeated, tag = "1")]
    pub ops: Vec<BatchOp>,
}

impl Kind for Batch {
    type Body = Batch;

    fn span(batch: &Batch) -> Option<(Bytes, Bytes)> {
        let first = batch.ops.iter().map(|op| &op.key).min()?.clone();
        let last = |op: &BatchOp| op.span_end().unwrap_or_else(|| op.key.clone());
        Some((first, batch.ops.iter().map(last).max()?))
    }

    fn check(batch: &Batch, state: &RangeState) -> Result<(), Rejection> {
        let range = &state.descriptor;
        let is_inside = |op: &BatchOp| match op.span_end() {
            Some(end) => range.contains_span(&op.key, &end),
            None => range.contains_key(&op.key),
        };
        match batch.ops.iter().all(is_inside) {
            true => Ok(()),
            false => Err(Rejection::Bounds),
        }
    }

    fn apply(
        changes: Batch,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        batch.reserve(changes.ops.len() + 1);
        for op in changes.ops {
            let space = Space::keyed_from(op.space)
                .ok_or_else(|| damaged("write to an unknown space", state.descriptor.id()))?;
            let key = keys::engine_key(space, &op.key, &op.suffix);
            let noted = state.spans.note(&op);
            noted.ok_or_else(|| damaged("undecodable span", state.descriptor.id()))?;
            match op.value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        Ok(SideEffects::default())
    }
}
