//! Joins of independent inputs.

use std::fmt::Write;

use sql_values::types::SqlType;

use super::{Node, joined};
use crate::show::Show;
use crate::{Expr, JoinKind};

/// A join of independent inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// What happens to rows without a match.
    pub kind: JoinKind,
    /// Left input.
    pub left: Box<Node>,
    /// Right input.
    pub right: Box<Node>,
    /// Pairs of expressions that must be equal (left over the left's slots, right over the right's); hashable.
    pub equal: Vec<(Expr, Expr)>,
    /// What else must hold, over both.
    pub condition: Option<Expr>,
}

shape! {
    Join { left, right, equal, condition }
    inputs |visit| {
        visit(left, 0);
        visit(right, 0);
    }
    exprs |visit| {
        for (left, right) in equal {
            visit(left);
            visit(right);
        }
        condition.into_iter().for_each(visit);
    }
}

impl Join {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        joined(self.kind, &self.left, &self.right)
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let mut text = format!("{} join", self.kind.name());
        for (left, right) in &self.equal {
            let _ = write!(text, " [{} = {}]", show.expr(left), show.expr(right));
        }
        show.on(&mut text, self.condition.as_ref());
        text
    }
}
