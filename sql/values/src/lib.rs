//! Values, and what everything that works on them shares: types, errors, and the bounds of a statement's memory, work
//! and stack.
//!
//! Knows nothing of functions, catalogs, plans, transactions or the network. The modules stand in reading order.

pub mod error;
pub mod stack;

pub mod interrupt;
pub mod types;

pub mod memory;
