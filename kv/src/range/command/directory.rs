//! On the meta range: what a range says of itself.

use super::{Kind, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::descriptor::RangeDescriptor;
use crate::range::state::RangeState;

/// The body is the range's descriptor.
pub(super) enum DirectoryUpsert {}

impl Kind for DirectoryUpsert {
    type Body = RangeDescriptor;

    fn apply(
        entry: RangeDescriptor,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        state.upsert(entry, batch)?;
        Ok(SideEffects::default())
    }
}
