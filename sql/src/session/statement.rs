//! One statement, whatever it is: transaction control, settings and cursors here, queries and changes of the schema
//! through [`Work`].

use std::sync::Arc;

use super::portal::{Portal, Prepared};
use super::sink::ResultSink;
use super::transaction::{Open, State};
use super::work::Work;
use super::{Session, Step};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::parse::{
    AlterTable, DiscardKind, Name, Parsed, Query, QueryKind, SetValue, Statement, TransactionModes,
};
use crate::plan::OutputColumn;
use crate::types::{Datum, SqlType};

/// Attempts of a statement that cannot be serialized.
const MAX_ATTEMPTS: u32 = 10;

/// How a statement is run.
#[derive(Clone, Copy)]
pub(super) struct Mode<'a> {
    /// Types of the parameters, as far as they are known.
    pub(super) types: &'a [SqlType],
    /// Their values.
    pub(super) params: &'a [Datum],
    /// An implicit transaction ends with this statement: its commit belongs to the statement, and is repeated with it.
    pub(super) last: bool,
}

impl Session {
    /// Runs a statement, again if it cannot be serialized and nobody has seen anything of it (T3).
    pub(super) async fn run_statement(
        &mut self,
        parsed: &Parsed,
        mode: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        self.check_not_failed(&parsed.statement)?;
        self.statement_time = self.engine.now();
        let mut attempt = 0;
        loop {
            let error = match self.attempt(parsed, mode, sink).await {
                Ok(step) => {
                    if let State::Open(open) = &mut self.state
                        && !leaves_no_trace(&parsed.statement)
                    {
                        open.statements += 1;
                    }
                    return Ok(step);
                }
                Err(error) => error,
            };
            attempt += 1;
            let again = error.state == SqlState::SERIALIZATION_FAILURE
                && attempt < MAX_ATTEMPTS
                && sink.can_discard()
                && self.restart(attempt);
            if !again {
                return Err(error);
            }
            sink.discard();
            self.pause(attempt).await;
        }
    }

    /// Begins the transaction anew, if nothing has happened in it. (After a failed commit of an implicit
    /// transaction none is left: the next attempt begins one.)
    pub(super) fn restart(&mut self, attempt: u32) -> bool {
        match &mut self.state {
            State::Open(open) if open.statements == 0 => {
                *open = open.restarted(&self.engine, attempt);
                true
            }
            State::Idle => self.was_alone,
            _ => false,
        }
    }

    /// From half to all of 1 ms, doubled with every attempt.
    pub(super) async fn pause(&self, attempt: u32) {
        let longest = 1_000u64 << attempt.min(8);
        let micros = longest / 2 + self.engine.env.rng.below(longest / 2 + 1);
        self.engine.env.clock.sleep(std::time::Duration::from_micros(micros)).await;
    }

