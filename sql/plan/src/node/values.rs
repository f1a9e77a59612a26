//! Rows of expressions.

use sql_values::types::SqlType;

use crate::Expr;
use crate::show::Show;

/// Rows of expressions (without input slots). One row without slots is FROM nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The rows.
    pub rows: Vec<Vec<Expr>>,
    /// The types of the slots.
    pub types: Vec<SqlType>,
}

shape! {
    Values { rows }
    inputs |_visit| {}
    exprs |visit| { rows.into_iter().flatten().for_each(visit) }
}

impl Values {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.types.clone()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let rows: Vec<String> =
            self.rows.iter().map(|row| format!("({})", show.list(row))).collect();
        format!("Values {}", rows.join(", "))
    }
}
