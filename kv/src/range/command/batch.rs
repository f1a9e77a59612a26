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
        let keys = || batch.ops.iter().map(|op| &op.key);
        Some((keys().min()?.clone(), keys().max()?.clone()))
    }

    fn check(batch: &Batch, state: &RangeState) -> Result<(), Rejection> {
        match batch.ops.iter().all(|op| state.descriptor.contains_key(&op.key)) {
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
            match op.value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        Ok(SideEffects::default())
    }
}
