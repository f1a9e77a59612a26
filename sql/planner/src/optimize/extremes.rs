//! `min` and `max` of a column that comes in order by an index read the first entry or the last, and not all rows.
//!
//! ```text
//!  Aggregate max(v)          Aggregate max(v)
//!    Scan t (v)       ──▶      Limit 1
//!                                Sort v descending            dropped by `limit`: the index is read backwards
//!                                  Scan t (v), v not null
//! ```
//!
//! - E1. The aggregate stays: of no row it makes NULL, of one row that row's value, so nothing is to be proved about it.
//! - E2. Several aggregates are several scans, which read at one time as all of a transaction does. Each must have its
//!   index, or the table is read once for all of them as before.
//! - E3. NULLs are left out, by the span where they could come first.

use sql_catalog::function::Body;
use sql_plan::{AggregateCall, Expr, JoinKind, Node, SortKey, node};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

use super::facts::Facts;

/// Applies the rule, from the inputs up.
pub(crate) fn first_and_last(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| first_and_last(input, facts));
    match &node {
        Node::Aggregate(node::Aggregate { input, keys, aggregates }) if keys.is_empty() => {
            by_index(input, aggregates, facts).unwrap_or(node)
        }
        _ => node,
    }
}

fn by_index(input: &Node, aggregates: &[AggregateCall], facts: &Facts<'_>) -> Option<Node> {
    if !is_plain(input, facts) {
        return None;
    }
    let each = aggregates.iter().map(|call| extreme(input, call, facts));
    let each = each.collect::<Option<Vec<Node>>>()?;
    each.into_iter().reduce(|left, right| {
        Node::Join(node::Join {
            kind: JoinKind::Inner,
            left: Box::new(left),
            right: Box::new(right),
            equal: Vec::new(),
            condition: None,
        })
    })
}

/// A scan, filtered and projected, that may be read more than once.
fn is_plain(node: &Node, facts: &Facts<'_>) -> bool {
    let steady = |expr: &Expr| !facts.is_volatile(expr) && !expr.has_subquery();
    roomy(|| match node {
        Node::Project(node::Project { input, exprs }) => {
            exprs.iter().all(steady) && is_plain(input, facts)
        }
        Node::Filter(node::Filter { input, predicate }) => {
            steady(predicate) && is_plain(input, facts)
        }
        Node::Scan(node::Scan { filter, lock: None, limit: None, .. }) => filter.iter().all(steady),
        _ => false,
    })
}

/// One aggregate over the one row that counts; none if no index gives that row first.
fn extreme(input: &Node, call: &AggregateCall, facts: &Facts<'_>) -> Option<Node> {
    let descending = match (call.function.name, &call.function.body) {
        ("min", Body::Aggregate(_)) => false,
        ("max", Body::Aggregate(_)) => true,
        _ => return None,
    };
    let (None, [arg]) = (&call.filter, call.args.as_slice()) else { return None };
    let column = match arg {
        Expr::Cast { input, ty: SqlType::Text, .. }
            if matches!(input.ty(), SqlType::Varchar(_)) =>
        {
            &**input
        }
        arg => arg,
    };
    let Expr::Slot(..) = column else { return None };
    let input = match facts.never_null(column, input) {
        true => input.clone(),
        false => {
            let null = Expr::IsNull(Box::new(column.clone()));
            super::pushdown::push(input.clone(), vec![Expr::Not(Box::new(null))], facts)
        }
    };
    let key = SortKey { expr: column.clone(), descending, nulls_first: descending };
    let sorted = Node::Sort(node::Sort { input: Box::new(input), keys: vec![key], limit: None });
    let first = Node::Limit(node::Limit {
        input: Box::new(sorted),
        limit: Some(Expr::Const(Datum::Int8(1), SqlType::Int8)),
        offset: None,
    });
    let tried = super::limit::bound(super::spans::choose(first.clone(), facts));
    let Node::Limit(node::Limit { input: rows, .. }) = tried else { return None };
    if matches!(*rows, Node::Sort(_)) {
        return None;
    }
    Some(Node::Aggregate(node::Aggregate {
        input: Box::new(first),
        keys: Vec::new(),
        aggregates: vec![call.clone()],
    }))
}
