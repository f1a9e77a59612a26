//! Walking through plans and expressions, with the number of rows that lie between an expression and the walk's
//! beginning: at depth 0 the row in question is [`Expr::Slot`], at depth d it is [`Expr::Outer`] of level d - 1.

use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::{Expr, Node, SubqueryKind};

/// Called for an expression and its depth, before its parts; false leaves its parts out.
pub(crate) type Change<'f> = dyn FnMut(&mut Expr, usize) -> bool + 'f;

impl Expr {
    /// The expressions directly below, subqueries' plans excepted.
    pub fn parts_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => Vec::new(),
            Expr::Call { args, .. }
            | Expr::And(args)
            | Expr::Or(args)
            | Expr::Coalesce(args, _)
            | Expr::Extreme { args, .. }
            | Expr::Array(args, _)
            | Expr::Row(args) => args.iter_mut().collect(),
            Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull(input) => vec![input],
            Expr::IsDistinct { sides, .. } => vec![&mut sides.0, &mut sides.1],
            Expr::Case { branches, otherwise, .. } => {
                let mut parts: Vec<&mut Expr> = Vec::new();
                for (when, then) in branches {
                    parts.push(when);
                    parts.push(then);
                }
                if let Some(otherwise) = otherwise {
                    parts.push(otherwise);
                }
                parts
            }
            Expr::Quantified { input, array, .. } => vec![input, array],
            Expr::InList { input, list, .. } => {
                let mut parts: Vec<&mut Expr> = vec![input];
                parts.extend(list);
                parts
            }
            Expr::Subscript(array, index, _) => vec![array, index],
            Expr::Subquery { kind: SubqueryKind::In { input, .. }, .. } => vec![input],
            Expr::Subquery { .. } => Vec::new(),
        }
    }

    /// Walks through it and everything below.
    pub fn change(&mut self, depth: usize, change: &mut Change<'_>) {
        if !change(self, depth) {
            return;
        }
        roomy(|| {
            for part in self.parts_mut() {
                part.change(depth, change);
            }
            if let Expr::Subquery { plan, .. } = self {
                plan.change(depth + 1, change);
            }
        });
    }

    /// Replaces every slot of its row.
    pub fn map_slots(&mut self, map: &mut dyn FnMut(usize, SqlType) -> Expr) {
        self.change(0, &mut |expr, depth| match own_slot(expr, depth) {
            Some((slot, ty)) => {
                let mut mapped = map(slot, ty);
                mapped.lift(depth);
                *expr = mapped;
                false
            }
            None => true,
        });
    }

    /// With every slot so much further.
    pub fn shift(&mut self, by: usize) {
        self.map_slots(&mut |slot, ty| Expr::Slot(slot + by, ty));
    }

    /// As seen from a row so many levels further in.
    pub fn lift(&mut self, by: usize) {
        if by == 0 {
            return;
        }
        self.change(0, &mut |expr, depth| {
            match expr {
                Expr::Slot(slot, ty) if depth == 0 => {
                    *expr = Expr::Outer { level: by - 1, slot: *slot, ty: *ty };
                    return false;
                }
                Expr::Outer { level, .. } if *level + 1 >= depth => {
                    // At depth 0 every outer reference is free; further in, those that leave the walk.
                    *level += by;
                }
                _ => {}
            }
            true
        });
    }
}

/// The slot of the walk's row that the expression is.
pub fn own_slot(expr: &Expr, depth: usize) -> Option<(usize, SqlType)> {
    match expr {
        Expr::Slot(slot, ty) if depth == 0 => Some((*slot, *ty)),
        Expr::Outer { level, slot, ty } if *level + 1 == depth => Some((*slot, *ty)),
        _ => None,
    }
}

