//! txn: time and isolation. Multi-version data and serializable transactions over kv.
//!
//! The modules in reading order, which is the order of use: each uses those above it alone.
//!
//! - What gateways and lease holders say to each other: [`rows`], [`api`].
//! - What a lease holder keeps in memory ([`concurrency`]: latches, locks, the timestamp cache) and what it keeps in the
//!   range ([`mvcc`]: versions, intents, records).
//! - The gateway's side: one transaction ([`coordinator`]), and how one is begun ([`db`]).
//! - The lease holder's side: the [`server`] evaluates batches. The two sides know each other by [`api`] alone.
//!
//! One conflict, from its beginning to its end. A and B both want to write key k. A's `put` comes to the lease holder
//! first: it latches k, lays an intent, and A goes on. B's `put` finds the intent, lets go of its latch, and waits in the lock
//! table; when A gives no sign of life, B pushes A's record. A commits: its record says so, which is the moment from which
//! everybody sees its writes; then its intents become versions, and k is free. B evaluates again and finds a version above
//! its read timestamp: it moves its reads up if nothing that it has read has changed since (a refresh), and starts anew if
//! something has. Nobody has read what is not committed, and B's write stands above A's.

pub mod rows;

pub mod api;

pub mod concurrency;
pub mod mvcc;

pub mod coordinator;
pub mod db;

pub mod server;

#[doc(hidden)]
pub mod testing;

#[cfg(test)]
mod scripts;

/// The node's injected world and its time, for crates that know no other part of kv.
pub use kv::clock::{Clock, Timestamp};
pub use kv::env::Env;
pub use kv::mutant::Mutant;
