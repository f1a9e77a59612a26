//! The extended protocol: parse, bind, describe, execute, close, sync.

use std::sync::Arc;

use bytes::Bytes;
use sql_parse::{Parsed, QueryKind, Statement};
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::Reservation;
use sql_values::types::{Datum, SqlType};

use super::buffer::Buffer;
use super::kept::Kept;
use super::portal::{Description, Portal};
use super::statement::{Mode, unknown_cursor, unknown_statement};
use super::{ResultSink, Session, Step, TxnStatus};
use crate::work::sinks::Collected;
use crate::work::transaction::State;

/// Attempts of a portal's first rows that cannot be serialized.
const MAX_ATTEMPTS: u32 = 10;

/// Bytes of parameters that are not worth counting.
const SMALL_PARAMS: usize = 64 << 10;

/// A parameter's value as the client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// Text.
    Text(Bytes),
    /// The type's binary form.
    Binary(Bytes),
}

impl Session {
    /// Prepares a statement. Types of zero are for the binder to find out.
    pub async fn parse(&mut self, name: &str, text: &str, oids: &[u32]) -> SqlResult<()> {
        self.in_text = false;
        let result = self.try_parse(name, text, oids).await;
        result.map_err(|error| self.failed(error))
    }

    async fn try_parse(&mut self, name: &str, text: &str, oids: &[u32]) -> SqlResult<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            let text = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, text));
        }
        let mut statements = self.script(text)?;
        let statement = statements.next().transpose()?;
        if !statements.is_empty() {
            let text = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, text));
        }
        let types = oids.iter().map(|oid| match oid {
            0 => Ok(SqlType::Unknown),
            oid => SqlType::from_oid(*oid).ok_or_else(|| {
                let text = format!("type with oid {oid} does not exist");
                SqlError::new(SqlState::UNDEFINED_OBJECT, text)
            }),
        });
        let types = types.collect::<SqlResult<Vec<_>>>()?;
        let prepared = self.prepare(statement, types).await?;
        self.keep_statement(name, prepared)
    }

    /// Makes a portal of a statement and the values of its parameters.
    pub async fn bind(&mut self, portal: &str, statement: &str, values: &[Value]) -> SqlResult<()> {
        let result = self.try_bind(portal, statement, values);
        result.map_err(|error| self.failed(error))
    }

    fn try_bind(&mut self, portal: &str, name: &str, values: &[Value]) -> SqlResult<()> {
        let prepared = self.statements.get(name).ok_or_else(|| unknown_statement(name))?.clone();
        if let Some(statement) = prepared.statement() {
            self.check_not_failed(statement)?;
        }
        if values.len() != prepared.types.len() {
            let text = format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                values.len(),
                prepared.types.len()
            );
            return Err(SqlError::new(SqlState::PROTOCOL_VIOLATION, text));
        }
        if !portal.is_empty() && self.portals.contains_key(portal) {
            let text = format!("cursor \"{portal}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, text));
        }
        let format = self.text_format();
        let held = self.reserve_params(values, &prepared.types)?;
        let params = values.iter().zip(&prepared.types).map(|(value, ty)| {
            let ty = *ty;
            match value {
                Value::Null => Ok(Datum::Null),
                Value::Binary(bytes) => Datum::from_binary(ty, bytes),
                Value::Text(bytes) => {
                    let text = std::str::from_utf8(bytes).map_err(|_| {
                        let text = "invalid byte sequence for encoding \"UTF8\"";
                        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, text)
                    })?;
                    if ty.holds_names() {
                        return Ok(Datum::text(text));
                    }
                    Datum::parse_text(ty, text, &format)
                }
            }
        });
        let params = params.collect::<SqlResult<Vec<_>>>()?;
        self.ensure_open_unless_failed();
        let mut bound = Portal::new(Arc::clone(&prepared), params);
        bound._reserved = held;
        self.keep_portal(portal, bound)
    }

    /// Counts parameters that are not small before they are read.
    fn reserve_params(
        &self,
        values: &[Value],
        types: &[SqlType],
    ) -> SqlResult<Option<Reservation>> {
        let bytes = values.iter().zip(types).map(|(value, ty)| match value {
            Value::Null => 0,
            Value::Text(text) => match ty.element() {
                // The shortest elements are one character and a comma.
                Some(_) => text.len().saturating_mul(size_of::<Datum>()),
                None => text.len(),
            },
            // The shortest are NULLs of four bytes.
            Value::Binary(bytes) if ty.element().is_some() => {
                bytes.len().saturating_mul(size_of::<Datum>() / 2)
            }
            Value::Binary(bytes) => bytes.len(),
        });
        let bytes: usize = bytes.sum();
        if bytes < SMALL_PARAMS {
            return Ok(None);
        }
        let limit = self.settings.present().work_mem;
        let mut held = self.engine.memory.statement(limit).reserve();
        held.grow(bytes)?;
        Ok(Some(held))
    }

    /// A portal lives in a transaction.
    fn ensure_open_unless_failed(&mut self) {
        if !matches!(self.state, State::Failed(_)) {
            self.ensure_open();
        }
    }

    /// Tells about a statement.
    pub fn describe_statement(&mut self, name: &str) -> SqlResult<Description> {
        match self.statements.get(name) {
            Some(prepared) => Ok(prepared.description()),
            None => Err(self.failed(unknown_statement(name))),
        }
    }

    /// Tells about a portal's columns; none if it gives no rows.
    pub fn describe_portal(&mut self, name: &str) -> SqlResult<Option<Vec<OutputColumn>>> {
        match self.portals.get(name) {
            Some(portal) => Ok(portal.prepared.columns.clone()),
            None => Err(self.failed(unknown_cursor(name))),
        }
    }

    /// Runs a portal, to its end or for so many rows (zero is all). `last` says that the batch ends with it: the commit
    /// of an implicit transaction belongs to the statement then, and is repeated with it.
    pub async fn execute(
        &mut self,
        name: &str,
        max_rows: u32,
        last: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        self.in_text = false;
        let result = Box::pin(self.try_execute(name, max_rows, last, sink)).await;
        result.map_err(|error| self.failed(error))
    }

    async fn try_execute(
        &mut self,
        name: &str,
        max_rows: u32,
        last: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        let portal = self.portals.get(name).ok_or_else(|| unknown_cursor(name))?;
        let prepared = portal.prepared.clone();
        let Some(Parsed { statement, .. }) = &prepared.parsed else {
            sink.empty()?;
            return Ok(Step::Done);
        };
        if !matches!(statement, Statement::Query(_)) {
            let in_portions = max_rows > 0 && prepared.columns.is_some();
            if in_portions || portal.tag.is_some() {
                return self.execute_in_portions(name, max_rows, last, sink).await;
            }
            let params = portal.params.clone();
            let Some(parsed) = &prepared.parsed else { return Ok(Step::Done) };
            let mode = Mode { types: &prepared.types, params: &params, last };
            return self.timed(parsed, mode, sink).await;
        }
        self.check_not_failed(statement)?;
        sink.text_style(self.settings.present().style);
        self.statement_time = self.engine.now();
        self.note_whether_alone();
        let max = (max_rows > 0).then_some(max_rows as usize);
        if let Some(columns) = &prepared.columns {
            sink.columns(columns)?;
        }
        let mut attempt = 0;
        let tag = loop {
            let error = match self.attempt_portal(name, max, last, sink).await {
                Ok(tag) => break tag,
                Err(error) => error,
            };
            attempt += 1;
            let again =
                error.asks_for_another_attempt() && attempt < MAX_ATTEMPTS && sink.can_discard();
            let Some(params) = self.lost_params.take().filter(|_| again) else {
                return Err(error);
            };
            if !self.restart(attempt) {
                return Err(error);
            }
            sink.discard();
            if let Some(columns) = &prepared.columns {
                sink.columns(columns)?;
            }
            // The portal went with its attempt.
            self.keep_portal(name, Portal::new(prepared.clone(), params))?;
            self.pause(attempt).await;
        };
        if let State::Open(open) = &mut self.state {
            open.statements += 1;
        }
        match tag {
            Some(tag) => sink.complete(&tag)?,
            None => sink.suspended()?,
        }
        Ok(Step::Done)
    }

    /// Rows of a statement that is no query (FETCH, SHOW), so many at most: all of them are made when the first are asked
    /// for, as in PostgreSQL.
    async fn execute_in_portions(
        &mut self,
        name: &str,
        max_rows: u32,
        last: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        let portal = self.portals.get(name).ok_or_else(|| unknown_cursor(name))?;
        let prepared = portal.prepared.clone();
        if portal.tag.is_none() {
            let Some(parsed) = &prepared.parsed else { return Ok(Step::Done) };
            let params = portal.params.clone();
            let mode = Mode { types: &prepared.types, params: &params, last: false };
            let mut buffer = Buffer { sink: &mut *sink, rows: Kept::default(), tag: None };
            self.timed(parsed, mode, &mut buffer).await?;
            let Buffer { rows, tag, .. } = buffer;
            let portal = self.portals.get_mut(name).ok_or_else(|| unknown_cursor(name))?;
            portal.kept = rows;
            portal.end = Some(Ok(()));
            portal.tag = Some(tag.unwrap_or_default());
        }
        sink.columns(prepared.shown())?;
        let max = (max_rows > 0).then_some(max_rows as usize);
        let (_, more) = self.take_rows(name, max, sink).await?;
        if more {
            sink.suspended()?;
            return Ok(Step::Done);
        }
        let tag = self.portals.get(name).and_then(|portal| portal.tag.clone());
        if last {
            self.finish_implicit(sink).await?;
        }
        sink.complete(&tag.unwrap_or_default())?;
        Ok(Step::Done)
    }

    /// Rows of a portal; its tag, if these were the last.
    async fn attempt_portal(
        &mut self,
        name: &str,
        max: Option<usize>,
        last: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Option<String>> {
        let statement = self.portals.get(name).and_then(|portal| portal.prepared.statement());
        if matches!(statement, Some(Statement::Query(query)) if query.kind != QueryKind::Select) {
            self.ensure_open();
            self.note_whole(last);
        }
        let (given, more) = self.take_rows_timed(name, max, sink).await?;
        self.settle_asked(sink)?;
        if more {
            return Ok(None);
        }
        let tag = match self.portals.get(name).and_then(|portal| portal.run.as_ref()) {
            Some((plan, execution)) if plan.writes => sql_exec::tag(plan, execution.affected()),
            Some((plan, _)) => sql_exec::tag(plan, given),
            None => format!("SELECT {given}"),
        };
        if last {
            self.finish_implicit(sink).await?;
        }
        Ok(Some(tag))
    }

    async fn take_rows_timed(
        &mut self,
        name: &str,
        max: Option<usize>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<(u64, bool)> {
        self.lost_params = self.portals.get(name).map(|portal| portal.params.clone());
        let Some(limit) = self.start_timer() else {
            return Box::pin(self.take_rows(name, max, sink)).await;
        };
        let clock = self.engine.env.clock.clone();
        let run = Box::pin(self.take_rows(name, max, sink));
        let taken = clock.timeout(limit, run).await;
        self.interrupt.set_timeout(None);
        taken.unwrap_or_else(|| {
            let text = "canceling statement due to statement timeout";
            Err(SqlError::new(SqlState::QUERY_CANCELED, text))
        })
    }

    /// Forgets a statement, if there is one of this name.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Forgets a portal, if there is one of this name.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// The end of a batch: commits the implicit transaction.
    pub async fn sync(&mut self) -> SqlResult<()> {
        self.copy = None;
        if self.status() != TxnStatus::Idle {
            // The unnamed portal ends with its batch; named ones live on in the block.
            return Ok(());
        }
        let mut nowhere = Collected::default();
        let finished = self.finish_implicit(&mut nowhere).await;
        finished.map_err(|error| self.failed(error))
    }

    /// Something went wrong outside of the session: everything up to Sync is skipped.
    pub fn batch_failed(&mut self) {
        let error = SqlError::new(SqlState::PROTOCOL_VIOLATION, "the batch has failed");
        self.failed(error);
    }
}
