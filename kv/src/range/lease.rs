//! The lease on a range: who may serve it, and until when.
//!
//! ```text
//!  time of the clocks ─────────────────────────────────────────────────────────────────▶
//!  n1  │ start                      stasis │                │ expiration
//!      ├──────────── serves ───────────────┼── serves none ─┤
//!  n2                                                       │ start (of the next sequence)
//!                                                           ├──────────── serves ──────
//!                                          ◀─ max. offset ─▶
//! ```
//!
//! - I1. A timestamp is served under one lease at most: a successor starts at or after the expiration (checked when the
//!   change is applied, [`crate::range::command::LeaseChange`]), and a holder serves below its stasis alone, so that no clock
//!   within the maximum offset sees two holders. Or the holder has handed the lease over, and serves nothing any more: then
//!   the successor starts by its holder's clock at what the old one's showed, knows what was served ([`ReadSummary`]), and
//!   ends no earlier.
//! - I2. Only the life that acquired a lease serves under it: a process that begins anew has lost its timestamp cache.
//! - I3. A holder whose clock may be wrong serves nothing: leases are judged by clocks.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::ids::NodeId;

/// The right to serve a range for an interval of time.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Lease {
    /// Grows by one whenever the holder or its incarnation changes; an extension keeps it.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// The replica that holds it.
    #[prost(uint64, tag = "2")]
    pub replica_id: u64,
    /// The node of that replica.
    #[prost(uint64, tag = "3")]
    pub node_id: u64,
    /// Random per process start: a restarted holder does not inherit its own lease, since its timestamp
    /// cache is gone.
    #[prost(fixed64, tag = "4")]
    pub incarnation: u64,
    /// When it began. Greater than the expiration of every lease with a lower sequence.
    #[prost(fixed64, tag = "5")]
    pub start: u64,
    /// When it ends, exclusive.
    #[prost(fixed64, tag = "6")]
    pub expiration: u64,
}

impl Lease {
    /// When it began.
    pub fn start_ts(&self) -> Timestamp {
        Timestamp::from_raw(self.start)
    }

    /// When it ends, exclusive.
    pub fn expiration_ts(&self) -> Timestamp {
        Timestamp::from_raw(self.expiration)
    }

    /// True iff this life of this node acquired it. It may be over.
    pub fn is_held_by(&self, holder: Holder) -> bool {
        self.node_id == holder.node.0 && self.incarnation == holder.incarnation
    }

    /// May its holder serve at `ts`, by a clock that shows `now` and may be wrong by `max_offset`? By I1.
    pub fn covers(&self, ts: Timestamp, now: Timestamp, max_offset: Duration) -> bool {
        let is_current = self.start_ts() <= now && now < self.expiration_ts();
        ts < self.expiration_ts().saturating_sub(max_offset) && is_current
    }
}

/// What was served under a lease, for whoever gets it handed over: the transaction layer writes it, and reads it. A replica
/// that gets the lease knows by it what another lease would begin above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSummary(pub Bytes);

/// Who can hold leases: a node, for as long as its process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// Random, drawn when the store is opened.
    pub incarnation: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_covers_from_its_start_by_the_clock_to_its_stasis_by_the_timestamp() {
        let ms = Timestamp::from_wall_ms;
        let begin = 1_800_000_000_000;
        let lease = Lease {
            start: ms(begin + 1_000).raw(),
            expiration: ms(begin + 5_000).raw(),
            ..Lease::default()
        };
        let covers = |ts: u64, now: u64| {
            lease.covers(ms(begin + ts), ms(begin + now), Duration::from_millis(500))
        };
        // What was handed over by a clock that is ahead waits for the own one. The past may be read.
        assert!(!covers(900, 999) && !covers(1_200, 999));
        assert!(covers(900, 1_000) && covers(4_499, 1_000));
        assert!(!covers(4_500, 1_000));
        assert!(covers(4_499, 4_999) && !covers(4_499, 5_000));
    }
}
