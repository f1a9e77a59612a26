//! INTERSECT and EXCEPT.

use sql_values::types::SqlType;

use super::Node;
use crate::show::Show;

/// INTERSECT and EXCEPT.
#[derive(Clone, Debug, PartialEq)]
pub struct SetOp {
    /// Left input.
    pub left: Box<Node>,
    /// Right input.
    pub right: Box<Node>,
    /// EXCEPT instead of INTERSECT.
    pub except: bool,
    /// ALL: counts matter.
    pub all: bool,
}

shape! {
    SetOp { left, right }
    inputs |visit| {
        visit(left, 0);
        visit(right, 0);
    }
    exprs |_visit| {}
}

impl SetOp {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.left.types()
    }

    pub(super) fn head(&self, _: &Show) -> String {
        let name = if self.except { "Except" } else { "Intersect" };
        format!("{name}{}", if self.all { " all" } else { "" })
    }
}
