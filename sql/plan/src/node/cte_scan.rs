//! The rows of a WITH query.

use sql_values::types::SqlType;

use crate::show::Show;

/// The rows of `Plan::ctes[index]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CteScan {
    /// Which one.
    pub index: usize,
    /// The types of the slots.
    pub types: Vec<SqlType>,
}

shape! {
    CteScan {}
    inputs |_visit| {}
    exprs |_visit| {}
}

impl CteScan {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.types.clone()
    }

    pub(super) fn head(&self, _: &Show) -> String {
        format!("With {}", self.index)
    }
}
