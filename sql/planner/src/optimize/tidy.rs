//! Projections that only rename are merged into their neighbours: each costs a copy of every row.

use sql_plan::{Expr, Node, node};

use super::facts::Facts;

/// Merges projections, from the inputs up.
pub(crate) fn projections(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| projections(input, facts));
    let Node::Project(node::Project { input, exprs }) = node else { return node };
    match *input {
        Node::Project(node::Project { input: below, exprs: inner })
            if mergeable(&exprs, &inner, facts) =>
        {
            let exprs = exprs.into_iter().map(|mut expr| {
                expr.map_slots(&mut |slot, ty| {
                    inner.get(slot).cloned().unwrap_or(Expr::Slot(slot, ty))
                });
                expr
            });
            let exprs = exprs.collect();
            projections(Node::Project(node::Project { input: below, exprs }), facts)
        }
        input => {
            let same = exprs.len() == input.types().len()
                && exprs
                    .iter()
                    .enumerate()
                    .all(|(at, e)| matches!(e, Expr::Slot(s, _) if *s == at));
            if same {
                return input;
            }
            Node::Project(node::Project { input: Box::new(input), exprs })
        }
    }
}

/// True iff nothing that costs, or counts its evaluations, would be done more or less often.
fn mergeable(exprs: &[Expr], inner: &[Expr], facts: &Facts<'_>) -> bool {
    let mut uses = vec![0usize; inner.len()];
    for expr in exprs {
        expr.look(&mut |part, depth| {
            if let Some((slot, _)) = sql_plan::walk::own_slot(part, depth)
                && let Some(count) = uses.get_mut(slot)
            {
                // Inside of a subquery it would be evaluated for each of its rows.
                *count += if depth > 0 { 2 } else { 1 };
            }
        });
    }
    inner.iter().zip(uses).all(|(expr, uses)| {
        matches!(expr, Expr::Slot(..) | Expr::Const(..) | Expr::Param(..) | Expr::Outer { .. })
            || (uses <= 1 && !facts.is_volatile(expr))
    })
}
