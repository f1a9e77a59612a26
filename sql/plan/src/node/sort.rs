//! Rows in order.

use std::fmt::Write;

use sql_values::types::SqlType;

use super::Node;
use crate::show::Show;
use crate::{Expr, SortKey};

/// Rows in order. Stable.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// Where rows come from.
    pub input: Box<Node>,
    /// The order.
    pub keys: Vec<SortKey>,
    /// Only the first so many are wanted, if known.
    pub limit: Option<Expr>,
}

shape! {
    Sort { input, keys, limit }
    inputs |visit| { visit(input, 0) }
    exprs |visit| {
        keys.into_iter().for_each(|SortKey { expr, .. }| visit(expr));
        limit.into_iter().for_each(visit);
    }
}

impl Sort {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.input.types()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let mut text = format!("Sort {}", show.keys(&self.keys));
        if let Some(limit) = &self.limit {
            let _ = write!(text, " limit {}", show.expr(limit));
        }
        text
    }
}
