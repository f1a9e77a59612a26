//! INSERT and ON CONFLICT.

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use sql_plan::{Expr, OnConflict};
use sql_values::error::{SqlError, SqlResult, SqlState};

use crate::context::Run;
use crate::row::Row;
use crate::store;
use crate::store::Entry;

impl Run<'_> {
    /// Inserts a row. Gives the row as written, or none if a conflict left nothing to be written.
    pub(super) async fn insert(
        &mut self,
        table: &TableDescriptor,
        row: Row,
        checks: &[(String, Expr)],
        on_conflict: Option<&OnConflict>,
    ) -> SqlResult<Option<Row>> {
        self.check(table, &row, checks).await?;
        if let Some(conflict) = on_conflict
            && let Some((index, key, value)) = self.conflict(table, &row, conflict).await?
        {
            return self.resolve(table, index, (key, value), row, checks, conflict).await;
        }
        for index in table.maintained() {
            let entry = store::entry(table, index, &row)?;
            // An arbiter has just been asked.
            let is_arbiter = on_conflict.is_some_and(|conflict| conflict.is_arbiter(index.id));
            let is_open = entry.exclusive && !is_arbiter;
            if is_open && self.locked(&entry.key).await?.is_some() {
                return Err(self.duplicate(table, index, &row));
            }
            self.shared.pending.set(entry.key, Some(entry.value))?;
        }
        Ok(Some(row))
    }

    /// The first arbiter that has the row's key already, with its entry.
    async fn conflict<'t>(
        &mut self,
        table: &'t TableDescriptor,
        row: &Row,
        conflict: &OnConflict,
    ) -> SqlResult<Option<(&'t IndexDescriptor, Bytes, Bytes)>> {
        for index in table.maintained() {
            if !conflict.is_arbiter(index.id) {
                continue;
            }
            let Entry { key, exclusive, .. } = store::entry(table, index, row)?;
            if exclusive && let Some(value) = self.locked(&key).await? {
                return Ok(Some((index, key, value)));
            }
        }
        Ok(None)
    }

    async fn resolve(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
        (key, value): (Bytes, Bytes),
        proposed: Row,
        checks: &[(String, Expr)],
        conflict: &OnConflict,
    ) -> SqlResult<Option<Row>> {
        let Some(assignments) = &conflict.update else {
            return Ok(None);
        };
        let (key, value) = if index.id == PRIMARY_INDEX {
            (key, Some(value))
        } else {
            let key = store::row_key(table, index, &key, &value)?;
            let value = self.locked(&key).await?;
            (key, value)
        };
        if self.shared.pending.contains(&key) {
            return Err(SqlError::new(
                SqlState::CARDINALITY_VIOLATION,
                "ON CONFLICT DO UPDATE command cannot affect row a second time",
            )
            .hint(
                "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
            ));
        }
        let value = value.ok_or_else(|| store::missing_row(table, index))?;
        let existing = store::decode_row(table, &value)?;
        let mut over = existing.clone();
        over.extend(proposed);
        if let Some(condition) = &conflict.condition
            && !self.holds(condition, &over).await?
        {
            return Ok(None);
        }
        let mut row = existing.clone();
        super::assign(&mut row, assignments, &over, self).await?;
        self.replace(table, &existing, &row, checks).await?;
        Ok(Some(row))
    }
}
