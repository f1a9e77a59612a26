//! Rows as keys and values (`docs/storage-format.md`, "Tables").
//!
//! ```text
//!  row of table 16384 (id, name, email), primary key (id), unique (email), index on (name)
//!
//!  03 ‖ 16384 ‖ 1 ‖ id          ─▶ 01 (1, id) (2, name) (3, email)      the row
//!  03 ‖ 16384 ‖ 2 ‖ email       ─▶ 01 id                                unique: points to the row
//!  03 ‖ 16384 ‖ 3 ‖ name ‖ id   ─▶ 01                                   not unique: the key tells the row
//! ```
//!
//! Invariants:
//! - I1: the order of keys is the order of their columns' values, each by [`SqlType::compare`], NULL last when
//!   ascending and first when descending.
//! - I2: no encoded datum is a prefix of another of its type, so whatever follows does not disturb the order.
//! - I3: values that are equal have equal keys (1.0 and 1.00, -0 and 0). A key therefore does not say how a value was
//!   written: the row holds every column, those of its key too.
//! - I4: a key has no zero byte, which kv would have to escape, but in some uuids and in descending byteas.
//! - I5: decoding never panics and never reserves more than the bytes at hand could fill.

mod key;
mod ordered;
mod value;

use std::ops::Range;

use bytes::Bytes;

pub use key::{decode_key_datum, encode_key_datum};
pub(crate) use ordered::steps;
use sql_catalog::descriptor::{IndexDescriptor, IndexId, PRIMARY_INDEX, TableDescriptor, TableId};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
pub(crate) use value::{Value, Wanted, decode_passing, encode_passing, missing};
pub use value::{
    decode_columns, decode_datum, decode_row, decode_wanted, encode_datum, encode_row,
};

/// First byte of the keys of system tables: `kv::range::bootstrap::SYSTEM_PREFIX`, which this crate cannot name. Both
/// are of the storage format and never change.
pub const SYSTEM_PREFIX: u8 = 0x02;

/// First byte of the keys of users' tables: `kv::range::bootstrap::DATA_PREFIX`.
pub const DATA_PREFIX: u8 = 0x03;

/// The first id of a user's table; those below are the system's.
pub const FIRST_USER_TABLE: TableId = TableId(16_384);

/// A row outside of a batch.
pub type Row = Vec<Datum>;

/// Version of the values of rows and of index entries.
pub const VALUE_VERSION: u8 = 1;

/// Bytes that a key has at most: what one entry may hold of an index's columns.
pub const KEY_LEN_MAX: usize = 8 * 1024;

fn corrupted(what: &str) -> SqlError {
    SqlError::new(SqlState::DATA_CORRUPTED, what)
}

/// What all keys of a table begin with.
pub fn table_prefix(table: TableId) -> Vec<u8> {
    let space = if table < FIRST_USER_TABLE { SYSTEM_PREFIX } else { DATA_PREFIX };
    let mut out = Vec::with_capacity(32);
    out.push(space);
    ordered::put_integer(&mut out, table.0);
    out
}

/// What all keys of an index begin with.
pub fn index_prefix(table: TableId, index: IndexId) -> Vec<u8> {
    let mut out = table_prefix(table);
    ordered::put_integer(&mut out, index.0);
    out
}

/// The keys that begin with a prefix.
pub fn prefix_span(prefix: &[u8]) -> Range<Bytes> {
    Bytes::copy_from_slice(prefix)..prefix_end(prefix)
}

/// The least key after all that begin with a prefix. Every prefix here begins with a byte below ff.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

/// The keys of a table, indexes and all.
pub fn table_span(table: TableId) -> Range<Bytes> {
    prefix_span(&table_prefix(table))
}

/// The keys of an index.
pub fn index_span(table: TableId, index: IndexId) -> Range<Bytes> {
    prefix_span(&index_prefix(table, index))
}

/// A key column's type and direction.
fn key_column(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    at: usize,
) -> SqlResult<(SqlType, bool)> {
    let (id, descending) =
        *index.key.get(at).ok_or_else(|| SqlError::internal("an index has fewer columns"))?;
    let position = table.position(id).ok_or_else(|| SqlError::internal("a key column is gone"))?;
    Ok((table.columns[position].ty, descending))
}

/// Appends an index's columns of a row; true iff one of them is NULL.
fn append_columns(
    out: &mut Vec<u8>,
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlResult<bool> {
    let mut has_null = false;
    for (at, (id, _)) in index.key.iter().enumerate() {
        let (ty, descending) = key_column(table, index, at)?;
        let value = table.position(*id).and_then(|position| row.get(position));
        let value = value.ok_or_else(|| SqlError::internal("a row lacks a key column"))?;
        has_null |= value.is_null();
        encode_key_datum(out, ty, value, descending)?;
    }
    if out.len() > KEY_LEN_MAX {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "index row size {} exceeds maximum {KEY_LEN_MAX} for index \"{}\"",
                out.len(),
                index.name
            ),
        ));
    }
    Ok(has_null)
}

fn primary(table: &TableDescriptor) -> SqlResult<&IndexDescriptor> {
    table.primary().ok_or_else(|| SqlError::internal("a stored table has no primary index"))
}

/// The key of a row: one datum a column of the table, in its order.
pub fn primary_key(table: &TableDescriptor, row: &[Datum]) -> SqlResult<Bytes> {
    let mut out = index_prefix(table.id, PRIMARY_INDEX);
    append_columns(&mut out, table, primary(table)?, row)?;
    Ok(out.into())
}

