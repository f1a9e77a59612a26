//! Writes at or below a timestamp are refused from now on. The floor never sinks.

use super::{Kind, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::state::RangeState;

/// The body is the timestamp.
pub(super) enum SetFloor {}

impl Kind for SetFloor {
    type Body = u64;

    fn apply(
        floor: u64,
        state: &mut RangeState,
        _: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        state.applied.floor = state.applied.floor.max(floor);
        Ok(SideEffects::default())
    }
}
