//! Prepared statements and portals (cursors are portals with a name).

use std::sync::Arc;

use super::statement::{
    columns_of_control, gives_rows, stands_for, unknown_cursor, unknown_statement,
};
use super::{ResultSink, Session};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::exec::{Execution, Row};
use crate::memory::Reservation;
use crate::parse::{Expression, FetchDirection, Parsed, Statement};
use crate::plan::{OutputColumn, Plan};
use crate::types::{Datum, SqlType};

/// Prepared statements of a session.
const MAX_STATEMENTS: usize = 10_000;
/// Portals of a session.
const MAX_PORTALS: usize = 1_000;
/// Rows taken at a time where no number is asked for.
const PORTION: usize = 1_024;

/// What a prepared statement takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Types of its parameters.
    pub parameters: Vec<SqlType>,
    /// Its result columns; none if it gives no rows.
    pub columns: Option<Vec<OutputColumn>>,
}

/// A statement that waits to be run.
pub(super) struct Prepared {
    /// None is a text with nothing in it.
    pub(super) parsed: Option<Parsed>,
    /// As the binder decided.
    pub(super) types: Vec<SqlType>,
    pub(super) columns: Option<Vec<OutputColumn>>,
}

impl Prepared {
    pub(super) fn statement(&self) -> Option<&Statement> {
        self.parsed.as_ref().map(|parsed| &parsed.statement)
    }

    pub(super) fn text(&self) -> &str {
        self.parsed.as_ref().map_or("", |parsed| &parsed.text)
    }

    pub(super) fn description(&self) -> Description {
        Description { parameters: self.types.clone(), columns: self.columns.clone() }
    }
}

/// A statement with its parameters, and how far it has been run.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) params: Vec<Datum>,
    /// For parameters that are not small.
    pub(super) _held: Option<Reservation>,
    pub(super) run: Option<(Arc<Plan>, Execution)>,
    pub(super) done: bool,
    /// Rows given so far.
    pub(super) position: i64,
}

impl Portal {
    pub(super) fn new(prepared: Arc<Prepared>, params: Vec<Datum>) -> Self {
        Portal { prepared, params, _held: None, run: None, done: false, position: 0 }
    }
}

impl Session {
    /// Finds out what a statement takes and gives.
    pub(super) async fn prepare(
        &mut self,
        parsed: Option<Parsed>,
        types: Vec<SqlType>,
    ) -> SqlResult<Prepared> {
        let Some(statement) = parsed.as_ref().map(|parsed| &parsed.statement) else {
            return Ok(Prepared { parsed: None, types: Vec::new(), columns: None });
        };
        self.check_not_failed(statement)?;
        let text = parsed.as_ref().map_or("", |parsed| parsed.text.as_str());
        let (types, columns) = match statement {
            Statement::Query(query) => {
                let plan = self.work()?.plan(query, text, &types).await?;
                let columns = gives_rows(query, &plan.columns).then(|| plan.columns.clone());
                (plan.parameters.clone(), columns)
            }
            Statement::Explain { query, .. } => {
                let plan = self.work()?.plan(query, text, &types).await?;
                (plan.parameters.clone(), columns_of_control(statement))
            }
            other => {
                let columns = match stands_for(self, other) {
                    Some(prepared) => prepared.columns.clone(),
                    None => columns_of_control(other),
                };
                (Vec::new(), columns)
            }
        };
        Ok(Prepared { parsed, types, columns })
    }

