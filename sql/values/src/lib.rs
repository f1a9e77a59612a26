//! Values, and what everything that works on them shares: types, errors, and the bounds of a statement's memory, work
//! and stack.
//!
//! Knows nothing of functions, catalogs, plans, transactions or the network.

pub mod error;
pub mod interrupt;
pub mod memory;
pub mod stack;
pub mod types;
