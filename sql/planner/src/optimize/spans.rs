//! Scans read only the parts of an index that can hold what is asked for, and by the index that narrows it best. A
//! point read is one key then, and not a table. Where only the first rows of an order are wanted, an index that gives
//! them in this order is better than one that does not narrow the scan: the scan ends after those rows.

use sql_catalog::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use sql_plan::{Expr, IndexSpan, Node, SortKey, node};

use super::facts::{Facts, conjunction, conjuncts};
use super::span::{MAX_SPANS, Says, says};

/// Rows of a LIMIT that are few enough to be read one by one.
const FEW_ROWS: i64 = 10_000;

/// How well an index fits, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// All of a unique key is given: one row at most, for each span.
    whole: bool,
    /// Columns with given values.
    equal: usize,
    /// The next one has both bounds.
    between: bool,
    /// Only the first rows are wanted, and they come first.
    sorted: bool,
    /// Bounds on the next one.
    bounds: usize,
    /// No second read for the row.
    primary: bool,
}

/// What is wanted of a node's rows.
#[derive(Clone)]
enum Wanted {
    /// All of them.
    All,
    /// The first few.
    Few,
    /// The first few in this order.
    First(Vec<SortKey>),
}

/// Gives every scan its index and spans.
pub(crate) fn choose(node: Node, facts: &Facts<'_>) -> Node {
    choose_for(node, &Wanted::All, facts)
}

fn choose_for(mut node: Node, wanted: &Wanted, facts: &Facts<'_>) -> Node {
    let of_input = match (&node, wanted) {
        (Node::Limit(node::Limit { limit: Some(limit), .. }), _) if is_few(limit) => Wanted::Few,
        (Node::Project(_), Wanted::Few) => Wanted::Few,
        (Node::Sort(node::Sort { keys, .. }), Wanted::Few) => Wanted::First(keys.clone()),
        (Node::Project(node::Project { exprs, .. }), Wanted::First(keys)) => {
            super::limit::through(exprs, keys).map_or(Wanted::All, Wanted::First)
        }
        (Node::Filter(_), Wanted::First(keys)) => Wanted::First(keys.clone()),
        _ => Wanted::All,
    };
    for (input, _) in node.inputs_mut() {
        *input = sql_values::stack::roomy(|| choose_for(super::take(input), &of_input, facts));
    }
    let order = match wanted {
        Wanted::First(keys) => keys.as_slice(),
        _ => &[],
    };
    scan(node, order, facts)
}

/// So few rows that an index which gives them in order is worth a second read for each. What is not known is few.
fn is_few(limit: &Expr) -> bool {
    match limit {
        Expr::Const(value, _) => value.as_i64().is_some_and(|rows| rows <= FEW_ROWS),
        _ => true,
    }
}

/// The index and the spans of a scan of which the first rows in an order are wanted, if there is one.
pub(super) fn scan(node: Node, order: &[SortKey], facts: &Facts<'_>) -> Node {
    let Node::Scan(node::Scan { table, index, spans, columns, filter, lock, limit, reverse }) =
        node
    else {
        return node;
    };
    let parts = filter.map(conjuncts).unwrap_or_default();
    let mut best: Option<(Score, &IndexDescriptor, Found)> = None;
    for candidate in &table.indexes {
        let found = match spans_of(&table, candidate, &columns, &parts, facts) {
            Some(found) => found,
            None if order.is_empty() => continue,
            None => Found::default(),
        };
        let given = found.spans.as_slice();
        let sorted = !order.is_empty()
            && super::limit::direction(&table, candidate, given, &columns, order).is_some();
        let primary = table.primary().map(|p| p.id) == Some(candidate.id);
        let score = Score {
            whole: candidate.unique && found.equal == candidate.key.len(),
            equal: found.equal,
            between: found.bounds == 2,
            sorted,
            bounds: found.bounds,
            primary,
        };
        // Reading an index by one bound alone, and every row after it, is worse than reading all rows.
        if !primary && !sorted && found.equal == 0 && found.bounds < 2 {
            continue;
        }
        if best.as_ref().is_none_or(|(other, _, _)| score > *other) {
            best = Some((score, candidate, found));
        }
    }
    let (index, spans, parts) = match best {
        None => (index, spans, parts),
        Some((_, chosen, found)) => {
            let left = parts.into_iter().enumerate();
            let left = left.filter(|(at, _)| !found.used.contains(at)).map(|(_, part)| part);
            (chosen.id, found.spans, left.collect())
        }
    };
    let filter = conjunction(parts);
    Node::Scan(node::Scan { table, index, spans, columns, filter, lock, limit, reverse })
}

/// Spans of an index, and what they stand for.
#[derive(Default)]
struct Found {
    spans: Vec<IndexSpan>,
    equal: usize,
    bounds: usize,
    /// Conditions that the spans fulfil, which need no second test.
    used: Vec<usize>,
}

fn spans_of(
    table: &TableDescriptor,
    index: &IndexDescriptor,
    columns: &[ColumnId],
    parts: &[Expr],
    facts: &Facts<'_>,
) -> Option<Found> {
    let mut spans = vec![IndexSpan::default()];
    let (mut equal, mut bounds, mut not_null) = (0, 0, false);
    let mut used = Vec::new();
    for (column, _) in &index.key {
        let Some(slot) = columns.iter().position(|id| id == column) else { break };
        let Some(position) = table.position(*column) else { break };
        let descriptor = &table.columns[position];
        let all: Vec<(usize, Says)> = parts
            .iter()
            .enumerate()
            .filter_map(|(at, part)| Some((at, says(part, slot, descriptor.ty, facts)?)))
            .collect();
        let values = all.iter().find_map(|(at, says)| match says {
            Says::Equal(values) if values.len() * spans.len() <= MAX_SPANS => Some((*at, values)),
            _ => None,
        });
        if let Some((at, values)) = values {
            spans = spans
                .iter()
                .flat_map(|span| {
                    values.iter().map(|value| {
                        let mut span = span.clone();
                        span.equal.push(value.clone());
                        span
                    })
                })
                .collect();
            used.push(at);
            equal += 1;
            if spans.is_empty() {
                // Nothing can be equal to NULLs alone: the condition stays, and drops every row.
                return None;
            }
            continue;
        }
        // Where NULLs stand in an index is not said: a bound alone might let them in.
        let exact = descriptor.not_null;
        let (mut lower, mut upper) = (None, None);
        for (at, says) in all {
            let taken = match says {
                Says::Above(value, included) if lower.is_none() => {
                    lower = Some((value, included));
                    true
                }
                Says::Below(value, included) if upper.is_none() => {
                    upper = Some((value, included));
                    true
                }
                _ => false,
            };
            if taken && exact {
                used.push(at);
            }
        }
        bounds = usize::from(lower.is_some()) + usize::from(upper.is_some());
        let present = parts.iter().position(|part| is_present(part, slot));
        let present = present.filter(|_| bounds == 0);
        used.extend(present);
        not_null = present.is_some();
        for span in &mut spans {
            span.lower.clone_from(&lower);
            span.upper.clone_from(&upper);
            span.not_null = not_null;
        }
        break;
    }
    if equal == 0 && bounds == 0 && !not_null {
        return None;
    }
    Some(Found { spans, equal, bounds, used })
}

/// `column IS NOT NULL`.
fn is_present(part: &Expr, slot: usize) -> bool {
    let Expr::Not(part) = part else { return false };
    let Expr::IsNull(input) = &**part else { return false };
    matches!(**input, Expr::Slot(s, _) if s == slot)
}
