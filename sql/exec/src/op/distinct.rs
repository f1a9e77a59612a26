//! DISTINCT and DISTINCT ON: the first row of each key, as it comes.

use sql_plan::{Expr, node};
use sql_values::error::SqlResult;
use sql_values::memory::Reservation;

use super::input::Input;
use crate::batch::{Batch, BatchBuilder};
use crate::context::Run;
use crate::keys::KeyTable;

/// The keys seen so far.
pub(crate) struct Distinct {
    input: Input,
    seen: Option<(KeyTable, Reservation)>,
}

impl Distinct {
    pub(super) fn open(node: &node::Distinct) -> Self {
        Distinct { input: Input::new(&node.input), seen: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Distinct,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Distinct { input, on } = node;
        let types = input.types();
        let (seen, held) = self.seen.get_or_insert_with(|| {
            let whole = on.is_empty();
            let keys = if whole { types.clone() } else { on.iter().map(Expr::ty).collect() };
            (KeyTable::new(keys), run.shared.pool.reserve())
        });
        let mut builder = BatchBuilder::new(&types, &run.shared.pool);
        while !builder.is_full() {
            let Some(row) = self.input.next(input, run).await? else {
                break;
            };
            let key = if on.is_empty() { row.clone() } else { run.eval_all(on, &row).await? };
            if seen.insert(key, held)?.1 {
                builder.push(&row)?;
            }
        }
        Ok(builder.finish())
    }
}
