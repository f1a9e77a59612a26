//! LIMIT is told to what lies below it: a scan stops early, a sort keeps only the first rows, and rows that an index
//! gives in order are not sorted at all.

use sql_catalog::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use sql_plan::{Expr, IndexSpan, Node, SortKey, node};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

/// Applies the rule from the top down: an order is dropped before a limit goes through where it was.
pub(crate) fn bound(node: Node) -> Node {
    let node = match node {
        Node::Sort(node::Sort { mut input, keys, limit }) => {
            if ordered(&mut input, &keys) {
                *input
            } else {
                Node::Sort(node::Sort { input, keys, limit })
            }
        }
        node => node,
    };
    let mut node = super::over_inputs(node, &mut |input| bound(input));
    if let Node::Limit(node::Limit { input, limit: Some(limit), offset }) = &mut node
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
    roomy(|| match node {
        Node::Project(node::Project { input, .. }) => tell(input, rows),
        Node::Scan(node::Scan { limit, .. }) => {
            *limit = Some(limit.map_or(rows, |before| before.min(rows)))
        }
        Node::Sort(node::Sort { limit, .. }) => {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            *limit = Some(Expr::Const(Datum::Int8(rows), SqlType::Int8));
        }
        Node::Append(node::Append { inputs }) => {
            inputs.iter_mut().for_each(|input| tell(input, rows))
        }
        _ => {}
    });
}

/// True iff the rows come in this order, which may turn a scan around.
fn ordered(node: &mut Node, keys: &[SortKey]) -> bool {
    roomy(|| ordered_here(node, keys))
}

fn ordered_here(node: &mut Node, keys: &[SortKey]) -> bool {
    match node {
        Node::Project(node::Project { input, exprs }) => {
            through(exprs, keys).is_some_and(|keys| ordered(input, &keys))
        }
        Node::Filter(node::Filter { input, .. }) => ordered(input, keys),
        Node::Scan(node::Scan { table, index, spans, columns, reverse, .. }) => {
            let Some(index) = table.index(*index) else { return false };
            let Some(turned) = direction(table, index, spans, columns, keys) else { return false };
            *reverse = turned;
            true
        }
        _ => false,
    }
}

/// The order before a projection, if it has all that the order goes by.
pub(super) fn through(exprs: &[Expr], keys: &[SortKey]) -> Option<Vec<SortKey>> {
    let before = |key: &SortKey| {
        let Expr::Slot(slot, _) = key.expr else { return None };
        let Some(Expr::Slot(from, ty)) = exprs.get(slot) else { return None };
        Some(SortKey { expr: Expr::Slot(*from, *ty), ..key.clone() })
    };
    keys.iter().map(before).collect()
}

/// Whether these parts of an index have to be read backwards to give the order; none if they cannot give it.
pub(super) fn direction(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    spans: &[IndexSpan],
    columns: &[ColumnId],
    keys: &[SortKey],
) -> Option<bool> {
    if spans.len() > 1 {
        return None;
    }
    let span = spans.first();
    let given = span.map_or(0, |span| span.equal.len());
    let never_null = |column: &ColumnId| {
        table.position(*column).is_some_and(|position| table.columns[position].not_null)
    };
    // Columns with a given value do not matter, wherever they stand in the order; nor do those that were there before.
    let mut decided: Vec<ColumnId> = index.key.iter().take(given).map(|(id, _)| *id).collect();
    // Entries with equal keys lie in the order of their rows.
    let rows = table.primary().map(|primary| primary.key.as_slice()).unwrap_or_default();
    let mut rest = index.key.iter().skip(given).chain(rows);
    let is_unique = index.unique && index.key.iter().all(|(column, _)| never_null(column));
    let mut turned = None;
    for key in keys {
        let Expr::Slot(slot, _) = key.expr else { return None };
        let column = columns.get(slot)?;
        if decided.contains(column) {
            continue;
        }
        // A whole unique key decides the order: more keys change nothing.
        if is_unique && index.key.iter().all(|(column, _)| decided.contains(column)) {
            break;
        }
        let first = decided.len() == given;
        let Some((next, descending)) = rest.find(|(next, _)| !decided.contains(next)) else {
            break;
        };
        // NULLs lie behind all values, and before them where the index or the scan goes down.
        let without_nulls = never_null(column)
            || first && span.is_some_and(|s| s.not_null || s.lower.is_some() || s.upper.is_some());
        if next != column || !(without_nulls || key.nulls_first == key.descending) {
            return None;
        }
        let turn = key.descending != *descending;
        if turned.is_some_and(|before| before != turn) {
            return None;
        }
        turned = Some(turn);
        decided.push(*column);
    }
    Some(turned.unwrap_or(false))
}
