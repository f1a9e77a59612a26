//! Sessions: what a connection holds between statements, and how a statement's results leave.

mod settings;
mod sink;

pub use sink::{Notice, ResultSink, TxnStatus};
