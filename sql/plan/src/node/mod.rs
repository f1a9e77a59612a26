//! What plans are made of. A node is one file: its fields, its inputs and expressions, what it yields, how EXPLAIN shows
//! it; and one line in the list below. Its operator is a file of `sql-exec`.

/// What a node consists of, by shared and by unique reference: what is borrowed follows from what is walked through.
/// `inputs` shows each input with the number of rows that it lies further in: an Apply's inner plan lies one further.
/// `exprs` shows the expressions that are not its inputs'.
macro_rules! shape {
    (
        $node:ident { $($field:ident),* }
        inputs |$see:ident| $inputs:block
        exprs |$visit:ident| $exprs:block
    ) => {
        #[allow(unused_variables, reason = "not all are named by both")]
        #[allow(clippy::into_iter_on_ref, reason = "by whichever reference")]
        impl $node {
            pub(super) fn inputs<'n>(&'n self, $see: &mut dyn FnMut(&'n crate::Node, usize)) {
                let $node { $($field,)* .. } = self;
                $inputs
            }

            pub(super) fn inputs_mut<'n>(
                &'n mut self,
                $see: &mut dyn FnMut(&'n mut crate::Node, usize),
            ) {
                let $node { $($field,)* .. } = self;
                $inputs
            }

            pub(super) fn exprs<'n>(&'n self, $visit: &mut dyn FnMut(&'n crate::Expr)) {
                let $node { $($field,)* .. } = self;
                $exprs
            }

            pub(super) fn exprs_mut<'n>(&'n mut self, $visit: &mut dyn FnMut(&'n mut crate::Expr)) {
                let $node { $($field,)* .. } = self;
                $exprs
            }
        }
    };
}

mod aggregate;
mod append;
mod apply;
mod cte_scan;
mod delete;
mod distinct;
mod filter;
mod insert;
mod join;
mod limit;
mod project;
mod scan;
mod set_op;
mod sort;
mod table_function;
mod update;
mod values;
mod virtual_scan;

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_values::stack::roomy;
use sql_values::types::SqlType;

use super::{Expr, JoinKind};
use crate::show::Show;

/// Makes the nodes of their list.
macro_rules! nodes {
    ($($file:ident::$node:ident)*) => {
        $(pub use $file::$node;)*

        /// An operator of a plan.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each is the node of the same name")]
        pub enum Node { $($node($node)),* }

        impl Node {
            /// Calls `visit` with its inputs, and the number of rows that they lie further in: an Apply's inner plan
            /// lies one further.
            pub fn inputs<'n>(&'n self, visit: &mut dyn FnMut(&'n Node, usize)) {
                match self { $(Node::$node(node) => node.inputs(visit)),* }
            }

            fn each_input_mut<'n>(&'n mut self, visit: &mut dyn FnMut(&'n mut Node, usize)) {
                match self { $(Node::$node(node) => node.inputs_mut(visit)),* }
            }

            /// Calls `visit` with its expressions (not those of its inputs).
            pub fn exprs<'n>(&'n self, visit: &mut dyn FnMut(&'n Expr)) {
                match self { $(Node::$node(node) => node.exprs(visit)),* }
            }

            fn each_expr_mut<'n>(&'n mut self, visit: &mut dyn FnMut(&'n mut Expr)) {
                match self { $(Node::$node(node) => node.exprs_mut(visit)),* }
            }

            /// The types of the slots that it yields.
            pub fn types(&self) -> Vec<SqlType> {
                match self { $(Node::$node(node) => node.types()),* }
            }

            /// A line about it.
            pub(crate) fn head(&self, show: &Show) -> String {
                match self { $(Node::$node(node) => node.head(show)),* }
            }
        }

        $(impl $node {
            /// The types of the slots that it yields.
            pub fn types(&self) -> Vec<SqlType> {
                roomy(|| self.slot_types())
            }
        })*
    };
}

nodes! {
    values::Values
    scan::Scan
    virtual_scan::VirtualScan
    table_function::TableFunction
    cte_scan::CteScan
    filter::Filter
    project::Project
    join::Join
    apply::Apply
    aggregate::Aggregate
    distinct::Distinct
    sort::Sort
    limit::Limit
    append::Append
    set_op::SetOp
    insert::Insert
    update::Update
    delete::Delete
}

impl Node {
    /// Its expressions, to change them (not those of its inputs).
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs = Vec::new();
        self.each_expr_mut(&mut |expr| exprs.push(expr));
        exprs
    }

    /// Its inputs, to change them, with the number of rows that they lie further in.
    pub fn inputs_mut(&mut self) -> Vec<(&mut Node, usize)> {
        let mut inputs = Vec::new();
        self.each_input_mut(&mut |input, further| inputs.push((input, further)));
        inputs
    }
}

fn types_of(exprs: &[Expr]) -> Vec<SqlType> {
    exprs.iter().map(Expr::ty).collect()
}

fn returned(exprs: Option<&[Expr]>) -> Vec<SqlType> {
    exprs.map(types_of).unwrap_or_default()
}

fn column_types(table: &TableDescriptor, columns: &[ColumnId]) -> Vec<SqlType> {
    let column = |id: &ColumnId| table.position(*id).map(|at| table.columns[at].ty);
    columns.iter().map(|id| column(id).unwrap_or(SqlType::Unknown)).collect()
}

fn joined(kind: JoinKind, left: &Node, right: &Node) -> Vec<SqlType> {
    let mut types = left.types();
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        types.extend(right.types());
    }
    types
}
