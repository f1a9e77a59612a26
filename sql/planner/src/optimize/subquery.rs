//! EXISTS and IN become joins where that is certainly the same: as a condition that must hold, so that NULL and false
//! are alike; negated, only EXISTS, and IN where neither side can be NULL. A join can hash; a subquery is run for every
//! row. What has another shape stays as it is.

use sql_plan::{Expr, JoinKind, Node, SubqueryKind, node};
use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::facts::{Facts, conjuncts, filtered};

/// How many conditions of a filter become joins: each is a level of the plan, through which every row passes.
const MAX_JOINS: usize = 300;

/// Rewrites filters, from the inputs up.
pub(crate) fn decorrelate(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| decorrelate(input, facts));
    let Node::Filter(node::Filter { input, predicate }) = node else { return node };
    let mut input = *input;
    let mut kept = Vec::new();
    let mut joins = 0;
    for part in conjuncts(predicate) {
        let join = if joins < MAX_JOINS { as_join(&part, &input, facts) } else { None };
        match join {
            Some((kind, right, condition)) => {
                joins += 1;
                input = Node::Join(node::Join {
                    kind,
                    left: Box::new(input),
                    right: Box::new(decorrelate(right, facts)),
                    equal: Vec::new(),
                    condition,
                });
            }
            None => kept.push(part),
        }
    }
    let types = input.types();
    only_first(filtered(compute_once(input, &mut kept, facts), kept), types)
}

/// A comparison with a subquery that refers to nothing outside: the subquery becomes a row beside the others. It is
/// computed once then, and an index can be asked for it.
fn compute_once(input: Node, parts: &mut [Expr], facts: &Facts<'_>) -> Node {
    let types = input.types();
    let mut values = Vec::new();
    for part in parts {
        let Expr::Call { function, args, .. } = part else { continue };
        if facts.comparison(function).is_none() {
            continue;
        }
        for arg in args {
            let Expr::Subquery { kind: SubqueryKind::Scalar, plan, ty } = arg else { continue };
            if plan.is_correlated() {
                continue;
            }
            let slot = Expr::Slot(types.len() + values.len(), *ty);
            values.push(std::mem::replace(arg, slot));
        }
    }
    if values.is_empty() {
        return input;
    }
    let nothing = Node::Values(node::Values { rows: vec![Vec::new()], types: Vec::new() });
    Node::Join(node::Join {
        kind: JoinKind::Inner,
        left: Box::new(input),
        right: Box::new(Node::Project(node::Project { input: Box::new(nothing), exprs: values })),
        equal: Vec::new(),
        condition: None,
    })
}

/// A node with only its first slots.
pub(super) fn only_first(node: Node, types: Vec<SqlType>) -> Node {
    if node.types().len() == types.len() {
        return node;
    }
    let exprs = types.into_iter().enumerate().map(|(slot, ty)| Expr::Slot(slot, ty)).collect();
    Node::Project(node::Project { input: Box::new(node), exprs })
}

/// The join that a condition is: its kind, its right side, and its condition over both.
fn as_join(part: &Expr, left: &Node, facts: &Facts<'_>) -> Option<(JoinKind, Node, Option<Expr>)> {
    let (negated, subquery) = match part {
        Expr::Not(inner) => (true, &**inner),
        other => (false, other),
    };
    let Expr::Subquery { kind, plan, .. } = subquery else { return None };
    let width = left.types().len();
    let join = if negated { JoinKind::Anti } else { JoinKind::Semi };
    match kind {
        SubqueryKind::Exists => {
            let (right, outer) = free(rows_only(plan))?;
            let condition =
                super::facts::conjunction(outer.into_iter().map(|e| beside(e, width)).collect());
            Some((join, right, condition))
        }
        SubqueryKind::In { input, equals } => {
            // The input is evaluated for every pair then, and must have no plan of its own.
            if input.has_subquery() || facts.is_volatile(input) {
                return None;
            }
            let (right, outer, value) = only_column(plan)?;
            if negated {
                let known = facts.never_null(input, left) && facts.never_null(&value, &right);
                if !known || !outer.is_empty() {
                    return None;
                }
            }
            let mut value = value;
            value.shift(width);
            let mut parts: Vec<Expr> = outer.into_iter().map(|e| beside(e, width)).collect();
            let args = vec![(**input).clone(), value];
            parts.push(Expr::Call { function: equals, args, ty: SqlType::Bool });
            Some((join, right, super::facts::conjunction(parts)))
        }
        _ => None,
    }
}

/// A plan of which only the number of rows counts, or whether there are any: without projections and orders.
fn rows_only(plan: &Node) -> &Node {
    let mut plan = plan;
    while let Node::Project(node::Project { input, .. })
    | Node::Sort(node::Sort { input, limit: None, .. })
    | Node::Distinct(node::Distinct { input, .. }) = plan
    {
        plan = input;
    }
    plan
}

/// The plan without its conditions on outer rows, and those conditions; none if it refers to outer rows elsewhere.
pub(super) fn free(plan: &Node) -> Option<(Node, Vec<Expr>)> {
    roomy(|| match plan {
        Node::Filter(node::Filter { input, predicate }) => {
            let (node, mut outer) = free(input)?;
            let (mine, own): (Vec<_>, Vec<_>) =
                conjuncts(predicate.clone()).into_iter().partition(refers_out);
            // Inner plans of conditions stay with their rows.
            if mine.iter().any(Expr::has_subquery) {
                return None;
            }
            outer.extend(mine);
            Some((filtered(node, own), outer))
        }
        plan if plan.is_correlated() => None,
        plan => Some((plan.clone(), Vec::new())),
    })
}

pub(super) fn refers_out(expr: &Expr) -> bool {
    let mut found = false;
    expr.look(&mut |e, depth| {
        found |= matches!(e, Expr::Outer { level, .. } if *level >= depth);
    });
    found
}

/// The same for a plan whose only column counts: its expression over the freed plan's rows.
fn only_column(plan: &Node) -> Option<(Node, Vec<Expr>, Expr)> {
    let mut plan = plan;
    loop {
        plan = match plan {
            Node::Distinct(node::Distinct { input, on }) if on.is_empty() => input,
            Node::Sort(node::Sort { input, limit: None, .. }) => input,
            _ => break,
        };
    }
    match plan {
        Node::Project(node::Project { input, exprs }) => match exprs.as_slice() {
            [Expr::Slot(slot, ty)] => {
                free(input).map(|(node, outer)| (node, outer, Expr::Slot(*slot, *ty)))
            }
            _ => whole_column(plan),
        },
        plan => whole_column(plan),
    }
}

fn whole_column(plan: &Node) -> Option<(Node, Vec<Expr>, Expr)> {
    if plan.is_correlated() {
        return None;
    }
    let ty = plan.types().first().copied()?;
    Some((plan.clone(), Vec::new(), Expr::Slot(0, ty)))
}

/// A condition inside of the subquery as one over the left row with the right one beside it.
pub(super) fn beside(mut expr: Expr, width: usize) -> Expr {
    expr.change(0, &mut |part, _| {
        match part {
            Expr::Slot(slot, _) => *slot += width,
            Expr::Outer { level: 0, slot, ty } => *part = Expr::Slot(*slot, *ty),
            Expr::Outer { level, .. } => *level -= 1,
            _ => {}
        }
        false_if_leaf(part)
    });
    expr
}

/// Leaves have no parts to walk into; conditions with plans do not come here.
fn false_if_leaf(part: &Expr) -> bool {
    !matches!(part, Expr::Slot(..) | Expr::Outer { .. })
}
