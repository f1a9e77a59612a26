//! Commands on their way: who asked, and what became of it.

use tokio::sync::oneshot;

use crate::ids::RangeId;
use crate::range::command::{Command, Rejection};
use crate::range::tracker::Slot;
use crate::store::credit::Taken;

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Applied. For an allocation, the first id.
    Applied(u64),
    /// The checks at apply time failed.
    Rejected(Rejection),
    /// It was not appended, or will never be committed.
    Superseded,
    /// It was not appended, because too much is under way.
    Overloaded,
}

/// Who waits for a proposal. Dropped without a word: nobody knows.
pub(crate) type Waiter = oneshot::Sender<Fate>;

/// A command to replicate. The core fills in the lease index.
pub(crate) struct Proposal {
    pub(crate) range: RangeId,
    pub(crate) command: Command,
    pub(crate) waiter: Waiter,
    /// The evaluation that it comes from: over when the command has its place in the log.
    pub(crate) slot: Option<Slot>,
    /// Its bytes in the queue to the core, if it comes from there: given back when the core has taken it.
    pub(crate) queued: Option<Taken>,
}
