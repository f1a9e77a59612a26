//! What nodes and expressions consist of: the one place that names their parts. Whoever walks through plans
//! ([`super::look`], [`super::walk`], EXPLAIN, the rules of the planner) goes by it.

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::{Expr, IndexSpan, JoinKind, Node, SubqueryKind};

/// Makes the walks, by shared or by unique reference: what is borrowed follows from what is walked through.
macro_rules! children {
    ($parts:ident, $exprs:ident, $inputs:ident $(, $mut:tt)?) => {
        impl Expr {
            /// Calls `visit` with its direct parts. The plan of a subquery is none of them, its left side is.
            pub fn $parts<'e>(&'e $($mut)? self, visit: &mut dyn FnMut(&'e $($mut)? Expr)) {
                match self {
                    Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => {}
                    Expr::Call { args: parts, .. }
                    | Expr::Extreme { args: parts, .. }
                    | Expr::And(parts)
                    | Expr::Or(parts)
                    | Expr::Coalesce(parts, _)
                    | Expr::Array(parts, _)
                    | Expr::Row(parts) => parts.into_iter().for_each(visit),
                    Expr::Cast { input, .. } | Expr::Not(input) | Expr::IsNull(input) => {
                        visit(input);
                    }
                    Expr::IsDistinct { sides, .. } => {
                        let (left, right) = &$($mut)? **sides;
                        visit(left);
                        visit(right);
                    }
                    Expr::Case { branches, otherwise, .. } => {
                        for (condition, result) in branches {
                            visit(condition);
                            visit(result);
                        }
                        otherwise.into_iter().for_each(|otherwise| visit(otherwise));
                    }
                    Expr::Quantified { input, array, .. } => {
                        visit(input);
                        visit(array);
                    }
                    Expr::InList { input, list, .. } => {
                        visit(input);
                        list.into_iter().for_each(visit);
                    }
                    Expr::Subscript(array, index, _) => {
                        visit(array);
                        visit(index);
                    }
                    Expr::Subquery { kind, .. } => match kind {
                        SubqueryKind::In { input, .. } => visit(input),
                        SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Array => {}
                    },
                }
            }
        }

        impl Node {
            /// Calls `visit` with its expressions (not those of its inputs).
            pub fn $exprs<'n>(&'n $($mut)? self, visit: &mut dyn FnMut(&'n $($mut)? Expr)) {
                match self {
                    Node::Values { rows, .. } => rows.into_iter().flatten().for_each(visit),
                    Node::Scan { spans, filter, .. } => {
                        for IndexSpan { equal, lower, upper, not_null: _ } in spans {
                            equal.into_iter().for_each(&mut *visit);
                            lower.into_iter().chain(upper).for_each(|(bound, _)| visit(bound));
                        }
                        filter.into_iter().for_each(visit);
                    }
                    Node::VirtualScan { filter, .. } => filter.into_iter().for_each(visit),
                    Node::TableFunction { calls, .. } => {
                        calls.into_iter().flat_map(|(_, args)| args).for_each(visit);
                    }
                    Node::CteScan { .. } | Node::Append { .. } | Node::SetOp { .. } => {}
                    Node::Filter { predicate, .. } => visit(predicate),
                    Node::Project { exprs, .. } => exprs.into_iter().for_each(visit),
                    Node::Join { equal, condition, .. } => {
                        for (left, right) in equal {
                            visit(left);
                            visit(right);
                        }
                        condition.into_iter().for_each(visit);
                    }
                    Node::Apply { condition, .. } => condition.into_iter().for_each(visit),
                    Node::Aggregate { keys, aggregates, .. } => {
                        keys.into_iter().for_each(&mut *visit);
                        for call in aggregates {
                            let (args, filter) = (&$($mut)? call.args, &$($mut)? call.filter);
                            args.into_iter().chain(filter).for_each(&mut *visit);
                            for key in &$($mut)? call.order {
                                visit(&$($mut)? key.expr);
                            }
                        }
                    }
                    Node::Distinct { on, .. } => on.into_iter().for_each(visit),
                    Node::Sort { keys, limit, .. } => {
                        for key in keys {
                            visit(&$($mut)? key.expr);
                        }
                        limit.into_iter().for_each(visit);
                    }
                    Node::Limit { limit, offset, .. } => {
                        limit.into_iter().chain(offset).for_each(visit);
                    }
                    Node::Insert { checks, on_conflict, returning, .. } => {
                        checks.into_iter().for_each(|(_, check)| visit(check));
                        if let Some(conflict) = on_conflict {
                            let update = &$($mut)? conflict.update;
                            update.into_iter().flatten().for_each(|(_, expr)| visit(expr));
                            (&$($mut)? conflict.condition).into_iter().for_each(&mut *visit);
                        }
                        returning.into_iter().flatten().for_each(visit);
                    }
                    Node::Update { assignments, checks, returning, .. } => {
                        assignments.into_iter().for_each(|(_, expr)| visit(expr));
                        checks.into_iter().for_each(|(_, check)| visit(check));
                        returning.into_iter().flatten().for_each(visit);
                    }
                    Node::Delete { returning, .. } => {
                        returning.into_iter().flatten().for_each(visit);
                    }
                }
            }

            /// Calls `visit` with its inputs, and the number of rows that they lie further in: an Apply's inner plan
            /// lies one further.
            pub fn $inputs<'n>(&'n $($mut)? self, visit: &mut dyn FnMut(&'n $($mut)? Node, usize)) {
                match self {
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
                    | Node::Delete { input, .. } => visit(input, 0),
                    Node::Join { left, right, .. } | Node::SetOp { left, right, .. } => {
                        visit(left, 0);
                        visit(right, 0);
                    }
                    Node::Apply { input, inner, .. } => {
                        visit(input, 0);
                        visit(inner, 1);
                    }
                    Node::Append { inputs } => {
                        inputs.into_iter().for_each(|input| visit(input, 0));
                    }
                }
            }
        }
    };
}

children!(parts, exprs, inputs);
children!(each_part_mut, each_expr_mut, each_input_mut, mut);

impl Expr {
    /// Its direct parts, to change them. The plan of a subquery is none of them, its left side is.
    pub fn parts_mut(&mut self) -> Vec<&mut Expr> {
        let mut parts = Vec::new();
        self.each_part_mut(&mut |part| parts.push(part));
        parts
    }
}

impl Node {
    /// Its expressions, to change them (not those of its inputs).
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs = Vec::new();
        self.each_expr_mut(&mut |expr| exprs.push(expr));
        exprs
    }

    /// Its inputs, to change them, with the number of rows that they lie further in.
    pub fn inputs_mut(&mut self) -> Vec<(&mut Node, usize)> {
        let mut inputs = Vec::new();
        self.each_input_mut(&mut |input, further| inputs.push((input, further)));
        inputs
    }

    /// The types of the slots that it yields.
    pub fn types(&self) -> Vec<SqlType> {
        roomy(|| self.types_here())
    }

    fn types_here(&self) -> Vec<SqlType> {
        let all = |exprs: &[Expr]| exprs.iter().map(Expr::ty).collect::<Vec<_>>();
        let column_types = |table: &TableDescriptor, columns: &[ColumnId]| {
            let column = |id: &ColumnId| table.position(*id).map(|at| table.columns[at].ty);
            columns.iter().map(|id| column(id).unwrap_or(SqlType::Unknown)).collect::<Vec<_>>()
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

fn joined(kind: JoinKind, left: &Node, right: &Node) -> Vec<SqlType> {
    let mut types = left.types();
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        types.extend(right.types());
    }
    types
}
