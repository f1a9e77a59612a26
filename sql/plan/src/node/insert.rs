//! INSERT.

use std::fmt::Write;
use std::sync::Arc;

use sql_catalog::descriptor::TableDescriptor;
use sql_values::types::SqlType;

use super::{Node, returned};
use crate::show::Show;
use crate::{Expr, OnConflict};

/// Inserts the input's rows. Yields RETURNING's expressions over the table's columns as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The table.
    pub table: Arc<TableDescriptor>,
    /// One slot for every column of the table, in its order, defaults filled in.
    pub input: Box<Node>,
    /// Checks over those slots, with the constraint's name.
    pub checks: Vec<(String, Expr)>,
    /// What to do about a conflict.
    pub on_conflict: Option<OnConflict>,
    /// What to yield.
    pub returning: Option<Vec<Expr>>,
}

shape! {
    Insert { input, checks, on_conflict, returning }
    inputs |visit| { visit(input, 0) }
    exprs |visit| {
        checks.into_iter().for_each(|(_, check)| visit(check));
        if let Some(OnConflict { update, condition, .. }) = on_conflict {
            update.into_iter().flatten().for_each(|(_, expr)| visit(expr));
            condition.into_iter().for_each(&mut *visit);
        }
        returning.into_iter().flatten().for_each(visit);
    }
}

impl Insert {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        returned(self.returning.as_deref())
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let Insert { table, checks, on_conflict, returning, .. } = self;
        let mut text = format!("Insert {}", table.name);
        show.checks(&mut text, checks);
        if let Some(conflict) = on_conflict {
            let index = conflict.index.and_then(|index| table.index(index));
            let _ = write!(text, " on conflict {}", index.map_or("", |i| &i.name));
            match &conflict.update {
                None => text.push_str(" nothing"),
                Some(update) => {
                    let _ = write!(text, " set {}", show.assignments(table, update));
                }
            }
            if let Some(condition) = &conflict.condition {
                let _ = write!(text, " where {}", show.expr(condition));
            }
        }
        show.returning(&mut text, returning.as_deref());
        text
    }
}
