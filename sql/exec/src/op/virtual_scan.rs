//! A scan of a system table, or of a sequence: its rows are made all at once.

use sql_catalog::descriptor::{ColumnId, TableDescriptor, TableKind};
use sql_plan::node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::Reservation;
use sql_values::types::{Datum, SqlType};

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
            let all = rows_of(table, run).await?;
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

/// All rows, with all columns.
async fn rows_of(table: &TableDescriptor, run: &mut Run<'_>) -> SqlResult<Vec<Row>> {
    match table.kind {
        TableKind::Sequence(_) => {
            let state = run.ctx.sequences.state(run.txn, table.id).await?;
            // PostgreSQL's log_cnt counts values that are logged ahead: none are here.
            let row = [Datum::Int8(state.last_value), Datum::Int8(0), Datum::Bool(state.is_called)];
            Ok(vec![row.into()])
        }
        TableKind::Virtual | TableKind::Stored => run.ctx.virtual_tables.rows(table, &run.ctx.eval),
    }
}
