//! What a range is, the commands that change it, and how they are applied.
//!
//! - Bounds and members ([`descriptor`]), who may serve ([`lease`]), and who is being served ([`tracker`]).
//! - What is replicated and is not keys: [`state`], on the meta range with the [`directory`] of all ranges, and what is said
//!   of whole [`spans`] of keys. How it begins: [`bootstrap`].
//! - What changes it: a [`command`] in the range's log, mostly a [`batch`] of keys; and how entries are applied, the
//!   [`machine`].
//! - What a replica holds, as bytes: a [`snapshot`].

pub mod descriptor;
pub mod lease;
pub mod tracker;

pub mod directory;
pub mod spans;
pub mod state;

pub mod batch;
pub mod bootstrap;
pub mod command;
pub mod machine;
pub mod snapshot;
