//! Columns that nobody reads are not fetched, joined or carried along.

use std::collections::BTreeSet;

use sql_plan::walk::own_slot;
use sql_plan::{Expr, JoinKind, Node, node};

/// Where the slots of a node went: by old number, the new one.
type Moved = Vec<Option<usize>>;

/// Prunes a plan whose result is wanted as it is.
pub(crate) fn columns(node: Node) -> Node {
    let width = node.types().len();
    exactly(node, &(0..width).collect())
}

/// The node with exactly these slots, in order.
fn exactly(node: Node, wanted: &BTreeSet<usize>) -> Node {
    let types = node.types();
    let (node, moved) = prune(node, wanted);
    let slots: Vec<usize> =
        wanted.iter().map(|slot| moved.get(*slot).copied().flatten().unwrap_or(0)).collect();
    let same =
        slots.iter().enumerate().all(|(at, slot)| at == *slot) && node.types().len() == slots.len();
    if same {
        return node;
    }
    let exprs = wanted
        .iter()
        .zip(slots)
        .map(|(old, slot)| {
            Expr::Slot(
                slot,
                types.get(*old).copied().unwrap_or(sql_values::types::SqlType::Unknown),
            )
        })
        .collect();
    Node::Project(node::Project { input: Box::new(node), exprs })
}

fn identity(width: usize) -> Moved {
    (0..width).map(Some).collect()
}

fn all(width: usize) -> BTreeSet<usize> {
    (0..width).collect()
}

fn add(expr: &Expr, wanted: &mut BTreeSet<usize>) {
    wanted.extend(expr.slots());
}

fn renumber(expr: &mut Expr, moved: &Moved) {
    expr.map_slots(&mut |slot, ty| {
        Expr::Slot(moved.get(slot).copied().flatten().unwrap_or(slot), ty)
    });
}

/// Keeps what is wanted, and perhaps more.
fn prune(node: Node, wanted: &BTreeSet<usize>) -> (Node, Moved) {
    sql_values::stack::roomy(|| prune_here(node, wanted))
}