impl Node {
    /// Its expressions (not those of its inputs).
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs: Vec<&mut Expr> = Vec::new();
        match self {
            Node::Values { rows, .. } => exprs.extend(rows.iter_mut().flatten()),
            Node::Scan { spans, filter, .. } => {
                for span in spans {
                    exprs.extend(&mut span.equal);
                    exprs.extend(span.lower.iter_mut().map(|(expr, _)| expr));
                    exprs.extend(span.upper.iter_mut().map(|(expr, _)| expr));
                }
                exprs.extend(filter);
            }
            Node::VirtualScan { filter, .. } => exprs.extend(filter),
            Node::TableFunction { calls, .. } => {
                exprs.extend(calls.iter_mut().flat_map(|(_, args)| args));
            }
            Node::CteScan { .. } | Node::Append { .. } | Node::SetOp { .. } => {}
            Node::Filter { predicate, .. } => exprs.push(predicate),
            Node::Project { exprs: list, .. } => exprs.extend(list),
            Node::Join { equal, condition, .. } => {
                for (left, right) in equal {
                    exprs.push(left);
                    exprs.push(right);
                }
                exprs.extend(condition);
            }
            Node::Apply { condition, .. } => exprs.extend(condition),
            Node::Aggregate { keys, aggregates, .. } => {
                exprs.extend(keys);
                for call in aggregates {
                    exprs.extend(&mut call.args);
                    exprs.extend(&mut call.filter);
                    exprs.extend(call.order.iter_mut().map(|key| &mut key.expr));
                }
            }
            Node::Distinct { on, .. } => exprs.extend(on),
            Node::Sort { keys, limit, .. } => {
                exprs.extend(keys.iter_mut().map(|key| &mut key.expr));
                exprs.extend(limit);
            }
            Node::Limit { limit, offset, .. } => {
                exprs.extend(limit);
                exprs.extend(offset);
            }
            Node::Insert { checks, on_conflict, returning, .. } => {
                exprs.extend(checks.iter_mut().map(|(_, expr)| expr));
                if let Some(conflict) = on_conflict {
                    let update = conflict.update.iter_mut().flatten();
                    exprs.extend(update.map(|(_, expr)| expr));
                    exprs.extend(&mut conflict.condition);
                }
                exprs.extend(returning.iter_mut().flatten());
            }
            Node::Update { assignments, checks, returning, .. } => {
                exprs.extend(assignments.iter_mut().map(|(_, expr)| expr));
                exprs.extend(checks.iter_mut().map(|(_, expr)| expr));
                exprs.extend(returning.iter_mut().flatten());
            }
            Node::Delete { returning, .. } => exprs.extend(returning.iter_mut().flatten()),
        }
        exprs
    }

    /// Its inputs, with the number of rows that they lie further in: an Apply's inner plan lies one further.
    pub fn inputs_mut(&mut self) -> Vec<(&mut Node, usize)> {
        match self {
            Node::Values { .. }
            | Node::Scan { .. }
            | Node::VirtualScan { .. }
            | Node::TableFunction { .. }
            | Node::CteScan { .. } => Vec::new(),
            Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::Aggregate { input, .. }
            | Node::Distinct { input, .. }
            | Node::Sort { input, .. }
            | Node::Limit { input, .. }
            | Node::Insert { input, .. }
            | Node::Update { input, .. }
            | Node::Delete { input, .. } => vec![(input, 0)],
            Node::Join { left, right, .. } | Node::SetOp { left, right, .. } => {
                vec![(left, 0), (right, 0)]
            }
            Node::Apply { input, inner, .. } => vec![(input, 0), (inner, 1)],
            Node::Append { inputs } => inputs.iter_mut().map(|input| (input, 0)).collect(),
        }
    }

    /// Walks through all expressions of it and its inputs. Slots at depth 0 are its own rows', each node's.
    pub fn change(&mut self, depth: usize, change: &mut Change<'_>) {
        roomy(|| {
            for expr in self.exprs_mut() {
                expr.change(depth, change);
            }
            for (input, further) in self.inputs_mut() {
                input.change(depth + further, change);
            }
        });
    }

    /// The types of the slots that it yields.
    pub fn types(&self) -> Vec<SqlType> {
        roomy(|| self.types_here())
    }

    fn types_here(&self) -> Vec<SqlType> {
        let all = |exprs: &[Expr]| exprs.iter().map(Expr::ty).collect::<Vec<_>>();
        let column_types = |table: &sql_catalog::descriptor::TableDescriptor, columns: &[_]| {
            columns
                .iter()
                .map(|id| {
                    let position = table.position(*id);
                    position.map_or(SqlType::Unknown, |position| table.columns[position].ty)
                })
                .collect::<Vec<_>>()
        };
        match self {
            Node::Values { types, .. } | Node::CteScan { types, .. } => types.clone(),
            Node::TableFunction { types, .. } => types.clone(),
            Node::Scan { table, columns, .. } | Node::VirtualScan { table, columns, .. } => {
                column_types(table, columns)
            }
            Node::Filter { input, .. }
            | Node::Distinct { input, .. }
            | Node::Sort { input, .. }
            | Node::Limit { input, .. } => input.types(),
            Node::Project { exprs, .. } => all(exprs),
            Node::Join { kind, left, right, .. } => joined(*kind, left, right),
            Node::Apply { kind, input, inner, .. } => joined(*kind, input, inner),
            Node::Aggregate { keys, aggregates, .. } => {
                let mut types = all(keys);
                types.extend(aggregates.iter().map(|call| call.ty));
                types
            }
            Node::Append { inputs } => inputs.first().map(Node::types).unwrap_or_default(),
            Node::SetOp { left, .. } => left.types(),
            Node::Insert { returning, .. }
            | Node::Update { returning, .. }
            | Node::Delete { returning, .. } => {
                returning.as_ref().map(|exprs| all(exprs)).unwrap_or_default()
            }
        }
    }
}

fn joined(kind: super::JoinKind, left: &Node, right: &Node) -> Vec<SqlType> {
    let mut types = left.types();
    if !matches!(kind, super::JoinKind::Semi | super::JoinKind::Anti) {
        types.extend(right.types());
    }
    types
}
