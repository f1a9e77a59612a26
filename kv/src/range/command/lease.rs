//! Replaces one lease by another, or by a longer one.
//!
//! A new sequence starts at or after the old expiration; an extension keeps holder, incarnation and start, and never
//! shortens. The previous lease is named whole: whoever proposed under a belief that is out of date is rejected.

use super::{Kind, LeaseReplaced, Rejection, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::lease::Lease;
use crate::range::state::RangeState;

/// Replaces one lease by another.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LeaseChange {
    /// What the proposer believes to be current; applied only if it is.
    #[prost(message, optional, tag = "1")]
    pub previous: Option<Lease>,
    /// What comes instead.
    #[prost(message, required, tag = "2")]
    pub next: Lease,
}

impl Kind for LeaseChange {
    type Body = LeaseChange;

    const REPLACES_LEASE: bool = true;

    fn check(
        LeaseChange { previous, next }: &LeaseChange,
        state: &RangeState,
    ) -> Result<(), Rejection> {
        if *previous != state.lease {
            return Err(Rejection::Lease);
        }
        let legal = match previous {
            None => true,
            Some(old) if next.sequence == old.sequence => {
                (next.replica_id, next.incarnation, next.start)
                    == (old.replica_id, old.incarnation, old.start)
                    && next.expiration >= old.expiration
            }
            Some(old) => next.sequence == old.sequence + 1 && next.start >= old.expiration,
        };
        if legal && next.start < next.expiration { Ok(()) } else { Err(Rejection::Lease) }
    }

    fn apply(
        change: LeaseChange,
        state: &mut RangeState,
        batch: &mut EngineBatch,
    ) -> Result<SideEffects, EngineError> {
        let previous = state.lease.replace(change.next);
        state.save_lease(batch);
        Ok(SideEffects { lease: Some(LeaseReplaced { previous }), ..SideEffects::default() })
    }
}
