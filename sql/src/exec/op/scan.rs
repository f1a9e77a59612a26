//! Reading stored tables, by the primary index or by another one with a fetch of every row.
//!
//! - S0. A page costs a request or two, however many entries it has: points are read together, and so are the rows of
//!   another index's entries.
//! - S1. Pages grow from 16 to 1,024 entries, and never beyond what is still wanted if nothing filters.
//! - S2. A locking scan locks the rows that it yields, and rows that its filter drops afterwards: they were read.
//! - S3. Backwards, spans are read from the last to the first, each from its end: whoever has enough has read no more
//!   of the table than that.

use bytes::Bytes;
use txn::db::{RowLock, WaitPolicy};

use super::span::{self, Keys};
use crate::catalog::descriptor::{ColumnId, IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use crate::error::{SqlError, SqlResult};
use crate::exec::batch::{Batch, BatchBuilder, MAX_ROWS};
use crate::exec::context::{Row, Run};
use crate::exec::errors::{from_txn, of_table};
use crate::exec::store;
use crate::plan::Node;

/// Entries of the first page.
const FIRST_PAGE: usize = 16;

type Entry = (Bytes, Bytes);

/// A scan that is being run.
#[derive(Default)]
pub(crate) struct Scan {
    started: Option<Started>,
}

struct Started {
    /// What is still to be read, the next last.
    keys: Vec<Keys>,
    /// From the last key of each span to the first.
    reverse: bool,
    page: usize,
    /// Rows that are still wanted.
    left: u64,
}

impl Scan {
    pub(super) async fn next(
        &mut self,
        node: &Node,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let batch = self.next_of(node, run).await;
        batch.map_err(|error| match node {
            Node::Scan { table, .. } => of_table(error, &table.name),
            _ => error,
        })
    }

    async fn next_of(&mut self, node: &Node, run: &mut Run<'_>) -> SqlResult<Option<Batch>> {
        let Node::Scan { table, index, spans, columns, filter, lock, limit, reverse } = node else {
            return Err(SqlError::internal("a scan is run with another node"));
        };
        let index = table.index(*index);
        let index = index.ok_or_else(|| SqlError::internal("no such index"))?;
        let started = match &mut self.started {
            Some(started) => started,
            none => {
                let mut keys = span::keys(table, index, spans, run).await?;
                if !reverse {
                    keys.reverse();
                }
                let left = limit.unwrap_or(u64::MAX);
                // What is read is locked: no more than may be wanted.
                let page = match lock {
                    Some(_) => usize::try_from(left).unwrap_or(usize::MAX).clamp(1, FIRST_PAGE),
                    None => FIRST_PAGE,
                };
                none.insert(Started { keys, reverse: *reverse, page, left })
            }
        };
        let types = node.types();
        while started.left > 0 {
            // An index entry needs its row's lock, not its own.
            let lock_entries = lock.filter(|_| index.id == PRIMARY_INDEX);
            let exact = filter.is_none();
            let Some(entries) = started.page(lock_entries, exact, run).await? else {
                return Ok(None);
            };
            let mut builder = BatchBuilder::new(&types, &run.shared.pool);
            for row in fetch(table, index, columns, entries, *lock, run).await? {
                builder.push(&row)?;
            }
            let Some(batch) = builder.finish() else {
                continue;
            };
            let batch = match filter {
                Some(filter) => run.select(filter, batch).await?,
                None => Some(batch),
            };
            if let Some(batch) = batch {
                started.left = started.left.saturating_sub(batch.len() as u64);
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl Started {
    /// The next entries; none at the end. May be empty.
    async fn page(
        &mut self,
        lock: Option<RowLock>,
        exact: bool,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Vec<Entry>>> {
        let wanted =
            if exact { usize::try_from(self.left).unwrap_or(usize::MAX) } else { MAX_ROWS };
        let page = self.page.min(wanted);
        let keys = self.pop_points(page);
        if !keys.is_empty() {
            self.page = (self.page * 2).min(MAX_ROWS);
            return Ok(Some(points(keys, lock, run).await?));
        }
        let Some(Keys::Span(start, end)) = self.keys.pop() else {
            return Ok(None);
        };
        self.page = (self.page * 2).min(MAX_ROWS);
        let rows = scan((&start, &end), self.reverse, page, lock, run).await?;
        if let Some((last, _)) = rows.last()
            && rows.len() == page
        {
            let rest = match self.reverse {
                false => (store::after(last), end),
                true => (start, last.clone()),
            };
            if rest.0 < rest.1 {
                self.keys.push(Keys::Span(rest.0, rest.1));
            }
        }
        Ok(Some(rows))
    }

    /// Points, if those are next, `max` at most.
    fn pop_points(&mut self, max: usize) -> Vec<Bytes> {
        let mut points = Vec::new();
        while points.len() < max
            && let Some(Keys::Point(_)) = self.keys.last()
            && let Some(Keys::Point(key)) = self.keys.pop()
        {
            points.push(key);
        }
        points
    }
}

async fn scan(
    (start, end): (&Bytes, &Bytes),
    reverse: bool,
    limit: usize,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Entry>> {
    let (start, end) = (start.clone(), end.clone());
    let rows = match (reverse, lock) {
        (false, None) => run.txn.scan(start, end, limit).await,
        (false, Some(lock)) => run.txn.scan_locked(start, end, limit, lock).await,
        (true, None) => run.txn.scan_reverse(start, end, limit).await,
        (true, Some(lock)) => run.txn.scan_reverse_locked(start, end, limit, lock).await,
    };
    Ok(rows.map_err(from_txn)?.into_iter().map(|row| (row.key, row.value)).collect())
}

async fn point(key: Bytes, lock: Option<RowLock>, run: &mut Run<'_>) -> SqlResult<Option<Entry>> {
    let value = match lock {
        Some(lock) => run.txn.get_locked(key.clone(), lock).await,
        None => run.txn.get(key.clone()).await,
    };
    Ok(value.map_err(from_txn)?.map(|value| (key, value)))
}

/// The entries that are there, in the order of the keys.
async fn points(
    keys: Vec<Bytes>,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Entry>> {
    let values = many(&keys, lock, run).await?;
    Ok(keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect())
}

async fn many(
    keys: &[Bytes],
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Option<Bytes>>> {
    match lock {
        Some(lock) => run.txn.get_many_locked(keys, lock).await,
        None => run.txn.get_many(keys).await,
    }
    .map_err(from_txn)
}

/// The columns of the rows of entries of any index.
async fn fetch(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    columns: &[ColumnId],
    entries: Vec<Entry>,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Row>> {
    if index.id == PRIMARY_INDEX {
        let row = |(_, value): &Entry| store::decode_columns(table, columns, value);
        return entries.iter().map(row).collect();
    }
    let keys = entries.iter().map(|(key, value)| store::row_key(table, index, key, value));
    let keys: Vec<Bytes> = keys.collect::<SqlResult<_>>()?;
    let skips = lock.is_some_and(|lock| lock.policy == WaitPolicy::Skip);
    let row = |value: Option<Bytes>| match value {
        Some(value) => Some(store::decode_columns(table, columns, &value)),
        // Locked by others.
        None if skips => None,
        None => Some(Err(store::missing_row(table, index))),
    };
    many(&keys, lock, run).await?.into_iter().filter_map(row).collect()
}

/// The row of a scan that reads one key at most, with the scan's columns; the filter is not looked at.
pub(crate) async fn point_row(node: &Node, run: &mut Run<'_>) -> SqlResult<Option<Row>> {
    let Node::Scan { table, index, spans, columns, lock, .. } = node else {
        return Err(SqlError::internal("a point read of what is no scan"));
    };
    let index = table.index(*index);
    let index = index.ok_or_else(|| SqlError::internal("no such index"))?;
    let Some(Keys::Point(key)) = span::keys(table, index, spans, run).await?.pop() else {
        return Ok(None);
    };
    let lock_entry = lock.filter(|_| index.id == PRIMARY_INDEX);
    let named = |error| of_table(error, &table.name);
    let Some(entry) = point(key, lock_entry, run).await.map_err(named)? else {
        return Ok(None);
    };
    let row = fetch(table, index, columns, vec![entry], *lock, run).await.map_err(named)?;
    // None: it is locked by others, and left out.
    Ok(row.into_iter().next())
}
