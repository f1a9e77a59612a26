//! Conditions go down to where their rows come from: rows that do not count are dropped before they are joined,
//! grouped or sorted, and scans can make spans of what reaches them. On the way, equalities between the sides of a
//! join become what it can hash by, and outer joins whose padded rows would be dropped become inner ones.

use sql_plan::walk::own_slot;
use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::types::SqlType;

use super::facts::{
    Comparison, Facts, Side, conjunction, conjuncts, filtered, side, to_inner, to_right,
};

/// Pushes conditions over a node's rows into it.
pub(crate) fn push(node: Node, parts: Vec<Expr>, facts: &Facts<'_>) -> Node {
    sql_values::stack::roomy(|| push_here(node, parts, facts))
}

fn push_here(node: Node, mut parts: Vec<Expr>, facts: &Facts<'_>) -> Node {
    match node {
        Node::Filter(node::Filter { input, predicate }) => {
            let mut all = conjuncts(predicate);
            all.append(&mut parts);
            push(*input, all, facts)
        }
        Node::Project(node::Project { input, exprs }) => project(*input, exprs, parts, facts),
        Node::Join(node::Join { kind, left, right, equal, condition }) => {
            join(kind, *left, *right, equal, condition, parts, facts)
        }
        Node::Apply(node::Apply { kind, input, inner, condition }) => {
            apply(kind, *input, *inner, condition, parts, facts)
        }
        Node::Aggregate(node::Aggregate { input, keys, aggregates }) => {
            let (down, up): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| {
                let slots = part.slots();
                !slots.is_empty()
                    && slots.iter().all(|slot| *slot < keys.len())
                    && !facts.is_volatile(part)
            });
            let down = down.into_iter().map(|part| substitute(part, &keys)).collect();
            let input = Box::new(push(*input, down, facts));
            filtered(Node::Aggregate(node::Aggregate { input, keys, aggregates }), up)
        }
        Node::Distinct(node::Distinct { input, on }) if on.is_empty() => {
            let (down, up) = steady(parts, facts);
            let input = Box::new(push(*input, down, facts));
            filtered(Node::Distinct(node::Distinct { input, on }), up)
        }
        Node::Sort(node::Sort { input, keys, limit: None }) => {
            let (down, up) = steady(parts, facts);
            let input = Box::new(push(*input, down, facts));
            filtered(Node::Sort(node::Sort { input, keys, limit: None }), up)
        }
        Node::Append(node::Append { inputs }) => {
            let (down, up) = steady(parts, facts);
            let inputs = inputs.into_iter().map(|input| push(input, down.clone(), facts)).collect();
            filtered(Node::Append(node::Append { inputs }), up)
        }
        Node::SetOp(node::SetOp { left, right, except, all }) => {
            let (down, up) = steady(parts, facts);
            let left = Box::new(push(*left, down.clone(), facts));
            let right = Box::new(push(*right, down, facts));
            filtered(Node::SetOp(node::SetOp { left, right, except, all }), up)
        }
        Node::Scan(node::Scan {
            table,
            index,
            spans,
            columns,
            filter,
            lock,
            limit: None,
            reverse,
        }) => {
            let mut all = filter.map(conjuncts).unwrap_or_default();
            all.append(&mut parts);
            let filter = conjunction(all);
            Node::Scan(node::Scan {
                table,
                index,
                spans,
                columns,
                filter,
                lock,
                limit: None,
                reverse,
            })
        }
        Node::VirtualScan(node::VirtualScan { table, columns, filter }) => {
            let mut all = filter.map(conjuncts).unwrap_or_default();
            all.append(&mut parts);
            Node::VirtualScan(node::VirtualScan { table, columns, filter: conjunction(all) })
        }
        node => {
            let node = super::over_inputs(node, &mut |input| push(input, Vec::new(), facts));
            filtered(node, parts)
        }
    }
}

/// Conditions that may be evaluated elsewhere and for other rows, and those that may not.
fn steady(parts: Vec<Expr>, facts: &Facts<'_>) -> (Vec<Expr>, Vec<Expr>) {
    parts.into_iter().partition(|part| !facts.is_volatile(part))
}

/// How large a condition may become on its way down. One that reads a column twice doubles with every projection of
/// such a kind below it.
const MAX_SUBSTITUTED: usize = 1_000;

/// How large a condition is with expressions in place of its slots.
fn size_over(part: &Expr, exprs: &[Expr]) -> usize {
    let mut size: usize = 0;
    part.look(&mut |part, depth| {
        let expr = own_slot(part, depth).and_then(|(slot, _)| exprs.get(slot));
        size = size.saturating_add(expr.map_or(1, Expr::size));
    });
    size
}

fn substitute(mut part: Expr, exprs: &[Expr]) -> Expr {
    part.map_slots(&mut |slot, ty| exprs.get(slot).cloned().unwrap_or(Expr::Slot(slot, ty)));
    part
}

