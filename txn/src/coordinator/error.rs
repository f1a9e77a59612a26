//! What can go wrong, cut by what the caller does about it.

use kv::failure::Failure;
use kv::seam::SendError;

use crate::api::{BatchError, ErrorKind, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Why an operation of a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// Nothing was committed, nor will be: run the transaction again from its beginning. Savepoints do not
    /// cure it.
    #[error("could not serialize access: {reason}")]
    Retry {
        /// For people.
        reason: String,
    },
    /// The commit may or may not have happened, or may yet happen: tell the user so, never run it again
    /// unasked.
    #[error("the outcome of the commit is unknown")]
    Ambiguous,
    /// Nothing was committed; the data could not be reached in time. The transaction may go on, but its
    /// caller should roll it back and report.
    #[error("the data could not be reached in time")]
    Unavailable,
    /// Nothing was committed: what the transaction would read as of its timestamp is no longer kept. Run it anew.
    #[error("snapshot too old")]
    TooOld,
    /// Nothing was committed: the commit deadline has passed. Renew what it stands for, then run the
    /// transaction again.
    #[error("the commit deadline has passed")]
    DeadlineExceeded,
    /// Waited for another transaction until the lock timeout. Roll back, then report or run again.
    #[error("waited too long for a lock")]
    LockTimeout,
    /// Another transaction has a lock, and the caller did not want to wait for it.
    #[error("a lock is not to be had at once")]
    Locked,
    /// Transactions waited for each other, and this one was chosen to give up. As after [`TxnError::Retry`].
    #[error("deadlock detected")]
    Deadlock {
        /// Who waited for whom, a line each. For people.
        detail: String,
    },
    /// The transaction exceeds a bound: the write buffer's, the number of locks or of savepoints.
    #[error("the transaction is too large")]
    TooLarge,
    /// A value is larger than [`MAX_VALUE_BYTES`]. Nothing was written.
    #[error("row is too big: size {bytes}, maximum size {MAX_VALUE_BYTES}")]
    RowTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A key is larger than [`MAX_KEY_BYTES`]. Nothing was written.
    #[error("index row size {bytes} exceeds maximum {MAX_KEY_BYTES}")]
    KeyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The request makes no sense: a bug of the caller, or nodes of different versions.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// Nothing was committed: the gateway's store has stopped, and its process ends. Go to another node.
    #[error("this node has stopped: {0}")]
    Stopped(Failure),
}

impl TxnError {
    /// The error that asks for a new attempt.
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        TxnError::Retry { reason: reason.into() }
    }

    /// PostgreSQL's code for it.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            TxnError::Retry { .. } | TxnError::DeadlineExceeded => "40001",
            TxnError::Ambiguous => "40003",
            TxnError::Unavailable => "58000",
            TxnError::TooOld => "72000",
            TxnError::LockTimeout | TxnError::Locked => "55P03",
            TxnError::Deadlock { .. } => "40P01",
            TxnError::TooLarge | TxnError::RowTooLarge { .. } | TxnError::KeyTooLarge { .. } => {
                "54000"
            }
            TxnError::Invalid(_) => "XX000",
            TxnError::Stopped(failure) => failure.sqlstate(),
        }
    }

    /// A fresh attempt with the same intent may succeed without anyone's help.
    pub fn is_retry(&self) -> bool {
        matches!(self, TxnError::Retry { .. } | TxnError::Deadlock { .. })
    }

    /// What a server's refusal means, all timestamps being as they are.
    pub(crate) fn from_server(error: &BatchError) -> Self {
        match ErrorKind::try_from(error.kind) {
            Ok(ErrorKind::RetryAt | ErrorKind::RefreshFailed | ErrorKind::Aborted) => {
                TxnError::retry(error.message.clone())
            }
            Ok(ErrorKind::DeadlineExceeded) => TxnError::DeadlineExceeded,
            Ok(ErrorKind::LockTimeout) => TxnError::LockTimeout,
            Ok(ErrorKind::Locked) => TxnError::Locked,
            Ok(ErrorKind::Deadlock) => TxnError::Deadlock { detail: error.message.clone() },
            Ok(ErrorKind::TooLarge) => TxnError::TooLarge,
            // Whoever lets a batch wait sends it again.
            Ok(ErrorKind::Waiting | ErrorKind::Invalid) | Err(_) => {
                TxnError::Invalid(error.message.clone())
            }
        }
    }

    /// What a missing answer means for a request that commits nothing.
    pub(crate) fn from_send(error: SendError) -> Self {
        match error {
            SendError::Moved | SendError::Unknown | SendError::Unavailable => TxnError::Unavailable,
            SendError::Invalid(message) => TxnError::Invalid(message),
            SendError::TooOld => TxnError::TooOld,
            SendError::Stopped(failure) => TxnError::Stopped(failure),
        }
    }
}

/// An error type that a transaction body may end with, so that [`crate::db::Db::run`] can tell which of them
/// ask for a new attempt.
pub trait BodyError: From<TxnError> {
    /// The transaction layer's error within, if it is one.
    fn as_txn_error(&self) -> Option<&TxnError>;
}

impl BodyError for TxnError {
    fn as_txn_error(&self) -> Option<&TxnError> {
        Some(self)
    }
}
