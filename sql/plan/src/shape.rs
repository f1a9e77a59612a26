//! What expressions consist of: the one place that names their parts. Whoever walks through plans ([`super::look`],
//! [`super::walk`], EXPLAIN, the rules of the planner) goes by it, and by what nodes say of themselves ([`super::node`]).

use super::{Expr, SubqueryKind};

/// Makes the walks, by shared or by unique reference: what is borrowed follows from what is walked through.
macro_rules! children {
    ($parts:ident $(, $mut:tt)?) => {
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
    };
}

children!(parts);
children!(each_part_mut, mut);

impl Expr {
    /// Its direct parts, to change them. The plan of a subquery is none of them, its left side is.
    pub fn parts_mut(&mut self) -> Vec<&mut Expr> {
        let mut parts = Vec::new();
        self.each_part_mut(&mut |part| parts.push(part));
        parts
    }
}
