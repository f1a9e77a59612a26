//! Which keys a portion of rows will ask for (W2), so that they are locked and read together.
//!
//! - F1. A guess: a key that is not foreseen is read when its turn comes, one that is foreseen for nothing is locked for
//!   nothing. So no error of a row is reported here; each is found again, in its turn.

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use sql_plan::{Expr, Node, OnConflict, node};
use sql_values::error::SqlResult;
use sql_values::types::Datum;

use super::modify::stored_part;
use crate::context::Run;
use crate::row::Row;
use crate::store;

impl Run<'_> {
    /// Locks and reads what is going to be asked for the rows of a write's input.
    pub(super) async fn foresee_rows(&mut self, node: &Node, rows: &[Row]) -> SqlResult<()> {
        match node {
            Node::Insert(node::Insert { table, on_conflict: None, .. }) => {
                let keys = keys_of(table, table.maintained(), rows);
                self.foresee(keys).await
            }
            Node::Insert(node::Insert { table, on_conflict: Some(conflict), .. }) => {
                self.foresee_conflicts(table, conflict, rows).await
            }
            Node::Delete(node::Delete { table, .. }) => self.foresee_written(table, rows).await,
            Node::Update(node::Update { table, assignments, .. }) => {
                self.foresee_written(table, rows).await?;
                if rows.len() < 2 {
                    return Ok(());
                }
                let keys = self.moved_keys(table, assignments, rows).await;
                self.foresee(keys).await
            }
            _ => Ok(()),
        }
    }

    /// A row may come that the statement has written through (W3).
    async fn foresee_written(&mut self, table: &TableDescriptor, rows: &[Row]) -> SqlResult<()> {
        if !self.shared.pending.has_written_through() {
            return Ok(());
        }
        let key = |row: &Row| {
            let (primary, row) = (table.primary()?, stored_part(table, row).ok()?);
            store::entry_key(table, primary, row).ok()
        };
        let keys: Vec<Bytes> = rows.iter().filter_map(key).collect();
        self.find_written(&keys).await
    }

    /// The arbiters first: a row that meets a conflict asks for no other index.
    async fn foresee_conflicts(
        &mut self,
        table: &TableDescriptor,
        conflict: &OnConflict,
        rows: &[Row],
    ) -> SqlResult<()> {
        let (arbiters, others): (Vec<_>, Vec<_>) =
            table.maintained().partition(|index| conflict.is_arbiter(index.id));
        self.foresee(keys_of(table, arbiters.iter().copied(), rows)).await?;
        let mut keys = Vec::new();
        for row in rows {
            match self.foreseen_conflict(table, &arbiters, row) {
                None => keys.extend(keys_of(table, others.iter().copied(), [row])),
                Some((index, key, value)) if conflict.update.is_some() => {
                    if index.id != PRIMARY_INDEX {
                        keys.extend(store::row_key(table, index, &key, &value));
                    }
                }
                Some(_) => {}
            }
        }
        self.foresee(keys).await
    }

    fn foreseen_conflict<'i>(
        &self,
        table: &TableDescriptor,
        arbiters: &[&'i IndexDescriptor],
        row: &Row,
    ) -> Option<(&'i IndexDescriptor, Bytes, Bytes)> {
        arbiters.iter().find_map(|index| {
            let key = store::exclusive_key(table, index, row).ok()??;
            let value = self.shared.pending.known(&key)?.clone()?;
            Some((*index, key, value))
        })
    }

    /// The keys that updated rows move to. What the rows will be is worked out here and again in its turn, which only
    /// an update of a unique index's columns pays for.
    async fn moved_keys(
        &mut self,
        table: &TableDescriptor,
        assignments: &[(usize, Expr)],
        rows: &[Row],
    ) -> Vec<Bytes> {
        let is_assigned = |index: &&IndexDescriptor| {
            let mut columns = index.key.iter().filter_map(|(id, _)| table.position(*id));
            let is_moved = columns.any(|column| assignments.iter().any(|(at, _)| *at == column));
            index.unique && is_moved
        };
        let moved: Vec<_> = table.maintained().filter(is_assigned).collect();
        let mut keys = Vec::new();
        if moved.is_empty() {
            return keys;
        }
        for row in rows {
            let Ok(old) = stored_part(table, row) else { continue };
            let mut new = old.to_vec();
            if super::assign(&mut new, assignments, row, self).await.is_err() {
                continue;
            }
            for index in &moved {
                let key = |row: &[Datum]| store::exclusive_key(table, index, row).ok().flatten();
                keys.extend(key(&new).filter(|after| key(old).as_ref() != Some(after)));
            }
        }
        keys
    }
}

/// The keys that nobody else may have, of rows in indexes.
fn keys_of<'a>(
    table: &TableDescriptor,
    indexes: impl IntoIterator<Item = &'a IndexDescriptor> + Clone,
    rows: impl IntoIterator<Item = &'a Row>,
) -> Vec<Bytes> {
    let of_row = |row: &'a Row| {
        let key = |index| store::exclusive_key(table, index, row).ok().flatten();
        indexes.clone().into_iter().filter_map(key).collect::<Vec<_>>()
    };
    rows.into_iter().flat_map(of_row).collect()
}