fn project(input: Node, exprs: Vec<Expr>, parts: Vec<Expr>, facts: &Facts<'_>) -> Node {
    // What is costly or volatile is not computed twice.
    let movable = |expr: &Expr| !facts.is_volatile(expr) && !expr.has_subquery();
    let (down, up): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| {
        !facts.is_volatile(part)
            && part.slots().iter().all(|slot| exprs.get(*slot).is_some_and(&movable))
            && size_over(part, &exprs) <= MAX_SUBSTITUTED
    });
    let down = down.into_iter().map(|part| substitute(part, &exprs)).collect();
    let input = Box::new(push(input, down, facts));
    filtered(Node::Project(node::Project { input, exprs }), up)
}

fn join(
    kind: JoinKind,
    left: Node,
    right: Node,
    mut equal: Vec<(Expr, Expr)>,
    condition: Option<Expr>,
    parts: Vec<Expr>,
    facts: &Facts<'_>,
) -> Node {
    let width = left.types().len();
    let mut kind = kind;
    if kind == JoinKind::Left && rejects_right(&parts, width, facts) {
        kind = JoinKind::Inner;
    }
    let mut conditions = condition.map(conjuncts).unwrap_or_default();
    let (mut parts, mut above) = steady(parts, facts);
    if kind == JoinKind::Inner {
        conditions.append(&mut parts);
    }
    let (mut to_left, mut into_right, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for part in conditions {
        let steady = !facts.is_volatile(&part);
        match side(&part, width) {
            Side::Left if steady && matches!(kind, JoinKind::Inner | JoinKind::Semi) => {
                to_left.push(part);
            }
            Side::Right if steady && kind != JoinKind::Full => {
                into_right.push(to_right(part, width));
            }
            Side::Both => match equality(&part, width, facts) {
                Some(pair) => equal.push(pair),
                None => kept.push(part),
            },
            _ => kept.push(part),
        }
    }
    // Conditions above an outer, semi or anti join: those on the left's rows alone.
    for part in parts {
        let of_left = matches!(side(&part, width), Side::Left | Side::Neither);
        if of_left && kind != JoinKind::Full && kind != JoinKind::Inner {
            to_left.push(part);
        } else {
            above.push(part);
        }
    }
    let left = Box::new(push(left, to_left, facts));
    let right = Box::new(push(right, into_right, facts));
    let node = Node::Join(node::Join { kind, left, right, equal, condition: conjunction(kept) });
    filtered(node, above)
}

/// True iff a row whose right side is all NULL cannot pass.
fn rejects_right(parts: &[Expr], width: usize, facts: &Facts<'_>) -> bool {
    parts.iter().any(|part| facts.rejects_nulls(part, &|slot| slot >= width))
}

/// `left = right` over the two sides: of one type, or of integers, which are widened to be one.
pub(super) fn equality(part: &Expr, width: usize, facts: &Facts<'_>) -> Option<(Expr, Expr)> {
    let Expr::Call { function, args, .. } = part else { return None };
    if facts.comparison(function) != Some(Comparison::Equal) || facts.is_volatile(part) {
        return None;
    }
    let [one, other] = args.as_slice() else { return None };
    let (left, right) = match (side(one, width), side(other, width)) {
        (Side::Left, Side::Right) => (one.clone(), other.clone()),
        (Side::Right, Side::Left) => (other.clone(), one.clone()),
        _ => return None,
    };
    let right = to_right(right, width);
    let (from, to) = (left.ty().base(), right.ty().base());
    if from == to {
        return Some((left, right));
    }
    let wide = match (rank(from)?, rank(to)?) {
        (a, b) if a > b => from,
        _ => to,
    };
    Some((facts.cast(left, wide)?, facts.cast(right, wide)?))
}

/// Integers by width.
pub(crate) fn rank(ty: SqlType) -> Option<u8> {
    match ty {
        SqlType::Int2 => Some(2),
        SqlType::Int4 => Some(4),
        SqlType::Int8 => Some(8),
        _ => None,
    }
}

fn apply(
    kind: JoinKind,
    input: Node,
    inner: Node,
    condition: Option<Expr>,
    parts: Vec<Expr>,
    facts: &Facts<'_>,
) -> Node {
    let width = input.types().len();
    let mut kind = kind;
    if kind == JoinKind::Left && rejects_right(&parts, width, facts) {
        kind = JoinKind::Inner;
    }
    let (parts, mut above) = steady(parts, facts);
    let mut conditions = condition.map(conjuncts).unwrap_or_default();
    let mut down = Vec::new();
    for part in parts {
        match side(&part, width) {
            Side::Left | Side::Neither => down.push(part),
            _ if kind == JoinKind::Inner => conditions.push(part),
            _ => above.push(part),
        }
    }
    // What must hold of a pair is a condition on the inner rows of an outer row.
    let inside = conditions.into_iter().map(|part| to_inner(part, width)).collect();
    let input = Box::new(push(input, down, facts));
    let inner = Box::new(push(inner, inside, facts));
    filtered(Node::Apply(node::Apply { kind, input, inner, condition: None }), above)
}
