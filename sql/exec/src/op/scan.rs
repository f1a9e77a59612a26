//! Reading stored tables, by the primary index or by another one with a fetch of every row.
//!
//! - S0. A page costs a request or two, however many entries it has: points are read together, and so are the rows of
//!   another index's entries.
//! - S1. Pages grow from 16 to 4,096 entries, and never beyond what is still wanted if nothing filters.
//! - S2. A locking scan locks the rows that it yields, and rows that its filter drops afterwards: they were read.
//! - S3. Backwards, spans are read from the last to the first, each from its end: whoever has enough has read no more
//!   of the table than that.

use bytes::Bytes;
use sql_catalog::descriptor::PRIMARY_INDEX;
use sql_plan::{RowLock, node};
use sql_values::error::{SqlError, SqlResult};
use txn::mvcc::Order;
use txn::rows::Rows;

use crate::batch::{Batch, BatchBuilder, MAX_ROWS};
use crate::context::Run;
use crate::errors::{OrSql, of_table};
use crate::read::{self, Keys};
use crate::row::Row;
use crate::row::Wanted;
use crate::store;

/// Entries of the first page.
const FIRST_PAGE: usize = 16;
/// Entries of a page at most.
const LAST_PAGE: usize = 4 * MAX_ROWS;

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
    /// Entries that were read, and not passed on yet.
    read: Rows,
    /// Rows that are still wanted.
    left: u64,
    /// By column, what rows have that were written without it.
    missing: Option<Row>,
}

impl Scan {
    pub(super) fn open(_: &node::Scan) -> Self {
        Self::default()
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Scan,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        self.next_of(node, run).await.map_err(|error| of_table(error, &node.table.name))
    }

    async fn next_of(&mut self, node: &node::Scan, run: &mut Run<'_>) -> SqlResult<Option<Batch>> {
        let node::Scan { table, index, spans, columns, filter, lock, limit, reverse } = node;
        let index = table.index(*index);
        let index = index.ok_or_else(|| SqlError::internal("no such index"))?;
        let started = match &mut self.started {
            Some(started) => started,
            none => {
                let mut keys = read::keys(table, index, spans, run).await?;
                if !reverse {
                    keys.reverse();
                }
                let left = limit.unwrap_or(u64::MAX);
                // What is read is locked: no more than may be wanted.
                let page = match lock {
                    Some(_) => usize::try_from(left).unwrap_or(usize::MAX).clamp(1, FIRST_PAGE),
                    None => FIRST_PAGE,
                };
                let read = Rows::default();
                none.insert(Started { keys, reverse: *reverse, page, read, left, missing: None })
            }
        };
        let types = node.types();
        while started.left > 0 {
            // An index entry needs its row's lock, not its own.
            let lock_entries = lock.filter(|_| index.id == PRIMARY_INDEX);
            let exact = filter.is_none();
            if started.read.is_empty() {
                let Some(page) = started.page(lock_entries, exact, run).await? else {
                    return Ok(None);
                };
                started.read = page;
            }
            let entries = started.read.take(MAX_ROWS);
            let rows = read::rows_of(table, index, entries, *lock, run).await?;
            let mut builder = BatchBuilder::new(&types, &run.shared.pool);
            let missing = started.missing.get_or_insert_with(|| {
                columns.iter().map(|column| store::missing(table, *column)).collect()
            });
            run.ctx.eval.interrupt.spend(rows.len() as u32)?;
            let wanted = Wanted::new(columns);
            for (_, stored) in rows.iter() {
                builder.push_stored(stored, &wanted, missing)?;
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
    ) -> SqlResult<Option<Rows>> {
        // What is locked for nothing is in others' way.
        let most = if lock.is_some() { MAX_ROWS } else { LAST_PAGE };
        let wanted = if exact { usize::try_from(self.left).unwrap_or(usize::MAX) } else { most };
        let page = self.page.min(wanted).min(most);
        let keys = self.pop_points(page);
        if !keys.is_empty() {
            self.page = (self.page * 2).min(LAST_PAGE);
            return Ok(Some(read::points(keys, lock, run).await?));
        }
        let Some(Keys::Span(start, end)) = self.keys.pop() else {
            return Ok(None);
        };
        self.page = (self.page * 2).min(LAST_PAGE);
        let order = if self.reverse { Order::Descending } else { Order::Ascending };
        let rows = run
            .txn
            .scan_rows((start.clone(), end.clone()), order, page, lock.map(store::txn_lock))
            .await;
        let rows = rows.or_sql()?;
        if let Some(last) = rows.last_key()
            && rows.len() == page
        {
            let rest = match self.reverse {
                false => (store::after(last), end),
                true => (start, Bytes::copy_from_slice(last)),
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
