//! One Raft group of this node, over raft-rs.
//!
//! Consensus itself is raft-rs's: pre-vote, check-quorum, no forwarding of proposals. This module gives it a
//! storage, our own messages on the wire, reproducible election timeouts, and proposals whose fate is known.
//!
//! - I1. A message that acknowledges something leaves only after the log has made it durable. A leader's
//!   appends may leave before: its own copy counts only once synced.
//! - I2. The peer id is our replica id, unique in the range for ever.
//! - I3. A proposal is reported as rejected only on proof that it can never be applied: an entry with a higher
//!   term was *committed* before its index, or another one at it. Being overwritten on this replica proves nothing.
//! - I4. Whoever waits for a proposal hears of its fate as soon as this replica knows it; only the end of the store
//!   leaves it open.
//! - I5. Committed entries are handed out in the order of the log, and no more of them than there is room for. The others wait
//!   in the log, and in memory only those who wait for them.
//!
//! HAZARD: raft-rs hands out committed entries as long as there are some, and counts them as no longer uncommitted. What
//! waits for room is therefore counted here.
//!
//! HAZARD: raft-rs draws election timeouts from the operating system whenever it resets itself, in the middle
//! of a tick or a step. [`Group`] overwrites the timeout after every call that may have reset it.
//!
//! HAZARD: raft-rs's `batch_append` puts entries into a message without any that stands in the same turn, whatever index that
//! one follows: a follower takes them for others, and panics at best. It stays off; [`wire::join_appends`] does it.

mod group;
mod peers;
mod recent;
mod storage;
mod weight;
pub(crate) mod wire;

pub(crate) use group::{
    ELECTION_TICKS, Follower, FollowerState, Group, UNCOMMITTED_BYTES_MAX, bytes_of,
};
pub(crate) use peers::{Address, Peers};
pub(crate) use recent::RecentBytes;
pub(crate) use storage::{GroupStorage, SnapshotGate};
