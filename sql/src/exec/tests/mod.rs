//! Statements on real transactions, by plans written by hand.

mod errors;
mod queries;
mod scans;
mod support;
mod writes;
