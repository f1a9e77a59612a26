//! Walking through plans and expressions, with the number of rows that lie between an expression and the walk's
//! beginning: at depth 0 the row in question is [`Expr::Slot`], at depth d it is [`Expr::Outer`] of level d - 1.

use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::{Expr, Node};

/// Called for an expression and its depth, before its parts; false leaves its parts out.
pub(crate) type Change<'f> = dyn FnMut(&mut Expr, usize) -> bool + 'f;

impl Expr {
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
}
