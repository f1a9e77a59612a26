//! The first rows.

use std::fmt::Write;

use sql_values::types::SqlType;

use super::Node;
use crate::Expr;
use crate::show::Show;

/// Some of the rows. The expressions are `bigint` without slots; NULL means no bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Where rows come from.
    pub input: Box<Node>,
    /// At most so many.
    pub limit: Option<Expr>,
    /// After so many.
    pub offset: Option<Expr>,
}

shape! {
    Limit { input, limit, offset }
    inputs |visit| { visit(input, 0) }
    exprs |visit| { limit.into_iter().chain(offset).for_each(visit) }
}

impl Limit {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.input.types()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let mut text = "Limit".to_owned();
        if let Some(limit) = &self.limit {
            let _ = write!(text, " {}", show.expr(limit));
        }
        if let Some(offset) = &self.offset {
            let _ = write!(text, " offset {}", show.expr(offset));
        }
        text
    }
}
