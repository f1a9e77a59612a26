//! Versions, intents and transaction records over a range's entries.
//!
//! Promise: pure functions from a snapshot to answers and batches. Nothing here waits, and nothing here knows
//! who else is running: that the snapshot holds everything that counts is the latches' business.
//!
//! A write of a running transaction is an [`Intent`] in the lock space, at most one a key. Committing turns it
//! into a [`Version`]; aborting removes it. The two have two timestamps each: `ts` orders them among
//! all reads and writes, `local_ts` says by which reading of the lease holder's clock they had been written,
//! which lets most readers rule out that they should have seen them.
//!
//! - I1. The newest version of a key is older than the intent on it, until that is resolved.
//! - I2. A transaction commits at or above each of its intents.
//! - I3. What becomes of the intents of a finished transaction is decided ([`Finished`]): to read one as what it becomes is
//!   to read it resolved.
//!
//! Not done here: removal of versions that nobody can read any more. An [`Erasure`] may go when nothing is stored any more
//! that is beneath it and older, in the data space or in the history, and nobody reads so early that it is not yet; it goes
//! before no version that it covers, or that would be seen again.

mod erasure;
mod finished;
pub mod intent;
mod layout;
mod read;
pub mod record;
#[cfg(test)]
mod tests;
mod version;
mod write;

pub use erasure::Erasure;
pub use finished::Finished;
pub use intent::Intent;
pub use layout::Order;
pub(crate) use layout::{erased_at, newest, newest_ts_of_span, put as put_version_over};
pub use read::{Outcome, Reader, Uncertainty};
pub use version::{Times, Version};
pub use write::{Refreshed, put_version, refresh, resolve};
