//! Rows without repetitions.

use sql_values::types::SqlType;

use super::Node;
use crate::Expr;
use crate::show::Show;

/// Rows without repetitions: of the first per equal key if keys are given (DISTINCT ON).
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// Where rows come from.
    pub input: Box<Node>,
    /// The keys; none means the whole row.
    pub on: Vec<Expr>,
}

shape! {
    Distinct { input, on }
    inputs |visit| { visit(input, 0) }
    exprs |visit| { on.into_iter().for_each(visit) }
}

impl Distinct {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.input.types()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        match self.on.as_slice() {
            [] => "Distinct".to_owned(),
            on => format!("Distinct on {}", show.list(on)),
        }
    }
}
