//! Functions that give rows.

use sql_catalog::function::Function;
use sql_values::types::SqlType;

use crate::Expr;
use crate::show::Show;

/// Rows of set-returning functions, side by side: the first row of each, the second, until all have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TableFunction {
    /// The functions and their arguments. Where there are several, each gives one column.
    pub calls: Vec<(&'static Function, Vec<Expr>)>,
    /// The types of the slots.
    pub types: Vec<SqlType>,
    /// Append a row number (WITH ORDINALITY).
    pub ordinality: bool,
}

shape! {
    TableFunction { calls }
    inputs |_visit| {}
    exprs |visit| { calls.into_iter().flat_map(|(_, args)| args).for_each(visit) }
}

impl TableFunction {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        self.types.clone()
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let ordinality = if self.ordinality { " with ordinality" } else { "" };
        let call = |(function, args): &(&Function, Vec<Expr>)| {
            format!("{}({})", function.name, show.list(args))
        };
        let calls: Vec<_> = self.calls.iter().map(call).collect();
        format!("Function {}{ordinality}", calls.join(", "))
    }
}
