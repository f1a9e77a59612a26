//! The proof kit.
#![allow(missing_docs)]
pub mod checker;
pub mod client;
pub mod generator;
pub mod history;
pub mod rng;
pub mod value;
