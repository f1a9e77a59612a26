//! What the transaction's errors are to a client.

use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::db::TxnError;

const COULD_NOT_LOCK: &str = "could not obtain lock on row";

/// An error of reading a table: NOWAIT says which.
pub(crate) fn of_table(error: SqlError, table: &str) -> SqlError {
    if error.state != SqlState::LOCK_NOT_AVAILABLE || error.message != COULD_NOT_LOCK {
        return error;
    }
    SqlError { message: format!("{COULD_NOT_LOCK} in relation \"{table}\""), ..error }
}

/// A transaction's error as PostgreSQL would report it.
pub fn from_txn(error: TxnError) -> SqlError {
    match error {
        TxnError::Retry { reason } => SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent transactions",
        )
        .detail(reason)
        .hint("The transaction might succeed if retried."),
        TxnError::DeadlineExceeded => SqlError::new(
            SqlState::SERIALIZATION_FAILURE,
            "could not serialize access due to a change of the schema",
        )
        .hint("The transaction might succeed if retried."),
        TxnError::Ambiguous => SqlError::new(
            SqlState::STATEMENT_COMPLETION_UNKNOWN,
            "the outcome of the commit is unknown",
        )
        .hint("The transaction may or may not have been committed: look before running it again."),
        TxnError::Unavailable => {
            SqlError::new(SqlState::SYSTEM_ERROR, "the data could not be reached in time")
        }
        TxnError::TooOld => SqlError::new(SqlState::SNAPSHOT_TOO_OLD, "snapshot too old"),
        TxnError::LockTimeout => {
            SqlError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
        }
        TxnError::Locked => SqlError::new(SqlState::LOCK_NOT_AVAILABLE, COULD_NOT_LOCK),
        TxnError::Deadlock { detail } => {
            SqlError::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
                .detail(detail)
                .hint("The transaction might succeed if retried.")
        }
        TxnError::TooLarge => {
            SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "the transaction is too large")
                .hint("Write or lock fewer rows in one transaction.")
        }
        TxnError::RowTooLarge { .. } | TxnError::KeyTooLarge { .. } => {
            SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, error.to_string())
        }
        TxnError::Invalid(message) => SqlError::internal(message),
        TxnError::Stopped(ref failure) => {
            SqlError::new(SqlState(failure.sqlstate()), error.to_string()).hint(failure.remedy())
        }
    }
}

/// What a transaction gave, as a statement reports it.
pub trait OrSql<T> {
    /// Its error as PostgreSQL would report it ([`from_txn`]).
    fn or_sql(self) -> SqlResult<T>;
}

impl<T> OrSql<T> for Result<T, TxnError> {
    fn or_sql(self) -> SqlResult<T> {
        self.map_err(from_txn)
    }
}