    pub(super) fn keep_statement(&mut self, name: &str, prepared: Prepared) -> SqlResult<()> {
        if self.statements.len() >= MAX_STATEMENTS && !self.statements.contains_key(name) {
            let text = "too many prepared statements";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    pub(super) fn keep_portal(&mut self, name: &str, portal: Portal) -> SqlResult<()> {
        if self.portals.len() >= MAX_PORTALS && !self.portals.contains_key(name) {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many portals"));
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// The statement behind SQL's EXECUTE with the values of its arguments.
    pub(super) async fn prepared_call(
        &mut self,
        name: &str,
        arguments: &[Expression],
    ) -> SqlResult<(Arc<Prepared>, Vec<Datum>)> {
        let prepared = self.statements.get(name).ok_or_else(|| unknown_statement(name))?.clone();
        if prepared.types.len() != arguments.len() {
            let text = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!(
                "Expected {} parameters but got {}.",
                prepared.types.len(),
                arguments.len()
            );
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, text).detail(detail));
        }
        let params = self.work()?.values_of(arguments, &prepared.types).await?;
        Ok((prepared, params))
    }

    /// Takes rows from a portal: `max` at most, all if none. True iff there may be more.
    pub(super) async fn take_rows(
        &mut self,
        name: &str,
        max: Option<usize>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<(u64, bool)> {
        // S1: the portal is out of the map while it works; if this future is dropped it is gone, and so is its
        // statement.
        let mut portal = self.portals.remove(name).ok_or_else(|| unknown_cursor(name))?;
        let taken = self.take_from(&mut portal, max, sink).await;
        if taken.is_ok() {
            self.portals.insert(name.to_owned(), portal);
        }
        taken
    }

    pub(super) async fn take_from(
        &mut self,
        portal: &mut Portal,
        max: Option<usize>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<(u64, bool)> {
        let mut given = 0;
        while !portal.done {
            let wanted = max.map_or(PORTION, |max| (max - given).min(PORTION));
            if wanted == 0 {
                return Ok((given as u64, true));
            }
            let rows = self.next_rows(portal, wanted).await?;
            given += rows.len();
            portal.position += rows.len() as i64;
            // As in PostgreSQL, a portal that has given as many rows as asked has not ended yet.
            let is_full = max.is_some_and(|max| given >= max);
            let is_done = portal.run.as_ref().is_none_or(|(_, run)| run.is_done());
            portal.done = rows.is_empty() || (is_done && !is_full);
            for row in &rows {
                sink.row(row)?;
                if sink.is_full() {
                    sink.ready().await?;
                }
            }
            sink.ready().await?;
        }
        Ok((given as u64, false))
    }

    async fn next_rows(&mut self, portal: &mut Portal, max: usize) -> SqlResult<Vec<Row>> {
        let prepared = portal.prepared.clone();
        let Some(Statement::Query(query)) = prepared.statement() else {
            return Err(SqlError::internal("a portal without a query"));
        };
        let mut work = self.work()?;
        if portal.run.is_none() {
            let plan = work.plan(query, prepared.text(), &prepared.types).await?;
            check_same(&prepared, query, &plan)?;
            let execution = Execution::new(&plan, &work.memory());
            portal.run = Some((plan, execution));
        }
        let Some((plan, execution)) = &mut portal.run else {
            return Err(SqlError::internal("a portal that does not run"));
        };
        work.fetch_rows(plan, execution, &portal.params, max).await
    }

    /// FETCH and MOVE: forward only.
    pub(super) async fn fetch_cursor(
        &mut self,
        name: &str,
        direction: FetchDirection,
        only_move: bool,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        let portal = self.portals.get(name).ok_or_else(|| unknown_cursor(name))?;
        let columns = portal.prepared.columns.clone().unwrap_or_default();
        let (skip, max) = match direction {
            FetchDirection::All => (0, None),
            FetchDirection::Relative(count) if count > 0 => (0, Some(count)),
            FetchDirection::RelativeRow(count) if count > 0 => (count - 1, Some(1)),
            FetchDirection::Absolute(row) if row > portal.position => {
                (row - portal.position - 1, Some(1))
            }
            _ => {
                let text = "cursor can only scan forward";
                let error = SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text);
                return Err(error.hint("Declare it with SCROLL option to enable backward scan."));
            }
        };
        let bound = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut nowhere = super::inner_sink::Collected::default();
        if skip > 0 {
            self.take_rows(name, Some(bound(skip)), &mut nowhere).await?;
        }
        let verb = if only_move { "MOVE" } else { "FETCH" };
        let (count, _) = if only_move {
            self.take_rows(name, max.map(bound), &mut nowhere).await?
        } else {
            sink.columns(&columns)?;
            self.take_rows(name, max.map(bound), sink).await?
        };
        Ok(format!("{verb} {count}"))
    }
}

/// 0A000 if the client was told other columns than the plan gives now: drivers prepare again on that.
fn check_same(prepared: &Prepared, query: &crate::parse::Query, plan: &Plan) -> SqlResult<()> {
    let columns = gives_rows(query, &plan.columns).then_some(&plan.columns);
    let types = |columns: Option<&Vec<OutputColumn>>| -> Vec<SqlType> {
        columns.map(|columns| columns.iter().map(|column| column.ty).collect()).unwrap_or_default()
    };
    if types(columns) == types(prepared.columns.as_ref()) {
        return Ok(());
    }
    let text = "cached plan must not change result type";
    let mut error = SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text);
    // The code is not enough for drivers to know that they should prepare again: they read this name too.
    let object = error.object.get_or_insert_default();
    object.routine = Some("RevalidateCachedQuery".to_owned());
    Err(error)
}
