//! Expressions that ask sequences are evaluated last: after rows are put in order, and only for those that LIMIT leaves. So
//! values are taken in the order of the rows that are seen, and none for rows that nobody wants.

use sql_plan::{Expr, Node, SortKey, node};

use super::over_inputs;

/// Applies the rule from the bottom up.
pub(crate) fn last(node: Node) -> Node {
    let node = over_inputs(node, &mut last);
    match node {
        Node::Sort(node::Sort { input, keys, limit }) => sorted(*input, keys, limit),
        Node::Limit(node::Limit { input, limit, offset }) => match *input {
            Node::Project(node::Project { input, exprs }) if asks(&exprs, &input) => {
                let limited = last(Node::Limit(node::Limit { input, limit, offset }));
                Node::Project(node::Project { input: Box::new(limited), exprs })
            }
            input => Node::Limit(node::Limit { input: Box::new(input), limit, offset }),
        },
        node => node,
    }
}

/// True iff the expressions ask, or those of a projection right below.
fn asks(exprs: &[Expr], input: &Node) -> bool {
    exprs.iter().any(Expr::asks_sequence)
        || matches!(input, Node::Project(below) if asks(&below.exprs, &below.input))
}

/// A sort whose input's expressions are evaluated before it, as far as it needs them.
fn sorted(input: Node, mut keys: Vec<SortKey>, limit: Option<Expr>) -> Node {
    let (input, exprs) = match input {
        Node::Project(node::Project { input, exprs })
            if exprs.iter().any(Expr::asks_sequence) && !sorts_by_answers(&exprs, &keys) =>
        {
            (input, exprs)
        }
        input => return Node::Sort(node::Sort { input: Box::new(input), keys, limit }),
    };
    let mut before: Vec<Expr> = Vec::new();
    let mut place = |expr: Expr| {
        let at = before.iter().position(|known| *known == expr);
        at.unwrap_or_else(|| {
            before.push(expr);
            before.len() - 1
        })
    };
    let after: Vec<Expr> = exprs
        .into_iter()
        .map(|mut expr| {
            if expr.asks_sequence() {
                expr.map_slots(&mut |slot, ty| Expr::Slot(place(Expr::Slot(slot, ty)), ty));
                return expr;
            }
            let ty = expr.ty();
            Expr::Slot(place(expr), ty)
        })
        .collect();
    for key in &mut keys {
        key.expr.map_slots(&mut |slot, ty| match after.get(slot) {
            Some(Expr::Slot(at, ty)) => Expr::Slot(*at, *ty),
            _ => Expr::Slot(slot, ty),
        });
    }
    let before = Box::new(Node::Project(node::Project { input, exprs: before }));
    let sort = Box::new(Node::Sort(node::Sort { input: before, keys, limit }));
    Node::Project(node::Project { input: sort, exprs: after })
}

fn sorts_by_answers(exprs: &[Expr], keys: &[SortKey]) -> bool {
    let asks = |slot: &usize| exprs.get(*slot).is_none_or(Expr::asks_sequence);
    keys.iter().any(|key| key.expr.asks_sequence() || key.expr.slots().iter().any(asks))
}
