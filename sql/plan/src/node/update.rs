//! UPDATE.

use std::sync::Arc;

use sql_catalog::descriptor::TableDescriptor;
use sql_values::types::SqlType;

use super::{Node, returned};
use crate::Expr;
use crate::show::Show;

/// Updates the rows of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// All columns of the table in its order (read under lock), then whatever the assignments need.
    pub input: Box<Node>,
    /// New values over the input's slots, by column position.
    pub assignments: Vec<(usize, Expr)>,
    /// Checks over the new row.
    pub checks: Vec<(String, Expr)>,
    /// What to yield, over the new row followed by the input's further slots.
    pub returning: Option<Vec<Expr>>,
}

shape! {
    Update { input, assignments, checks, returning }
    inputs |visit| { visit(input, 0) }
    exprs |visit| {
        assignments.into_iter().for_each(|(_, expr)| visit(expr));
        checks.into_iter().for_each(|(_, check)| visit(check));
        returning.into_iter().flatten().for_each(visit);
    }
}

impl Update {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        returned(self.returning.as_deref())
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let Update { table, assignments, checks, returning, .. } = self;
        let set = show.assignments(table, assignments);
        let mut text = format!("Update {} set {set}", table.name);
        show.checks(&mut text, checks);
        show.returning(&mut text, returning.as_deref());
        text
    }
}
