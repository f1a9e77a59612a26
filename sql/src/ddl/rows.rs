//! What changes of the schema do to rows.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use txn::db::TxnError;

use super::about;
use crate::catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::exec::Row;
use crate::exec::{from_txn, store};
use crate::row;
use crate::session::work::Work;
use crate::types::{Datum, SqlType, TextFormat};

/// Rows that are indexed in the change's own transaction.
const FEW: usize = 100;
/// Entries read at a time.
const BATCH: usize = 1_000;
/// Bytes of the entries that a rewrite holds before they are written: about what a transaction may write.
const MAX_REWRITE_BYTES: usize = 64 << 20;

impl Work<'_> {
    async fn clear(&mut self, span: Range<Bytes>) -> SqlResult<()> {
        let mut start = span.start;
        let txn = &mut self.open.txn;
        loop {
            let rows = txn.scan(start, span.end.clone(), BATCH).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            start = store::after(&last.key);
            let is_end = rows.len() < BATCH;
            for row in rows {
                txn.delete(row.key)?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn clear_index(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
    ) -> SqlResult<()> {
        self.clear(row::index_span(table.id, index.id)).await
    }

    /// More than are worth more than one transaction.
    pub(super) async fn has_many_rows(&mut self, table: &TableDescriptor) -> SqlResult<bool> {
        let span = row::index_span(table.id, PRIMARY_INDEX);
        let rows = self.open.txn.scan(span.start, span.end, FEW + 1).await?;
        Ok(rows.len() > FEW)
    }

    /// Deletes every entry of every index.
    pub(super) async fn clear_table(&mut self, table: &TableDescriptor) -> SqlResult<()> {
        self.clear(row::table_span(table.id)).await
    }

    /// Some rows of a table, and where the next ones begin.
    async fn some_rows(
        &mut self,
        table: &TableDescriptor,
        from: Option<Bytes>,
    ) -> SqlResult<(Vec<Row>, Option<Bytes>)> {
        let span = row::index_span(table.id, PRIMARY_INDEX);
        let entries = self.open.txn.scan(from.unwrap_or(span.start), span.end, BATCH).await?;
        let next = match entries.last() {
            Some(last) if entries.len() == BATCH => Some(store::after(&last.key)),
            _ => None,
        };
        let rows = entries.iter().map(|entry| row::decode_row(table, &entry.value));
        Ok((rows.collect::<SqlResult<_>>()?, next))
    }

    /// Gives a new index its entries.
    pub(super) async fn backfill(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
    ) -> SqlResult<()> {
        let mut seen = BTreeSet::new();
        let mut from = None;
        loop {
            let (rows, next) = self.some_rows(table, from).await?;
            for row in rows {
                let (key, value) = new_entry(table, index, &row, &mut seen)?;
                self.open.txn.put(key, value)?;
            }
            match next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Moves every row from one form of a table to another, which has the same columns but for those left out, in
    /// the same order. The first column that has NULL and may not is an error.
    pub(super) async fn rewrite(
        &mut self,
        old: &TableDescriptor,
        new: &TableDescriptor,
    ) -> SqlResult<()> {
        let kept: Vec<usize> =
            new.columns.iter().filter_map(|column| old.position(column.id)).collect();
        let mut seen: Vec<BTreeSet<Bytes>> = vec![BTreeSet::new(); new.indexes.len()];
        // The new rows lie among the old ones: they are written when all of those are read.
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut from = None;
        loop {
            let (some, next) = self.some_rows(old, from).await?;
            for row in some {
                self.open.txn.delete(row::primary_key(old, &row)?)?;
                let row: Row = kept.iter().map(|at| row[*at].clone()).collect();
                check_not_null(new, &row)?;
                for (index, seen) in new.indexes.iter().zip(&mut seen) {
                    let (key, value) = new_entry(new, index, &row, seen)?;
                    bytes += key.len() + value.len();
                    entries.push((key, value));
                }
                if bytes > MAX_REWRITE_BYTES {
                    return Err(from_txn(TxnError::TooLarge));
                }
            }
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        for index in old.indexes.iter().filter(|index| index.id != PRIMARY_INDEX) {
            self.clear_index(old, index).await?;
        }
        for (key, value) in entries {
            self.open.txn.put(key, value)?;
        }
        Ok(())
    }
}

/// A row's entry in an index that is being built, which has seen these keys so far.
fn new_entry(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &Row,
    seen: &mut BTreeSet<Bytes>,
) -> SqlResult<(Bytes, Bytes)> {
    let entry = store::entry(table, index, row)?;
    if entry.exclusive && !seen.insert(entry.key.clone()) {
        return Err(duplicated(table, index, row));
    }
    Ok((entry.key, entry.value))
}

/// 23502 for rows that are there.
fn check_not_null(table: &TableDescriptor, row: &Row) -> SqlResult<()> {
    for (column, value) in table.columns.iter().zip(row) {
        if column.not_null && value.is_null() {
            return Err(contains_null(table, &column.name));
        }
    }
    Ok(())
}

/// 23502 for rows that are there.
pub(super) fn contains_null(table: &TableDescriptor, column: &str) -> SqlError {
    let text = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
    SqlError::new(SqlState::NOT_NULL_VIOLATION, text).about(about(table, Some(column), None))
}

/// 23505 for rows that are there.
pub(crate) fn duplicated(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlError {
    let columns = index.key.iter().filter_map(|(id, _)| table.position(*id));
    let mut names = Vec::new();
    let mut values = Vec::new();
    for at in columns {
        let column = &table.columns[at];
        names.push(column.name.as_str());
        let ty: SqlType = column.ty;
        values.push(row[at].to_text(ty, &TextFormat::UTC));
    }
    let text = format!("could not create unique index \"{}\"", index.name);
    let detail = format!("Key ({})=({}) is duplicated.", names.join(", "), values.join(", "));
    SqlError::new(SqlState::UNIQUE_VIOLATION, text).detail(detail).about(about(
        table,
        None,
        Some(&index.name),
    ))
}
