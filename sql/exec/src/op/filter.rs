//! Rows that satisfy a condition.

use sql_plan::node;
use sql_values::error::SqlResult;

use super::Op;
use crate::batch::Batch;
use crate::context::Run;

/// A filter keeps nothing of its own.
pub(crate) struct Filter {
    input: Op,
}

impl Filter {
    pub(super) fn open(node: &node::Filter) -> Self {
        Filter { input: Op::open(&node.input) }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Filter,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        while let Some(batch) = self.input.next(&node.input, run).await? {
            if let Some(batch) = run.select(&node.predicate, batch).await? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
