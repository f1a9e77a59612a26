//! What a scan reads: the spans of an index with their values filled in, entries by their keys, and the rows that entries
//! of other indexes stand for.

use bytes::Bytes;
use sql_catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use sql_plan::{IndexSpan, RowLock, WaitPolicy, node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;
use txn::rows::Rows;

use crate::context::Run;
use crate::errors::{OrSql, of_table};
use crate::row::Row;
use crate::store;

/// A part of an index, as keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// One key that may be there.
    Point(Bytes),
    /// `[start, end)`, not empty.
    Span(Bytes, Bytes),
}

/// The keys of the spans, in their order; of no span, all of the index.
pub(crate) async fn keys(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    spans: &[IndexSpan],
    run: &mut Run<'_>,
) -> SqlResult<Vec<Keys>> {
    let mut found = Vec::with_capacity(spans.len().max(1));
    if spans.is_empty() {
        found.extend(span(table, index, &[], None, None)?);
    }
    for IndexSpan { equal, lower, upper, not_null } in spans {
        let equal = run.eval_all(equal, &[]).await?;
        let mut bounds = [None, None];
        for (bound, given) in bounds.iter_mut().zip([lower, upper]) {
            if let Some((expr, inclusive)) = given {
                *bound = Some((run.eval(expr, &[]).await?, *inclusive));
            }
        }
        let [lower, upper] = &bounds;
        if is_point(index, &equal) && lower.is_none() && upper.is_none() {
            if !equal.iter().any(Datum::is_null) {
                found.push(Keys::Point(store::point_key(table, index, &equal)?));
            }
        } else if *not_null && lower.is_none() && upper.is_none() {
            let span = store::not_null_span(table, index, &equal)?;
            found.extend(span.map(|span| Keys::Span(span.start, span.end)));
        } else {
            found.extend(span(table, index, &equal, lower.as_ref(), upper.as_ref())?);
        }
    }
    Ok(found)
}

/// At most one entry has these values, if none is NULL.
fn is_point(index: &IndexDescriptor, equal: &[Datum]) -> bool {
    index.unique && equal.len() == index.key.len()
}

fn span(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    equal: &[Datum],
    lower: Option<&(Datum, bool)>,
    upper: Option<&(Datum, bool)>,
) -> SqlResult<Option<Keys>> {
    let lower = lower.map(|(value, inclusive)| (value, *inclusive));
    let upper = upper.map(|(value, inclusive)| (value, *inclusive));
    let found = store::bounded_span(table, index, equal, lower, upper)?;
    Ok(found.map(|span| Keys::Span(span.start, span.end)))
}

async fn point(
    key: Bytes,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Option<(Bytes, Bytes)>> {
    let value = match lock {
        Some(lock) => run.txn.get_locked(key.clone(), store::txn_lock(lock)).await,
        None => run.txn.get(key.clone()).await,
    };
    Ok(value.or_sql()?.map(|value| (key, value)))
}

/// The entries that are there, in the order of the keys.
pub(crate) async fn points(
    keys: Vec<Bytes>,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Rows> {
    let values = many(&keys, lock, run).await?;
    Ok(keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect())
}

async fn many(
    keys: &[Bytes],
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Option<Bytes>>> {
    match lock {
        Some(lock) => run.txn.get_many_locked(keys, store::txn_lock(lock)).await,
        None => run.txn.get_many(keys).await,
    }
    .or_sql()
}

/// The rows of entries of any index.
pub(crate) async fn rows_of(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    entries: Rows,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Rows> {
    if index.id == PRIMARY_INDEX {
        return Ok(entries);
    }
    let keys = entries.iter().map(|(key, value)| store::row_key(table, index, key, value));
    let keys: Vec<Bytes> = keys.collect::<SqlResult<_>>()?;
    let skips = lock.is_some_and(|lock| lock.policy == WaitPolicy::Skip);
    let values = many(&keys, lock, run).await?;
    let row = |(key, value): (Bytes, Option<Bytes>)| match value {
        Some(value) => Some(Ok((key, value))),
        // Locked by others.
        None if skips => None,
        None => Some(Err(store::missing_row(table, index))),
    };
    keys.into_iter().zip(values).filter_map(row).collect()
}

/// The row of a scan that reads one key at most, with the scan's columns; the filter is not looked at.
pub(crate) async fn point_row(node: &node::Scan, run: &mut Run<'_>) -> SqlResult<Option<Row>> {
    let node::Scan { table, index, spans, columns, lock, .. } = node;
    let index = table.index(*index);
    let index = index.ok_or_else(|| SqlError::internal("no such index"))?;
    let Some(Keys::Point(key)) = keys(table, index, spans, run).await?.pop() else {
        return Ok(None);
    };
    let lock_entry = lock.filter(|_| index.id == PRIMARY_INDEX);
    let named = |error| of_table(error, &table.name);
    let Some(entry) = point(key, lock_entry, run).await.map_err(named)? else {
        return Ok(None);
    };
    let entries = [entry].into_iter().collect();
    let rows = rows_of(table, index, entries, *lock, run).await.map_err(named)?;
    // None: it is locked by others, and left out.
    let row = rows.iter().next().map(|(_, stored)| store::decode_columns(table, columns, stored));
    row.transpose()
}
