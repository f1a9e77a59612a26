//! A plan for each row.

use sql_values::types::SqlType;

use super::{Node, joined};
use crate::show::Show;
use crate::{Expr, JoinKind};

/// For each row of the input, the rows of a plan that refers to it by [`Expr::Outer`]: the generic form of
/// LATERAL and of every correlated subquery. Inner, Left, Semi and Anti only.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// What happens to outer rows without inner ones.
    pub kind: JoinKind,
    /// The outer rows.
    pub input: Box<Node>,
    /// The inner plan.
    pub inner: Box<Node>,
    /// What must hold of a pair.
    pub condition: Option<Expr>,
}

shape! {
    Apply { input, inner, condition }
    inputs |visit| {
        visit(input, 0);
        visit(inner, 1);
    }
    exprs |visit| { condition.into_iter().for_each(visit) }
}

impl Apply {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        joined(self.kind, &self.input, &self.inner)
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let mut text = format!("{} apply", self.kind.name());
        show.on(&mut text, self.condition.as_ref());
        text
    }
}