/// Key and value of a row's entry in an index other than the primary one.
pub fn index_entry(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlResult<(Bytes, Bytes)> {
    let mut key = index_prefix(table.id, index.id);
    let has_null = append_columns(&mut key, table, index, row)?;
    let mut value = vec![VALUE_VERSION];
    // NULLs differ from each other: a unique entry with one is told apart by its row, like any that is not unique.
    let to = if index.unique && !has_null { &mut value } else { &mut key };
    append_columns(to, table, primary(table)?, row)?;
    Ok((key.into(), value.into()))
}

/// The key of the row that an entry of another index stands for.
pub fn primary_key_of_entry(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    key: &[u8],
    value: &[u8],
) -> SqlResult<Bytes> {
    let prefix = index_prefix(table.id, index.id);
    let mut rest =
        key.strip_prefix(&prefix[..]).ok_or_else(|| corrupted("a key is not of its index"))?;
    for at in 0..index.key.len() {
        let (ty, descending) = key_column(table, index, at)?;
        decode_key_datum(&mut rest, ty, descending)?;
    }
    let (version, pointer) =
        value.split_first().ok_or_else(|| corrupted("an index entry is empty"))?;
    if *version != VALUE_VERSION {
        return Err(corrupted("an index entry has an unknown version"));
    }
    // Exactly one of the two tells the row.
    let suffix = if rest.is_empty() { pointer } else { rest };
    if suffix.is_empty() || (!rest.is_empty() && !pointer.is_empty()) {
        return Err(corrupted("an index entry does not tell its row"));
    }
    let mut out = index_prefix(table.id, PRIMARY_INDEX);
    out.extend_from_slice(suffix);
    Ok(out.into())
}

/// The key columns of an entry. They are equal to those of the row, not always written alike (I3).
pub fn decode_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    key: &[u8],
) -> SqlResult<Vec<Datum>> {
    let prefix = index_prefix(table.id, index.id);
    let mut rest =
        key.strip_prefix(&prefix[..]).ok_or_else(|| corrupted("a key is not of its index"))?;
    (0..index.key.len())
        .map(|at| {
            let (ty, descending) = key_column(table, index, at)?;
            decode_key_datum(&mut rest, ty, descending)
        })
        .collect()
}

/// The key of the only entry with these values: all columns of the primary index, or of a unique one without NULLs.
pub fn point_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    values: &[Datum],
) -> SqlResult<Bytes> {
    append_values(table, index, values).map(Bytes::from)
}

fn append_values(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    values: &[Datum],
) -> SqlResult<Vec<u8>> {
    let mut out = index_prefix(table.id, index.id);
    for (at, value) in values.iter().enumerate() {
        let (ty, descending) = key_column(table, index, at)?;
        encode_key_datum(&mut out, ty, value, descending)?;
    }
    Ok(out)
}

/// A bound of a key column: its value, and whether it is included.
pub type Bound<'a> = Option<(&'a Datum, bool)>;

/// The keys whose first columns equal the given values, and whose next one lies within bounds of its values (not of
/// the index's direction). A bound excludes NULL. None if nothing can: a value is NULL, or the bounds cross.
pub fn bounded_span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Bound<'_>,
    upper: Bound<'_>,
) -> SqlResult<Option<Range<Bytes>>> {
    let null_bound = [lower, upper].into_iter().flatten().any(|(value, _)| value.is_null());
    if null_bound || equal.iter().any(Datum::is_null) {
        return Ok(None);
    }
    let prefix = append_values(table, index, equal)?;
    if lower.is_none() && upper.is_none() {
        return Ok(Some(prefix_span(&prefix)));
    }
    let (ty, descending) = key_column(table, index, equal.len())?;
    let with = |value: &Datum| -> SqlResult<Vec<u8>> {
        let mut key = prefix.clone();
        encode_key_datum(&mut key, ty, value, descending)?;
        Ok(key)
    };
    // In the order of keys; NULLs are at the end that their direction puts them.
    let (first, last) = if descending { (upper, lower) } else { (lower, upper) };
    let nulls = with(&Datum::Null)?;
    let start = match first {
        Some((value, true)) => with(value)?.into(),
        Some((value, false)) => prefix_end(&with(value)?),
        None if descending => prefix_end(&nulls),
        None => prefix.clone().into(),
    };
    let end = match last {
        Some((value, true)) => prefix_end(&with(value)?),
        Some((value, false)) => with(value)?.into(),
        None if descending => prefix_end(&prefix),
        None => nulls.into(),
    };
    Ok((start < end).then_some(start..end))
}

/// The keys of an index that begin with the given values and whose next column is not NULL. None if there cannot be any.
pub fn not_null_span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
) -> SqlResult<Option<Range<Bytes>>> {
    if equal.iter().any(Datum::is_null) {
        return Ok(None);
    }
    let prefix = append_values(table, index, equal)?;
    let (ty, descending) = key_column(table, index, equal.len())?;
    let mut nulls = prefix.clone();
    encode_key_datum(&mut nulls, ty, &Datum::Null, descending)?;
    Ok(Some(match descending {
        false => prefix.into()..nulls.into(),
        true => prefix_end(&nulls)..prefix_end(&prefix),
    }))
}

#[cfg(test)]
mod tests;
