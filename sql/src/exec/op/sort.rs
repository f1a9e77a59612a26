//! ORDER BY: everything in memory, or the first rows of it.

use std::cmp::Ordering;

use super::input::Input;
use super::keys::compare;
use super::limit::bound;
use crate::error::SqlResult;
use crate::exec::batch::{Batch, MAX_ROWS, next_batch};
use crate::exec::context::{Reservation, Row, Run};
use crate::plan::{Expr, Node, SortKey};
use crate::types::Datum;

/// A row with the values that it is sorted by.
pub(crate) type Keyed = (Row, Row);

/// Reads its input to the end before its first row.
pub(crate) struct Sort {
    input: Input,
    sorted: Option<(std::vec::IntoIter<Keyed>, Reservation)>,
}

impl Sort {
    pub(super) fn new(input: &Node) -> Self {
        Sort { input: Input::new(input), sorted: None }
    }

    pub(super) async fn next(
        &mut self,
        input: &Node,
        keys: &[SortKey],
        limit: Option<&Expr>,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        if self.sorted.is_none() {
            let limit = bound(limit, "LIMIT", run).await?;
            let limit =
                limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
            let mut held = run.shared.pool.reserve();
            let rows = self.read(input, keys, limit, run, &mut held).await?;
            self.sorted = Some((rows.into_iter(), held));
        }
        match &mut self.sorted {
            Some((rows, _)) => next_batch(&input.types(), &mut rows.map(|(_, row)| row)),
            None => Ok(None),
        }
    }

    /// Of more than twice the wanted rows, those that cannot be among the first are dropped from time to time: what
    /// stays keeps its order, so the sort is stable all the same.
    async fn read(
        &mut self,
        input: &Node,
        keys: &[SortKey],
        limit: usize,
        run: &mut Run<'_>,
        held: &mut Reservation,
    ) -> SqlResult<Vec<Keyed>> {
        let exprs: Vec<&Expr> = keys.iter().map(|key| &key.expr).collect();
        let room = limit.saturating_mul(2).saturating_add(MAX_ROWS);
        let mut rows: Vec<Keyed> = Vec::new();
        while let Some(row) = self.input.next(input, run).await? {
            let mut key = Vec::with_capacity(exprs.len());
            for expr in &exprs {
                key.push(run.eval(expr, &row).await?);
            }
            held.grow_row(&key)?;
            held.grow_row(&row)?;
            rows.push((key, row));
            if rows.len() >= room {
                sort(&mut rows, keys);
                rows.truncate(limit);
                held.clear();
                for (key, row) in &rows {
                    held.grow_row(key)?;
                    held.grow_row(row)?;
                }
            }
        }
        sort(&mut rows, keys);
        rows.truncate(limit);
        Ok(rows)
    }
}

/// Sorts rows by their keys; equal ones stay as they are.
pub(crate) fn sort(rows: &mut [Keyed], keys: &[SortKey]) {
    rows.sort_by(|(a, _), (b, _)| order(keys, a, b));
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
