//! Prepared statements, and portals: cursors are portals that were declared.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use sql_exec::{Execution, Row};
use sql_parse::{DeclareCursor, Expression, Parsed, Query, QueryKind, Statement};
use sql_plan::{OutputColumn, Plan};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::Reservation;
use sql_values::types::{Datum, SqlType};

use super::kept::{KEPT_BYTES_MAX, Kept, Scroll};
use super::statement::{
    columns_of_control, gives_rows, stands_for, unknown_cursor, unknown_statement,
};
use super::{ResultSink, Session};
use crate::work::Work;
use crate::work::sinks::give;
use crate::work::transaction::State;

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
    plan: Mutex<Option<OwnPlan>>,
}

/// A plan that a prepared statement has had, as long as the node keeps it ([`super::engine`] bounds how many there are).
struct OwnPlan {
    plan: Weak<Plan>,
    /// Where its names were looked up.
    search_path: Arc<[String]>,
}

impl Prepared {
    pub(super) fn new(
        parsed: Option<Parsed>,
        types: Vec<SqlType>,
        columns: Option<Vec<OutputColumn>>,
    ) -> Self {
        Prepared { parsed, types, columns, plan: Mutex::default() }
    }

    /// Its plan, if it has one for these schemas. Whether its tables are still the same, only the catalog knows.
    pub(super) fn plan(&self, search_path: &Arc<[String]>) -> Option<Arc<Plan>> {
        let own = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.as_ref()?;
        let is_same = Arc::ptr_eq(&own.search_path, search_path) || own.search_path == *search_path;
        if is_same { own.plan.upgrade() } else { None }
    }

