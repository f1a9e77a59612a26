//! kv: an ordered map of byte keys, cut into ranges, each a Raft group with a lease.
//!
//! It knows nothing of versions, transactions or SQL: it replicates write batches. The modules in reading
//! order: time, the injected world, the two stores on disk, what a range is, one Raft group, one node's store.

pub mod clock;
pub mod engine;
pub mod env;
pub mod ids;
pub mod keys;
pub mod log;
mod raft;
pub mod range;
pub mod router;
pub mod rpc;
pub mod seam;
pub mod sim;
pub mod store;
mod torn;
