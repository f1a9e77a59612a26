//! UPDATE and DELETE.

use sql_catalog::descriptor::TableDescriptor;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;

use crate::context::Run;
use crate::row::Row;
use crate::store;

impl Run<'_> {
    /// Updates the row that an input row begins with. Gives the new row followed by the input's further slots, or none
    /// if the statement has written that row before.
    pub(super) async fn update(
        &mut self,
        table: &TableDescriptor,
        mut input: Row,
        assignments: &[(usize, Expr)],
        checks: &[(String, Expr)],
    ) -> SqlResult<Option<Row>> {
        let old = stored_part(table, &input)?;
        if self.is_written(table, old)? {
            return Ok(None);
        }
        let old = old.to_vec();
        let mut new = old.clone();
        super::assign(&mut new, assignments, &input, self).await?;
        self.replace(table, &old, &new, checks).await?;
        input.splice(..new.len(), new);
        Ok(Some(input))
    }

    /// Deletes the row that an input row begins with. Gives the input row, or none if the statement has written that
    /// row before.
    pub(super) fn delete(&mut self, table: &TableDescriptor, input: Row) -> SqlResult<Option<Row>> {
        let old = stored_part(table, &input)?;
        if self.is_written(table, old)? {
            return Ok(None);
        }
        for index in table.maintained() {
            let key = store::entry_key(table, index, old)?;
            self.shared.pending.set(key, None)?;
        }
        Ok(Some(input))
    }

    /// Puts a row in the place of another. Entries that stay as they are are not touched, but for the row's own: it is
    /// what tells that the row was written.
    pub(super) async fn replace(
        &mut self,
        table: &TableDescriptor,
        old: &[Datum],
        new: &[Datum],
        checks: &[(String, Expr)],
    ) -> SqlResult<()> {
        self.check(table, new, checks).await?;
        for (position, index) in table.maintained().enumerate() {
            let before = store::entry_key(table, index, old)?;
            let after = store::entry(table, index, new)?;
            if before != after.key {
                self.shared.pending.set(before, None)?;
                if after.exclusive && self.locked(&after.key).await?.is_some() {
                    return Err(self.duplicate(table, index, new));
                }
            } else if position > 0 && store::entry(table, index, old)?.value == after.value {
                continue;
            }
            self.shared.pending.set(after.key, Some(after.value))?;
        }
        Ok(())
    }

    fn is_written(&self, table: &TableDescriptor, row: &[Datum]) -> SqlResult<bool> {
        let primary = table.primary();
        let primary = primary.ok_or_else(|| SqlError::internal("a table without rows"))?;
        let key = store::entry_key(table, primary, row)?;
        Ok(self.shared.pending.contains(&key))
    }
}

/// The table's columns at the head of an input row.
pub(super) fn stored_part<'r>(
    table: &TableDescriptor,
    input: &'r [Datum],
) -> SqlResult<&'r [Datum]> {
    let part = input.get(..table.columns.len());
    part.ok_or_else(|| SqlError::internal(format!("a short row of {}", table.name)))
}
