//! INTERSECT and EXCEPT, with and without ALL. Rows come as the left input has them.

use sql_plan::node;
use sql_values::error::SqlResult;
use sql_values::memory::Reservation;

use super::input::Input;
use crate::batch::{Batch, BatchBuilder};
use crate::context::Run;
use crate::keys::KeyTable;

/// How often a row is on the right, and whether it was given.
#[derive(Default)]
struct Count {
    right: u64,
    given: bool,
}

/// Reads the right input to the end, then the left.
pub(crate) struct SetOp {
    left: Input,
    right: Input,
    counts: Option<(KeyTable, Vec<Count>, Reservation)>,
}

impl SetOp {
    pub(super) fn open(node: &node::SetOp) -> Self {
        SetOp { left: Input::new(&node.left), right: Input::new(&node.right), counts: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::SetOp,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::SetOp { left, right, except, all } = node;
        let types = left.types();
        if self.counts.is_none() {
            let mut table = KeyTable::new(types.clone());
            let mut counts: Vec<Count> = Vec::new();
            let mut held = run.shared.pool.reserve();
            while let Some(row) = self.right.next(right, run).await? {
                let (number, is_new) = table.insert(row, &mut held)?;
                if is_new {
                    counts.push(Count::default());
                }
                counts[number].right += 1;
            }
            self.counts = Some((table, counts, held));
        }
        let mut builder = BatchBuilder::new(&types, &run.shared.pool);
        let Some((table, counts, held)) = &mut self.counts else {
            return Ok(None);
        };
        while !builder.is_full() {
            let Some(row) = self.left.next(left, run).await? else {
                break;
            };
            let give = if *all {
                // Each row on the right stands for one on the left.
                match table.find(&row) {
                    Some(number) if counts[number].right > 0 => {
                        counts[number].right -= 1;
                        !*except
                    }
                    _ => *except,
                }
            } else {
                let (number, is_new) = table.insert(row.clone(), held)?;
                if is_new {
                    counts.push(Count::default());
                }
                let count = &mut counts[number];
                let is_right = (count.right > 0) != *except;
                is_right && !std::mem::replace(&mut count.given, true)
            };
            if give {
                builder.push(&row)?;
            }
        }
        Ok(builder.finish())
    }
}
