//! txn: time and isolation. Multi-version data and serializable transactions over kv.

pub mod api;
pub mod concurrency;
pub mod coordinator;
pub mod db;
pub mod mvcc;
pub mod server;
#[doc(hidden)]
pub mod testing;
