//! Statements on real transactions, by plans written by hand.

mod bounds;
mod erase;
mod errors;
mod queries;
mod scans;
mod shapes;
pub(crate) mod support;
mod texts;
mod writes;