    /// 25P02, unless the statement ends the block or goes back in it (T2).
    pub(super) fn check_not_failed(&self, statement: &Statement) -> SqlResult<()> {
        let cures = matches!(
            statement,
            Statement::Commit { .. } | Statement::Rollback { .. } | Statement::RollbackTo(_)
        );
        if !matches!(self.state, State::Failed(_)) || cures {
            return Ok(());
        }
        Err(SqlError::new(
            SqlState::IN_FAILED_SQL_TRANSACTION,
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// Opens an implicit transaction if none is open.
    pub(super) fn ensure_open(&mut self) {
        if matches!(self.state, State::Idle) {
            let read_only = self.settings.is_on("default_transaction_read_only");
            self.state = State::Open(Open::begin(&self.engine, false, read_only));
        }
    }

    /// What the statement works with. A transaction is open.
    pub(crate) fn work(&mut self) -> SqlResult<Work<'_>> {
        self.ensure_open();
        let State::Open(open) = &mut self.state else {
            return Err(SqlError::internal("no transaction to work in"));
        };
        Ok(Work {
            engine: &self.engine,
            settings: &self.settings,
            open,
            gates: &mut self.gates,
            user: &self.user,
            database: &self.database,
            time: self.statement_time,
        })
    }

    async fn attempt(
        &mut self,
        parsed: &Parsed,
        mode: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        self.was_alone = match &self.state {
            State::Open(open) => !open.explicit && open.statements == 0,
            State::Idle => true,
            State::Failed(_) => false,
        };
        let tag = match &parsed.statement {
            Statement::Query(query) => self.run_query(query, &parsed.text, mode, sink).await?,
            Statement::Execute { name, arguments } => {
                let (prepared, params) = self.prepared_call(name, arguments).await?;
                let mode = Mode { types: &prepared.types, params: &params, last: false };
                match prepared.statement() {
                    Some(Statement::Query(query)) => {
                        self.run_query(query, prepared.text(), mode, sink).await?
                    }
                    _ => return Err(SqlError::unsupported("EXECUTE of this statement")),
                }
            }
            Statement::Explain { analyze, query, .. } => {
                let lines = self.explain(query, &parsed.text, mode.types, *analyze).await?;
                text_rows(sink, "QUERY PLAN", &lines)?;
                "EXPLAIN".into()
            }
            Statement::Copy(copy) => {
                if copy.from {
                    return self.begin_copy(copy, mode).await;
                }
                self.copy_out(copy, sink).await?
            }
            Statement::Fetch { name, direction, only_move } => {
                self.fetch_cursor(name, *direction, *only_move, sink).await?
            }
            other if is_change(other) => {
                let (tag, notices) = self.change(other).await?;
                for notice in notices {
                    sink.notice(notice)?;
                }
                tag
            }
            other => self.control(other, sink).await?,
        };
        if mode.last {
            self.finish_implicit(sink).await?;
        }
        sink.complete(&tag)?;
        Ok(Step::Done)
    }

    async fn run_query(
        &mut self,
        query: &Query,
        text: &str,
        Mode { types, params, .. }: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        let mut work = self.work()?;
        let plan = work.plan(query, text, types).await?;
        if plan.parameters.len() != params.len() {
            let text = format!(
                "the statement takes {} parameters, and {} were given",
                plan.parameters.len(),
                params.len()
            );
            return Err(SqlError::new(SqlState::PROTOCOL_VIOLATION, text));
        }
        if gives_rows(query, &plan.columns) {
            sink.columns(&plan.columns)?;
        }
        let affected = work.run(&plan, params, sink).await?;
        self.settle_asked(sink)?;
        Ok(crate::exec::tag(&plan, affected))
    }

    /// Changes the settings that `set_config` asked for.
    pub(super) fn settle_asked(&mut self, sink: &mut dyn ResultSink) -> SqlResult<()> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        for (name, value, local) in std::mem::take(&mut open.asked) {
            if let Some((name, value)) = self.settings.set(&name, Some(&value), local)? {
                sink.parameter(&name, &value)?;
            }
        }
        Ok(())
    }

    /// Statements that only concern the session.
    async fn control(
        &mut self,
        statement: &Statement,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        Ok(match statement {
            Statement::Begin(modes) => {
                self.begin_block(modes, sink)?;
                "BEGIN".into()
            }
            Statement::Commit { chain } => self.end_block(true, *chain, sink).await?.into(),
            Statement::Rollback { chain } => self.end_block(false, *chain, sink).await?.into(),
            Statement::SetTransaction { session, modes } => {
                self.set_modes(*session, modes)?;
                "SET".into()
            }
            Statement::Savepoint(name) => {
                self.block("SAVEPOINT")?.savepoint(name)?;
                "SAVEPOINT".into()
            }
            Statement::Release(name) => {
                self.block("RELEASE SAVEPOINT")?.release(name)?;
                "RELEASE".into()
            }
            Statement::RollbackTo(name) => {
                self.rollback_to(name)?;
                "ROLLBACK".into()
            }
            Statement::Set { name, value, local } => {
                if *local && !self.in_block() {
                    let text = "SET LOCAL can only be used in transaction blocks";
                    sink.notice(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text))?;
                }
                let value = match value {
                    SetValue::Default => None,
                    SetValue::Values(values) => Some(values.join(", ")),
                };
                self.ensure_open();
                if let Some((name, value)) = self.settings.set(name, value.as_deref(), *local)? {
                    sink.parameter(&name, &value)?;
                }
                "SET".into()
            }
            Statement::Reset(name) => {
                self.ensure_open();
                let changes = match name {
                    Some(name) => self.settings.set(name, None, false)?.into_iter().collect(),
                    None => self.settings.reset(),
                };
                tell(sink, &changes)?;
                "RESET".into()
            }
            Statement::Show(name) => {
                self.show(name, sink)?;
                "SHOW".into()
            }
            Statement::Prepare { name, types, statement } => {
                if self.statements.contains_key(name) {
                    let text = format!("prepared statement \"{name}\" already exists");
                    return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, text));
                }
                let prepared = self.prepare(Some((**statement).clone()), types.clone()).await?;
                self.keep_statement(name, prepared)?;
                "PREPARE".into()
            }
            Statement::Deallocate(Some(name)) => {
                if self.statements.remove(name).is_none() {
                    return Err(unknown_statement(name));
                }
                "DEALLOCATE".into()
            }
            Statement::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL".into()
            }
            Statement::Discard(kind) => self.discard(*kind, sink)?.into(),
            Statement::DeclareCursor { name, hold, query, .. } => {
                self.declare(name, *hold, query).await?;
                "DECLARE CURSOR".into()
            }
            Statement::Close(Some(name)) => {
                if self.portals.remove(name).is_none() {
                    return Err(unknown_cursor(name));
                }
                "CLOSE CURSOR".into()
            }
            Statement::Close(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL".into()
            }
            // Nothing is ever written over: there is nothing to clean, and no statistics yet.
            Statement::Vacuum { tables, .. } => {
                if self.in_block() {
                    let text = "VACUUM cannot run inside a transaction block";
                    return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text));
                }
                self.check_tables(tables).await?;
                "VACUUM".into()
            }
            Statement::Analyze { tables } => {
                self.check_tables(tables).await?;
                "ANALYZE".into()
            }
            // Serializable isolation gives what the lock is taken for.
            Statement::LockTable { tables, .. } => {
                self.block("LOCK TABLE")?;
                self.check_tables(tables).await?;
                "LOCK TABLE".into()
            }
            Statement::Unlisten(_) => "UNLISTEN".into(),
            Statement::Listen(_) => return Err(SqlError::unsupported("LISTEN")),
            Statement::Notify { .. } => return Err(SqlError::unsupported("NOTIFY")),
            Statement::Unsupported(what) => return Err(SqlError::unsupported(what)),
            _ => return Err(SqlError::internal("a statement that nobody runs")),
        })
    }

    async fn check_tables(&mut self, tables: &[Name]) -> SqlResult<()> {
        let mut work = self.work()?;
        for name in tables {
            work.find_table(name).await?.ok_or_else(|| super::work::undefined(name))?;
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
            _ => {
                let text = format!("{what} can only be used in transaction blocks");
                Err(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text))
            }
        }
    }

    fn begin_block(
        &mut self,
        modes: &TransactionModes,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<()> {
        self.ensure_open();
        let State::Open(open) = &mut self.state else {
            return Err(SqlError::internal("no transaction to make a block of"));
        };
        if open.explicit {
            let text = "there is already a transaction in progress";
            sink.notice(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text))?;
        }
        // Statements before BEGIN in the same text belong to the block, as in PostgreSQL.
        open.explicit = true;
        if let Some(read_only) = modes.read_only {
            open.read_only = read_only;
        }
        Ok(())
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
            sink.notice(notice)?;
        }
        let read_only = matches!(&self.state, State::Open(open) if open.read_only);
        let tag = if commit && !matches!(self.state, State::Failed(_)) {
            self.commit(sink).await?;
            "COMMIT"
        } else {
            self.roll_back(sink)?;
            "ROLLBACK"
        };
        if chain {
            self.state = State::Open(Open::begin(&self.engine, true, read_only));
        }
        Ok(tag)
    }

    fn rollback_to(&mut self, name: &str) -> SqlResult<()> {
        match std::mem::take(&mut self.state) {
            State::Failed(Some(mut open)) => match open.rollback_to(name) {
                Ok(()) => self.state = State::Open(open),
                Err(error) => {
                    self.state = State::Failed(Some(open));
                    return Err(error);
                }
            },
            // The transaction is dead (it could not be serialized, say): no savepoint brings it back.
            State::Failed(None) => {
                self.state = State::Failed(None);
                let text = "the transaction has ended and cannot go back to a savepoint";
                return Err(SqlError::new(SqlState::SERIALIZATION_FAILURE, text));
            }
            other => {
                self.state = other;
                self.block("ROLLBACK TO SAVEPOINT")?.rollback_to(name)?;
            }
        }
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
                if self.in_block() {
                    let text = "DISCARD ALL cannot run inside a transaction block";
                    return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, text));
                }
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

    async fn explain(
        &mut self,
        query: &Query,
        text: &str,
        types: &[SqlType],
        analyze: bool,
    ) -> SqlResult<Vec<String>> {
        if analyze {
            return Err(SqlError::unsupported("EXPLAIN ANALYZE"));
        }
        let plan = self.work()?.plan(query, text, types).await?;
        Ok(crate::explain::explain(&plan, crate::func::registry()))
    }

    async fn declare(&mut self, name: &str, hold: bool, query: &Parsed) -> SqlResult<()> {
        if !self.in_block() {
            if hold {
                return Err(SqlError::unsupported("a cursor WITH HOLD"));
            }
            self.block("DECLARE CURSOR")?;
        }
        if self.portals.contains_key(name) {
            let text = format!("cursor \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, text));
        }
        let prepared = self.prepare(Some(query.clone()), Vec::new()).await?;
        let portal = Portal::new(Arc::new(prepared), Vec::new());
        self.keep_portal(name, portal)
    }
}

