//! Sources that hold their rows, and Append.

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_catalog::function::{Body, Function as SetFunction, SetRows};
use sql_plan::{Expr, Node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::Reservation;
use sql_values::types::{Datum, SqlType};

use super::Op;
use crate::batch::{Batch, BatchBuilder, next_batch};
use crate::context::{Row, Run};

/// Rows of expressions.
#[derive(Default)]
pub(crate) struct Values {
    at: usize,
}

impl Values {
    pub(super) async fn next(
        &mut self,
        rows: &[Vec<Expr>],
        types: &[SqlType],
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let mut builder = BatchBuilder::new(types, &run.shared.pool);
        while let Some(exprs) = rows.get(self.at)
            && !builder.is_full()
        {
            builder.push(&run.eval_all(exprs, &[]).await?)?;
            self.at += 1;
        }
        Ok(builder.finish())
    }
}

/// Rows that were made all at once.
#[derive(Default)]
pub(crate) struct Rows {
    made: Option<(std::vec::IntoIter<Row>, Reservation)>,
}

impl Rows {
    pub(super) async fn next_virtual(
        &mut self,
        table: &TableDescriptor,
        columns: &[ColumnId],
        filter: Option<&Expr>,
        node: &Node,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        if self.made.is_none() {
            let position = |id: &ColumnId| {
                table.position(*id).ok_or_else(|| {
                    SqlError::internal(format!("{} has no column {}", table.name, id.0))
                })
            };
            let positions = columns.iter().map(position).collect::<SqlResult<Vec<_>>>()?;
            let all = run.ctx.virtual_tables.rows(table, &run.ctx.eval)?;
            let pick = |row: Row| -> SqlResult<Row> {
                let value = |at: &usize| row.get(*at).cloned();
                let row: Option<Row> = positions.iter().map(value).collect();
                row.ok_or_else(|| SqlError::internal(format!("a short row of {}", table.name)))
            };
            self.keep(all.into_iter().map(pick).collect::<SqlResult<_>>()?, run)?;
        }
        let types = node.types();
        while let Some(batch) = self.take(&types, run)? {
            run.step().await?;
            let batch = match filter {
                Some(filter) => run.select(filter, batch).await?,
                None => Some(batch),
            };
            if batch.is_some() {
                return Ok(batch);
            }
        }
        Ok(None)
    }

    fn keep(&mut self, rows: Vec<Row>, run: &mut Run<'_>) -> SqlResult<()> {
        let mut held = run.shared.pool.reserve();
        rows.iter().try_for_each(|row| held.grow_row(row))?;
        self.made = Some((rows.into_iter(), held));
        Ok(())
    }

    fn take(&mut self, types: &[SqlType], run: &Run<'_>) -> SqlResult<Option<Batch>> {
        match &mut self.made {
            Some((rows, _)) => next_batch(types, rows, &run.shared.pool),
            None => Ok(None),
        }
    }
}

/// Rows of functions, made as they are asked for.
#[derive(Default)]
pub(crate) struct Function {
    /// By function; none once it has ended.
    rows: Vec<Option<SetRows>>,
    /// Rows given so far.
    given: i64,
}

impl Function {
    pub(super) async fn next(
        &mut self,
        calls: &[(&'static SetFunction, Vec<Expr>)],
        types: &[SqlType],
        ordinality: bool,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        if self.rows.is_empty() {
            for (function, args) in calls {
                let args = run.eval_all(args, &[]).await?;
                self.rows.push(Some(start(function, &args, run)?));
            }
        }
        let mut builder = BatchBuilder::new(types, &run.shared.pool);
        while !builder.is_full() {
            run.ctx.eval.interrupt.spend(1)?;
            let Some(mut row) = self.row()? else { break };
            self.given += 1;
            if ordinality {
                row.push(Datum::Int8(self.given));
            }
            builder.push(&row)?;
        }
        Ok(builder.finish())
    }

    /// The next row, with NULLs for functions that have ended; none when all have.
    fn row(&mut self) -> SqlResult<Option<Row>> {
        if let [rows] = self.rows.as_mut_slice() {
            return rows.as_mut().and_then(Iterator::next).transpose();
        }
        let mut row = Row::with_capacity(self.rows.len());
        for rows in &mut self.rows {
            match rows.as_mut().and_then(Iterator::next) {
                Some(next) => row.extend(next?),
                None => {
                    *rows = None;
                    row.push(Datum::Null);
                }
            }
        }
        let has_ended = self.rows.iter().all(Option::is_none);
        Ok((!has_ended).then_some(row))
    }
}

/// The rows of a call, of which none is made yet.
fn start(function: &SetFunction, args: &[Datum], run: &Run<'_>) -> SqlResult<SetRows> {
    if function.strict && args.iter().any(Datum::is_null) {
        return Ok(Box::new(std::iter::empty()));
    }
    match function.body {
        Body::Set(body, _) => body(&run.ctx.eval, args),
        Body::Scalar(body) => {
            let value = body(&run.ctx.eval, args)?;
            Ok(Box::new(std::iter::once(Ok(vec![value]))))
        }
        Body::Aggregate(_) => Err(SqlError::internal("an aggregate makes no rows")),
    }
}

/// Rows of a WITH query that has been run.
#[derive(Default)]
pub(crate) struct CteScan {
    at: usize,
}

impl CteScan {
    pub(super) fn next(
        &mut self,
        index: usize,
        types: &[SqlType],
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let rows = run.shared.ctes.get(index).map(Arc::clone);
        let rows = rows.ok_or_else(|| SqlError::internal("a WITH query is read before it ran"))?;
        let batch = next_batch(types, &mut rows[self.at..].iter().cloned(), &run.shared.pool)?;
        self.at += batch.as_ref().map_or(0, Batch::len);
        Ok(batch)
    }
}

/// One input after the other.
pub(crate) struct Append {
    at: usize,
    op: Option<Op>,
}

impl Append {
    pub(super) fn new(inputs: &[Node]) -> Self {
        Append { at: 0, op: inputs.first().map(Op::open) }
    }

    pub(super) async fn next(
        &mut self,
        inputs: &[Node],
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        while let (Some(op), Some(node)) = (&mut self.op, inputs.get(self.at)) {
            if let Some(batch) = op.next(node, run).await? {
                return Ok(Some(batch));
            }
            self.at += 1;
            self.op = inputs.get(self.at).map(Op::open);
        }
        Ok(None)
    }
}
