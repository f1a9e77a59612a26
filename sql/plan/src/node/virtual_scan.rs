//! A scan of a system table.

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_values::types::SqlType;

use super::column_types;
use crate::Expr;
use crate::show::{Show, names};

/// Rows of a virtual table (`pg_catalog`, `information_schema`). Yields the given columns.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualScan {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// Columns to yield.
    pub columns: Vec<ColumnId>,
    /// What the rows must satisfy, over the yielded slots.
    pub filter: Option<Expr>,
}

shape! {
    VirtualScan { filter }
    inputs |_visit| {}
    exprs |visit| { filter.into_iter().for_each(visit) }
}

impl VirtualScan {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        column_types(&self.table, &self.columns)
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let columns = names(&self.table, &self.columns);
        let mut text = format!("Virtual {} ({columns})", self.table.name);
        show.filter(&mut text, self.filter.as_ref());
        text
    }
}