/// True iff a transaction that only ran this may begin anew.
fn leaves_no_trace(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Begin(_)
            | Statement::SetTransaction { .. }
            | Statement::Set { .. }
            | Statement::Show(_)
    )
}

/// True iff clients are told columns.
pub(super) fn gives_rows(query: &Query, columns: &[OutputColumn]) -> bool {
    query.kind == QueryKind::Select || !columns.is_empty()
}

/// Changes of the schema, and what else `ddl` does.
fn is_change(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::DropTable(_)
            | Statement::DropIndex(_)
            | Statement::AlterTable(AlterTable { .. })
            | Statement::Truncate { .. }
    )
}

pub(super) fn unknown_statement(name: &str) -> SqlError {
    let text = format!("prepared statement \"{name}\" does not exist");
    SqlError::new(SqlState::INVALID_SQL_STATEMENT_NAME, text)
}

pub(super) fn unknown_cursor(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

pub(super) fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), ty: SqlType::Text, source: None }
}

/// Rows of one text column.
pub(super) fn text_rows(sink: &mut dyn ResultSink, name: &str, rows: &[String]) -> SqlResult<()> {
    sink.columns(&[text_column(name)])?;
    rows.iter().try_for_each(|row| sink.row(&[Datum::text(row.as_str())]))
}

pub(super) fn tell(sink: &mut dyn ResultSink, changes: &[(String, String)]) -> SqlResult<()> {
    changes.iter().try_for_each(|(name, value)| sink.parameter(name, value))
}

/// What a statement's results look like without running it.
pub(super) fn columns_of_control(statement: &Statement) -> Option<Vec<OutputColumn>> {
    match statement {
        Statement::Show(name) if name == "all" => {
            Some(["name", "setting", "description"].into_iter().map(text_column).collect())
        }
        Statement::Show(name) => Some(vec![text_column(name)]),
        Statement::Explain { .. } => Some(vec![text_column("QUERY PLAN")]),
        _ => None,
    }
}

/// Whose columns another statement has.
pub(super) fn stands_for<'a>(
    session: &'a Session,
    statement: &Statement,
) -> Option<&'a Arc<Prepared>> {
    match statement {
        Statement::Execute { name, .. } => session.statements.get(name),
        Statement::Fetch { name, .. } => session.portals.get(name).map(|portal| &portal.prepared),
        _ => None,
    }
}
