//! LIMIT is told to what lies below it: a scan stops early, a sort keeps only the first rows, and rows that an index
//! gives in order are not sorted at all.

use crate::plan::{Expr, Node, SortKey};
use crate::types::{Datum, SqlType};

/// Applies the rule from the top down: an order is dropped before a limit goes through where it was.
pub(crate) fn bound(node: Node) -> Node {
    let node = match node {
        Node::Sort { mut input, keys, limit } => {
            if ordered(&mut input, &keys) {
                *input
            } else {
                Node::Sort { input, keys, limit }
            }
        }
        node => node,
    };
    let mut node = super::over_inputs(node, &mut |input| bound(input));
    if let Node::Limit { input, limit: Some(limit), offset } = &mut node
        && let Some(rows) = total(limit, offset.as_ref())
    {
        tell(input, rows);
    }
    node
}

/// How many rows are wanted in all, if it is known.
fn total(limit: &Expr, offset: Option<&Expr>) -> Option<u64> {
    let number = |expr: &Expr| match expr {
        Expr::Const(value, _) => u64::try_from(value.as_i64()?).ok(),
        _ => None,
    };
    let offset = match offset {
        None => 0,
        Some(offset) => number(offset)?,
    };
    number(limit)?.checked_add(offset)
}

/// Only so many rows are wanted.
fn tell(node: &mut Node, rows: u64) {
    match node {
        Node::Project { input, .. } => tell(input, rows),
        Node::Scan { limit, .. } => *limit = Some(limit.map_or(rows, |before| before.min(rows))),
        Node::Sort { limit, .. } => {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            *limit = Some(Expr::Const(Datum::Int8(rows), SqlType::Int8));
        }
        Node::Append { inputs } => inputs.iter_mut().for_each(|input| tell(input, rows)),
        _ => {}
    }
}

/// True iff the rows come in this order, which may turn a scan around.
fn ordered(node: &mut Node, keys: &[SortKey]) -> bool {
    match node {
        Node::Project { input, exprs } => {
            let mut inner = Vec::with_capacity(keys.len());
            for key in keys {
                let Expr::Slot(slot, _) = key.expr else { return false };
                let Some(Expr::Slot(from, ty)) = exprs.get(slot) else { return false };
                inner.push(SortKey { expr: Expr::Slot(*from, *ty), ..key.clone() });
            }
            ordered(input, &inner)
        }
        Node::Filter { input, .. } => ordered(input, keys),
        Node::Scan { table, index, spans, columns, reverse, lock, .. } => {
            if spans.len() > 1 {
                return false;
            }
            let Some(index) = table.index(*index) else { return false };
            let given = spans.first().map_or(0, |span| span.equal.len());
            // Columns with a given value do not matter, wherever they stand in the order.
            let fixed: Vec<_> = index.key.iter().take(given).map(|(column, _)| *column).collect();
            let mut rest = index.key.iter().skip(given);
            let mut turned = None;
            for key in keys {
                let Expr::Slot(slot, _) = key.expr else { return false };
                let Some(column) = columns.get(slot) else { return false };
                if fixed.contains(column) {
                    continue;
                }
                let Some((next, descending)) = rest.next() else {
                    // A whole unique key decides the order: more keys change nothing.
                    return index.unique && finish(turned, reverse, lock.is_some());
                };
                let not_null = table.position(*column).is_some_and(|at| table.columns[at].not_null);
                if next != column || !not_null {
                    return false;
                }
                let turn = key.descending != *descending;
                if turned.is_some_and(|before| before != turn) {
                    return false;
                }
                turned = Some(turn);
            }
            finish(turned, reverse, lock.is_some())
        }
        _ => false,
    }
}

/// A scan that locks is not turned around: backwards it reads a whole span at a time, and would lock all of it.
fn finish(turned: Option<bool>, reverse: &mut bool, locks: bool) -> bool {
    if locks && turned == Some(true) {
        return false;
    }
    *reverse = turned.unwrap_or(*reverse);
    true
}