    /// This is its plan, or with no schemas nobody's but this execution's.
    pub(super) fn keep(&self, plan: &Arc<Plan>, search_path: Option<Arc<[String]>>) {
        let own = search_path.map(|path| OwnPlan { plan: Arc::downgrade(plan), search_path: path });
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    pub(super) fn statement(&self) -> Option<&Statement> {
        self.parsed.as_ref().map(|parsed| &parsed.statement)
    }

    pub(super) fn text(&self) -> &str {
        self.parsed.as_ref().map_or("", |parsed| &parsed.text)
    }

    /// The columns of its rows.
    pub(super) fn shown(&self) -> &[OutputColumn] {
        self.columns.as_deref().unwrap_or_default()
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
    pub(super) _reserved: Option<Reservation>,
    pub(super) run: Option<(Arc<Plan>, Execution)>,
    /// Set when no more rows come: all have, or they cannot be had any more.
    pub(super) end: Option<SqlResult<()>>,
    /// The number of the present row, from one: zero is before the first, and past the last is one more than its.
    pub(super) at: u64,
    /// Rows that it may go back to, and rows that were read ahead.
    pub(super) kept: Kept,
    pub(super) scroll: Scroll,
    /// Of a statement that is no query and has been run: what is told after its last row.
    pub(super) tag: Option<String>,
    /// WITH HOLD, and whether its transaction has been committed since.
    pub(super) hold: bool,
    pub(super) held: bool,
    /// An error has come in its midst, or it is being worked with.
    broken: bool,
    /// Savepoints of the transaction where it was made.
    pub(super) depth: usize,
}

impl Portal {
    pub(super) fn new(prepared: Arc<Prepared>, params: Vec<Datum>) -> Self {
        Portal {
            prepared,
            params,
            _reserved: None,
            run: None,
            end: None,
            at: 0,
            kept: Kept::default(),
            scroll: Scroll::Never,
            tag: None,
            hold: false,
            held: false,
            broken: false,
            depth: 0,
        }
    }

    /// What stands for it while it is worked with, and if it fails.
    fn stand_in(&self) -> Self {
        let mut portal = Portal::new(self.prepared.clone(), self.params.clone());
        (portal.broken, portal.held, portal.depth) = (true, self.held, self.depth);
        portal
    }

    /// True iff it gives rows that later statements of its transaction must not change.
    pub(super) fn is_open_query(&self) -> bool {
        let is_query = matches!(self.prepared.statement(),
            Some(Statement::Query(query)) if query.kind == QueryKind::Select);
        is_query && self.end.is_none() && !self.broken
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// True iff it has gone beyond its last row.
    pub(super) fn is_past_end(&self) -> bool {
        self.at > self.kept.last()
    }
}

impl Work<'_> {
    /// The plan of a prepared statement: its own, if nothing has changed since.
    pub(super) async fn plan_of(
        &mut self,
        prepared: &Prepared,
        query: &Query,
    ) -> SqlResult<Arc<Plan>> {
        if let Some(plan) = prepared.plan(&self.settings.present().search_path)
            && self.is_current(&plan).await?
        {
            return Ok(plan);
        }
        let (plan, is_plain) = self.plan_kept(query, prepared.text(), &prepared.types).await?;
        let path = is_plain.then(|| self.settings.present().search_path.clone());
        prepared.keep(&plan, path);
        Ok(plan)
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
            return Ok(Prepared::new(None, Vec::new(), None));
        };
        self.check_not_failed(statement)?;
        let text = parsed.as_ref().map_or("", |parsed| parsed.text.as_str());
        let (types, columns) = match statement {
            Statement::Query(query) => {
                let plan = self.work()?.plan(query, text, &types).await?;
                let columns = gives_rows(query, &plan.columns).then(|| plan.columns.clone());
                (plan.parameters.clone(), columns)
            }
            Statement::DeclareCursor(DeclareCursor { query, .. }) => {
                let Statement::Query(inner) = &query.statement else {
                    return Err(SqlError::internal("a cursor without a query"));
                };
                let plan = self.work()?.plan(inner, &query.text, &types).await?;
                (plan.parameters.clone(), None)
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
        Ok(Prepared::new(parsed, types, columns))
    }

    pub(super) fn keep_statement(&mut self, name: &str, prepared: Prepared) -> SqlResult<()> {
        if self.statements.len() >= MAX_STATEMENTS && !self.statements.contains_key(name) {
            let text = "too many prepared statements";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    pub(super) fn keep_portal(&mut self, name: &str, mut portal: Portal) -> SqlResult<()> {
        if self.portals.len() >= MAX_PORTALS && !self.portals.contains_key(name) {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many portals"));
        }
        if let State::Open(open) = &self.state {
            portal.depth = open.depth();
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// Takes a portal to work with. If it is not put back it is broken (S1).
    pub(super) fn take_portal(&mut self, name: &str) -> SqlResult<Portal> {
        let portal = self.portals.get_mut(name).ok_or_else(|| unknown_cursor(name))?;
        if portal.broken {
            let text = format!("portal \"{name}\" cannot be run");
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        }
        let stand_in = portal.stand_in();
        Ok(std::mem::replace(portal, stand_in))
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
        let mut portal = self.take_portal(name)?;
        let max = max.map(|max| max as u64);
        let given = self.forward(&mut portal, max, Some(sink)).await?;
        let more = !portal.is_past_end();
        self.portals.insert(name.to_owned(), portal);
        Ok((given, more))
    }

    /// Goes forward by `max` rows, or past the last if none is said; the rows go to the sink. Returns how many there were.
    pub(super) async fn forward(
        &mut self,
        portal: &mut Portal,
        max: Option<u64>,
        mut sink: Option<&mut dyn ResultSink>,
    ) -> SqlResult<u64> {
        let mut given = 0;
        while max.is_none_or(|max| given < max) {
            let left = max.map_or(u64::MAX, |max| max - given);
            let portion = usize::try_from(left).unwrap_or(PORTION).min(PORTION);
            let mut count = 0;
            while count < portion
                && let Some(row) = portal.kept.get(portal.at + 1)
            {
                if let Some(sink) = &mut sink {
                    give(*sink, portal.prepared.shown(), row)?;
                }
                (portal.at, count) = (portal.at + 1, count + 1);
            }
            portal.kept.forget(portal.scroll, portal.at);
            given += count as u64;
            if let Some(sink) = &mut sink {
                sink.ready().await?;
            }
            if count == portion {
                continue;
            }
            match &portal.end {
                None => self.read_on(portal, portion - count).await?,
                Some(Ok(())) => {
                    portal.at = portal.kept.last() + 1;
                    portal.kept.forget(portal.scroll, portal.at);
                    break;
                }
                Some(Err(error)) => return Err(error.clone()),
            }
        }
        Ok(given)
    }

    /// Reads more rows of a portal, ahead of where it is.
    pub(super) async fn read_on(&mut self, portal: &mut Portal, count: usize) -> SqlResult<()> {
        let others: usize = self.portals.values().map(|portal| portal.kept.bytes()).sum();
        let rows = self.next_rows(portal, count).await?;
        // They may be fewer for their size.
        if rows.is_empty() || portal.run.as_ref().is_none_or(|(_, run)| run.is_done()) {
            portal.end = Some(Ok(()));
        }
        rows.into_iter().for_each(|row| portal.kept.push(row));
        if others + portal.kept.bytes() > KEPT_BYTES_MAX && portal.kept.is_more_than(PORTION) {
            return Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail(format!(
                    "The cursors of a session keep at most {KEPT_BYTES_MAX} bytes of rows."
                ))
                .hint(
                    "Close other cursors, or declare this one with NO SCROLL and without HOLD.",
                ));
        }
        Ok(())
    }

    async fn next_rows(&mut self, portal: &mut Portal, max: usize) -> SqlResult<Vec<Row>> {
        let prepared = portal.prepared.clone();
        let Some(Statement::Query(query)) = prepared.statement() else {
            return Err(SqlError::internal("a portal without a query"));
        };
        if portal.run.is_none() {
            let plan = self.work()?.plan_of(&prepared, query).await?;
            check_same(&prepared, query, &plan)?;
            if plan.writes {
                self.read_ahead().await?;
            }
            let execution = Execution::new(&plan, &self.work()?.memory());
            portal.run = Some((plan, execution));
        }
        let Some((plan, execution)) = &mut portal.run else {
            return Err(SqlError::internal("a portal that does not run"));
        };
        self.work()?.fetch_rows(plan, execution, &portal.params, max).await
    }
}

/// 0A000 if the client was told other columns than the plan gives now: drivers prepare again on that.
pub(super) fn check_same(prepared: &Prepared, query: &Query, plan: &Plan) -> SqlResult<()> {
    let columns = gives_rows(query, &plan.columns).then_some(plan.columns.as_slice());
    let is_same = |one: &OutputColumn, other: &OutputColumn| {
        (one.name.as_str(), one.ty) == (other.name.as_str(), other.ty)
    };
    let are_same = match (columns, prepared.columns.as_deref()) {
        (Some(columns), Some(told)) => {
            columns.len() == told.len() && columns.iter().zip(told).all(|(a, b)| is_same(a, b))
        }
        (columns, told) => columns.is_none() && told.is_none(),
    };
    if are_same {
        return Ok(());
    }
    let text = "cached plan must not change result type";
    let mut error = SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text);
    // The code is not enough for drivers to know that they should prepare again: they read this name too.
    let object = error.object.get_or_insert_default();
    object.routine = Some("RevalidateCachedQuery".to_owned());
    Err(error)
}
