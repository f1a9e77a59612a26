//! One statement, whatever it is: run, and run again if it may be; what it says is done by `control`, `copy_in`,
//! `copy_out`, `ddl` and [`Work`].

use std::sync::Arc;
use std::time::Duration;

use sql_exec::from_txn;
use sql_exec::sink::ResultSink;
use sql_parse::{Parsed, Query, QueryKind, Statement};
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
use txn::db::TxnError;

use super::portal::{Prepared, check_same};
use super::{Session, Step, control};
use crate::ddl;
use crate::work::Work;
use crate::work::transaction::{Open, State};

/// Attempts of a statement that cannot be serialized.
const MAX_ATTEMPTS: u32 = 10;
/// Attempts of a schema change. While its gate is closed it only meets transactions that began before without a lease.
const MAX_CHANGE_ATTEMPTS: u32 = 100;

/// Longest that an attempt at a schema change waits for a row's lock: others may wait for the change by its gate and its
/// leases, which are in no graph of waits. Then it gives way, and begins anew.
const CHANGE_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Runs a statement, again if it cannot be serialized and nobody has seen anything of it (T3 of
    /// `work::transaction`).
    pub(super) async fn run_statement(
        &mut self,
        parsed: &Parsed,
        mode: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        self.check_not_failed(&parsed.statement)?;
        sink.text_style(self.settings.present().style);
        self.statement_time = self.engine.now();
        let most = if matches!(parsed.statement, Statement::Change(_)) {
            MAX_CHANGE_ATTEMPTS
        } else {
            MAX_ATTEMPTS
        };
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
                Err(error) => self.given_way(error),
            };
            attempt += 1;
            let again = error.asks_for_another_attempt()
                && attempt < most
                && sink.can_discard()
                && self.restart(attempt);
            if !again {
                return Err(error);
            }
            sink.discard();
            self.pause(attempt).await;
        }
    }

    /// The error of a schema change that has waited for its own bound, not for the client's.
    fn given_way(&self, error: SqlError) -> SqlError {
        let client = self.settings.present().lock_timeout;
        let own = client.is_none_or(|client| client > CHANGE_LOCK_TIMEOUT);
        if !self.changing || !own || error != from_txn(TxnError::LockTimeout) {
            return error;
        }
        let text = "could not serialize access due to concurrent transactions";
        SqlError::new(SqlState::SERIALIZATION_FAILURE, text)
            .detail("A row that the schema change needs stayed locked.")
            .hint("The transaction might succeed if retried.")
    }

    /// Remembers whether the statement that begins now is the first of an implicit transaction.
    pub(super) fn note_whether_alone(&mut self) {
        self.was_alone = match &self.state {
            State::Open(open) => !open.explicit && open.statements == 0,
            State::Idle => true,
            State::Failed(_) => false,
        };
    }

    /// Begins the transaction anew, if nothing has happened in it. (A failed commit of an implicit transaction has left
    /// none.)
    pub(super) fn restart(&mut self, attempt: u32) -> bool {
        match &mut self.state {
            State::Open(open) if open.statements == 0 => {
                *open = open.restarted(&self.engine, attempt);
                true
            }
            State::Idle if self.was_alone => {
                let read_only = self.settings.present().read_only;
                let open = Open::begin_again(&self.engine, false, read_only, attempt)
                    .started_at(self.statement_time);
                self.state = State::Open(open);
                true
            }
            _ => false,
        }
    }

    /// From half to all of 1 ms, doubled with every attempt.
    pub(super) async fn pause(&self, attempt: u32) {
        let longest = 1_000u64 << attempt.min(8);
        let micros = longest / 2 + self.engine.env.rng.below(longest / 2 + 1);
        self.engine.env.clock.sleep(Duration::from_micros(micros)).await;
    }

    /// 25P02, unless the statement ends the block or goes back in it (T2 of `work::transaction`).
    pub(super) fn check_not_failed(&self, statement: &Statement) -> SqlResult<()> {
        let cures =
            matches!(statement, Statement::Control(control) if control::ends_failed_block(control));
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
            let read_only = self.settings.present().read_only;
            self.state = State::Open(
                Open::begin(&self.engine, false, read_only).started_at(self.statement_time),
            );
        }
    }

    /// What the statement works with. A transaction is open.
    pub(crate) fn work(&mut self) -> SqlResult<Work<'_>> {
        self.ensure_open();
        let State::Open(open) = &mut self.state else {
            return Err(SqlError::internal("no transaction to work in"));
        };
        let lock_timeout = self.settings.present().lock_timeout;
        let longest = self.changing.then_some(CHANGE_LOCK_TIMEOUT);
        open.txn.set_lock_timeout(lock_timeout.into_iter().chain(longest).min());
        open.catalog.set_lock_timeout(lock_timeout);
        open.catalog.know_gates(&self.gates);
        Ok(Work {
            engine: &self.engine,
            settings: &self.settings,
            open,
            gates: &mut self.gates,
            user: &self.user,
            database: &self.database,
            number: self.number,
            time: self.statement_time,
            interrupt: &self.interrupt,
            sequences: &self.sequences,
        })
    }

    async fn attempt(
        &mut self,
        parsed: &Parsed,
        mode: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        self.note_whether_alone();
        self.changing = matches!(parsed.statement, Statement::Change(_));
        let tag = match &parsed.statement {
            Statement::Query(query) => self.run_query(query, &parsed.text, mode, sink).await?,
            Statement::Execute { name, arguments } => {
                let (prepared, params) = self.prepared_call(name, arguments).await?;
                let mode = Mode { types: &prepared.types, params: &params, last: false };
                match prepared.statement() {
                    Some(Statement::Query(query)) => {
                        let mut work = self.work()?;
                        let plan = work.plan_of(&prepared, query).await?;
                        check_same(&prepared, query, &plan)?;
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
            Statement::DeclareCursor(declare) => self.declare(declare, mode).await?,
            Statement::Fetch { name, direction, only_move } => {
                self.fetch_cursor(name, *direction, *only_move, sink).await?
            }
            Statement::Change(change) => {
                if let Some(what) = ddl::runs_alone(change) {
                    self.forbid_transaction(what)?;
                }
                self.read_ahead().await?;
                self.ensure_open();
                self.note_whole(mode.last);
                let (tag, notices) = ddl::run(self.work()?, change).await?;
                for notice in notices {
                    self.notify(notice, sink)?;
                }
                tag
            }
            Statement::Control(control) => self.control(control, sink).await?.into_owned(),
            Statement::Unsupported(what) => return Err(SqlError::unsupported(what)),
        };
        if mode.last {
            self.finish_implicit(sink).await?;
        }
        sink.complete(&tag)?;
        Ok(Step::Done)
    }

    /// Tells the transaction whether the statement that runs is all of it.
    pub(super) fn note_whole(&mut self, last: bool) {
        if let State::Open(open) = &mut self.state {
            open.alone = last && self.was_alone;
        }
    }

    async fn run_query(
        &mut self,
        query: &Query,
        text: &str,
        Mode { types, params, last }: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        self.ensure_open();
        self.note_whole(last);
        let plan = self.work()?.plan(query, text, types).await?;
        if plan.parameters.len() > params.len() {
            let text = format!("there is no parameter ${}", params.len() + 1);
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, text));
        }
        if gives_rows(query, &plan.columns) {
            sink.columns(&plan.columns)?;
        }
        if plan.writes {
            self.read_ahead().await?;
        }
        let affected = self.work()?.run(&plan, params, sink).await?;
        self.settle_asked(sink)?;
        Ok(sql_exec::tag(&plan, affected))
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
        Ok(sql_plan::explain::explain(&plan, sql_functions::registry()))
    }
}

/// True iff a transaction that only ran this may begin anew.
fn leaves_no_trace(statement: &Statement) -> bool {
    matches!(statement, Statement::Control(control) if control::leaves_no_trace(control))
}

/// True iff clients are told columns.
pub(super) fn gives_rows(query: &Query, columns: &[OutputColumn]) -> bool {
    query.kind == QueryKind::Select || !columns.is_empty()
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
        Statement::Control(control) => control::columns(control),
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
        Statement::Fetch { name, only_move: false, .. } => {
            session.portals.get(name).map(|portal| &portal.prepared)
        }
        _ => None,
    }
}
