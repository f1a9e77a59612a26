//! Project: the values of expressions for each row.
//!
//! A batch whose values turn out to be long is taken in parts, so that what is passed on stays small whatever is made of
//! it. A part that does not fit in the statement's memory is tried again as a smaller one: evaluation has no effects.

use super::Op;
use crate::error::{SqlError, SqlResult, SqlState};
use crate::exec::batch::{Batch, FULL_BYTES, MAX_ROWS};
use crate::exec::context::Run;
use crate::plan::{Expr, Node};

/// How much smaller a part is that is tried again.
const SHRINK: usize = 8;

/// A projection that is being run.
pub(crate) struct Project {
    input: Op,
    /// A batch, and how many of its rows are done.
    rest: Option<(Batch, usize)>,
    /// Rows of a part.
    rows: usize,
}

impl Project {
    pub(super) fn new(input: &Node) -> Self {
        Project { input: Op::open(input), rest: None, rows: MAX_ROWS }
    }

    pub(super) async fn next(
        &mut self,
        input: &Node,
        exprs: &[Expr],
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        loop {
            let Some((batch, done)) = &mut self.rest else {
                let Some(batch) = self.input.next(input, run).await? else {
                    return Ok(None);
                };
                self.rest = Some((batch, 0));
                continue;
            };
            let Some(part) = batch.slice(*done, self.rows) else {
                self.rest = None;
                continue;
            };
            let len = part.len();
            let scratch = run.shared.pool.scratch();
            match project(exprs, &part, run).await {
                Ok((projected, bytes)) => {
                    *done += len;
                    if bytes > FULL_BYTES {
                        self.rows = (len / 2).max(1);
                    } else if bytes < FULL_BYTES / 4 {
                        self.rows = (self.rows * 2).min(MAX_ROWS);
                    }
                    return Ok(Some(projected));
                }
                Err(error) if error.state == SqlState::OUT_OF_MEMORY && len > 1 => {
                    run.shared.pool.set_scratch(scratch);
                    self.rows = (len / SHRINK).max(1);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The values for all rows of a batch, and the bytes that they need.
async fn project(exprs: &[Expr], batch: &Batch, run: &mut Run<'_>) -> SqlResult<(Batch, usize)> {
    let pool = run.shared.pool.clone();
    let before = pool.scratch();
    let mut columns = Vec::with_capacity(exprs.len());
    for expr in exprs {
        columns.push(run.eval_batch(expr, batch).await?);
    }
    let types = exprs.iter().map(Expr::ty).collect();
    // What was made is kept, as long as the batch is.
    let bytes = pool.scratch().checked_sub(before);
    let bytes = bytes.ok_or_else(|| SqlError::internal("more memory came back than was taken"))?;
    pool.set_scratch(before);
    let mut held = pool.reserve();
    held.grow(bytes)?;
    Ok((batch.with_columns(types, columns, held), bytes))
}
