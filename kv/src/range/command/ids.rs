//! On the meta range: takes fresh ids, of which no two are ever the same.

use super::{Kind, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::state::RangeState;

/// The body is how many.
pub(super) enum AllocateIds {}

impl Kind for AllocateIds {
    type Body = u64;

    fn apply(
        count: u64,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        Ok(SideEffects { value: state.allocate(count, batch), ..SideEffects::default() })
    }
}
