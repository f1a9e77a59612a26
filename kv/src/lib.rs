//! kv: an ordered map of byte keys, cut into ranges, each a Raft group with a lease.
//!
//! It knows nothing of versions, transactions or SQL: it replicates write batches. The modules in reading order, which
//! is the order of use: each uses those above it alone.
//!
//! - The ground: [`ids`], [`keys`], `torn` (files whose end a power loss has torn), time in [`clock`].
//! - The disk: the [`engine`] holds what ranges have applied, the Raft [`log`] what they are going to; [`failure`] says
//!   what it means that either fails.
//! - What a [`range`] is, and what is said about it between nodes ([`rpc`]).
//! - The injected world ([`env`](mod@env)) and the deliberate bugs that it may have ([`mutant`]), and the simulated disk with
//!   the engine and the log on it ([`sim`]).
//! - One Raft group (`raft`), and a node's [`store`] of many, which keeps to the interface in [`seam`].
//! - The way to the lease holder ([`router`]), and what a node answers there ([`service`]).
//!
//! A write, from its gateway to its end: `router` sends it to the lease holder's `service`, which gives it to the
//! transaction server above kv. That begins an evaluation in the `store` (a lease that is good, a snapshot of the
//! `engine`) and proposes a batch. The store's consensus loop gives it to the group (`raft`), which appends it to the `log`
//! here and elsewhere; a majority has it: it is committed. The apply loop puts it through the `range`'s state machine
//! into the engine, and only then the answer goes back the same way.

pub mod ids;
pub mod keys;
mod torn;

pub mod clock;

pub mod engine;
pub mod log;

pub mod failure;

pub mod range;
pub mod rpc;

pub mod mutant;

pub mod env;
pub mod sim;

mod raft;
pub mod seam;
pub mod store;

pub mod router;
pub mod service;
