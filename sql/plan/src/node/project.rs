//! New slots from old.

use sql_values::types::SqlType;

use super::{Node, types_of};
use crate::Expr;
use crate::show::Show;

/// New slots from old.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Where rows come from.
    pub input: Box<Node>,
    /// One expression a slot.
    pub exprs: Vec<Expr>,
}

shape! {
    Project { input, exprs }
    inputs |visit| { visit(input, 0) }
    exprs |visit| { exprs.into_iter().for_each(visit) }
}

impl Project {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        types_of(&self.exprs)
    }

    pub(super) fn head(&self, show: &Show) -> String {
        format!("Project {}", show.list(&self.exprs))
    }
}
