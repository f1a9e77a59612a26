//! Looking at plans and expressions, by reference and as often as they are run. Depths mean what they mean in
//! [`super::walk`], which changes them.

use sql_values::stack::roomy;

use super::walk::own_slot;
use super::{Expr, IndexSpan, Node, SortKey, SubqueryKind};

/// Called for an expression and its depth, before its parts; false leaves its parts out.
type Look<'f> = dyn FnMut(&Expr, usize) -> bool + 'f;

impl Expr {
    /// True iff it has no parts.
    fn is_leaf(&self) -> bool {
        matches!(self, Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..))
    }

    /// Calls `visit` with its direct parts. The plan of a subquery is none of them, its left side is.
    pub(crate) fn parts<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        match self {
            Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => {}
            Expr::Call { args, .. } | Expr::Extreme { args, .. } => args.iter().for_each(visit),
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

    fn walk(&self, depth: usize, look: &mut Look<'_>) {
        if !look(self, depth) || self.is_leaf() {
            return;
        }
        roomy(|| {
            self.parts(&mut |part| part.walk(depth, look));
            if let Expr::Subquery { plan, .. } = self {
                plan.walk(depth + 1, look);
            }
        });
    }

    /// Looks at it and everything below, subqueries' plans included.
    pub fn look(&self, look: &mut dyn FnMut(&Expr, usize)) {
        self.walk(0, &mut |expr, depth| {
            look(expr, depth);
            true
        });
    }

    /// The slots of its row that it reads, in order.
    pub fn slots(&self) -> Vec<usize> {
        let mut slots = Vec::new();
        self.look(&mut |expr, depth| {
            if let Some((slot, _)) = own_slot(expr, depth) {
                slots.push(slot);
            }
        });
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// True iff anything in it satisfies the condition.
    pub fn any(&self, condition: &mut dyn FnMut(&Expr) -> bool) -> bool {
        let mut found = false;
        self.walk(0, &mut |expr, _| {
            found = found || condition(expr);
            !found
        });
        found
    }

    /// True iff a subquery is somewhere in it.
    pub fn has_subquery(&self) -> bool {
        self.any(&mut |part| matches!(part, Expr::Subquery { .. }))
    }

    /// Of how many expressions it consists.
    pub fn size(&self) -> usize {
        let mut size = 0;
        self.look(&mut |_, _| size += 1);
        size
    }
}

impl Node {
    /// Calls `visit` with its expressions (not those of its inputs).
    fn exprs<'n>(&'n self, visit: &mut dyn FnMut(&'n Expr)) {
        match self {
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

    /// Calls `visit` with its inputs, and the number of rows that they lie further in.
    pub fn inputs<'n>(&'n self, visit: &mut dyn FnMut(&'n Node, usize)) {
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
            Node::Append { inputs } => inputs.iter().for_each(|input| visit(input, 0)),
        }
    }

    /// Subqueries' plans in its expressions (not in those of its inputs), the outermost ones.
    pub fn subplans(&self) -> Vec<&Node> {
        fn collect<'e>(expr: &'e Expr, plans: &mut Vec<&'e Node>) {
            if expr.is_leaf() {
                return;
            }
            roomy(|| {
                if let Expr::Subquery { plan, .. } = expr {
                    plans.push(plan);
                }
                expr.parts(&mut |part| collect(part, plans));
            });
        }
        let mut plans = Vec::new();
        self.exprs(&mut |expr| collect(expr, &mut plans));
        plans
    }

    fn walk(&self, depth: usize, look: &mut Look<'_>) {
        roomy(|| {
            self.exprs(&mut |expr| expr.walk(depth, look));
            self.inputs(&mut |input, further| input.walk(depth + further, look));
        });
    }

    /// True iff it refers to a row outside of itself.
    pub fn is_correlated(&self) -> bool {
        let mut found = false;
        self.walk(0, &mut |expr, depth| {
            found = found || matches!(expr, Expr::Outer { level, .. } if *level >= depth);
            !found
        });
        found
    }

    /// Of how many nodes and expressions it consists.
    pub fn size(&self) -> usize {
        roomy(|| {
            let mut size = 1;
            self.exprs(&mut |expr| size += expr.size());
            self.inputs(&mut |input, _| size += input.size());
            size
        })
    }
}
