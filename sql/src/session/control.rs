//! Statements that only concern the session: transaction control, settings, prepared statements.

use sql_exec::sink::ResultSink;
use sql_parse::{Control, DiscardKind, Name, SetValue, TransactionModes};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::Session;
use super::statement::{tell, text_column, text_rows, unknown_cursor, unknown_statement};
use crate::settings::Settings;
use crate::work::transaction::{Open, State};

impl Session {
    /// Statements that only concern the session.
    pub(super) async fn control(
        &mut self,
        control: &Control,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        Ok(match control {
            Control::Begin(modes) => {
                self.begin_block(modes, sink)?;
                "BEGIN".into()
            }
            Control::Commit { chain } => self.end_block(true, *chain, sink).await?.into(),
            Control::Rollback { chain } => self.end_block(false, *chain, sink).await?.into(),
            Control::SetTransaction { session, modes } => {
                self.set_modes(*session, modes)?;
                "SET".into()
            }
            Control::Savepoint(name) => {
                self.block("SAVEPOINT")?.savepoint(name)?;
                "SAVEPOINT".into()
            }
            Control::Release(name) => {
                let savepoint = self.block("RELEASE SAVEPOINT")?.release(name)?;
                self.release_cursors(savepoint);
                "RELEASE".into()
            }
            Control::RollbackTo(name) => {
                self.rollback_to(name).await?;
                "ROLLBACK".into()
            }
            Control::Set { name, value, local } => {
                if *local && !self.in_block() && !self.in_text {
                    let text = "SET LOCAL can only be used in transaction blocks";
                    self.notify(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text), sink)?;
                }
                let value = match value {
                    SetValue::Default => None,
                    SetValue::Values(values) => Some(values.join(", ")),
                };
                self.ensure_open();
                if self.set_of_transaction(name, value.as_deref())? {
                    return Ok("SET".into());
                }
                if let Some((name, value)) = self.settings.set(name, value.as_deref(), *local)? {
                    sink.parameter(&name, &value)?;
                }
                "SET".into()
            }
            Control::Reset(name) => {
                self.ensure_open();
                let changes = match name {
                    Some(name) => self.settings.set(name, None, false)?.into_iter().collect(),
                    None => self.settings.reset(),
                };
                tell(sink, &changes)?;
                "RESET".into()
            }
            Control::Show(name) => {
                self.show(name, sink)?;
                "SHOW".into()
            }
            Control::Prepare { name, types, statement } => {
                if self.statements.contains_key(name) {
                    let text = format!("prepared statement \"{name}\" already exists");
                    return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, text));
                }
                let prepared = self.prepare(Some((**statement).clone()), types.clone()).await?;
                self.keep_statement(name, prepared)?;
                "PREPARE".into()
            }
            Control::Deallocate(Some(name)) => {
                if self.statements.remove(name).is_none() {
                    return Err(unknown_statement(name));
                }
                "DEALLOCATE".into()
            }
            Control::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL".into()
            }
            Control::Discard(kind) => self.discard(*kind, sink)?.into(),
            Control::Close(Some(name)) => {
                if self.portals.remove(name).is_none() {
                    return Err(unknown_cursor(name));
                }
                "CLOSE CURSOR".into()
            }
            Control::Close(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL".into()
            }
            // Nothing is ever written over: there is nothing to clean, and no statistics yet.
            Control::Vacuum { tables, .. } => {
                self.forbid_transaction("VACUUM")?;
                self.check_tables(tables).await?;
                "VACUUM".into()
            }
            Control::Analyze { tables } => {
                self.check_tables(tables).await?;
                "ANALYZE".into()
            }
            Control::LockTable { tables, mode, .. } => {
                self.require_transaction("LOCK TABLE")?;
                self.check_tables(tables).await?;
                // Whoever has named a table keeps changes of it away until the transaction ends, by the lease on its
                // schema: that is all that this mode is for.
                if mode != "ACCESS SHARE" {
                    return Err(SqlError::unsupported(format!("LOCK TABLE IN {mode} MODE")));
                }
                "LOCK TABLE".into()
            }
            Control::Unlisten(_) => "UNLISTEN".into(),
            Control::Listen(_) => return Err(SqlError::unsupported("LISTEN")),
            Control::Notify { .. } => return Err(SqlError::unsupported("NOTIFY")),
        })
    }

    async fn check_tables(&mut self, tables: &[Name]) -> SqlResult<()> {
        let mut work = self.work()?;
        for name in tables {
            work.find_table(name).await?.ok_or_else(|| crate::work::undefined(name))?;
        }
        Ok(())
    }

    fn in_block(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.explicit)
    }

    /// The open block, or 25P01.
    fn block(&mut self, what: &str) -> SqlResult<&mut Open> {
        match &mut self.state {
            State::Open(open) if open.explicit => Ok(open),
            _ => Err(only_in_blocks(what)),
        }
    }

    /// 25P01 outside of a block; a text of several statements is one.
    pub(super) fn require_transaction(&self, what: &str) -> SqlResult<()> {
        if self.in_block() || self.in_text { Ok(()) } else { Err(only_in_blocks(what)) }
    }

    /// 25001 within a block, a text of several statements, or a batch of the extended protocol that has begun.
    pub(super) fn forbid_transaction(&self, what: &str) -> SqlResult<()> {
        let is_begun = matches!(&self.state, State::Open(open) if open.statements > 0);
        let text = if self.in_block() || self.in_text {
            format!("{what} cannot run inside a transaction block")
        } else if is_begun {
            format!("{what} cannot be executed within a pipeline")
        } else {
            return Ok(());
        };
        Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text))
    }

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

    /// Settings that are the present transaction's, not the session's. False if it is none of these.
    fn set_of_transaction(&mut self, name: &str, value: Option<&str>) -> SqlResult<bool> {
        if !Settings::is_of_transaction(name) {
            return Ok(false);
        }
        let value = match value {
            Some(value) => self.settings.checked(name, value)?,
            None => self.settings.get(&format!("default_{name}")).unwrap_or_default(),
        };
        if name == "transaction_read_only" {
            let read_only = Some(value == "on");
            self.set_modes(false, &TransactionModes { read_only, ..TransactionModes::default() })?;
        }
        Ok(true)
    }

    /// Tells a notice, if the client wants to hear it (`client_min_messages`).
    pub(super) fn notify(&self, notice: SqlError, sink: &mut dyn ResultSink) -> SqlResult<()> {
        match self.settings.wants(&notice) {
            true => sink.notice(notice),
            false => Ok(()),
        }
    }

    fn set_modes(&mut self, session: bool, modes: &TransactionModes) -> SqlResult<()> {
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

    fn show(&mut self, name: &str, sink: &mut dyn ResultSink) -> SqlResult<()> {
        if name == "all" {
            let names = ["name", "setting", "description"];
            let columns: Vec<_> = names.into_iter().map(text_column).collect();
            sink.columns(&columns)?;
            for (name, value) in self.settings.all() {
                sink.row(&[Datum::text(name), Datum::text(value), Datum::text("")])?;
            }
            return Ok(());
        }
        let value = match (name, &self.state) {
            ("transaction_read_only", State::Open(open)) => {
                Some(if open.read_only { "on" } else { "off" }.to_owned())
            }
            _ => self.settings.get(name),
        };
        let value = value.ok_or_else(|| {
            let text = format!("unrecognized configuration parameter \"{name}\"");
            SqlError::new(SqlState::UNDEFINED_OBJECT, text)
        })?;
        text_rows(sink, name, &[value])
    }

    fn discard(&mut self, kind: DiscardKind, sink: &mut dyn ResultSink) -> SqlResult<&'static str> {
        Ok(match kind {
            DiscardKind::All => {
                self.forbid_transaction("DISCARD ALL")?;
                self.statements.clear();
                self.portals.clear();
                tell(sink, &self.settings.reset())?;
                "DISCARD ALL"
            }
            DiscardKind::Plans => "DISCARD PLANS",
            DiscardKind::Sequences => "DISCARD SEQUENCES",
            DiscardKind::Temp => "DISCARD TEMP",
        })
    }
}

fn only_in_blocks(what: &str) -> SqlError {
    let text = format!("{what} can only be used in transaction blocks");
    SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text)
}
