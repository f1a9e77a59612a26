//! Rows of expressions.

use sql_plan::node;
use sql_values::error::SqlResult;

use crate::batch::{Batch, BatchBuilder};
use crate::context::Run;

/// The first row that was not given yet.
#[derive(Default)]
pub(crate) struct Values {
    at: usize,
}

impl Values {
    pub(super) fn open(_: &node::Values) -> Self {
        Self::default()
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Values,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Values { rows, types } = node;
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
