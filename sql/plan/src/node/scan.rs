//! A scan of a stored table.

use std::fmt::Write;
use std::sync::Arc;

use sql_catalog::descriptor::{ColumnId, IndexId, TableDescriptor};
use sql_values::types::SqlType;

use super::column_types;
use crate::show::{Show, names};
use crate::{Expr, IndexSpan, RowLock};

/// Rows of a stored table. Yields the given columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table as bound.
    pub table: Arc<TableDescriptor>,
    /// The index to read by. Another than the primary fetches the rows.
    pub index: IndexId,
    /// Which parts of the index; empty means all of it. Disjoint, in order.
    pub spans: Vec<IndexSpan>,
    /// Columns to yield, as slots.
    pub columns: Vec<ColumnId>,
    /// What the rows must satisfy, over the yielded slots.
    pub filter: Option<Expr>,
    /// Lock the rows (FOR UPDATE, and the rows that are about to be written).
    pub lock: Option<RowLock>,
    /// At most this many rows are wanted, if known.
    pub limit: Option<u64>,
    /// Read in descending order.
    pub reverse: bool,
}

shape! {
    Scan { spans, filter }
    inputs |_visit| {}
    exprs |visit| {
        for IndexSpan { equal, lower, upper, not_null: _ } in spans {
            equal.into_iter().for_each(&mut *visit);
            lower.into_iter().chain(upper).for_each(|(bound, _)| visit(bound));
        }
        filter.into_iter().for_each(visit);
    }
}

impl Scan {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        column_types(&self.table, &self.columns)
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let Scan { table, index, spans, columns, filter, lock, limit, reverse } = self;
        let mut text = format!("Scan {}", table.name);
        match table.index(*index) {
            Some(found) if table.primary().map(|p| p.id) != Some(*index) => {
                let _ = write!(text, " by {}", found.name);
            }
            _ => {}
        }
        let _ = write!(text, " ({})", names(table, columns));
        for span in spans {
            let _ = write!(text, " {}", show.span(span));
        }
        show.filter(&mut text, filter.as_ref());
        if let Some(limit) = limit {
            let _ = write!(text, " limit {limit}");
        }
        if *reverse {
            text.push_str(" reverse");
        }
        if lock.is_some() {
            text.push_str(" lock");
        }
        text
    }
}
