//! Rows picked from batches, by whole columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Pool, Reservation};
use sql_values::types::{Datum, SqlType};

use super::column::{self, ColumnBuilder, Layout};
use super::{Batch, RESERVED_BYTES, arrow_bug};

/// Stands for a row of NULLs, or for no row.
pub(crate) const NONE: u32 = u32::MAX;
/// Bytes that a kept row needs beside its values.
const PLACE_BYTES: usize = size_of::<(u32, u32)>() + size_of::<u32>();

impl Batch {
    /// A batch of columns of `len` rows, at least one, whose values of any length have `bytes`.
    pub(crate) fn of_columns(
        len: usize,
        types: Vec<SqlType>,
        columns: Vec<ArrayRef>,
        bytes: usize,
        pool: &Pool,
    ) -> SqlResult<Batch> {
        let mut held = Vec::new();
        if bytes > RESERVED_BYTES {
            let mut reservation = pool.reserve();
            reservation.grow(bytes)?;
            held.push(Arc::new(reservation));
        }
        Ok(Batch { len, types, columns, held })
    }

    /// The columns of some of the rows, in the order given; [`NONE`] is a row of NULLs.
    pub(crate) fn pick(&self, rows: &[u32]) -> SqlResult<Vec<ArrayRef>> {
        let rows: UInt32Array =
            rows.iter().map(|row| Some(*row).filter(|row| *row != NONE)).collect();
        let pick = |column: &ArrayRef| take(column, &rows, None).map_err(arrow_bug);
        self.columns.iter().map(pick).collect()
    }

    /// By row, the bytes of its values of any length. Nothing where there are no such columns.
    pub(crate) fn widths(&self) -> Vec<u32> {
        let mut widths = Vec::new();
        for (column, ty) in self.columns.iter().zip(&self.types) {
            let offsets = match column::layout(*ty) {
                Layout::Utf8 => column.as_string::<i32>().value_offsets(),
                Layout::Binary | Layout::Encoded => column.as_binary::<i32>().value_offsets(),
                _ => continue,
            };
            widths.resize(self.len, 0);
            for (width, ends) in widths.iter_mut().zip(offsets.windows(2)) {
                *width += (ends[1] - ends[0]).unsigned_abs();
            }
        }
        widths
    }

    /// A column of integers, or of what is kept and ordered as integers.
    pub(crate) fn integers(&self, slot: usize) -> SqlResult<Vec<Option<i64>>> {
        let column = self.columns.get(slot);
        let column = column.ok_or_else(|| SqlError::internal(format!("no slot {slot}")))?;
        Ok(match column::layout(self.types[slot]) {
            Layout::Int16 => {
                column.as_primitive::<Int16Type>().iter().map(|v| v.map(i64::from)).collect()
            }
            Layout::Int32 => {
                column.as_primitive::<Int32Type>().iter().map(|v| v.map(i64::from)).collect()
            }
            Layout::UInt32 => {
                column.as_primitive::<UInt32Type>().iter().map(|v| v.map(i64::from)).collect()
            }
            Layout::Int64 => column.as_primitive::<Int64Type>().iter().collect(),
            _ => return Err(SqlError::internal("a column that is not kept as integers")),
        })
    }
}

/// True iff columns of the type are kept as integers, in whose order the values are.
pub(crate) fn is_integer(ty: SqlType) -> bool {
    matches!(column::layout(ty), Layout::Int16 | Layout::Int32 | Layout::Int64 | Layout::UInt32)
}

/// Rows that are kept, numbered from zero.
pub(crate) struct Kept {
    types: Vec<SqlType>,
    batches: Vec<Batch>,
    /// By number: batch, and row in it.
    places: Vec<(u32, u32)>,
    /// By number, as [`Batch::widths`].
    widths: Vec<u32>,
    /// One NULL of each column.
    nulls: Vec<ArrayRef>,
    held: Reservation,
}

impl Kept {
    pub(crate) fn new(types: &[SqlType], pool: &Pool) -> SqlResult<Kept> {
        let null = |ty: &SqlType| {
            let mut builder = ColumnBuilder::new(*ty);
            builder.push(&Datum::Null)?;
            Ok(builder.finish())
        };
        let nulls = types.iter().map(null).collect::<SqlResult<_>>()?;
        let held = pool.reserve();
        let types = types.to_vec();
        Ok(Kept { types, batches: Vec::new(), places: Vec::new(), widths: Vec::new(), nulls, held })
    }

    /// Keeps all rows of a batch, counted.
    pub(crate) fn push(&mut self, mut batch: Batch) -> SqlResult<()> {
        let number = self.batches.len() as u32;
        if self.places.len() + batch.len >= NONE as usize {
            return Err(SqlError::internal("more rows than can be numbered"));
        }
        let of_column = |column: &ArrayRef| {
            // Of a slice, only what is in it.
            column.to_data().get_slice_memory_size().map_err(arrow_bug)
        };
        let mut bytes = batch.len * PLACE_BYTES;
        for column in &batch.columns {
            bytes += of_column(column)?;
        }
        // Its own reservation was for the time until here.
        batch.held.clear();
        self.held.grow(bytes)?;
        self.widths.extend(batch.widths());
        self.places.extend((0..batch.len as u32).map(|row| (number, row)));
        self.batches.push(batch);
        Ok(())
    }

    /// The types of the slots.
    pub(crate) fn types(&self) -> impl Iterator<Item = SqlType> {
        self.types.iter().copied()
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of the values of any length of a row.
    pub(crate) fn width(&self, row: u32) -> usize {
        self.widths.get(row as usize).map_or(0, |width| *width as usize)
    }

    /// The columns of some of the rows, in the order given; [`NONE`] is a row of NULLs.
    pub(crate) fn pick(&self, rows: &[u32]) -> SqlResult<Vec<ArrayRef>> {
        let place = |row: &u32| match self.places.get(*row as usize) {
            Some((batch, row)) => (*batch as usize, *row as usize),
            None => (self.batches.len(), 0),
        };
        let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
        let pick = |(slot, null): (usize, &ArrayRef)| {
            let columns = self.batches.iter().map(|batch| batch.columns[slot].as_ref());
            let columns: Vec<&dyn Array> = columns.chain([null.as_ref()]).collect();
            interleave(&columns, &places).map_err(arrow_bug)
        };
        self.nulls.iter().enumerate().map(pick).collect()
    }
}
