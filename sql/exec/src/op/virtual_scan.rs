//! A scan of a system table: its rows are made all at once.

use sql_catalog::descriptor::ColumnId;
use sql_plan::node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::Reservation;
use sql_values::types::SqlType;

use crate::batch::{Batch, next_batch};
use crate::context::Run;
use crate::row::Row;

/// Rows that were made all at once.
#[derive(Default)]
pub(crate) struct VirtualScan {
    made: Option<(std::vec::IntoIter<Row>, Reservation)>,
}

impl VirtualScan {
    pub(super) fn open(_: &node::VirtualScan) -> Self {
        Self::default()
    }

    pub(super) async fn next(
        &mut self,
        node: &node::VirtualScan,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::VirtualScan { table, columns, filter } = node;
        if self.made.is_none() {
            let position = |id: &ColumnId| {
                table.position(*id).ok_or_else(|| {
                    SqlError::internal(format!("{} has no column {}", table.name, id.0))
                })
            };
            let positions = columns.iter().map(position).collect::<SqlResult<Vec<_>>>()?;
            let all = run.ctx.virtual_tables.rows(table, &run.ctx.eval)?;
            let pick = |row: Row| -> SqlResult<Row> {
                let value = |at: &usize| row.get(*at).cloned();
                let row: Option<Row> = positions.iter().map(value).collect();
                row.ok_or_else(|| SqlError::internal(format!("a short row of {}", table.name)))
            };
            self.keep(all.into_iter().map(pick).collect::<SqlResult<_>>()?, run)?;
        }
        let types = node.types();
        while let Some(batch) = self.take(&types, run)? {
            run.step().await?;
            let batch = match filter {
                Some(filter) => run.select(filter, batch).await?,
                None => Some(batch),
            };
            if batch.is_some() {
                return Ok(batch);
            }
        }
        Ok(None)
    }

    fn keep(&mut self, rows: Vec<Row>, run: &mut Run<'_>) -> SqlResult<()> {
        let mut held = run.shared.pool.reserve();
        rows.iter().try_for_each(|row| held.grow_row(row))?;
        self.made = Some((rows.into_iter(), held));
        Ok(())
    }

    fn take(&mut self, types: &[SqlType], run: &Run<'_>) -> SqlResult<Option<Batch>> {
        match &mut self.made {
            Some((rows, _)) => next_batch(types, rows, &run.shared.pool),
            None => Ok(None),
        }
    }
}
