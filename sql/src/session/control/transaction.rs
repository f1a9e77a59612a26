//! Transactions' beginnings, ends and savepoints.

use sql_exec::sink::ResultSink;
use sql_parse::{
    Begin, Commit, Release, Rollback, RollbackTo, Savepoint, SetTransaction, TransactionModes,
};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::{Run, Tag};
use crate::session::Session;
use crate::work::transaction::{Open, State};

impl Run for Begin {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.begin_block(&self.0, sink)?;
        Ok("BEGIN".into())
    }

    fn leaves_no_trace(&self) -> bool {
        true
    }
}

impl Run for SetTransaction {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.set_modes(self.session, &self.modes)?;
        Ok("SET".into())
    }

    fn leaves_no_trace(&self) -> bool {
        true
    }
}

impl Run for Commit {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        Ok(session.end_block(true, self.chain, sink).await?.into())
    }

    fn ends_failed_block(&self) -> bool {
        true
    }
}

impl Run for Rollback {
    async fn run(&self, session: &mut Session, sink: &mut dyn ResultSink) -> SqlResult<Tag> {
        Ok(session.end_block(false, self.chain, sink).await?.into())
    }

    fn ends_failed_block(&self) -> bool {
        true
    }
}

impl Run for RollbackTo {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.rollback_to(&self.0).await?;
        Ok("ROLLBACK".into())
    }

    fn ends_failed_block(&self) -> bool {
        true
    }
}

impl Run for Savepoint {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        session.block("SAVEPOINT")?.savepoint(&self.0)?;
        Ok("SAVEPOINT".into())
    }
}

impl Run for Release {
    async fn run(&self, session: &mut Session, _: &mut dyn ResultSink) -> SqlResult<Tag> {
        let savepoint = session.block("RELEASE SAVEPOINT")?.release(&self.0)?;
        session.release_cursors(savepoint);
        Ok("RELEASE".into())
    }
}

impl Session {
    fn begin_block(
        &mut self,
        modes: &TransactionModes,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<()> {
        self.ensure_open();
        if self.in_block() {
            let text = "there is already a transaction in progress";
            self.notify(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text), sink)?;
        }
        let State::Open(open) = &mut self.state else {
            return Err(SqlError::internal("no transaction to make a block of"));
        };
        // Statements before BEGIN in the same text belong to the block, as in PostgreSQL.
        open.explicit = true;
        if let Some(read_only) = modes.read_only {
            open.read_only = read_only;
        }
        Ok(())
    }

    pub(super) fn set_modes(&mut self, session: bool, modes: &TransactionModes) -> SqlResult<()> {
        if session {
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                self.settings.set("default_transaction_read_only", Some(value), false)?;
            }
            return Ok(());
        }
        if let State::Open(open) = &mut self.state
            && let Some(read_only) = modes.read_only
        {
            if !read_only && open.read_only && open.statements > 0 {
                let text = "transaction read-write mode must be set before any query";
                return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text));
            }
            open.read_only = read_only;
        }
        Ok(())
    }

    async fn end_block(
        &mut self,
        commit: bool,
        chain: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<&'static str> {
        let explicit = match &self.state {
            State::Open(open) => open.explicit,
            State::Failed(_) => true,
            State::Idle => false,
        };
        if !explicit {
            let text = "there is no transaction in progress";
            let notice = SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text);
            if chain {
                return Err(notice);
            }
            self.notify(notice, sink)?;
        }
        let read_only = matches!(&self.state, State::Open(open) if open.read_only);
        let tag = if commit && !matches!(self.state, State::Failed(_)) {
            self.commit(sink).await?;
            "COMMIT"
        } else {
            if let State::Open(open) | State::Failed(Some(open)) = &mut self.state {
                open.txn.rollback();
                open.txn.released().await;
            }
            self.roll_back(sink)?;
            "ROLLBACK"
        };
        if chain {
            self.state = State::Open(
                Open::begin(&self.engine, true, read_only).started_at(self.statement_time),
            );
        }
        Ok(tag)
    }

    async fn rollback_to(&mut self, name: &str) -> SqlResult<()> {
        let savepoint = match &mut self.state {
            State::Failed(Some(open)) => {
                let savepoint = open.rollback_to(name).await?;
                if let State::Failed(Some(open)) = std::mem::take(&mut self.state) {
                    self.state = State::Open(open);
                }
                savepoint
            }
            // The transaction is dead (it could not be serialized, say): no savepoint brings it back.
            State::Failed(None) => {
                let text = "the transaction has ended and cannot go back to a savepoint";
                return Err(SqlError::new(SqlState::SERIALIZATION_FAILURE, text));
            }
            State::Open(_) | State::Idle => {
                self.block("ROLLBACK TO SAVEPOINT")?.rollback_to(name).await?
            }
        };
        self.roll_back_cursors(savepoint);
        Ok(())
    }
}
