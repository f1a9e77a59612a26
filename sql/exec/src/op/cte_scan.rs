//! The rows of a WITH query.

use std::sync::Arc;

use sql_plan::node;
use sql_values::error::{SqlError, SqlResult};

use crate::batch::{Batch, next_batch};
use crate::context::Run;

/// Rows of a WITH query that has been run.
#[derive(Default)]
pub(crate) struct CteScan {
    at: usize,
}

impl CteScan {
    pub(super) fn open(_: &node::CteScan) -> Self {
        Self::default()
    }

    pub(super) async fn next(
        &mut self,
        node: &node::CteScan,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::CteScan { index, types } = node;
        let rows = run.shared.ctes.get(*index).map(Arc::clone);
        let rows = rows.ok_or_else(|| SqlError::internal("a WITH query is read before it ran"))?;
        let batch = next_batch(types, &mut rows[self.at..].iter().cloned(), &run.shared.pool)?;
        self.at += batch.as_ref().map_or(0, Batch::len);
        Ok(batch)
    }
}
