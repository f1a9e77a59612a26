//! Project: the values of expressions for each row.

use sql_plan::node;
use sql_values::error::SqlResult;

use super::Op;
use super::parts::Parts;
use crate::batch::Batch;
use crate::context::Run;

/// A projection that is being run.
pub(crate) struct Project {
    input: Op,
    /// A batch, and how many of its rows are done.
    rest: Option<(Batch, usize)>,
    parts: Parts,
}

impl Project {
    pub(super) fn open(node: &node::Project) -> Self {
        Project { input: Op::open(&node.input), rest: None, parts: Parts::new() }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Project,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Project { input, exprs } = node;
        loop {
            let Some((batch, done)) = &mut self.rest else {
                let Some(batch) = self.input.next(input, run).await? else {
                    return Ok(None);
                };
                self.rest = Some((batch, 0));
                continue;
            };
            let pool = run.shared.pool.clone();
            let scratch = pool.scratch();
            let Some(part) = self.parts.next(batch, *done, exprs.iter(), run).await? else {
                self.rest = None;
                continue;
            };
            *done += part.rows.len();
            // What was made is kept, as long as the batch is.
            pool.set_scratch(scratch);
            let mut held = pool.reserve();
            held.grow(part.bytes)?;
            return Ok(Some(part.rows.with_columns(part.values, held)));
        }
    }
}
