//! Looking at plans and expressions, by reference and as often as they are run. Depths mean what they mean in
//! [`super::walk`], which changes them.

use sql_catalog::function::Body;
use sql_values::stack::roomy;

use super::walk::own_slot;
use super::{Expr, Node};

/// Called for an expression and its depth, before its parts; false leaves its parts out.
type Look<'f> = dyn FnMut(&Expr, usize) -> bool + 'f;

impl Expr {
    /// True iff it has no parts.
    fn is_leaf(&self) -> bool {
        matches!(self, Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..))
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

    /// True iff it has a call that asks something of a sequence, outside of subqueries' plans.
    pub fn asks_sequence(&self) -> bool {
        let mut found = false;
        self.walk(0, &mut |part, depth| {
            found = found || depth == 0 && part.is_sequence_call();
            !found && depth == 0
        });
        found
    }

    /// True iff its evaluation may have to wait for something: a subquery, or what a sequence answers.
    pub fn waits(&self) -> bool {
        self.any(&mut |part| matches!(part, Expr::Subquery { .. }) || part.is_sequence_call())
    }

    fn is_sequence_call(&self) -> bool {
        matches!(self, Expr::Call { function, .. } if matches!(function.body, Body::Sequence(_)))
    }

    /// Of how many expressions it consists.
    pub fn size(&self) -> usize {
        let mut size = 0;
        self.look(&mut |_, _| size += 1);
        size
    }
}

impl Node {
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
