//! A subquery that makes one value of the rows that match an outer row, `(SELECT count(*) FROM i WHERE i.k = o.k)`, is
//! computed for all keys at once: the inner rows are grouped by what they are compared by, and the groups are joined to
//! the outer rows. One pass over each side, where the subquery was run for every row.
//!
//! ```text
//!  Project o.a, (Aggregate count(*)        Project o.a, coalesce(n, 0)
//!                  Filter i.k = ^o.k         Left join on o.k = g.k
//!                    Scan i)          ──▶      Scan o
//!    Scan o                                    Aggregate by k: count(*) as n
//!                                                Scan i
//! ```
//!
//! - G1. Only equalities tie the subquery to the outer row, and only they are taken out of it. A NULL on either side
//!   matches nothing: the outer row has no group, as its subquery had no row.
//! - G2. An outer row without a group has what the aggregates make of nothing: NULL, but zero for a count, which is never
//!   NULL otherwise. What the subquery computes from its aggregates is computed above the join, for the outer rows alone.
//! - G3. Groups that no outer row asks for are computed as well, so nothing in them may fail.
//! - G4. Where few outer rows look up their inner rows by an index, the subquery stays as it is: most groups would be
//!   computed for nothing.

use sql_catalog::function::Body;
use sql_plan::{AggregateCall, Expr, JoinKind, Node, SubqueryKind, node};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

use super::facts::{Facts, conjuncts};
use super::subquery::{beside, free, refers_out};

/// Rewrites what computes from its input's rows, from the inputs up.
pub(crate) fn join_groups(node: Node, facts: &Facts<'_>) -> Node {
    let mut node = super::over_inputs(node, &mut |input| join_groups(input, facts));
    let adds_slots = match &node {
        Node::Filter(_) | Node::Sort(node::Sort { limit: None, .. }) => true,
        Node::Project(_) | Node::Aggregate(_) => false,
        _ => return node,
    };
    if !node.exprs_mut().iter().any(|expr| expr.any(&mut is_subquery)) {
        return node;
    }
    let others = match &node {
        Node::Filter(node::Filter { predicate, .. }) => conjuncts(predicate.clone()),
        _ => Vec::new(),
    };
    let others = others.into_iter().filter(|part| !part.any(&mut is_subquery)).collect();
    let types = node.types();
    let Some(mut input) = node.inputs_mut().pop().map(|(input, _)| super::take(input)) else {
        return node;
    };
    let rows = super::narrowed(&input, others, facts);
    input = joined(input, node.exprs_mut(), &rows, facts);
    if let Some((place, _)) = node.inputs_mut().pop() {
        *place = input;
    }
    if adds_slots { super::subquery::only_first(node, types) } else { node }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery { .. })
}

/// The input with the groups of the expressions' subqueries beside its rows; the subqueries become slots.
fn joined(mut input: Node, exprs: Vec<&mut Expr>, rows: &Node, facts: &Facts<'_>) -> Node {
    for expr in exprs {
        replace(expr, &mut |subquery| {
            let groups = Groups::of(subquery, input.types().len(), facts)?;
            if is_looked_up(subquery, rows, facts) {
                return None;
            }
            let left = Box::new(super::take(&mut input));
            let (right, equal) = (Box::new(groups.node), groups.equal);
            input = Node::Join(node::Join {
                kind: JoinKind::Left,
                left,
                right,
                equal,
                condition: None,
            });
            Some(groups.value)
        });
    }
    input
}

/// Replaces the subqueries of an expression that are not within others.
fn replace(expr: &mut Expr, by: &mut dyn FnMut(&Expr) -> Option<Expr>) {
    if is_subquery(expr) {
        if let Some(value) = by(expr) {
            *expr = value;
        }
        return;
    }
    roomy(|| expr.parts_mut().into_iter().for_each(|part| replace(part, by)));
}

/// Few outer rows, each of which finds its inner rows by an index.
fn is_looked_up(subquery: &Expr, rows: &Node, facts: &Facts<'_>) -> bool {
    let Expr::Subquery { plan, .. } = subquery else { return false };
    let mut inner =
        super::spans::choose(super::pushdown::push((**plan).clone(), Vec::new(), facts), facts);
    super::lookup::is_narrow(rows) && has_lookup(&mut inner)
}

/// True iff a scan within reads by an index what equals something outside.
fn has_lookup(node: &mut Node) -> bool {
    if let Node::Scan(node::Scan { spans, .. }) = node {
        return spans.iter().any(|span| span.equal.iter().any(refers_out));
    }
    roomy(|| node.inputs_mut().into_iter().any(|(input, _)| has_lookup(input)))
}

