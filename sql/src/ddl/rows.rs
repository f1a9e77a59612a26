//! What changes of the schema do to rows.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use sql_exec::OrSql;
use sql_exec::Row;
use sql_exec::row;
use sql_exec::store;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType, TextFormat};

use super::about;
use crate::work::Work;

/// Rows that are indexed in the change's own transaction.
const FEW: usize = 100;
/// Entries read at a time.
const BATCH: usize = 1_000;

impl Work<'_> {
    async fn clear(&mut self, span: Range<Bytes>) -> SqlResult<()> {
        let mut start = span.start;
        let txn = &mut self.open.txn;
        loop {
            let rows = txn.scan(start, span.end.clone(), BATCH).await.or_sql()?;
            let Some(last) = rows.last() else { return Ok(()) };
            start = store::after(&last.key);
            let is_end = rows.len() < BATCH;
            for row in rows {
                txn.delete(row.key).or_sql()?;
            }
            txn.make_room().await.or_sql()?;
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
        let rows = self.open.txn.scan(span.start, span.end, FEW + 1).await.or_sql()?;
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
        let entries =
            self.open.txn.scan(from.unwrap_or(span.start), span.end, BATCH).await.or_sql()?;
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
        let mut from = None;
        loop {
            let (rows, next) = self.some_rows(table, from).await?;
            self.add_entries(table, index, &rows).await?;
            match next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Writes the entries of some rows into an index that is being built. What has an exclusive key already is one of the
    /// same build.
    async fn add_entries(
        &mut self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
        rows: &[Row],
    ) -> SqlResult<()> {
        let txn = &mut self.open.txn;
        let mut entries = Vec::new();
        let mut exclusive = Vec::new();
        let mut seen = BTreeSet::new();
        for row in rows {
            let entry = store::entry(table, index, row)?;
            if entry.exclusive {
                if !seen.insert(entry.key.clone()) {
                    return Err(duplicated(table, index, row));
                }
                exclusive.push((entry.key.clone(), row));
            }
            entries.push((entry.key, Some(entry.value)));
        }
        let keys: Vec<Bytes> = exclusive.iter().map(|(key, _)| key.clone()).collect();
        let (there, _) = txn.get_many_newest_for_update(&keys).await.or_sql()?;
        if let Some(at) = there.iter().position(Option::is_some) {
            return Err(duplicated(table, index, exclusive[at].1));
        }
        for (key, value) in entries {
            if let Some(value) = value {
                txn.put(key, value).or_sql()?;
            }
        }
        txn.make_room().await.or_sql()?;
        Ok(())
    }

    /// Moves every row from one form of a table to another, which has the same columns but for those left out, in
    /// the same order. The first column that has NULL and may not is an error.
    ///
    /// The new rows lie among the old ones, and a new key may be another row's old one. So all old rows go before the
    /// first new one comes, and the old ones are read as they were before either.
    pub(super) async fn rewrite(
        &mut self,
        old: &TableDescriptor,
        new: &TableDescriptor,
    ) -> SqlResult<()> {
        let begun = self.open.txn.savepoint().or_sql()?;
        self.open.txn.pin();
        let moved = self.move_rows(old, new).await;
        self.open.txn.unpin();
        if let Err(error) = moved {
            self.open.txn.rollback_to(begun).or_sql()?;
            return Err(error);
        }
        self.open.txn.release(begun).or_sql()?;
        Ok(())
    }

    async fn move_rows(&mut self, old: &TableDescriptor, new: &TableDescriptor) -> SqlResult<()> {
        for index in &old.indexes {
            self.clear_index(old, index).await?;
        }
        // What is buffered would hide the old rows.
        self.open.txn.write_through([]).await.or_sql()?;
        let kept: Vec<usize> =
            new.columns.iter().filter_map(|column| old.position(column.id)).collect();
        let mut from = None;
        loop {
            let (some, next) = self.some_rows(old, from).await?;
            let moved = |row: &Row| kept.iter().map(|at| row[*at].clone()).collect::<Row>();
            let rows: Vec<Row> = some.iter().map(moved).collect();
            rows.iter().try_for_each(|row| check_not_null(new, row))?;
            for index in &new.indexes {
                self.add_entries(new, index, &rows).await?;
            }
            self.open.txn.write_through([]).await.or_sql()?;
            match next {
                Some(next) => from = Some(next),
                None => return Ok(()),
            }
        }
    }
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
