//! The order of inner joins: no product of two inputs while there is a condition that joins them to others, and what
//! is known to be a few rows comes first, so that the rest can be looked up.
//!
//! ```text
//!  FROM a, c, b WHERE a.x = b.x AND b.y = c.y          Inner join on b.y = c.y
//!                                                 ──▶    Inner join on a.x = b.x
//!                                                          Scan a
//!                                                          Scan b
//!                                                        Scan c
//! ```
//!
//! A tree of inner joins is taken apart into its inputs and its conditions. Inputs that equalities tie together are
//! joined one by one, in the order in which they were written as far as that goes; then the groups that nothing ties.
//! Every condition is tested at the first join that has all it needs. Outer, semi and anti joins, and whatever else is
//! below, are inputs as they stand.
//!
//! - J1. The rows are the same, slot by slot, in another order.
//! - J2. A tree whose order is good stays as it is.
//!
//! Not done: sizes are not known, so among orders without a product, the one that was written is the best there is.

use std::collections::BTreeSet;

use sql_catalog::function::Function;
use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::types::SqlType;

use super::facts::{Facts, conjunction, conjuncts};
use super::lookup::few;

/// Applies the rule to every tree of inner joins, after conditions have gone down.
pub(crate) fn inner_joins(node: Node, facts: &Facts<'_>) -> Node {
    sql_values::stack::roomy(|| {
        if !is_inner(&node) {
            return super::over_inputs(node, &mut |input| inner_joins(input, facts));
        }
        let types = node.types();
        let mut tree = Tree::default();
        let original = node.clone();
        tree.take_apart(node, facts);
        if tree.is_fixed || tree.conditions.iter().any(|c| facts.is_volatile(&c.expr())) {
            return super::over_inputs(original, &mut |input| inner_joins(input, facts));
        }
        tree.join(types, facts)
    })
}

fn is_inner(node: &Node) -> bool {
    matches!(node, Node::Join(node::Join { kind: JoinKind::Inner, .. }))
}

/// A tree of inner joins, taken apart. Slots are those of the whole tree's rows.
#[derive(Default)]
struct Tree {
    inputs: Vec<Part>,
    conditions: Vec<Condition>,
    width: usize,
    /// There is an equality of a type without an equality function of its own (arrays): it can be nothing but hashed by.
    is_fixed: bool,
}

/// Inputs that are joined already, or one.
struct Part {
    node: Node,
    /// The tree's slot of each of its own.
    slots: Vec<usize>,
}

/// What must hold of a row.
enum Condition {
    /// Of two values of one type, with its equality function.
    Equal(Expr, Expr, &'static Function),
    Other(Expr),
}

impl Condition {
    fn slots(&self) -> Vec<usize> {
        match self {
            Condition::Equal(one, other, _) => [one.slots(), other.slots()].concat(),
            Condition::Other(expr) => expr.slots(),
        }
    }

    fn expr(&self) -> Expr {
        match self {
            Condition::Equal(one, other, function) => {
                let args = vec![one.clone(), other.clone()];
                Expr::Call { function, args, ty: SqlType::Bool }
            }
            Condition::Other(expr) => expr.clone(),
        }
    }
}

impl Part {
    fn has(&self, slots: &[usize]) -> bool {
        slots.iter().all(|slot| self.slots.contains(slot))
    }

    /// An expression over the tree's rows as one over its own.
    fn own(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        let place = |slot: usize| self.slots.iter().position(|own| *own == slot).unwrap_or(slot);
        expr.map_slots(&mut |slot, ty| Expr::Slot(place(slot), ty));
        expr
    }
}

impl Tree {
    fn take_apart(&mut self, node: Node, facts: &Facts<'_>) {
        let Node::Join(node::Join { kind: JoinKind::Inner, left, right, equal, condition }) = node
        else {
            let node = inner_joins(node, facts);
            let width = node.types().len();
            let slots = (self.width..self.width + width).collect();
            self.width += width;
            self.inputs.push(Part { node, slots });
            return;
        };
        let start = self.width;
        sql_values::stack::roomy(|| self.take_apart(*left, facts));
        let middle = self.width;
        sql_values::stack::roomy(|| self.take_apart(*right, facts));
        let shifted = |mut expr: Expr, by: usize| {
            expr.shift(by);
            expr
        };
        for (one, other) in equal {
            let Some(function) = facts.equality(one.ty()) else {
                self.is_fixed = true;
                continue;
            };
            let (one, other) = (shifted(one, start), shifted(other, middle));
            self.conditions.push(Condition::Equal(one, other, function));
        }
        for part in condition.map(conjuncts).unwrap_or_default() {
            self.conditions.push(Condition::Other(shifted(part, start)));
        }
    }

