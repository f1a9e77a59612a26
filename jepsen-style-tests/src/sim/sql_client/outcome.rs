//! What an error says about the effect of a statement.

use std::error::Error as _;

use tokio_postgres::error::{DbError, Error, SqlState};

/// Errors that a client has to live with: a transaction that cannot be serialized or was in a deadlock, an unknown
/// outcome, a check that is false, a lock or data that is not to be had in time, a statement that was cancelled.
const BEARABLE: [&str; 7] = ["40001", "40P01", "40003", "23514", "55P03", "58000", "57014"];

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// 40001 or 40P01: nothing happened, and another attempt may succeed.
    Retry(String),
    /// Certainly nothing happened.
    Fail(String),
    /// Nobody knows.
    Unknown(String),
}

/// What an error says about the effect of a statement (Q1). `doubt`: the statement may commit something.
pub(super) fn judge(error: &Error, doubt: bool) -> Trouble {
    let said = describe(error);
    match error.code() {
        Some(code)
            if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED]
                .contains(code) =>
        {
            Trouble::Retry(said)
        }
        Some(code) if *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Trouble::Unknown(said),
        Some(_) => Trouble::Fail(said),
        None if doubt => Trouble::Unknown(said),
        None => Trouble::Fail(said),
    }
}

/// True iff clients have to live with the error (Q2).
pub(super) fn is_bearable(error: &Error) -> bool {
    let stopped = |db: &DbError| db.message().starts_with("this node has stopped");
    match error.code() {
        // A node that stops itself says so in several codes.
        Some(_) if error.as_db_error().is_some_and(stopped) => true,
        Some(code) => BEARABLE.contains(&code.code()),
        None => is_lost(error),
    }
}

/// The connection has ended, and nothing is wrong with what came over it.
pub(super) fn is_lost(error: &Error) -> bool {
    let is_io = || error.source().is_some_and(|source| source.is::<std::io::Error>());
    error.is_closed() || (is_io() && error.to_string().starts_with("error communicating"))
}

pub(super) fn describe(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{} {}{detail}", db.code().code(), db.message())
        }
        None => error.to_string(),
    }
}
