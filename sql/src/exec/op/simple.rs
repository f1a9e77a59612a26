//! Sources that hold their rows, and Append.

use std::sync::Arc;

use super::Op;
use crate::catalog::descriptor::{ColumnId, TableDescriptor};
use crate::error::{SqlError, SqlResult};
use crate::exec::batch::{Batch, BatchBuilder, next_batch};
use crate::exec::context::{Reservation, Row, Run};
use crate::exec::eval::function;
use crate::func::Body;
use crate::plan::{Expr, Node};
use crate::types::{Datum, SqlType};

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
        let mut builder = BatchBuilder::new(types);
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
        while let Some(batch) = self.take(&types)? {
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

    pub(super) async fn next_function(
        &mut self,
        oid: u32,
        args: &[Expr],
        types: &[SqlType],
        ordinality: bool,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        if self.made.is_none() {
            let function = function(oid)?;
            let args = run.eval_all(args, &[]).await?;
            let mut rows = match function.body {
                _ if function.strict && args.iter().any(Datum::is_null) => Vec::new(),
                Body::Set(body, _) => body(&run.ctx.eval, &args)?,
                Body::Scalar(body) => vec![vec![body(&run.ctx.eval, &args)?]],
                Body::Aggregate(_) => {
                    return Err(SqlError::internal("an aggregate makes no rows"));
                }
            };
            if ordinality {
                for (number, row) in (1i64..).zip(&mut rows) {
                    row.push(Datum::Int8(number));
                }
            }
            self.keep(rows, run)?;
        }
        self.take(types)
    }

    fn keep(&mut self, rows: Vec<Row>, run: &mut Run<'_>) -> SqlResult<()> {
        let mut held = run.shared.pool.reserve();
        rows.iter().try_for_each(|row| held.grow_row(row))?;
        self.made = Some((rows.into_iter(), held));
        Ok(())
    }

    fn take(&mut self, types: &[SqlType]) -> SqlResult<Option<Batch>> {
        match &mut self.made {
            Some((rows, _)) => next_batch(types, rows),
            None => Ok(None),
        }
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
        let batch = next_batch(types, &mut rows[self.at..].iter().cloned())?;
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
