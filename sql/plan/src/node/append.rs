//! One input after the other.

use sql_values::types::SqlType;

use super::Node;
use crate::show::Show;

/// The rows of all inputs, one after the other (UNION ALL; with Distinct above it, UNION).
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// The inputs; same types.
    pub inputs: Vec<Node>,
}

shape! {
    Append { inputs }
    inputs |visit| { inputs.into_iter().for_each(|input| visit(input, 0)) }
    exprs |_visit| {}
}

impl Append {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.inputs.first().map(Node::types).unwrap_or_default()
    }

    pub(super) fn head(&self, _: &Show) -> String {
        "Append".to_owned()
    }
}