fn prune_here(node: Node, wanted: &BTreeSet<usize>) -> (Node, Moved) {
    match node {
        Node::Scan(node::Scan {
            table,
            index,
            spans,
            columns,
            mut filter,
            lock,
            limit,
            reverse,
        }) => {
            let mut needed = wanted.clone();
            filter.iter().for_each(|filter| add(filter, &mut needed));
            let (columns, moved) = keep(columns, &needed);
            filter.iter_mut().for_each(|filter| renumber(filter, &moved));
            (
                Node::Scan(node::Scan {
                    table,
                    index,
                    spans,
                    columns,
                    filter,
                    lock,
                    limit,
                    reverse,
                }),
                moved,
            )
        }
        Node::VirtualScan(node::VirtualScan { table, columns, mut filter }) => {
            let mut needed = wanted.clone();
            filter.iter().for_each(|filter| add(filter, &mut needed));
            let (columns, moved) = keep(columns, &needed);
            filter.iter_mut().for_each(|filter| renumber(filter, &moved));
            (Node::VirtualScan(node::VirtualScan { table, columns, filter }), moved)
        }
        Node::Values(node::Values { rows, types }) => {
            let width = types.len();
            let (types, moved) = keep(types, wanted);
            let rows = if types.len() == width {
                rows
            } else {
                rows.into_iter().map(|row| keep(row, wanted).0).collect()
            };
            (Node::Values(node::Values { rows, types }), moved)
        }
        Node::Filter(node::Filter { input, mut predicate }) => {
            let mut needed = wanted.clone();
            add(&predicate, &mut needed);
            let (input, moved) = prune(*input, &needed);
            renumber(&mut predicate, &moved);
            (Node::Filter(node::Filter { input: Box::new(input), predicate }), moved)
        }
        Node::Project(node::Project { input, exprs }) => {
            let (mut exprs, moved) = keep(exprs, wanted);
            let mut needed = BTreeSet::new();
            exprs.iter().for_each(|expr| add(expr, &mut needed));
            let (input, inner) = prune(*input, &needed);
            exprs.iter_mut().for_each(|expr| renumber(expr, &inner));
            (Node::Project(node::Project { input: Box::new(input), exprs }), moved)
        }
        Node::Join(node::Join { kind, left, right, equal, condition }) => {
            join(kind, *left, *right, equal, condition, wanted)
        }
        Node::Apply(node::Apply { kind, input, inner, condition }) => {
            apply(kind, *input, *inner, condition, wanted)
        }
        Node::Aggregate(node::Aggregate { input, keys, mut aggregates }) => {
            let count = keys.len();
            let old = aggregates.len();
            let wanted_calls: BTreeSet<usize> =
                wanted.iter().filter_map(|slot| slot.checked_sub(count)).collect();
            let (kept, calls) = keep(std::mem::take(&mut aggregates), &wanted_calls);
            aggregates = kept;
            let mut needed = BTreeSet::new();
            keys.iter().for_each(|key| add(key, &mut needed));
            let mut node = Node::Aggregate(node::Aggregate {
                input: Box::new(Node::Values(node::Values { rows: Vec::new(), types: Vec::new() })),
                keys,
                aggregates,
            });
            node.exprs_mut().into_iter().for_each(|expr| add(expr, &mut needed));
            let (below, moved) = prune(*input, &needed);
            node.exprs_mut().into_iter().for_each(|expr| renumber(expr, &moved));
            if let Node::Aggregate(node::Aggregate { input, .. }) = &mut node {
                **input = below;
            }
            let mut out = identity(count);
            out.extend(
                (0..old).map(|call| calls.get(call).copied().flatten().map(|call| call + count)),
            );
            (node, out)
        }
        Node::Sort(node::Sort { input, mut keys, limit }) => {
            let mut needed = wanted.clone();
            keys.iter().for_each(|key| add(&key.expr, &mut needed));
            let (input, moved) = prune(*input, &needed);
            keys.iter_mut().for_each(|key| renumber(&mut key.expr, &moved));
            (Node::Sort(node::Sort { input: Box::new(input), keys, limit }), moved)
        }
        Node::Limit(node::Limit { input, limit, offset }) => {
            let (input, moved) = prune(*input, wanted);
            (Node::Limit(node::Limit { input: Box::new(input), limit, offset }), moved)
        }
        Node::Distinct(node::Distinct { input, mut on }) if !on.is_empty() => {
            let mut needed = wanted.clone();
            on.iter().for_each(|key| add(key, &mut needed));
            let (input, moved) = prune(*input, &needed);
            on.iter_mut().for_each(|key| renumber(key, &moved));
            (Node::Distinct(node::Distinct { input: Box::new(input), on }), moved)
        }
        Node::Append(node::Append { inputs }) => {
            let width = inputs.first().map_or(0, |input| input.types().len());
            let inputs = inputs.into_iter().map(|input| exactly(input, wanted)).collect();
            let mut moved = vec![None; width];
            for (new, old) in wanted.iter().enumerate() {
                if let Some(place) = moved.get_mut(*old) {
                    *place = Some(new);
                }
            }
            (Node::Append(node::Append { inputs }), moved)
        }
        node => {
            let width = node.types().len();
            (whole(node), identity(width))
        }
    }
}

/// What a write's input holds beyond the table's columns may be pruned; all else needs its whole input.
fn whole(node: Node) -> Node {
    let table_width = match &node {
        Node::Update(node::Update { table, .. }) | Node::Delete(node::Delete { table, .. }) => {
            Some(table.columns.len())
        }
        _ => None,
    };
    let Some(table_width) = table_width else {
        return super::over_inputs(node, &mut columns);
    };
    let mut node = node;
    let mut needed = all(table_width);
    node.exprs_mut().into_iter().for_each(|expr| add(expr, &mut needed));
    let mut moved = Vec::new();
    for (input, _) in node.inputs_mut() {
        let pruned = exactly(super::take(input), &needed);
        let width = needed.iter().next_back().map_or(0, |last| last + 1);
        moved = vec![None; width];
        for (new, old) in needed.iter().enumerate() {
            moved[*old] = Some(new);
        }
        *input = pruned;
    }
    node.exprs_mut().into_iter().for_each(|expr| renumber(expr, &moved));
    node
}

