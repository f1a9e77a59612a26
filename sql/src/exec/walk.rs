//! Walking plans by reference, as often as they are run: what an expression needs, and whether a subquery refers to
//! something outside.

use crate::plan::{Expr, IndexSpan, Node, SortKey, SubqueryKind};

/// Calls `visit` with the direct parts of an expression. The plan of a subquery is none of them, its left side is.
pub(crate) fn parts<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    match expr {
        Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => {}
        Expr::Call { args, .. } => args.iter().for_each(visit),
        Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull(input) => visit(input),
        Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts, _) => {
            parts.iter().for_each(visit);
        }
        Expr::Array(parts, _) | Expr::Row(parts) => parts.iter().for_each(visit),
        Expr::IsDistinct { sides, .. } => {
            visit(&sides.0);
            visit(&sides.1);
        }
        Expr::Case { branches, otherwise, .. } => {
            for (condition, result) in branches {
                visit(condition);
                visit(result);
            }
            otherwise.iter().for_each(|otherwise| visit(otherwise));
        }
        Expr::Quantified { input, array, .. } => {
            visit(input);
            visit(array);
        }
        Expr::InList { input, list, .. } => {
            visit(input);
            list.iter().for_each(visit);
        }
        Expr::Subscript(array, index, _) => {
            visit(array);
            visit(index);
        }
        Expr::Subquery { kind, .. } => {
            if let SubqueryKind::In { input, .. } = kind {
                visit(input);
            }
        }
    }
}

/// True iff a subquery is somewhere in an expression.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Subquery { .. });
    parts(expr, &mut |part| found = found || has_subquery(part));
    found
}

/// Adds the slots that an expression reads, those read by its subqueries included.
pub(crate) fn slots(expr: &Expr, found: &mut Vec<usize>) {
    if let Expr::Slot(slot, _) = expr
        && !found.contains(slot)
    {
        found.push(*slot);
    }
    parts(expr, &mut |part| slots(part, found));
}

/// True iff a subquery's plan refers to a row outside of itself.
pub(crate) fn refers_outside(plan: &Node) -> bool {
    node_refers(plan, 0)
}

/// `depth` levels are within.
fn expr_refers(expr: &Expr, depth: usize) -> bool {
    let mut found = match expr {
        Expr::Outer { level, .. } => *level >= depth,
        Expr::Subquery { plan, .. } => node_refers(plan, depth + 1),
        _ => false,
    };
    parts(expr, &mut |part| found = found || expr_refers(part, depth));
    found
}

fn node_refers(node: &Node, depth: usize) -> bool {
    let mut found = false;
    exprs(node, &mut |expr| found = found || expr_refers(expr, depth));
    inputs(node, &mut |input, is_inner| {
        found = found || node_refers(input, depth + usize::from(is_inner));
    });
    found
}

/// Calls `visit` with the inputs of a node; the flag says that the node's rows are an outer row to the input.
pub(crate) fn inputs<'n>(node: &'n Node, visit: &mut dyn FnMut(&'n Node, bool)) {
    match node {
        Node::Values { .. }
        | Node::Scan { .. }
        | Node::VirtualScan { .. }
        | Node::TableFunction { .. }
        | Node::CteScan { .. } => {}
        Node::Filter { input, .. }
        | Node::Project { input, .. }
        | Node::Aggregate { input, .. }
        | Node::Distinct { input, .. }
        | Node::Sort { input, .. }
        | Node::Limit { input, .. }
        | Node::Insert { input, .. }
        | Node::Update { input, .. }
        | Node::Delete { input, .. } => visit(input, false),
        Node::Join { left, right, .. } | Node::SetOp { left, right, .. } => {
            visit(left, false);
            visit(right, false);
        }
        Node::Apply { input, inner, .. } => {
            visit(input, false);
            visit(inner, true);
        }
        Node::Append { inputs } => inputs.iter().for_each(|input| visit(input, false)),
    }
}

fn exprs<'n>(node: &'n Node, visit: &mut dyn FnMut(&'n Expr)) {
    match node {
        Node::Values { rows, .. } => rows.iter().flatten().for_each(visit),
        Node::Scan { spans, filter, .. } => {
            for IndexSpan { equal, lower, upper, not_null: _ } in spans {
                equal.iter().for_each(&mut *visit);
                lower.iter().chain(upper).for_each(|(bound, _)| visit(bound));
            }
            filter.iter().for_each(visit);
        }
        Node::VirtualScan { filter, .. } => filter.iter().for_each(visit),
        Node::TableFunction { calls, .. } => {
            calls.iter().flat_map(|(_, args)| args).for_each(visit);
        }
        Node::CteScan { .. } | Node::Append { .. } | Node::SetOp { .. } => {}
        Node::Filter { predicate, .. } => visit(predicate),
        Node::Project { exprs, .. } => exprs.iter().for_each(visit),
        Node::Join { equal, condition, .. } => {
            for (left, right) in equal {
                visit(left);
                visit(right);
            }
            condition.iter().for_each(visit);
        }
        Node::Apply { condition, .. } => condition.iter().for_each(visit),
        Node::Aggregate { keys, aggregates, .. } => {
            keys.iter().for_each(&mut *visit);
            for call in aggregates {
                call.args.iter().chain(&call.filter).for_each(&mut *visit);
                call.order.iter().for_each(|SortKey { expr, .. }| visit(expr));
            }
        }
        Node::Distinct { on, .. } => on.iter().for_each(visit),
        Node::Sort { keys, limit, .. } => {
            keys.iter().for_each(|SortKey { expr, .. }| visit(expr));
            limit.iter().for_each(visit);
        }
        Node::Limit { limit, offset, .. } => limit.iter().chain(offset).for_each(visit),
        Node::Insert { checks, on_conflict, returning, .. } => {
            checks.iter().for_each(|(_, check)| visit(check));
            if let Some(conflict) = on_conflict {
                conflict.update.iter().flatten().for_each(|(_, expr)| visit(expr));
                conflict.condition.iter().for_each(&mut *visit);
            }
            returning.iter().flatten().for_each(visit);
        }
        Node::Update { assignments, checks, returning, .. } => {
            assignments.iter().for_each(|(_, expr)| visit(expr));
            checks.iter().for_each(|(_, check)| visit(check));
            returning.iter().flatten().for_each(visit);
        }
        Node::Delete { returning, .. } => returning.iter().flatten().for_each(visit),
    }
}
