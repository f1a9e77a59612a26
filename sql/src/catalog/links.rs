//! Which sequences go with a table's columns, and which defaults take their values from a sequence: what DROP must know,
//! without reading the whole catalog. Written with the descriptors that say so.

use std::collections::BTreeSet;

use bytes::Bytes;
use sql_catalog::descriptor::sequence::relations_in;
use sql_catalog::descriptor::{ColumnId, TableDescriptor, TableId};
use sql_exec::OrSql;
use sql_values::error::{SqlError, SqlResult, SqlState};
use txn::db::Txn;

use super::store::MAX_TABLES;
use super::{codec, keys};

/// The links that a descriptor stands for.
fn links_of(table: &TableDescriptor) -> BTreeSet<Bytes> {
    let owner = table.sequence().and_then(|sequence| sequence.owner);
    let owned = owner.map(|owner| keys::owned(owner.table, owner.column, table.id));
    let used = table.columns.iter().flat_map(|column| {
        let relations = column.default.as_deref().map(relations_in).unwrap_or_default();
        relations.into_iter().map(|id| keys::used(TableId(id), table.id, column.id))
    });
    owned.into_iter().chain(used).collect()
}

/// A descriptor takes another's place: either may be none.
pub(super) fn write(
    txn: &mut Txn,
    old: Option<&TableDescriptor>,
    new: Option<&TableDescriptor>,
) -> SqlResult<()> {
    let links = |table: Option<&TableDescriptor>| table.map(links_of).unwrap_or_default();
    let (gone, here) = (links(old), links(new));
    for link in gone.difference(&here) {
        txn.delete(link.clone()).or_sql()?;
    }
    for link in here.difference(&gone) {
        txn.put(link.clone(), codec::encode(&codec::Link {})).or_sql()?;
    }
    Ok(())
}

async fn scan(txn: &mut Txn, (start, end): (Bytes, Bytes)) -> SqlResult<Vec<Bytes>> {
    let rows = txn.scan(start, end, MAX_TABLES + 1).await.or_sql()?;
    if rows.len() > MAX_TABLES {
        let text = format!("more than {MAX_TABLES} columns depend on a sequence");
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
    }
    Ok(rows.into_iter().map(|row| row.key).collect())
}

/// The sequences that go with a table's columns: with the columns, in their order.
pub(crate) async fn owned(txn: &mut Txn, table: TableId) -> SqlResult<Vec<(ColumnId, TableId)>> {
    let links = scan(txn, keys::all_owned(table)).await?;
    Ok(links.iter().filter_map(|link| keys::owned_in(link)).collect())
}

/// The columns whose defaults name a sequence.
pub(crate) async fn users(txn: &mut Txn, sequence: TableId) -> SqlResult<Vec<(TableId, ColumnId)>> {
    let links = scan(txn, keys::all_used(sequence)).await?;
    Ok(links.iter().filter_map(|link| keys::used_in(link)).collect())
}
