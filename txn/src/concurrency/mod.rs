//! What keeps requests of one node apart: latches for the length of an evaluation, the lock table for the
//! length of a transaction, the timestamp cache for ever. Who waits for whom is beside them, for deadlocks.
//!
//! All of it is keyed by user key and belongs to the node, not to a range, so that a split moves nothing. It
//! is deterministic: ordered maps, first come first served, no clocks. It lives in memory only; what a lease
//! holder may have forgotten, the start of its lease covers ([`Marked, TimestampCache`]) or an evaluation finds
//! again ([`LockTable`]).

mod key;

mod ended;
mod latches;
mod lock_table;
mod timestamp_cache;
mod waits;

pub use ended::Ended;
pub use latches::{LatchGuard, LatchSpan, Latches};
pub use lock_table::{Blocked, Holder, LockTable, Place, owned};
pub use timestamp_cache::{Mark, Marked, TimestampCache};
pub use waits::{Search, Waiting, Waits, order};
