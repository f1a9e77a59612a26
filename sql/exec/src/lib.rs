//! Execution: plans become rows.
//!
//! ```text
//!  Plan ──▶ op (operators over batches) ──▶ direct (one row, no batches) ──▶ eval (one row's value: the meaning)
//!                 │ batch (Arrow)               │                              ▲
//!                 └──────────────┬──────────────┘                 ┌────────────┘
//!                                └──▶ read, write ────────────────┴──▶ store ──▶ txn
//! ```
//!
//! The modules are listed in reading order: each knows only those before it. What goes round nevertheless goes through
//! [`context::Subplan`]: an operator evaluates expressions, and a subquery in one of them is run by operators.
//!
//! Invariants:
//!
//! - X1. A statement means the same whichever way it runs: values come from [`eval`] alone or are computed in a way
//!   that tests hold to it, and all writing is [`write`]'s.
//! - X2. A statement sees the transaction as it was when the statement began: its own writes are seen by what follows
//!   when all of it has run, and not at all if it fails.
//! - X3. Whatever grows with the data is counted against the statement's memory ([`sql_values::memory`]). Beyond it the
//!   statement fails with 53200; nothing spills to disk (not built). Whatever takes time is counted, too, and can be
//!   stopped ([`sql_values::interrupt`]).
//! - X4. Nothing is read before it is asked for, except by statements that write: those run to their end before the
//!   first row can be taken from an [`Execution`].
//! - X5. The same plan over the same data gives the same rows in the same order.
//!
//! Not done: spilling; merge joins and aggregation of sorted input; window functions; reads that answer from an index
//! alone.

pub mod sink;

mod errors;
pub mod row;

pub mod store;

mod batch;
mod keys;

mod pending;

mod answer;

mod context;
mod eval;

mod read;
mod write;

mod direct;
mod op;

#[cfg(test)]
mod tests;

use sql_plan::{Node, Plan};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Pool, Reservation};
use sql_values::stack::Roomy;
use txn::db::Txn;

use crate::sink::ResultSink;
pub use batch::{Batch, MAX_ROWS};
pub use context::{ExecContext, NoSequences, NoVirtualTables, Sequences, VirtualTables};
use context::{Run, Shared};
pub use errors::{OrSql, from_txn};
use op::{Input, Op, open_subplan};
pub use row::Row;

/// Runs a statement to its end, and gives its rows to the sink as they come (rows alone: columns and completion are the
/// session's). Returns how many rows were written, or for a statement that does not write, how many were given.
pub async fn run(
    plan: &Plan,
    txn: &mut Txn,
    ctx: &ExecContext<'_>,
    sink: &mut dyn ResultSink,
) -> SqlResult<u64> {
    let mut execution = Execution::new(plan, ctx.eval.memory);
    loop {
        // Rows of a statement that writes may leave before its writes are in the transaction: an error would follow
        // them, and void them.
        let rows = execution.next(plan, txn, ctx).await?;
        if rows.is_empty() {
            return Ok(execution.affected());
        }
        for row in &rows {
            ctx.eval.interrupt.spend(1)?;
            sink.row(row)?;
            if sink.is_full() {
                sink.ready().await?;
            }
        }
        sink.ready().await?;
    }
}

/// Runs an INSERT of one row of parameters, without subqueries, once for each list of them, as one statement. Returns
/// how many rows were written; an error comes with the number of the list that it is about, from zero.
pub async fn run_each(
    plan: &Plan,
    txn: &mut Txn,
    ctx: &ExecContext<'_>,
    params: &[Row],
) -> Result<u64, (usize, SqlError)> {
    if !plan.ctes.is_empty() || !direct::is_direct(&plan.root) {
        return Err((0, SqlError::internal("a plan of more than one row")));
    }
    ctx.eval.interrupt.check().map_err(|error| (0, error))?;
    let mut shared = Shared::new(ctx.eval.memory.clone(), open_subplan);
    let mut run = Run { txn, ctx, shared: &mut shared, outer: Vec::new() };
    let written = direct::write_each(&plan.root, params, &mut run).await?;
    run.shared.pending.apply(run.txn).await.map_err(|error| (0, error))?;
    Ok(written)
}

/// CommandComplete's tag of a statement.
pub fn tag(plan: &Plan, affected: u64) -> String {
    match &plan.root {
        Node::Insert(_) => format!("INSERT 0 {affected}"),
        Node::Update(_) => format!("UPDATE {affected}"),
        Node::Delete(_) => format!("DELETE {affected}"),
        _ => format!("SELECT {affected}"),
    }
}

/// How a statement is run.
enum State {
    /// Without batches, at once.
    Direct,
    /// By operators.
    Operators(Op),
    /// It has ended, or failed.
    Ended,
}

/// A statement that is being run, for whoever takes its rows in portions. It keeps nothing of the plan, the transaction
/// or the context: they come along with each call, the plan always the same.
pub struct Execution {
    state: State,
    shared: Shared,
    /// WITH queries have been run.
    started: bool,
    /// Rows that were made and not yet taken.
    ready: std::collections::VecDeque<Row>,
    /// For what `ready` holds of a statement that writes.
    held: Reservation,
    written: Option<u64>,
    given: u64,
}

