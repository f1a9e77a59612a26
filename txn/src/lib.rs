//! txn: time and isolation. Multi-version data and serializable transactions over kv.

pub mod api;
pub mod concurrency;
pub mod coordinator;
pub mod db;
pub mod mvcc;
pub mod rows;
pub mod server;
#[doc(hidden)]
pub mod testing;

/// The node's injected world and its time, for crates that know no other part of kv.
pub use kv::clock::{Clock, Timestamp};
pub use kv::env::{Env, Mutant};