    fn join(mut self, types: Vec<SqlType>, facts: &Facts<'_>) -> Node {
        let mut groups: Vec<Part> = Vec::new();
        while !self.inputs.is_empty() {
            let first = self.inputs.iter().position(|part| is_small(part, facts)).unwrap_or(0);
            let mut group = self.inputs.remove(first);
            while let Some(next) = self.inputs.iter().position(|part| self.is_tied(&group, part)) {
                let next = self.inputs.remove(next);
                group = self.joined(group, next);
            }
            groups.push(group);
        }
        let mut groups = groups.into_iter();
        let Some(mut whole) = groups.next() else {
            return Node::Values(node::Values { rows: Vec::new(), types });
        };
        for group in groups {
            whole = self.joined(whole, group);
        }
        if whole.slots.iter().enumerate().all(|(at, slot)| at == *slot) {
            return whole.node;
        }
        let slots = types.into_iter().enumerate().map(|(slot, ty)| Expr::Slot(slot, ty));
        let exprs = slots.map(|slot| whole.own(&slot)).collect();
        Node::Project(node::Project { input: Box::new(whole.node), exprs })
    }

    /// An equality has one side here, and one side there.
    fn is_tied(&self, group: &Part, next: &Part) -> bool {
        self.conditions.iter().any(|condition| match condition {
            Condition::Equal(one, other, _) => {
                let (one, other) = (one.slots(), other.slots());
                (group.has(&one) && next.has(&other)) || (group.has(&other) && next.has(&one))
            }
            Condition::Other(_) => false,
        })
    }

    fn joined(&mut self, left: Part, right: Part) -> Part {
        let all: BTreeSet<usize> = left.slots.iter().chain(&right.slots).copied().collect();
        let slots = [left.slots.clone(), right.slots.clone()].concat();
        let (mut equal, mut rest) = (Vec::new(), Vec::new());
        let is_ready = |condition: &Condition| condition.slots().iter().all(|s| all.contains(s));
        let (ready, later) = std::mem::take(&mut self.conditions).into_iter().partition(is_ready);
        self.conditions = later;
        let ready: Vec<Condition> = ready;
        for condition in ready {
            match &condition {
                Condition::Equal(one, other, _)
                    if left.has(&one.slots()) && right.has(&other.slots()) =>
                {
                    equal.push((left.own(one), right.own(other)));
                }
                Condition::Equal(one, other, _)
                    if left.has(&other.slots()) && right.has(&one.slots()) =>
                {
                    equal.push((left.own(other), right.own(one)));
                }
                condition => rest.push(condition.expr()),
            }
        }
        let mut whole = Part { node: left.node, slots };
        let rest = rest.iter().map(|expr| whole.own(expr)).collect();
        whole.node = Node::Join(node::Join {
            kind: JoinKind::Inner,
            left: Box::new(whole.node),
            right: Box::new(right.node),
            equal,
            condition: conjunction(rest),
        });
        whole
    }
}

/// A few rows of a stored table, found by their keys: whoever begins with them looks the others up.
fn is_small(part: &Part, facts: &Facts<'_>) -> bool {
    let mut node = &part.node;
    while let Node::Filter(node::Filter { input, .. })
    | Node::Project(node::Project { input, .. }) = node
    {
        node = input;
    }
    matches!(node, Node::Scan(_)) && few(&super::narrowed(&part.node, Vec::new(), facts)).is_some()
}
