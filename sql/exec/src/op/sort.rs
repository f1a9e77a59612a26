//! ORDER BY: everything in memory, or the first rows of it.

use std::cmp::Ordering;

use sql_plan::{Node, SortKey, node};
use sql_values::error::SqlResult;
use sql_values::memory::{Reservation, row_bytes};
use sql_values::types::Datum;

use super::Op;
use super::limit::bound;
use super::parts::Parts;
use crate::batch::{Batch, next_batch};
use crate::context::Run;
use crate::keys::compare;
use crate::row::Row;

/// A row with the values that it is sorted by.
pub(crate) type Keyed = (Row, Row);

/// Reads its input to the end before its first row.
pub(crate) struct Sort {
    input: Op,
    parts: Parts,
    sorted: Option<(std::vec::IntoIter<Keyed>, Reservation)>,
}

impl Sort {
    pub(super) fn open(node: &node::Sort) -> Self {
        Sort { input: Op::open(&node.input), parts: Parts::new(), sorted: None }
    }

    pub(super) async fn next(
        &mut self,
        node: &node::Sort,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::Sort { input, keys, limit } = node;
        if self.sorted.is_none() {
            let limit = bound(limit.as_ref(), "LIMIT", run).await?;
            let limit =
                limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let mut held = run.shared.pool.reserve();
            let rows = self.read(input, keys, limit, run, &mut held).await?;
            self.sorted = Some((rows.into_iter(), held));
        }
        match &mut self.sorted {
            Some((rows, _)) => {
                let mut rows = rows.map(|(_, row)| row);
                next_batch(&input.types(), &mut rows, &run.shared.pool)
            }
            None => Ok(None),
        }
    }

    /// Of more than twice the wanted rows, those that cannot be among the first are dropped from time to time: what
    /// stays keeps its order, so the sort is stable all the same. From then on, rows that come after all that stayed are
    /// not even taken out of their batch.
    async fn read(
        &mut self,
        input: &Node,
        keys: &[SortKey],
        limit: usize,
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<Vec<Keyed>> {
        let room = limit.saturating_mul(2).saturating_add(ROOM_ROWS);
        let pool = run.shared.pool.clone();
        let scratch = pool.scratch();
        let mut rows: Vec<Keyed> = Vec::new();
        // The key of the last row that is wanted, as far as is known.
        let mut last: Option<Row> = None;
        let mut key = Row::new();
        while let Some(batch) = self.input.next(input, run).await? {
            run.step().await?;
            let mut done = 0;
            let exprs = || keys.iter().map(|key| &key.expr);
            while let Some(part) = self.parts.next(&batch, done, exprs(), run).await? {
                done += part.rows.len();
                for at in 0..part.rows.len() {
                    run.ctx.eval.interrupt.spend(1)?;
                    key.clear();
                    for slot in 0..keys.len() {
                        key.push(part.values.datum(slot, at)?);
                    }
                    if last.as_ref().is_some_and(|last| order(keys, &key, last).is_ge()) {
                        continue;
                    }
                    let row = part.rows.row(at)?;
                    held.grow_row(&key)?;
                    held.grow_row(&row)?;
                    rows.push((std::mem::take(&mut key), row));
                    if rows.len() >= room {
                        rows = sort(rows, keys, run).await?;
                        for (key, row) in rows.drain(limit..) {
                            held.shrink(row_bytes(&key) + row_bytes(&row));
                        }
                        last = rows.last().map(|(key, _)| key.clone());
                    }
                }
                pool.set_scratch(scratch);
            }
        }
        rows = sort(rows, keys, run).await?;
        rows.truncate(limit);
        Ok(rows)
    }
}

/// Rows beyond twice the wanted ones that are kept before some are dropped.
const ROOM_ROWS: usize = 128;

/// Rows that are sorted at once; longer lists are merged from such.
const RUN_ROWS: usize = 1_024;

/// Sorts rows by their keys; equal ones stay as they are. Gives way to others between runs.
pub(crate) async fn sort(
    mut rows: Vec<Keyed>,
    keys: &[SortKey],
    run: &mut Run<'_>,
) -> SqlResult<Vec<Keyed>> {
    for rows in rows.chunks_mut(RUN_ROWS) {
        run.step().await?;
        run.ctx.eval.interrupt.spend(rows.len() as u32)?;
        rows.sort_by(|(a, _), (b, _)| order(keys, a, b));
    }
    let mut width = RUN_ROWS;
    while width < rows.len() {
        let mut merged = Vec::with_capacity(rows.len());
        let mut rest = rows.into_iter();
        while rest.len() > 0 {
            let left: Vec<Keyed> = rest.by_ref().take(width).collect();
            let right: Vec<Keyed> = rest.by_ref().take(width).collect();
            merge(left, right, &mut merged, keys, run).await?;
        }
        rows = merged;
        width *= 2;
    }
    Ok(rows)
}

/// Appends two sorted lists as one.
async fn merge(
    left: Vec<Keyed>,
    right: Vec<Keyed>,
    merged: &mut Vec<Keyed>,
    keys: &[SortKey],
    run: &mut Run<'_>,
) -> SqlResult<()> {
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    loop {
        if merged.len().is_multiple_of(RUN_ROWS) {
            run.step().await?;
            run.ctx.eval.interrupt.spend(RUN_ROWS as u32 / 8)?;
        }
        let from_right = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => order(keys, a, b).is_gt(),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        match if from_right { right.next() } else { left.next() } {
            Some(row) => merged.push(row),
            None => return Ok(()),
        }
    }
}

fn order(keys: &[SortKey], a: &[Datum], b: &[Datum]) -> Ordering {
    for (key, (a, b)) in keys.iter().zip(a.iter().zip(b)) {
        let order = match (a.is_null(), b.is_null()) {
            (false, false) if key.descending => compare(key.expr.ty(), b, a),
            (false, false) => compare(key.expr.ty(), a, b),
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}
