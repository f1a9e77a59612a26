//! One input after the other.

use sql_plan::node;
use sql_values::error::SqlResult;

use super::Op;
use crate::batch::Batch;
use crate::context::Run;

/// The input that is being read.
pub(crate) struct Append {
    at: usize,
    op: Option<Op>,
}

impl Append {
    pub(super) fn open(node: &node::Append) -> Self {
        Append { at: 0, op: node.inputs.first().map(Op::open) }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Append,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        while let (Some(op), Some(input)) = (&mut self.op, node.inputs.get(self.at)) {
            if let Some(batch) = op.next(input, run).await? {
                return Ok(Some(batch));
            }
            self.at += 1;
            self.op = node.inputs.get(self.at).map(Op::open);
        }
        Ok(None)
    }
}
