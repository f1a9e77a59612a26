//! Allows the log to be cut.

use super::{Kind, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::state::RangeState;

/// Allows the log to be cut.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Truncate {
    /// Last index that may go.
    #[prost(uint64, tag = "1")]
    pub index: u64,
}

impl Kind for Truncate {
    type Body = Truncate;

    fn apply(
        truncate: Truncate,
        _: &mut RangeState,
        _: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        Ok(SideEffects { truncate: Some(truncate.index), ..SideEffects::default() })
    }
}
