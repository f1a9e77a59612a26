//! Reading stored tables, by the primary index or by another one with a fetch of every row.
//!
//! - S0. A page costs a request or two, however many entries it has: points are read together, and so are the rows of
//!   another index's entries.
//! - S1. Pages grow from 16 to 1,024 entries, and never beyond what is still wanted if nothing filters.
//! - S2. A locking scan locks the rows that it yields, and rows that its filter drops afterwards: they were read.
//! - S3. Backwards, spans are read from the last to the first, each forwards to its end and then turned round: the
//!   transaction has no reverse scan yet, so a span costs memory.

use bytes::Bytes;
use txn::db::{RowLock, WaitPolicy};

use super::span::{self, Keys};
use crate::catalog::descriptor::{ColumnId, IndexDescriptor, PRIMARY_INDEX, TableDescriptor};
use crate::error::{SqlError, SqlResult};
use crate::exec::batch::{Batch, BatchBuilder, MAX_ROWS};
use crate::exec::context::{Reservation, Row, Run};
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
    /// Of the present span, when backwards: what is still to be given, the next last.
    entries: Vec<Entry>,
    held: Reservation,
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
                let held = run.shared.pool.reserve();
                let left = limit.unwrap_or(u64::MAX);
                let entries = Vec::new();
                // What is read is locked: no more than may be wanted.
                let page = match lock {
                    Some(_) => usize::try_from(left).unwrap_or(usize::MAX).clamp(1, FIRST_PAGE),
                    None => FIRST_PAGE,
                };
                none.insert(Started { keys, entries, held, page, left })
            }
        };
        let positions = positions(table, columns)?;
        let types = node.types();
        while started.left > 0 {
            // An index entry needs its row's lock, not its own.
            let lock_entries = lock.filter(|_| index.id == PRIMARY_INDEX);
            let exact = filter.is_none();
            let entries = match reverse {
                false => started.page(lock_entries, exact, run).await?,
                true => started.page_back(lock_entries, run).await?,
            };
            let Some(mut entries) = entries else {
                return Ok(None);
            };
            if exact {
                // The others' rows are not wanted, and must not be locked.
                entries.truncate(usize::try_from(started.left).unwrap_or(usize::MAX));
            }
            let mut builder = BatchBuilder::new(&types);
            for row in fetch(table, index, entries, *lock, run).await? {
                builder.push(&pick(row, &positions))?;
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
        let rows = scan(start, end.clone(), page, lock, run).await?;
        if let Some((last, _)) = rows.last()
            && rows.len() == page
        {
            self.keys.push(Keys::Span(store::after(last), end));
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

    /// The next entries in descending order.
    async fn page_back(
        &mut self,
        lock: Option<RowLock>,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Vec<Entry>>> {
        if self.entries.is_empty() {
            self.held.clear();
            let mut keys = self.pop_points(self.page);
            // They were taken from the last to the first.
            keys.reverse();
            let next = if keys.is_empty() { self.keys.pop() } else { None };
            self.entries = match next {
                None if keys.is_empty() => return Ok(None),
                None => points(keys, lock, run).await?,
                Some(Keys::Point(key)) => point(key, lock, run).await?.into_iter().collect(),
                Some(Keys::Span(mut start, end)) => {
                    let mut all = Vec::new();
                    loop {
                        let rows = scan(start, end.clone(), MAX_ROWS, lock, run).await?;
                        run.ctx.cancel.check()?;
                        let size = |(key, value): &Entry| key.len() + value.len();
                        self.held.grow(rows.iter().map(size).sum())?;
                        let is_full = rows.len() == MAX_ROWS;
                        all.extend(rows);
                        match all.last() {
                            Some((last, _)) if is_full => start = store::after(last),
                            _ => break all,
                        }
                    }
                }
            };
        }
        let page = self.page.min(self.entries.len());
        self.page = (self.page * 2).min(MAX_ROWS);
        let mut entries = self.entries.split_off(self.entries.len() - page);
        entries.reverse();
        Ok(Some(entries))
    }
}

async fn scan(
    start: Bytes,
    end: Bytes,
    limit: usize,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Entry>> {
    let rows = match lock {
        Some(lock) => run.txn.scan_locked(start, end, limit, lock).await,
        None => run.txn.scan(start, end, limit).await,
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

/// The rows of entries of any index.
async fn fetch(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    entries: Vec<Entry>,
    lock: Option<RowLock>,
    run: &mut Run<'_>,
) -> SqlResult<Vec<Row>> {
    if index.id == PRIMARY_INDEX {
        return entries.iter().map(|(_, value)| store::decode_row(table, value)).collect();
    }
    let keys = entries.iter().map(|(key, value)| store::row_key(table, index, key, value));
    let keys: Vec<Bytes> = keys.collect::<SqlResult<_>>()?;
    let skips = lock.is_some_and(|lock| lock.policy == WaitPolicy::Skip);
    let row = |value: Option<Bytes>| match value {
        Some(value) => Some(store::decode_row(table, &value)),
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
    let row = fetch(table, index, vec![entry], *lock, run).await.map_err(named)?.pop();
    // None: it is locked by others, and left out.
    let Some(row) = row else { return Ok(None) };
    Ok(Some(pick(row, &positions(table, columns)?)))
}

fn positions(table: &TableDescriptor, columns: &[ColumnId]) -> SqlResult<Vec<usize>> {
    let position = |id: &ColumnId| {
        let at = table.position(*id);
        at.ok_or_else(|| SqlError::internal(format!("{} has no column {}", table.name, id.0)))
    };
    columns.iter().map(position).collect()
}

fn pick(mut row: Row, positions: &[usize]) -> Row {
    if positions.len() == row.len() && positions.iter().enumerate().all(|(at, from)| at == *from) {
        return row;
    }
    let mut picked: Row = Vec::with_capacity(positions.len());
    for (at, from) in positions.iter().enumerate() {
        // A column may be wanted twice.
        let again = positions[at + 1..].contains(from);
        let value = if again {
            row[*from].clone()
        } else {
            std::mem::replace(&mut row[*from], crate::types::Datum::Null)
        };
        picked.push(value);
    }
    picked
}
