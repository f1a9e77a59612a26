//! The values of expressions for the rows of a batch, part by part.
//!
//! A batch whose values turn out to be long is taken in parts, so that what is held at a time stays small whatever is made
//! of it. A part that does not fit in the statement's memory is tried again as a smaller one: evaluation has no effects,
//! but that sequences go on, whose values may be left out anyway.

use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::heap_bytes;
use sql_values::types::SqlType;

use crate::batch::column::ColumnBuilder;
use crate::batch::{Batch, FULL_BYTES, MAX_ROWS};
use crate::context::Run;

/// How much smaller a part is that is tried again.
const SHRINK: usize = 8;

/// How large parts are at present.
pub(super) struct Parts {
    rows: usize,
}

/// Rows of a batch, and what was computed for them.
pub(super) struct Part {
    pub(super) rows: Batch,
    /// A column for each expression.
    pub(super) values: Batch,
    /// Bytes of the values, which are scratch ([`sql_values::memory::Pool::scratch`]) when the part is given.
    pub(super) bytes: usize,
}

impl Parts {
    pub(super) fn new() -> Self {
        Parts { rows: MAX_ROWS }
    }

    /// The next part of a batch of which `done` rows are done; none at its end.
    pub(super) async fn next<'e>(
        &mut self,
        batch: &Batch,
        done: usize,
        exprs: impl Iterator<Item = &'e Expr> + Clone,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Part>> {
        let pool = run.shared.pool.clone();
        let before = pool.scratch();
        loop {
            let Some(rows) = batch.slice(done, self.rows) else { return Ok(None) };
            let len = rows.len();
            match columns_of(&rows, exprs.clone(), run).await {
                Ok(values) => {
                    let bytes = pool.scratch().checked_sub(before).ok_or_else(|| {
                        SqlError::internal("more memory came back than was taken")
                    })?;
                    if bytes > FULL_BYTES {
                        self.rows = (len / 2).max(1);
                    } else if bytes < FULL_BYTES / 4 {
                        self.rows = (self.rows * 2).min(MAX_ROWS);
                    }
                    return Ok(Some(Part { rows, values, bytes }));
                }
                Err(error) if error.state == SqlState::OUT_OF_MEMORY && len > 1 => {
                    pool.set_scratch(before);
                    self.rows = (len / SHRINK).max(1);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn columns_of<'e>(
    batch: &Batch,
    exprs: impl Iterator<Item = &'e Expr> + Clone,
    run: &mut Run<'_>,
) -> SqlResult<Batch> {
    let asking = exprs.clone().filter(|expr| expr.asks_sequence()).count();
    if asking > 1 {
        return rows_of(batch, exprs, run).await;
    }
    let (mut types, mut columns) = (Vec::new(), Vec::new());
    for expr in exprs {
        types.push(expr.ty());
        columns.push(run.eval_batch(expr, batch).await?);
    }
    Batch::of_columns(batch.len(), types, columns, 0, &run.shared.pool)
}

/// The same row by row (A2 of `eval::sequence`).
async fn rows_of<'e>(
    batch: &Batch,
    exprs: impl Iterator<Item = &'e Expr>,
    run: &mut Run<'_>,
) -> SqlResult<Batch> {
    let exprs: Vec<&Expr> = exprs.collect();
    let types: Vec<SqlType> = exprs.iter().map(|expr| expr.ty()).collect();
    let mut columns: Vec<_> = types.iter().map(|ty| ColumnBuilder::new(*ty)).collect();
    for at in 0..batch.len() {
        let row = batch.row(at)?;
        for (expr, column) in exprs.iter().zip(&mut columns) {
            let before = run.shared.pool.scratch();
            let value = run.eval(expr, &row).await?;
            run.shared.pool.set_scratch(before);
            run.ctx.eval.memory.add_scratch(heap_bytes(&value))?;
            column.push(&value)?;
        }
    }
    let columns = columns.iter_mut().map(ColumnBuilder::finish).collect();
    Batch::of_columns(batch.len(), types, columns, 0, &run.shared.pool)
}
