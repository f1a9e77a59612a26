//! Batches: what flows between operators.
//!
//! - B1. A batch has 1 to [`MAX_ROWS`] rows. The end of a stream is the absence of a batch, never an empty one.
//! - B2. A column's Arrow type follows from the slot's SQL type alone ([`column`] has the table), and a value that is
//!   not of its slot's type is a bug that is reported, not converted.
//! - B3a. A batch is complete when its rows are many or its values long: one of long values holds few rows. What it holds
//!   beyond a little is reserved before it is copied there, for as long as there is the batch, or a part of it.
//! - B3. Whatever is computed from whole arrays (`eval::vector`) is what an evaluation gives for each row; where
//!   it cannot be, it is computed row by row.

pub(crate) mod column;
mod gather;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Pool, Reservation, heap_bytes};
use sql_values::types::{Datum, SqlType};

use crate::row::Row;
use crate::row::{Value, Wanted};
use column::ColumnBuilder;
pub(crate) use gather::{Kept, NONE, is_integer};

/// Rows of a batch at most.
pub const MAX_ROWS: usize = 1_024;

/// Bytes of values of any length from which on a batch is complete.
pub(crate) const FULL_BYTES: usize = 1 << 20;
/// Bytes that are reserved at a time.
const RESERVED_BYTES: usize = 64 << 10;

/// Rows as columns.
#[derive(Clone)]
pub struct Batch {
    len: usize,
    types: Vec<SqlType>,
    columns: Vec<ArrayRef>,
    /// For the values, if they are not small.
    held: Vec<Arc<Reservation>>,
}

impl Batch {
    /// Number of rows.
    #[allow(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The types of the slots.
    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// A slot's values.
    pub fn column(&self, slot: usize) -> Option<&ArrayRef> {
        self.columns.get(slot)
    }

    /// One value.
    pub fn datum(&self, slot: usize, row: usize) -> SqlResult<Datum> {
        let column = self.columns.get(slot);
        let column = column.ok_or_else(|| SqlError::internal(format!("no slot {slot}")))?;
        column::read(column, self.types[slot], row)
    }

    /// One row.
    pub fn row(&self, row: usize) -> SqlResult<Row> {
        (0..self.columns.len()).map(|slot| self.datum(slot, row)).collect()
    }

    /// Every row.
    pub fn rows(&self) -> SqlResult<Vec<Row>> {
        (0..self.len).map(|row| self.row(row)).collect()
    }

    /// A batch of the columns of another one with as many rows, in the place of the own ones. What is not of this batch is
    /// in the reservation.
    pub(crate) fn with_columns(&self, values: Batch, held: Reservation) -> Batch {
        // Columns of this batch may be among them.
        let held = vec![Arc::new(held)].into_iter().chain(self.held.clone()).collect();
        Batch { len: self.len, types: values.types, columns: values.columns, held }
    }

    /// The rows for which `keep` is true; none if there is none.
    pub(crate) fn filter(self, keep: &BooleanArray) -> SqlResult<Option<Batch>> {
        let predicate = arrow_select::filter::FilterBuilder::new(keep).optimize().build();
        let len = predicate.count();
        if len == self.len {
            return Ok(Some(self));
        }
        if len == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter().map(|column| predicate.filter(column));
        let columns = columns.collect::<Result<_, _>>().map_err(arrow_bug)?;
        Ok(Some(Batch { len, types: self.types, columns, held: self.held }))
    }

    /// Rows `[start, start + len)`; none if there is none.
    pub(crate) fn slice(&self, start: usize, len: usize) -> Option<Batch> {
        let start = start.min(self.len);
        let len = len.min(self.len - start);
        let columns = self.columns.iter().map(|column| column.slice(start, len)).collect();
        let held = self.held.clone();
        (len > 0).then(|| Batch { len, types: self.types.clone(), columns, held })
    }
}

/// Makes batches from rows.
pub(crate) struct BatchBuilder {
    types: Vec<SqlType>,
    columns: Vec<ColumnBuilder>,
    len: usize,
    /// Of the values, and how many of them are reserved.
    bytes: usize,
    reserved: usize,
    held: Reservation,
}

impl BatchBuilder {
    pub(crate) fn new(types: &[SqlType], pool: &Pool) -> Self {
        let columns = types.iter().map(|ty| ColumnBuilder::new(*ty)).collect();
        let types = types.to_vec();
        BatchBuilder { types, columns, len: 0, bytes: 0, reserved: 0, held: pool.reserve() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &[Datum]) -> SqlResult<()> {
        if row.len() != self.columns.len() {
            let (given, wanted) = (row.len(), self.columns.len());
            return Err(SqlError::internal(format!("{given} values for {wanted} slots")));
        }
        self.count(row.iter().map(heap_bytes).sum())?;
        for (column, datum) in self.columns.iter_mut().zip(row) {
            column.push(datum)?;
        }
        self.len += 1;
        Ok(())
    }

    /// Adds a row as it is stored, of a table's columns. `missing` has what it may have been written without.
    pub(crate) fn push_stored(
        &mut self,
        stored: &[u8],
        columns: &Wanted<'_>,
        missing: &[Datum],
    ) -> SqlResult<()> {
        if columns.len() != self.columns.len() {
            let (given, wanted) = (columns.len(), self.columns.len());
            return Err(SqlError::internal(format!("{given} columns for {wanted} slots")));
        }
        self.len += 1;
        columns.each(stored, &mut |at, value| {
            self.count(match value {
                Value::Null => 0,
                Value::Text(text) => text.len(),
                Value::Bytea(bytes) => bytes.len(),
                Value::Datum(datum) => heap_bytes(datum),
            })?;
            self.columns[at].push_value(value)
        })?;
        for (column, missing) in self.columns.iter_mut().zip(missing) {
            if column.len() < self.len {
                column.push(missing)?;
            }
        }
        Ok(())
    }

    /// Before so many bytes of values are copied.
    fn count(&mut self, bytes: usize) -> SqlResult<()> {
        self.bytes += bytes;
        if self.bytes > self.reserved.max(RESERVED_BYTES) {
            let reserved = self.bytes.next_multiple_of(RESERVED_BYTES);
            self.held.grow(reserved - self.reserved)?;
            self.reserved = reserved;
        }
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= MAX_ROWS || self.bytes >= FULL_BYTES
    }

    /// What was added; none if nothing.
    pub(crate) fn finish(mut self) -> Option<Batch> {
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let held = (self.reserved > 0).then(|| Arc::new(self.held)).into_iter().collect();
        (self.len > 0).then(|| Batch { len: self.len, types: self.types, columns, held })
    }
}

/// Takes a batch's worth of rows from an iterator; none at its end.
pub(crate) fn next_batch(
    types: &[SqlType],
    rows: &mut dyn Iterator<Item = Row>,
    pool: &Pool,
) -> SqlResult<Option<Batch>> {
    let mut builder = BatchBuilder::new(types, pool);
    while !builder.is_full()
        && let Some(row) = rows.next()
    {
        builder.push(&row)?;
    }
    Ok(builder.finish())
}

pub(crate) fn arrow_bug(error: arrow_schema::ArrowError) -> SqlError {
    SqlError::internal(format!("arrow: {error}"))
}
