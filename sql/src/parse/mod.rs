//! From text to statements: sqlparser's PostgreSQL dialect where it fits, our own small parser for the statements that
//! only a session understands, and token-level patches for what sqlparser does not know.

mod place;
mod statement;

pub use statement::*;
