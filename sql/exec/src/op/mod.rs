//! Operators: what nodes of a plan do when they are run. Each is one file, and one line in the list below.
//!
//! An operator is a node's state and nothing of the plan: whoever runs it brings the node along with every call. So
//! a portal keeps the plan (shared, unchanging) and the state side by side, without one borrowing from the other,
//! and an inner plan of an Apply starts anew by a new state.
//!
//! - O1. A state is only ever used with the node that it was opened for.
//! - O2. After the end, or an error, an operator is not asked again.
//! - O3. Whatever an operator keeps is counted against the statement's memory (see [`sql_values::memory`]): rows beyond a
//!   batch, and batches of long values. Nothing spills to disk (not built): a statement beyond its memory fails.
//! - O4. Every operator's rows come in an order that follows from the plan and the data alone: hash tables are read
//!   in the order of their first insertion.

mod aggregate;
mod append;
mod apply;
mod cte_scan;
mod distinct;
mod filter;
mod input;
mod join;
mod limit;
mod parts;
mod project;
mod scan;
mod setop;
mod sort;
mod table_function;
mod values;
mod virtual_scan;
mod write;

use sql_plan::Node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::stack::{Roomy, roomy};

use self::write::Write;
use crate::batch::Batch;
use crate::context::{Run, Subplan};
pub(crate) use input::Input;

/// Makes the state of each node of their list from its operator, which is opened for a node and asked for the next rows of
/// it. `whole`: one operator serves several nodes.
macro_rules! operators {
    ($($node:ident: $op:ty $(, $whole:ident)?;)*) => {
        /// The state of a node that is being run.
        #[allow(clippy::enum_variant_names, reason = "they are the nodes' names")]
        pub(crate) enum Op { $($node(Box<$op>)),* }

        impl Op {
            fn open_here(node: &Node) -> Op {
                match node {
                    $(Node::$node(own) => Op::$node(Box::new(<$op>::open(own!(node, own $(, $whole)?)))),)*
                }
            }

            async fn next_here(
                &mut self,
                node: &Node,
                run: &mut Run<'_>,
            ) -> SqlResult<Option<Batch>> {
                match (self, node) {
                    $((Op::$node(op), Node::$node(own)) => op.next(own!(node, own $(, $whole)?), run).await,)*
                    _ => Err(SqlError::internal("a node is run with another's state")),
                }
            }
        }
    };
}

macro_rules! own {
    ($node:expr, $own:expr) => {
        $own
    };
    ($node:expr, $own:expr, whole) => {{
        let _ = $own;
        $node
    }};
}

operators! {
    Values: values::Values;
    Scan: scan::Scan;
    VirtualScan: virtual_scan::VirtualScan;
    TableFunction: table_function::TableFunction;
    CteScan: cte_scan::CteScan;
    Filter: filter::Filter;
    Project: project::Project;
    Join: join::Join;
    Apply: apply::Apply;
    Aggregate: aggregate::Aggregate;
    Distinct: distinct::Distinct;
    Sort: sort::Sort;
    Limit: limit::Limit;
    Append: append::Append;
    SetOp: setop::SetOp;
    Insert: Write, whole;
    Update: Write, whole;
    Delete: Write, whole;
}

/// Begins to run a subquery's plan.
pub(crate) fn open_subplan(node: &Node) -> Box<dyn Subplan> {
    Box::new(Op::open(node))
}

impl Subplan for Op {
    fn next<'f>(
        &'f mut self,
        plan: &'f Node,
        run: &'f mut Run<'_>,
    ) -> Roomy<'f, SqlResult<Option<Batch>>> {
        Op::next(self, plan, run)
    }
}

impl Op {
    /// The state of a node before its first row.
    pub(crate) fn open(node: &Node) -> Op {
        roomy(|| Op::open_here(node))
    }

    /// How many rows it has written, if it writes.
    pub(crate) fn affected(&self) -> Option<u64> {
        match self {
            Op::Insert(op) | Op::Update(op) | Op::Delete(op) => Some(op.affected()),
            _ => None,
        }
    }

    /// The next rows; none at the end.
    pub(crate) fn next<'f>(
        &'f mut self,
        node: &'f Node,
        run: &'f mut Run<'_>,
    ) -> Roomy<'f, SqlResult<Option<Batch>>> {
        Roomy::new(async move {
            run.step().await?;
            // What is computed on the way is gone at the end; what is passed on has its own reservation.
            let scratch = run.shared.pool.scratch();
            let batch = self.next_here(node, run).await;
            run.shared.pool.set_scratch(scratch);
            batch
        })
    }
}
