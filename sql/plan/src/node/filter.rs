//! Rows that satisfy a condition.

use sql_values::types::SqlType;

use super::Node;
use crate::Expr;
use crate::show::Show;

/// Rows for which the predicate is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Where rows come from.
    pub input: Box<Node>,
    /// The condition.
    pub predicate: Expr,
}

shape! {
    Filter { input, predicate }
    inputs |visit| { visit(input, 0) }
    exprs |visit| { visit(predicate) }
}

impl Filter {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.input.types()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        format!("Filter {}", show.expr(&self.predicate))
    }
}
