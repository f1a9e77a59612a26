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
pub mod walk;

mod look;

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnId, IndexId, TableDescriptor, TableId};
use sql_catalog::function::Function;
use sql_values::types::SqlType;

pub use expr::{AggregateCall, Expr, SortKey, SubqueryKind};
pub use lock::{LockStrength, RowLock, WaitPolicy};

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
        let nothing = Node::Values { rows: Vec::new(), types: Vec::new() };
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

/// An operator of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Rows of expressions (without input slots). One row without slots is FROM nothing.
    Values {
        /// The rows.
        rows: Vec<Vec<Expr>>,
        /// The types of the slots.
        types: Vec<SqlType>,
    },
    /// Rows of a stored table. Yields the given columns.
    Scan {
        /// The table as bound.
        table: Arc<TableDescriptor>,
        /// The index to read by. Another than the primary fetches the rows.
        index: IndexId,
        /// Which parts of the index; empty means all of it. Disjoint, in order.
        spans: Vec<IndexSpan>,
        /// Columns to yield, as slots.
        columns: Vec<ColumnId>,
        /// What the rows must satisfy, over the yielded slots.
        filter: Option<Expr>,
        /// Lock the rows (FOR UPDATE, and the rows that are about to be written).
        lock: Option<RowLock>,
        /// At most this many rows are wanted, if known.
        limit: Option<u64>,
        /// Read in descending order.
        reverse: bool,
    },
    /// Rows of a virtual table (`pg_catalog`, `information_schema`). Yields the given columns.
    VirtualScan {
        /// The table.
        table: Arc<TableDescriptor>,
        /// Columns to yield.
        columns: Vec<ColumnId>,
        /// What the rows must satisfy, over the yielded slots.
        filter: Option<Expr>,
    },
    /// Rows of set-returning functions, side by side: the first row of each, the second, until all have ended.
    TableFunction {
        /// The functions and their arguments. Where there are several, each gives one column.
        calls: Vec<(&'static Function, Vec<Expr>)>,
        /// The types of the slots.
        types: Vec<SqlType>,
        /// Append a row number (WITH ORDINALITY).
        ordinality: bool,
    },
    /// The rows of `Plan::ctes[index]`.
    CteScan {
        /// Which one.
        index: usize,
        /// The types of the slots.
        types: Vec<SqlType>,
    },
    /// Rows for which the predicate is true.
    Filter {
        /// Where rows come from.
        input: Box<Node>,
        /// The condition.
        predicate: Expr,
    },
    /// New slots from old.
    Project {
        /// Where rows come from.
        input: Box<Node>,
        /// One expression a slot.
        exprs: Vec<Expr>,
    },
    /// A join of independent inputs.
    Join {
        /// What happens to rows without a match.
        kind: JoinKind,
        /// Left input.
        left: Box<Node>,
        /// Right input.
        right: Box<Node>,
        /// Pairs of expressions that must be equal (left over the left's slots, right over the right's); hashable.
        equal: Vec<(Expr, Expr)>,
        /// What else must hold, over both.
        condition: Option<Expr>,
    },
    /// For each row of the input, the rows of a plan that refers to it by [`Expr::Outer`]: the generic form of
    /// LATERAL and of every correlated subquery. Inner, Left, Semi and Anti only.
    Apply {
        /// What happens to outer rows without inner ones.
        kind: JoinKind,
        /// The outer rows.
        input: Box<Node>,
        /// The inner plan.
        inner: Box<Node>,
        /// What must hold of a pair.
        condition: Option<Expr>,
    },
    /// Groups and their aggregates. Yields the group keys, then the aggregates.
    Aggregate {
        /// Where rows come from.
        input: Box<Node>,
        /// The keys; none makes one group of everything, even of nothing.
        keys: Vec<Expr>,
        /// The aggregates.
        aggregates: Vec<AggregateCall>,
    },
    /// Rows without repetitions: of the first per equal key if keys are given (DISTINCT ON).
    Distinct {
        /// Where rows come from.
        input: Box<Node>,
        /// The keys; none means the whole row.
        on: Vec<Expr>,
    },
    /// Rows in order. Stable.
    Sort {
        /// Where rows come from.
        input: Box<Node>,
        /// The order.
        keys: Vec<SortKey>,
        /// Only the first so many are wanted, if known.
        limit: Option<Expr>,
    },
    /// Some of the rows. The expressions are `bigint` without slots; NULL means no bound.
    Limit {
        /// Where rows come from.
        input: Box<Node>,
        /// At most so many.
        limit: Option<Expr>,
        /// After so many.
        offset: Option<Expr>,
    },
    /// The rows of all inputs, one after the other (UNION ALL; with Distinct above it, UNION).
    Append {
        /// The inputs; same types.
        inputs: Vec<Node>,
    },
    /// INTERSECT and EXCEPT.
    SetOp {
        /// Left input.
        left: Box<Node>,
        /// Right input.
        right: Box<Node>,
        /// EXCEPT instead of INTERSECT.
        except: bool,
        /// ALL: counts matter.
        all: bool,
    },
    /// Inserts the input's rows. Yields RETURNING's expressions over the table's columns as written.
    Insert {
        /// The table.
        table: Arc<TableDescriptor>,
        /// One slot for every column of the table, in its order, defaults filled in.
        input: Box<Node>,
        /// Checks over those slots, with the constraint's name.
        checks: Vec<(String, Expr)>,
        /// What to do about a conflict.
        on_conflict: Option<OnConflict>,
        /// What to yield.
        returning: Option<Vec<Expr>>,
    },
    /// Updates the rows of the input.
    Update {
        /// The table.
        table: Arc<TableDescriptor>,
        /// All columns of the table in its order (read under lock), then whatever the assignments need.
        input: Box<Node>,
        /// New values over the input's slots, by column position.
        assignments: Vec<(usize, Expr)>,
        /// Checks over the new row.
        checks: Vec<(String, Expr)>,
        /// What to yield, over the new row followed by the input's further slots.
        returning: Option<Vec<Expr>>,
    },
    /// Deletes the rows of the input: all columns of the table in its order (read under lock), then others.
    Delete {
        /// The table.
        table: Arc<TableDescriptor>,
        /// The rows.
        input: Box<Node>,
        /// What to yield, over the input's slots.
        returning: Option<Vec<Expr>>,
    },
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
