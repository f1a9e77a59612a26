//! Rows of tables as entries of indexes: what operators need of [`crate::row`], by one name for all indexes.

use bytes::Bytes;
use sql_catalog::descriptor::{ColumnId, IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use sql_plan::{LockStrength, RowLock, WaitPolicy};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use crate::row;
use crate::row::Row;
pub(crate) use row::{bounded_span, missing, not_null_span, point_key};

/// A plan's lock as a transaction takes it.
pub(crate) fn txn_lock(lock: RowLock) -> txn::db::RowLock {
    let strength = match lock.strength {
        LockStrength::Update => txn::db::LockStrength::Update,
        LockStrength::NoKeyUpdate => txn::db::LockStrength::NoKeyUpdate,
        LockStrength::Share => txn::db::LockStrength::Share,
        LockStrength::KeyShare => txn::db::LockStrength::KeyShare,
    };
    let policy = match lock.policy {
        WaitPolicy::Block => txn::db::WaitPolicy::Block,
        WaitPolicy::Error => txn::db::WaitPolicy::Error,
        WaitPolicy::Skip => txn::db::WaitPolicy::Skip,
    };
    txn::db::RowLock { strength, policy }
}

/// What a row has in an index.
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Another row may have this key, and must not: the index is unique, the row has no NULL in it, and the key is not
    /// one of our own making.
    pub exclusive: bool,
}

/// A row's entry in an index.
pub fn entry(table: &TableDescriptor, index: &IndexDescriptor, row: &[Datum]) -> SqlResult<Entry> {
    if index.id == PRIMARY_INDEX {
        let (key, value) = (row::primary_key(table, row)?, row::encode_row(table, row)?);
        return Ok(Entry { key, value, exclusive: is_exclusive(table, index, row) });
    }
    let (key, value) = row::index_entry(table, index, row)?;
    Ok(Entry { key, value, exclusive: is_exclusive(table, index, row) })
}

/// The key of a row's entry in an index.
pub(crate) fn entry_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlResult<Bytes> {
    match index.id {
        PRIMARY_INDEX => row::primary_key(table, row),
        _ => row::index_entry(table, index, row).map(|(key, _)| key),
    }
}

fn is_exclusive(table: &TableDescriptor, index: &IndexDescriptor, row: &[Datum]) -> bool {
    let is_set = |id| table.position(id).and_then(|at| row.get(at)).is_some_and(|v| !v.is_null());
    index.unique && index.key.iter().all(|(id, _)| is_set(*id)) && !is_random(table, index)
}

/// The hidden key of a table without one: 122 random bits, which no user can give. To ask whether somebody has it already
/// would cost a request a row, for an answer that is always no.
fn is_random(table: &TableDescriptor, index: &IndexDescriptor) -> bool {
    let is_hidden = |id| table.position(id).is_some_and(|at| table.columns[at].hidden);
    index.key.iter().all(|(id, _)| is_hidden(*id))
}

/// The key of a row's entry in an index, if the entry is exclusive.
pub(crate) fn exclusive_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    row: &[Datum],
) -> SqlResult<Option<Bytes>> {
    if !is_exclusive(table, index, row) {
        return Ok(None);
    }
    entry_key(table, index, row).map(Some)
}

/// The row of an entry of the primary index.
pub(crate) fn decode_row(table: &TableDescriptor, value: &[u8]) -> SqlResult<Row> {
    row::decode_row(table, value)
}

/// The columns of a row that are wanted, in that order.
pub(crate) fn decode_columns(
    table: &TableDescriptor,
    columns: &[ColumnId],
    value: &[u8],
) -> SqlResult<Row> {
    row::decode_wanted(table, columns, value)
}

/// The key of the row that an entry of another index stands for.
pub(crate) fn row_key(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    key: &[u8],
    value: &[u8],
) -> SqlResult<Bytes> {
    row::primary_key_of_entry(table, index, key, value)
}

/// The first key after another.
pub fn after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The error for an entry whose row is not there.
pub(crate) fn missing_row(table: &TableDescriptor, index: &IndexDescriptor) -> SqlError {
    let (table, index) = (&table.name, &index.name);
    let message = format!("index \"{index}\" has an entry without a row in table \"{table}\"");
    SqlError::new(SqlState::DATA_CORRUPTED, message)
}
