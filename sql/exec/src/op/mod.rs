//! Operators: what nodes of a plan do when they are run.
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
mod apply;
mod distinct;
mod input;
mod join;
mod keys;
mod limit;
mod parts;
mod project;
pub(crate) mod scan;
mod setop;
mod simple;
mod sort;
mod span;

use sql_plan::Node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::stack::{Roomy, roomy};

use super::batch::Batch;
use super::context::Run;
use super::write::Write;
pub(crate) use input::Input;
pub(crate) use keys::KeyTable;

/// The state of a node that is being run.
pub(crate) enum Op {
    Values(simple::Values),
    Scan(Box<scan::Scan>),
    VirtualScan(simple::Rows),
    TableFunction(simple::Function),
    CteScan(simple::CteScan),
    Filter(Box<Op>),
    Project(Box<project::Project>),
    Join(Box<join::Join>),
    Apply(Box<apply::Apply>),
    Aggregate(Box<aggregate::Aggregate>),
    Distinct(Box<distinct::Distinct>),
    Sort(Box<sort::Sort>),
    Limit(Box<limit::Limit>),
    Append(Box<simple::Append>),
    Set(Box<setop::SetOp>),
    Write(Box<Write>),
}

impl Op {
    /// The state of a node before its first row.
    pub(crate) fn open(node: &Node) -> Op {
        roomy(|| Op::open_here(node))
    }

    fn open_here(node: &Node) -> Op {
        match node {
            Node::Values { .. } => Op::Values(simple::Values::default()),
            Node::Scan { .. } => Op::Scan(Box::default()),
            Node::VirtualScan { .. } => Op::VirtualScan(simple::Rows::default()),
            Node::TableFunction { .. } => Op::TableFunction(simple::Function::default()),
            Node::CteScan { .. } => Op::CteScan(simple::CteScan::default()),
            Node::Filter { input, .. } => Op::Filter(Box::new(Op::open(input))),
            Node::Project { input, .. } => Op::Project(Box::new(project::Project::new(input))),
            Node::Join { left, right, .. } => Op::Join(Box::new(join::Join::new(left, right))),
            Node::Apply { input, .. } => Op::Apply(Box::new(apply::Apply::new(input))),
            Node::Aggregate { input, .. } => {
                Op::Aggregate(Box::new(aggregate::Aggregate::new(input)))
            }
            Node::Distinct { input, .. } => Op::Distinct(Box::new(distinct::Distinct::new(input))),
            Node::Sort { input, .. } => Op::Sort(Box::new(sort::Sort::new(input))),
            Node::Limit { input, .. } => Op::Limit(Box::new(limit::Limit::new(input))),
            Node::Append { inputs } => Op::Append(Box::new(simple::Append::new(inputs))),
            Node::SetOp { left, right, .. } => Op::Set(Box::new(setop::SetOp::new(left, right))),
            Node::Insert { input, .. }
            | Node::Update { input, .. }
            | Node::Delete { input, .. } => Op::Write(Box::new(Write::new(input))),
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
            let batch = match (self, node) {
                (Op::Values(op), Node::Values { rows, types }) => op.next(rows, types, run).await,
                (Op::Scan(op), Node::Scan { .. }) => op.next(node, run).await,
                (Op::VirtualScan(op), Node::VirtualScan { table, columns, filter }) => {
                    op.next_virtual(table, columns, filter.as_ref(), node, run).await
                }
                (Op::TableFunction(op), Node::TableFunction { calls, types, ordinality }) => {
                    op.next(calls, types, *ordinality, run).await
                }
                (Op::CteScan(op), Node::CteScan { index, types }) => op.next(*index, types, run),
                (Op::Filter(op), Node::Filter { input, predicate }) => loop {
                    let Some(batch) = op.next(input, run).await? else { break Ok(None) };
                    if let Some(batch) = run.select(predicate, batch).await? {
                        break Ok(Some(batch));
                    }
                },
                (Op::Project(op), Node::Project { input, exprs }) => {
                    op.next(input, exprs, run).await
                }
                (Op::Join(op), Node::Join { .. }) => op.next(node, run).await,
                (Op::Apply(op), Node::Apply { .. }) => op.next(node, run).await,
                (Op::Aggregate(op), Node::Aggregate { .. }) => op.next(node, run).await,
                (Op::Distinct(op), Node::Distinct { input, on }) => op.next(input, on, run).await,
                (Op::Sort(op), Node::Sort { input, keys, limit }) => {
                    op.next(input, keys, limit.as_ref(), run).await
                }
                (Op::Limit(op), Node::Limit { input, limit, offset }) => {
                    op.next(input, limit.as_ref(), offset.as_ref(), run).await
                }
                (Op::Append(op), Node::Append { inputs }) => op.next(inputs, run).await,
                (Op::Set(op), Node::SetOp { left, right, except, all }) => {
                    op.next(left, right, *except, *all, run).await
                }
                (Op::Write(op), node) => op.next(node, run).await,
                _ => Err(SqlError::internal("a node is run with another's state")),
            };
            run.shared.pool.set_scratch(scratch);
            batch
        })
    }
}
