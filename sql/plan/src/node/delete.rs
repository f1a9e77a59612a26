//! DELETE.

use std::sync::Arc;

use sql_catalog::descriptor::TableDescriptor;
use sql_values::types::SqlType;

use super::{Node, returned};
use crate::Expr;
use crate::show::Show;

/// Deletes the rows of the input: all columns of the table in its order (read under lock), then others.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// The rows.
    pub input: Box<Node>,
    /// What to yield, over the input's slots.
    pub returning: Option<Vec<Expr>>,
}

shape! {
    Delete { input, returning }
    inputs |visit| { visit(input, 0) }
    exprs |visit| { returning.into_iter().flatten().for_each(visit) }
}

impl Delete {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        returned(self.returning.as_deref())
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let mut text = format!("Delete {}", self.table.name);
        show.returning(&mut text, self.returning.as_deref());
        text
    }
}
