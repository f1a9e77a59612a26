//! A join whose left side is a row or a few looks up its right side by an index, row by row, where hashing would read
//! all of the right side first.

use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::facts::Facts;
use super::facts::to_inner;

/// Left sides of at most this many rows are few.
const FEW: usize = 32;

/// Turns such joins into an Apply over a scan by spans.
pub(crate) fn join_by_index(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| join_by_index(input, facts));
    let Node::Join(node::Join { kind, left, right, equal, condition }) = node else { return node };
    if few(&left).is_some()
        && kind != JoinKind::Full
        && let Some(node) = looked_up(kind, &left, &right, &equal, condition.as_ref(), facts)
    {
        return node;
    }
    let better = few(&left).is_none() && (few(&right).is_some() || is_locked(&left));
    if better
        && kind == JoinKind::Inner
        && let Some(node) = exchanged(&left, &right, &equal, condition.as_ref(), facts)
    {
        return node;
    }
    if better
        && kind == JoinKind::Semi
        && condition.is_none()
        && let Some(node) = semi_exchanged(&left, &right, &equal, facts)
    {
        return node;
    }
    Node::Join(node::Join { kind, left, right, equal, condition })
}

/// The right side, scanned by its index for every left row.
fn looked_up(
    kind: JoinKind,
    left: &Node,
    right: &Node,
    equal: &[(Expr, Expr)],
    condition: Option<&Expr>,
    facts: &Facts<'_>,
) -> Option<Node> {
    match right {
        Node::Scan(node::Scan { spans, .. }) if spans.is_empty() && !equal.is_empty() => {}
        _ => return None,
    }
    let width = left.types().len();
    let mut parts = Vec::new();
    for (one, other) in equal {
        let mut other = other.clone();
        other.shift(width);
        let function = facts.equality(one.ty())?;
        let args = vec![other, one.clone()];
        parts.push(Expr::Call { function, args, ty: SqlType::Bool });
    }
    parts.extend(condition.cloned());
    let parts = parts.into_iter().map(|part| to_inner(part, width)).collect();
    let inner = super::pushdown::push(right.clone(), parts, facts);
    let inner = super::spans::choose(inner, facts);
    let by_index = matches!(&inner, Node::Scan(node::Scan { spans, .. }) if
        spans.iter().any(|span| !span.equal.is_empty()));
    if !by_index {
        return None;
    }
    let (input, inner) = (Box::new(left.clone()), Box::new(inner));
    Some(Node::Apply(node::Apply { kind, input, inner, condition: None }))
}

/// True iff reading a row locks it: a row that does not match should not be read.
fn is_locked(node: &Node) -> bool {
    matches!(node, Node::Scan(node::Scan { lock: Some(_), .. }))
}

/// A semi join by equalities alone: every distinct right key looks up its left rows.
fn semi_exchanged(
    left: &Node,
    right: &Node,
    equal: &[(Expr, Expr)],
    facts: &Facts<'_>,
) -> Option<Node> {
    let keys: Vec<Expr> = equal.iter().map(|(_, key)| key.clone()).collect();
    let pairs: Vec<(Expr, Expr)> = equal
        .iter()
        .enumerate()
        .map(|(slot, (value, key))| (value.clone(), Expr::Slot(slot, key.ty())))
        .collect();
    let keys = Node::Project(node::Project { input: Box::new(right.clone()), exprs: keys });
    let keys = Node::Distinct(node::Distinct { input: Box::new(keys), on: Vec::new() });
    let node = exchanged(left, &keys, &pairs, None, facts)?;
    let types = left.types().into_iter().enumerate();
    let exprs = types.map(|(slot, ty)| Expr::Slot(slot, ty)).collect();
    Some(Node::Project(node::Project { input: Box::new(node), exprs }))
}

/// The same with the sides exchanged, and the slots put back in order.
fn exchanged(
    left: &Node,
    right: &Node,
    equal: &[(Expr, Expr)],
    condition: Option<&Expr>,
    facts: &Facts<'_>,
) -> Option<Node> {
    let (left_types, right_types) = (left.types(), right.types());
    let (left_width, right_width) = (left_types.len(), right_types.len());
    let place = |slot: usize| {
        if slot < left_width { slot + right_width } else { slot - left_width }
    };
    let equal: Vec<(Expr, Expr)> = equal.iter().map(|(l, r)| (r.clone(), l.clone())).collect();
    let condition = condition.map(|condition| {
        let mut condition = condition.clone();
        condition.map_slots(&mut |slot, ty| Expr::Slot(place(slot), ty));
        condition
    });
    let node = looked_up(JoinKind::Inner, right, left, &equal, condition.as_ref(), facts)?;
    let types = left_types.into_iter().chain(right_types);
    let exprs = types.enumerate().map(|(slot, ty)| Expr::Slot(place(slot), ty)).collect();
    Some(Node::Project(node::Project { input: Box::new(node), exprs }))
}

/// True iff the rows are few, or are found by values of an index: then they are not all of a table.
pub(super) fn is_narrow(node: &Node) -> bool {
    roomy(|| match node {
        node if few(node).is_some() => true,
        Node::Scan(node::Scan { spans, .. }) => {
            !spans.is_empty() && spans.iter().all(|span| !span.equal.is_empty())
        }
        Node::Filter(node::Filter { input, .. }) | Node::Project(node::Project { input, .. }) => {
            is_narrow(input)
        }
        Node::Join(node::Join {
            kind: JoinKind::Left | JoinKind::Semi | JoinKind::Anti,
            left,
            ..
        }) => is_narrow(left),
        _ => false,
    })
}

/// How many rows there are at most, if they are few.
pub(super) fn few(node: &Node) -> Option<usize> {
    roomy(|| few_here(node))
}

fn few_here(node: &Node) -> Option<usize> {
    let count = match node {
        Node::Values(node::Values { rows, .. }) => rows.len(),
        Node::Scan(node::Scan { table, index, spans, limit, .. }) => {
            let key = table.index(*index).filter(|index| index.unique).map(|index| index.key.len());
            let points = !spans.is_empty()
                && key.is_some_and(|key| spans.iter().all(|span| span.equal.len() == key));
            match (points, limit) {
                (true, _) => spans.len(),
                (false, Some(limit)) => usize::try_from(*limit).ok()?,
                (false, None) => return None,
            }
        }
        Node::Filter(node::Filter { input, .. })
        | Node::Project(node::Project { input, .. })
        | Node::Distinct(node::Distinct { input, .. })
        | Node::Sort(node::Sort { input, .. }) => few(input)?,
        Node::Limit(node::Limit { input, limit, .. }) => match limit {
            Some(Expr::Const(value, _)) => usize::try_from(value.as_i64()?).ok()?,
            _ => few(input)?,
        },
        Node::Aggregate(node::Aggregate { keys, .. }) if keys.is_empty() => 1,
        Node::Apply(node::Apply { kind: JoinKind::Semi | JoinKind::Anti, input, .. }) => {
            few(input)?
        }
        Node::Apply(node::Apply { input, inner, .. }) => few(input)?.checked_mul(few(inner)?)?,
        Node::Join(node::Join { kind: JoinKind::Semi | JoinKind::Anti, left, .. }) => few(left)?,
        _ => return None,
    };
    (count <= FEW).then_some(count)
}
