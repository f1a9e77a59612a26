//! Scans read only the parts of an index that can hold what is asked for, and by the index that narrows it best. A
//! point read is one key then, and not a table.

use super::facts::{Facts, conjunction, conjuncts};
use super::span::{MAX_SPANS, Says, says};
use crate::catalog::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::plan::{Expr, IndexSpan, Node};

/// How well an index fits, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// All of a unique key is given: one row at most, for each span.
    whole: bool,
    /// Columns with given values.
    equal: usize,
    /// Bounds on the next one.
    bounds: usize,
    /// No second read for the row.
    primary: bool,
}

/// Gives every scan its index and spans.
pub(crate) fn choose(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| choose(input, facts));
    let Node::Scan { table, index, spans, columns, filter: Some(filter), lock, limit, reverse } =
        node
    else {
        return node;
    };
    let parts = conjuncts(filter);
    let mut best: Option<(Score, &IndexDescriptor, Found)> = None;
    for candidate in &table.indexes {
        let Some(found) = spans_of(&table, candidate, &columns, &parts, facts) else { continue };
        let primary = table.primary().map(|p| p.id) == Some(candidate.id);
        let score = Score {
            whole: candidate.unique && found.equal == candidate.key.len(),
            equal: found.equal,
            bounds: found.bounds,
            primary,
        };
        // Reading an index by one bound alone, and every row after it, is worse than reading all rows.
        if !primary && found.equal == 0 && found.bounds < 2 {
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
    Node::Scan { table, index, spans, columns, filter, lock, limit, reverse }
}

/// Spans of an index, and what they stand for.
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
    let (mut equal, mut bounds) = (0, 0);
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
        for span in &mut spans {
            span.lower.clone_from(&lower);
            span.upper.clone_from(&upper);
        }
        break;
    }
    if equal == 0 && bounds == 0 {
        return None;
    }
    Some(Found { spans, equal, bounds, used })
}