/// A subquery as groups.
struct Groups {
    /// Keys, then aggregates.
    node: Node,
    /// What the outer row and a group have in common.
    equal: Vec<(Expr, Expr)>,
    /// The subquery's value, over an outer row of some width with its group beside it.
    value: Expr,
}

impl Groups {
    fn of(subquery: &Expr, width: usize, facts: &Facts<'_>) -> Option<Groups> {
        let Expr::Subquery { kind: SubqueryKind::Scalar, plan, .. } = subquery else { return None };
        let (mut value, aggregate) = match &**plan {
            Node::Project(node::Project { input, exprs }) => match exprs.as_slice() {
                [value] => (value.clone(), &**input),
                _ => return None,
            },
            plan => (Expr::Slot(0, *plan.types().first()?), plan),
        };
        let Node::Aggregate(node::Aggregate { input, keys, aggregates }) = aggregate else {
            return None;
        };
        let closed = |call: &AggregateCall| is_closed(call, facts);
        if !keys.is_empty() || !aggregates.iter().all(closed) || value.any(&mut is_subquery) {
            return None;
        }
        let (inner, conditions) = free(input)?;
        if conditions.is_empty() || !is_safe(&inner, facts) {
            return None;
        }
        // Conditions as over a pair of an outer and an inner row.
        let pairs = conditions.into_iter().map(|part| equality(beside(part, width), width, facts));
        let (outer, keys): (Vec<Expr>, Vec<Expr>) =
            pairs.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let of_keys = keys.iter().enumerate().map(|(slot, key)| Expr::Slot(slot, key.ty()));
        let equal = outer.into_iter().zip(of_keys).collect();
        // The aggregates' slots lie behind the keys; the outer row's are its own.
        let first = width + keys.len();
        value.change(0, &mut |part, _| {
            match part {
                Expr::Slot(slot, ty) => {
                    let is_count = aggregates.get(*slot).is_some_and(is_count);
                    let found = Expr::Slot(first + *slot, *ty);
                    *part = match is_count {
                        true => Expr::Coalesce(vec![found, Expr::Const(Datum::Int8(0), *ty)], *ty),
                        false => found,
                    };
                    return false;
                }
                Expr::Outer { level: 0, slot, ty } => *part = Expr::Slot(*slot, *ty),
                Expr::Outer { level, .. } => *level -= 1,
                _ => return true,
            }
            false
        });
        let aggregates = aggregates.clone();
        let node = Node::Aggregate(node::Aggregate { input: Box::new(inner), keys, aggregates });
        Some(Groups { node, equal, value })
    }
}

/// The sides of an equality of two values of one type: over the outer row, and over the inner one.
fn equality(part: Expr, width: usize, facts: &Facts<'_>) -> Option<(Expr, Expr)> {
    let (outer, inner) = super::pushdown::equality(&part, width, facts)?;
    (facts.never_fails(&inner) && facts.never_fails(&outer)).then_some((outer, inner))
}

/// An aggregate of the inner rows alone that cannot fail.
fn is_closed(call: &AggregateCall, facts: &Facts<'_>) -> bool {
    let function = call.function;
    let is_float = |arg: &Expr| matches!(arg.ty().base(), SqlType::Float4 | SqlType::Float8);
    let adds = matches!(function.name, "sum" | "avg");
    let known =
        adds || matches!(function.name, "count" | "min" | "max" | "bool_and" | "bool_or" | "every");
    let safe = |expr: &Expr| !refers_out(expr) && facts.never_fails(expr);
    known
        && matches!(function.body, Body::Aggregate(_))
        && call.order.is_empty()
        && call.args.iter().chain(&call.filter).all(safe)
        // A sum of floats may overflow.
        && !(adds && call.args.iter().any(is_float))
}

fn is_count(call: &AggregateCall) -> bool {
    call.function.name == "count"
}

/// Nothing in the plan can fail for a row, nor depends on how often it is run.
fn is_safe(node: &Node, facts: &Facts<'_>) -> bool {
    let mut node = node.clone();
    is_safe_here(&mut node, facts)
}

fn is_safe_here(node: &mut Node, facts: &Facts<'_>) -> bool {
    let known = matches!(
        node,
        Node::Scan(node::Scan { lock: None, limit: None, .. })
            | Node::Values(_)
            | Node::CteScan(_)
            | Node::Filter(_)
            | Node::Project(_)
            | Node::Join(_)
            | Node::Append(_)
    );
    known
        && node.exprs_mut().into_iter().all(|expr| facts.never_fails(expr))
        && roomy(|| node.inputs_mut().into_iter().all(|(input, _)| is_safe_here(input, facts)))
}
