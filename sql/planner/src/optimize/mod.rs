//! Rules that make plans cheaper without changing what they mean. Each is a file with its reason.

mod asking;
mod elements;
mod extremes;
mod facts;
mod grouped;
mod limit;
mod lookup;
mod order;
mod prune;
mod pushdown;
mod simplify;
mod span;
mod spans;
mod subquery;
mod tidy;

use sql_plan::{Expr, Node, Plan, node};
use sql_values::error::SqlResult;
use sql_values::stack::roomy;

use crate::bind::Environment;
use facts::Facts;

/// Applies all rules, to the plan and to the plans within it.
pub(crate) fn optimize(plan: &mut Plan, environment: &Environment<'_>) -> SqlResult<()> {
    let facts = Facts { functions: environment.functions, catalog: environment.catalog };
    for cte in &mut plan.ctes {
        simplify::constants(cte, &facts)?;
    }
    simplify::constants(&mut plan.root, &facts)?;
    roomy(|| {
        for cte in &mut plan.ctes {
            *cte = whole(take(cte), &facts);
        }
        plan.root = whole(take(&mut plan.root), &facts);
    });
    Ok(())
}

/// All rules over one plan.
fn whole(node: Node, facts: &Facts<'_>) -> Node {
    let node = subquery::decorrelate(node, facts);
    let node = grouped::join_groups(node, facts);
    let mut node = pushdown::push(node, Vec::new(), facts);
    inner_plans(&mut node, facts);
    let node = order::inner_joins(node, facts);
    let node = extremes::first_and_last(node, facts);
    let node = spans::choose(node, facts);
    let node = lookup::join_by_index(node, facts);
    let node = elements::scan_by_elements(node, facts);
    let node = limit::bound(asking::last(node));
    let node = tidy::projections(node, facts);
    tidy::projections(prune::columns(node), facts)
}

/// Plans of subqueries in expressions.
fn inner_plans(node: &mut Node, facts: &Facts<'_>) {
    roomy(|| {
        for expr in node.exprs_mut() {
            in_expr(expr, facts);
        }
        for (input, _) in node.inputs_mut() {
            inner_plans(input, facts);
        }
    });
}

fn in_expr(expr: &mut Expr, facts: &Facts<'_>) {
    roomy(|| {
        if let Expr::Subquery { plan, .. } = expr {
            **plan = whole(take(plan), facts);
        }
        for part in expr.parts_mut() {
            in_expr(part, facts);
        }
    });
}

/// A copy of the node as it will read its tables, with conditions over its rows.
fn narrowed(node: &Node, parts: Vec<Expr>, facts: &Facts<'_>) -> Node {
    spans::choose(pushdown::push(node.clone(), parts, facts), facts)
}

/// The node, leaving nothing in its place for the moment.
pub(crate) fn take(node: &mut Node) -> Node {
    std::mem::replace(node, Node::Values(node::Values { rows: Vec::new(), types: Vec::new() }))
}

/// Applies a rule to the inputs of a node.
pub(crate) fn over_inputs(mut node: Node, rule: &mut dyn FnMut(Node) -> Node) -> Node {
    for (input, _) in node.inputs_mut() {
        *input = roomy(|| rule(take(input)));
    }
    node
}
