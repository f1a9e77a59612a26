//! Snapshots: how a replica gets what the log does not have any more.
//!
//! ```text
//!  leader's store                                   the other store
//!  core: Raft asks for one ─▶ send loop             apply loop                         core
//!        (one at a time)      one view ═ part ═════▶ staged beside the data
//!                                      ◀═ taken ════
//!                                      ═ last part ▶ staged whole ─ engine sync ─────▶ lacks it? nobody serves?
//!                                                   note, wipe, copy, note ◀─ install ─ the group stands still
//!                                                    └──────────────── engine sync ───▶ log reset, group anew
//!        group goes on  ◀───────────── installed ═════════════════════════════════════
//! ```
//!
//! - S1. A snapshot is a range at one applied index: all its parts are read from one view of the engine.
//! - S2. Parts are staged beside the data, under their numbers and checksums; the replica is as it was until the snapshot is
//!   there whole and durable. So a stream that breaks off costs nothing but what was sent.
//! - S3. Installing is begun by a note in the engine, wipes what the replica had and what is in the place of what it gets,
//!   copies the parts, and ends with another note, in portions of which each is a batch. A crash loses a suffix of those: the
//!   store that opens then has the old replica, or carries on from what is staged.
//! - S4. The log is reset once the engine is durable with the last note, and not before: until then the log belongs to the old
//!   replica. The note goes when the log begins behind the snapshot.
//! - S5. A replica takes a snapshot only if that is beyond what it knows to be committed, and its log does not have the entry
//!   that the snapshot ends with; then nothing that it has acknowledged is lost with its log (Raft section 7).
//! - S6. A snapshot never overlaps another replica of the store, neither when it begins nor when it is installed.
//! - S7. A replica that holds a lease is not replaced, and while it is being replaced it is shown to nobody: a read that began
//!   before has its own view of the engine, and one that begins looks again after it has got its view
//!   ([`crate::store::Shared::hidden`]).
//! - S8. While it is installed a replica says nothing and hears nothing. Whoever waits for a proposal hears that nobody knows:
//!   the snapshot may have it.
//!
//! Bounds: a store sends one snapshot at a time, as fast as [`crate::store::StoreConfig::snapshot_bytes_per_second`] allows, one
//! part of about half a mebibyte (or one entry) on its way; and takes one at a time.
//!
//! Not here: snapshots that go on where they broke off; other senders than leaders.

pub(crate) mod install;
mod send;
mod stage;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use send::Sending;
pub(crate) use send::{Order, send_loop};
pub(crate) use stage::{Stage, Staged, Staging, check};

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::store::shared::Published;

/// Who sends a snapshot hears whether the replica has it now, or why not.
pub(crate) type Answer = oneshot::Sender<Result<(), String>>;

/// A snapshot that is in the engine, in the place of what the replica had.
pub(crate) struct Installed {
    pub(crate) state: Arc<Published>,
    /// None waits after a restart.
    pub(crate) answer: Option<Answer>,
}
