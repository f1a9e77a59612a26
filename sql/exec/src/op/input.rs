//! Reading an input row by row.

use sql_plan::Node;
use sql_values::error::SqlResult;
use sql_values::memory::Reservation;

use super::Op;
use crate::batch::Batch;
use crate::context::Run;
use crate::row::Row;

/// An input and the batch of it that is being read.
pub(crate) struct Input {
    op: Op,
    batch: Option<Batch>,
    at: usize,
    ended: bool,
    /// The scratch before the first row: a row's values are gone when the next one is asked for.
    scratch: Option<usize>,
}

impl Input {
    pub(crate) fn new(node: &Node) -> Self {
        Input { op: Op::open(node), batch: None, at: 0, ended: false, scratch: None }
    }

    /// The next row; none at the end, as often as asked.
    pub(crate) async fn next(&mut self, node: &Node, run: &mut Run<'_>) -> SqlResult<Option<Row>> {
        let pool = &run.shared.pool;
        let scratch = *self.scratch.get_or_insert_with(|| pool.scratch());
        pool.set_scratch(scratch);
        run.ctx.eval.interrupt.spend(1)?;
        loop {
            if let Some(batch) = &self.batch
                && self.at < batch.len()
            {
                let row = batch.row(self.at)?;
                self.at += 1;
                return Ok(Some(row));
            }
            if self.ended {
                return Ok(None);
            }
            self.batch = self.op.next(node, run).await?;
            self.at = 0;
            self.ended = self.batch.is_none();
        }
    }

    /// All further rows, counted.
    pub(crate) async fn collect(
        &mut self,
        node: &Node,
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<Vec<Row>> {
        let mut rows = Vec::new();
        while let Some(row) = self.next(node, run).await? {
            held.grow_row(&row)?;
            rows.push(row);
        }
        Ok(rows)
    }
}