fn keep<T>(items: Vec<T>, wanted: &BTreeSet<usize>) -> (Vec<T>, Moved) {
    let mut moved = vec![None; items.len()];
    let mut kept = Vec::new();
    for (old, item) in items.into_iter().enumerate() {
        if wanted.contains(&old) {
            moved[old] = Some(kept.len());
            kept.push(item);
        }
    }
    (kept, moved)
}

fn halves(wanted: &BTreeSet<usize>, width: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let left = wanted.iter().copied().filter(|slot| *slot < width).collect();
    let right = wanted.iter().filter_map(|slot| slot.checked_sub(width)).collect();
    (left, right)
}

fn beside(left: &Moved, left_width: usize, right: &Moved) -> Moved {
    let mut moved = left.clone();
    moved.extend(right.iter().map(|slot| slot.map(|slot| slot + left_width)));
    moved
}

fn join(
    kind: JoinKind,
    left: Node,
    right: Node,
    mut equal: Vec<(Expr, Expr)>,
    mut condition: Option<Expr>,
    wanted: &BTreeSet<usize>,
) -> (Node, Moved) {
    let width = left.types().len();
    let (mut of_left, mut of_right) = halves(wanted, width);
    for (one, other) in &equal {
        add(one, &mut of_left);
        add(other, &mut of_right);
    }
    let mut both = BTreeSet::new();
    condition.iter().for_each(|condition| add(condition, &mut both));
    let (more_left, more_right) = halves(&both, width);
    of_left.extend(more_left);
    of_right.extend(more_right);
    let (left, left_moved) = prune(left, &of_left);
    let (right, right_moved) = prune(right, &of_right);
    for (one, other) in &mut equal {
        renumber(one, &left_moved);
        renumber(other, &right_moved);
    }
    let moved = beside(&left_moved, left.types().len(), &right_moved);
    condition.iter_mut().for_each(|condition| renumber(condition, &moved));
    let node = Node::Join(node::Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        equal,
        condition,
    });
    match kind {
        JoinKind::Semi | JoinKind::Anti => (node, left_moved),
        _ => (node, moved),
    }
}

fn apply(
    kind: JoinKind,
    input: Node,
    inner: Node,
    mut condition: Option<Expr>,
    wanted: &BTreeSet<usize>,
) -> (Node, Moved) {
    let width = input.types().len();
    let mut needed = wanted.clone();
    condition.iter().for_each(|condition| add(condition, &mut needed));
    let (mut of_left, of_right) = halves(&needed, width);
    let (mut inner, inner_moved) = prune(inner, &of_right);
    // What the inner plan reads of the outer row.
    inner.change(1, &mut |expr, depth| {
        if let Some((slot, _)) = own_slot(expr, depth) {
            of_left.insert(slot);
        }
        true
    });
    let (input, moved) = prune(input, &of_left);
    inner.change(1, &mut |expr, depth| {
        if let (Some((slot, _)), Expr::Outer { slot: place, .. }) = (own_slot(expr, depth), expr) {
            *place = moved.get(slot).copied().flatten().unwrap_or(slot);
        }
        true
    });
    let out = beside(&moved, input.types().len(), &inner_moved);
    condition.iter_mut().for_each(|condition| renumber(condition, &out));
    let node = Node::Apply(node::Apply {
        kind,
        input: Box::new(input),
        inner: Box::new(inner),
        condition,
    });
    match kind {
        JoinKind::Semi | JoinKind::Anti => (node, moved),
        _ => (node, out),
    }
}
