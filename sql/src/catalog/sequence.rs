//! Where sequences stand, as it is stored: read with what they are, and written, in whichever transaction.

use bytes::Bytes;
use sql_catalog::descriptor::sequence::SequenceState;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_exec::OrSql;
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::db::{Txn, TxnError};

use super::store::MAX_TABLES;
use super::{codec, keys};

/// What is stored of a sequence: of another relation there is no state.
pub(crate) struct Stored {
    pub(crate) table: TableDescriptor,
    pub(crate) state: Option<SequenceState>,
}

/// Reads a sequence; nobody else takes values from it before the transaction ends. None if nothing has the id.
pub(crate) async fn lock(
    txn: &mut Txn,
    id: TableId,
) -> Result<SqlResult<Option<Stored>>, TxnError> {
    let found = txn.get_many_for_update(&[keys::state(id), keys::descriptor(id)]).await?;
    Ok(decode(&found))
}

/// Reads a sequence.
pub(crate) async fn read(
    txn: &mut Txn,
    id: TableId,
) -> Result<SqlResult<Option<Stored>>, TxnError> {
    let found = txn.get_many(&[keys::state(id), keys::descriptor(id)]).await?;
    Ok(decode(&found))
}

fn decode(found: &[Option<Bytes>]) -> SqlResult<Option<Stored>> {
    let [state, Some(table)] = found else { return Ok(None) };
    let state = state.as_ref().map(|bytes| codec::decode_state(bytes)).transpose()?;
    Ok(Some(Stored { table: codec::decode_table(table)?, state }))
}

/// Where all sequences stand.
pub(crate) async fn read_all(txn: &mut Txn) -> SqlResult<Vec<(TableId, SequenceState)>> {
    let (start, end) = keys::states();
    let rows = txn.scan(start, end, MAX_TABLES).await.or_sql()?;
    let states = rows.iter().filter_map(|row| {
        let id = keys::table_of(&row.key)?;
        Some(codec::decode_state(&row.value).map(|state| (id, state)))
    });
    states.collect()
}

/// A sequence stands here from now on.
pub(crate) fn put(txn: &mut Txn, id: TableId, state: SequenceState) -> Result<(), TxnError> {
    txn.put(keys::state(id), codec::encode_state(state))
}

/// 42809 if a relation is no sequence.
pub(crate) fn not_a_sequence(table: &TableDescriptor) -> SqlError {
    let text = format!("\"{}\" is not a sequence", table.name);
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, text)
}