impl Execution {
    /// A statement before its first row, with the memory that it may use: that of each context that it is run with.
    pub fn new(plan: &Plan, memory: &Pool) -> Self {
        let mut shared = Shared::new(memory.clone(), open_subplan);
        shared.has_ctes = !plan.ctes.is_empty();
        let is_direct = plan.ctes.is_empty() && direct::is_direct(&plan.root);
        let state = if is_direct { State::Direct } else { State::Operators(Op::open(&plan.root)) };
        Execution {
            state,
            held: shared.pool.reserve(),
            shared,
            started: false,
            ready: std::collections::VecDeque::new(),
            written: None,
            given: 0,
        }
    }

    /// Never by direct operators: for tests that compare both ways.
    #[cfg(test)]
    pub(crate) fn by_operators(plan: &Plan, memory: &Pool) -> Self {
        let mut execution = Self::new(plan, memory);
        execution.state = State::Operators(Op::open(&plan.root));
        execution
    }

    /// The statement's memory.
    pub fn memory(&self) -> &Pool {
        &self.shared.pool
    }

    /// Rows written; of a statement that does not write, rows given so far.
    pub fn affected(&self) -> u64 {
        self.written.unwrap_or(self.given)
    }

    /// True iff there are no more rows. May be false at the end, until rows were asked for and none came.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Ended) && self.ready.is_empty()
    }

    /// The next rows, `max` at most; fewer only at the end. A statement that writes has run to its end, and its writes
    /// are in the transaction, before the first row is given.
    pub async fn next_rows(
        &mut self,
        plan: &Plan,
        txn: &mut Txn,
        ctx: &ExecContext<'_>,
        max: usize,
    ) -> SqlResult<Vec<Row>> {
        while !matches!(self.state, State::Ended) && (plan.writes || self.ready.len() < max) {
            let rows = self.advance(plan, txn, ctx).await?;
            if plan.writes {
                rows.iter().try_for_each(|row| self.held.grow_row(row))?;
            }
            self.ready.extend(rows);
        }
        let rows: Vec<Row> = self.ready.drain(..max.min(self.ready.len())).collect();
        self.given += rows.len() as u64;
        Ok(rows)
    }

    /// The next rows, as many as come at once, but `max` at most; none at the end. What they hold is small, whatever
    /// their number.
    pub async fn next_portion(
        &mut self,
        plan: &Plan,
        txn: &mut Txn,
        ctx: &ExecContext<'_>,
        max: usize,
    ) -> SqlResult<Vec<Row>> {
        if plan.writes {
            return self.next_rows(plan, txn, ctx, max).await;
        }
        while self.ready.is_empty() && !matches!(self.state, State::Ended) {
            let rows = self.advance(plan, txn, ctx).await?;
            self.ready.extend(rows);
        }
        let rows: Vec<Row> = self.ready.drain(..max.min(self.ready.len())).collect();
        self.given += rows.len() as u64;
        Ok(rows)
    }

    /// The next rows, as many as come at once; none at the end.
    async fn next(
        &mut self,
        plan: &Plan,
        txn: &mut Txn,
        ctx: &ExecContext<'_>,
    ) -> SqlResult<Vec<Row>> {
        while !matches!(self.state, State::Ended) {
            let rows = self.advance(plan, txn, ctx).await?;
            if !rows.is_empty() {
                self.given += rows.len() as u64;
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    /// Makes more rows. The state is `Ended` after the last ones, and after an error.
    fn advance<'f>(
        &'f mut self,
        plan: &'f Plan,
        txn: &'f mut Txn,
        ctx: &'f ExecContext<'_>,
    ) -> Roomy<'f, SqlResult<Vec<Row>>> {
        Roomy::new(self.advance_here(plan, txn, ctx))
    }

    async fn advance_here(
        &mut self,
        plan: &Plan,
        txn: &mut Txn,
        ctx: &ExecContext<'_>,
    ) -> SqlResult<Vec<Row>> {
        let rows = self.make_rows(plan, txn, ctx).await;
        if rows.is_err() {
            self.shared.pending.abandon(txn);
        }
        rows
    }

    async fn make_rows(
        &mut self,
        plan: &Plan,
        txn: &mut Txn,
        ctx: &ExecContext<'_>,
    ) -> SqlResult<Vec<Row>> {
        ctx.eval.interrupt.check()?;
        let state = std::mem::replace(&mut self.state, State::Ended);
        let mut run = Run { txn, ctx, shared: &mut self.shared, outer: Vec::new() };
        let rows = match state {
            State::Direct => {
                let (rows, written) = direct::rows(&plan.root, &mut run).await?;
                self.written = written;
                rows
            }
            State::Operators(mut op) => {
                if !self.started {
                    run_ctes(&plan.ctes, &mut run).await?;
                    self.started = true;
                }
                if let Some(batch) = op.next(&plan.root, &mut run).await? {
                    let rows = batch.rows()?;
                    self.state = State::Operators(op);
                    return Ok(rows);
                }
                self.written = op.affected().or(self.written);
                Vec::new()
            }
            State::Ended => return Ok(Vec::new()),
        };
        run.shared.pending.apply(run.txn).await?;
        Ok(rows)
    }
}

/// Runs the WITH queries and keeps their rows.
async fn run_ctes(ctes: &[Node], run: &mut Run<'_>) -> SqlResult<()> {
    for node in ctes {
        let mut held = run.shared.pool.reserve();
        let rows = Input::new(node).collect(node, run, &mut held).await?;
        run.shared.ctes.push(std::sync::Arc::new(rows));
        run.shared.ctes_held.push(held);
    }
    Ok(())
}
