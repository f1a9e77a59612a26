//! Why a store has stopped, cut by what a person has to do about it.

use crate::engine::EngineError;
use crate::log::LogError;

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no room left on the disk.
    DiskFull,
    /// What was read cannot be what was written.
    Damaged,
    /// The disk does not read or write.
    Disk,
    /// The clock agrees with no majority of the cluster's nodes.
    Clock,
    /// A broken invariant of our own.
    Bug,
}

/// Why a store has stopped. It serves nobody any more; its process is to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What went wrong, for people.
    pub what: String,
}

impl Failure {
    /// A failure with its description.
    pub fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Failure { kind, what: what.into() }
    }

    /// PostgreSQL's code for it.
    pub fn sqlstate(&self) -> &'static str {
        match self.kind {
            FailureKind::DiskFull => "53100",
            FailureKind::Damaged => "XX001",
            FailureKind::Disk => "58030",
            FailureKind::Clock => "57P02",
            FailureKind::Bug => "XX000",
        }
    }

    /// What an operator is to do.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            FailureKind::DiskFull => {
                "Free space on the disk of the store and start the node again."
            }
            FailureKind::Damaged => {
                "Check the disk. Nothing is served from this store; its other replicas go on without it."
            }
            FailureKind::Disk => "Check the disk and start the node again.",
            FailureKind::Clock => "Synchronize the clock (NTP, chrony) and start the node again.",
            FailureKind::Bug => "Start the node again, and report this.",
        }
    }
}

impl From<&EngineError> for Failure {
    fn from(error: &EngineError) -> Self {
        let kind = match error {
            EngineError::Full(_) => FailureKind::DiskFull,
            EngineError::Corrupt(_) => FailureKind::Damaged,
            EngineError::Io(_) => FailureKind::Disk,
        };
        Failure::new(kind, error.to_string())
    }
}

impl From<&LogError> for Failure {
    fn from(error: &LogError) -> Self {
        let kind = match error {
            LogError::Full(_) => FailureKind::DiskFull,
            LogError::Corrupt(_) => FailureKind::Damaged,
            LogError::Io(_) => FailureKind::Disk,
            LogError::Refused { .. } | LogError::NoEntry { .. } => FailureKind::Bug,
        };
        Failure::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_named_by_what_is_to_be_done_about_it() {
        let full = EngineError::Full("No space left on device (os error 28)".into());
        let failure = Failure::from(&full);
        assert_eq!((failure.kind, failure.sqlstate()), (FailureKind::DiskFull, "53100"));
        assert!(failure.to_string().contains("No space left on device"), "{failure}");
        let damaged = Failure::from(&LogError::Corrupt("checksum".into()));
        assert_eq!((damaged.kind, damaged.sqlstate()), (FailureKind::Damaged, "XX001"));
    }
}
