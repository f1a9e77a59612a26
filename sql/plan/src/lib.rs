//! The typed plan: what the binder makes and the executor runs.
//!
//! Every node yields rows of typed slots. [`Expr::Slot`] numbers the slots of its node's input row: for a join the
//! left row's followed by the right's. Nothing is left to be decided about names or types: an executor that meets a
//! type it does not expect has found a bug.
//!
//! A plan is immutable and shared by all executions (parameters are slots of their own), so it can be cached.
//!
//! The modules stand in reading order.

mod expr;
mod lock;
mod shape;
mod show;

pub mod node;
pub mod walk;

pub mod explain;
mod look;

use sql_catalog::descriptor::{ColumnId, IndexId, TableId};
use sql_values::types::SqlType;

pub use expr::{AggregateCall, Expr, SortKey, SubqueryKind};
pub use lock::{LockStrength, RowLock, WaitPolicy};
pub use node::Node;

/// A bound statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What to run.
    pub root: Node,
    /// The result columns; empty for a statement without rows.
    pub columns: Vec<OutputColumn>,
    /// Types of `$1`, `$2`, ….
    pub parameters: Vec<SqlType>,
    /// Tables (with the versions bound against) that must not have changed when it runs.
    pub tables: Vec<(TableId, u64)>,
    /// Plans of WITH queries that are run once and read by [`Node::CteScan`], in order of need.
    pub ctes: Vec<Node>,
    /// Writes something.
    pub writes: bool,
}

/// Its trees are as deep as the statement was.
impl Drop for Plan {
    fn drop(&mut self) {
        let nothing = Node::Values(node::Values { rows: Vec::new(), types: Vec::new() });
        let trees = (std::mem::replace(&mut self.root, nothing), std::mem::take(&mut self.ctes));
        sql_values::stack::roomy(|| drop(trees));
    }
}

/// A result column as clients see it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// The table column it comes from, if it is one unchanged.
    pub source: Option<(TableId, ColumnId)>,
}

/// How two inputs are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs that match.
    Inner,
    /// And left rows without a match, with NULLs.
    Left,
    /// Left rows with a match, without the right's slots.
    Semi,
    /// Left rows without a match, without the right's slots.
    Anti,
    /// And rows of both sides without a match.
    Full,
}

impl JoinKind {
    fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "Inner",
            JoinKind::Left => "Left",
            JoinKind::Semi => "Semi",
            JoinKind::Anti => "Anti",
            JoinKind::Full => "Full",
        }
    }
}

/// Which part of an index to read: a prefix of its key columns fixed, the next one bounded. Expressions have no slots
/// of the scanned table (they are constants, parameters, or an outer row's slots).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexSpan {
    /// Values of the first key columns. A NULL makes the span empty.
    pub equal: Vec<Expr>,
    /// Lower bound of the next key column, and whether it is included.
    pub lower: Option<(Expr, bool)>,
    /// Upper bound of the next key column, and whether it is included.
    pub upper: Option<(Expr, bool)>,
    /// Without the NULLs of the next key column. A bound leaves them out anyway.
    pub not_null: bool,
}

/// ON CONFLICT.
#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    /// The arbiter; none means any unique index (DO NOTHING only).
    pub index: Option<IndexId>,
    /// DO UPDATE: new values by column position, over the existing row's slots followed by the proposed row's
    /// (`excluded`). None is DO NOTHING.
    pub update: Option<Vec<(usize, Expr)>>,
    /// DO UPDATE … WHERE, over the same slots.
    pub condition: Option<Expr>,
}

impl OnConflict {
    /// True iff a row that is there in this index, if it is a unique one, is a conflict and no error.
    pub fn is_arbiter(&self, index: IndexId) -> bool {
        self.index.is_none_or(|id| id == index)
    }
}

#[cfg(test)]
mod tests;
