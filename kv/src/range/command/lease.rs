//! Replaces one lease by another, or by a longer one.
//!
//! A new sequence starts at or after the old expiration, or is handed over: by the old holder, which serves nothing any more
//! and says what it has served ([`ReadSummary`]). An extension keeps holder, incarnation and start. None ends
//! before the lease that it replaces, and a new one begins above what is closed. The previous lease is named whole: whoever
//! proposed under a belief that is out of date is rejected.

use bytes::Bytes;

use super::{Kind, LeaseReplaced, Rejection, SideEffects};
use crate::engine::{EngineBatch, EngineError};
use crate::range::lease::{Lease, ReadSummary};
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
    /// The incarnation of the old holder, if it hands the lease over.
    #[prost(fixed64, optional, tag = "3")]
    pub handed_over_by: Option<u64>,
    /// What the old holder has served, if it hands the lease over. The transaction layer's.
    #[prost(bytes = "bytes", tag = "4")]
    pub summary: Bytes,
}

impl Kind for LeaseChange {
    type Body = LeaseChange;

    const REPLACES_LEASE: bool = true;

    fn check(change: &LeaseChange, state: &RangeState) -> Result<(), Rejection> {
        let LeaseChange { previous, next, handed_over_by, .. } = change;
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
            Some(old) => {
                let (sequence, start) = match handed_over_by {
                    None => (old.sequence + 1, old.expiration),
                    Some(holder) if *holder == old.incarnation => (old.sequence + 1, old.start),
                    Some(_) => return Err(Rejection::Lease),
                };
                next.sequence == sequence
                    && next.start >= start
                    && next.expiration >= old.expiration
                    && next.start > state.applied.closed_ts
            }
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
        let summary = change.handed_over_by.map(|_| ReadSummary(change.summary));
        let replaced = LeaseReplaced { previous, summary };
        Ok(SideEffects { lease: Some(replaced), ..SideEffects::default() })
    }
}
