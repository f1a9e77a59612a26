//! A session's transaction.
//!
//! - T1. A session has at most one transaction; every statement runs in it, or in an implicit one of its own batch.
//! - T2. In a failed block nothing runs but what ends it or goes back to a savepoint.
//! - T3. A transaction is begun anew only while it has done nothing that the client knows of: in its first
//!   statement, with a sink that can take back what it was given.
//! - T4. An outcome that is unknown is reported as unknown, and ends the transaction.

use std::sync::Arc;

use sql_exec::OrSql;
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::db::{Savepoint, Txn, TxnError, TxnOptions};

use super::engine::SqlEngine;
use crate::catalog::build::Build;
use crate::catalog::store::TxnCatalog;

/// Savepoints that a transaction may have at a time.
const MAX_SAVEPOINTS: usize = 1_000;

/// Where a session stands.
#[derive(Default)]
pub(crate) enum State {
    /// No transaction.
    #[default]
    Idle,
    /// A transaction that may go on.
    Open(Box<Open>),
    /// A block that has failed; the transaction is kept for its savepoints, unless it is dead.
    Failed(Option<Box<Open>>),
}

/// An open transaction.
pub(crate) struct Open {
    pub(crate) txn: Txn,
    pub(crate) catalog: TxnCatalog,
    /// Opened by BEGIN.
    pub(crate) explicit: bool,
    pub(crate) read_only: bool,
    /// When it began, in microseconds since 2000.
    pub(crate) started: i64,
    /// How often it was begun anew.
    pub(crate) restarts: u32,
    /// Statements that have run in it.
    pub(crate) statements: usize,
    /// Settings that `set_config` asked for: name, value, and whether for this transaction only.
    pub(crate) asked: Vec<(String, String, bool)>,
    /// The statement that runs is all of an implicit transaction.
    pub(crate) alone: bool,
    /// Indexes that are to be built when it is committed.
    pub(crate) builds: Vec<Build>,
    savepoints: Vec<(String, Savepoint)>,
    ending: bool,
    committing: bool,
}

impl Open {
    /// Begins, now.
    pub(crate) fn begin(engine: &Arc<SqlEngine>, explicit: bool, read_only: bool) -> Box<Open> {
        Self::begin_again(engine, explicit, read_only, 0)
    }

    /// Begins, with precedence over those that were begun anew less often.
    pub(crate) fn begin_again(
        engine: &Arc<SqlEngine>,
        explicit: bool,
        read_only: bool,
        restarts: u32,
    ) -> Box<Open> {
        let txn = engine.db.begin(TxnOptions { priority: restarts, deadline: None });
        Box::new(Open {
            txn,
            catalog: TxnCatalog::new(engine.leases.clone()),
            explicit,
            read_only,
            started: engine.now(),
            restarts,
            statements: 0,
            asked: Vec::new(),
            alone: false,
            builds: Vec::new(),
            savepoints: Vec::new(),
            ending: false,
            committing: false,
        })
    }

    /// With the time of the statement that opened it as its own: what `now()` says.
    pub(crate) fn started_at(mut self: Box<Self>, time: i64) -> Box<Open> {
        self.started = time;
        self
    }

    /// The same transaction from its beginning, with precedence over younger ones (T3).
    pub(crate) fn restarted(&self, engine: &Arc<SqlEngine>, attempt: u32) -> Box<Open> {
        let mut open = Self::begin_again(engine, self.explicit, self.read_only, attempt);
        open.started = self.started;
        open
    }

    /// Its commit has been asked for, and begins with what may still fail.
    pub(crate) fn begin_end(&mut self) {
        self.ending = true;
    }

    /// Commits. The transaction has ended whatever comes back.
    pub(crate) async fn commit(&mut self) -> SqlResult<()> {
        self.ending = true;
        self.catalog.bind_commit(&mut self.txn).await;
        self.committing = true;
        let result = self.txn.commit().await;
        self.committing = false;
        if result != Err(TxnError::Ambiguous) {
            self.catalog.commit_settled(result.is_ok());
        }
        result.map(|_| ()).or_sql()
    }

    /// Its commit has been asked for: whatever comes of it, the transaction has ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    /// A commit is on its way, and nobody has heard of its outcome.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing
    }

    /// SAVEPOINT. An older one of the same name is hidden, not gone.
    pub(crate) fn savepoint(&mut self, name: &str) -> SqlResult<()> {
        if self.savepoints.len() >= MAX_SAVEPOINTS {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many savepoints"));
        }
        let mark = self.txn.savepoint().or_sql()?;
        self.savepoints.push((name.to_owned(), mark));
        Ok(())
    }

    fn position(&self, name: &str) -> SqlResult<usize> {
        self.savepoints.iter().rposition(|(known, _)| known == name).ok_or_else(|| {
            let text = format!("savepoint \"{name}\" does not exist");
            SqlError::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, text)
        })
    }

    /// How many savepoints there are.
    pub(crate) fn depth(&self) -> usize {
        self.savepoints.len()
    }

    /// RELEASE SAVEPOINT. Returns its place.
    pub(crate) fn release(&mut self, name: &str) -> SqlResult<usize> {
        let at = self.position(name)?;
        self.txn.release(self.savepoints[at].1).or_sql()?;
        self.savepoints.truncate(at);
        Ok(at)
    }

    /// ROLLBACK TO SAVEPOINT. The savepoint stays. What was locked since is free for others when this is done.
    /// Returns its place.
    pub(crate) async fn rollback_to(&mut self, name: &str) -> SqlResult<usize> {
        let at = self.position(name)?;
        self.txn.rollback_to(self.savepoints[at].1).or_sql()?;
        self.savepoints.truncate(at + 1);
        self.catalog.rolled_back();
        self.txn.released().await;
        Ok(at)
    }

    /// A statement has failed: as in PostgreSQL others do not have to wait until the client goes back to a savepoint or
    /// ends the block. Nothing can be done before that but these two. True if there is no savepoint.
    pub(crate) fn give_back(&mut self) -> bool {
        match self.savepoints.last() {
            // Fails if the transaction is dead by now, and then everything has been given back.
            Some((_, last)) => drop(self.txn.rollback_to(*last)),
            None => {
                self.txn.rollback();
                self.catalog.give_back();
            }
        }
        self.savepoints.is_empty()
    }
}
