//! What an execution is given, and what it shares among its operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use sql_catalog::descriptor::sequence::SequenceState;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::function::{EvalContext, SequenceRequest};
use sql_plan::Node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Pool, Reservation};
use sql_values::stack::Roomy;
use sql_values::types::Datum;
use txn::db::Txn;

use crate::answer::Answer;
use crate::batch::Batch;
use crate::pending::Pending;
use crate::row::Row;

/// Where the rows of virtual tables come from.
pub trait VirtualTables: Send + Sync {
    /// All rows of a table, with all its columns in the descriptor's order.
    fn rows(&self, table: &TableDescriptor, ctx: &EvalContext<'_>) -> SqlResult<Vec<Row>>;
}

/// There are no virtual tables.
pub struct NoVirtualTables;

impl VirtualTables for NoVirtualTables {
    fn rows(&self, table: &TableDescriptor, _: &EvalContext<'_>) -> SqlResult<Vec<Row>> {
        Err(SqlError::internal(format!("nobody knows the rows of {}", table.name)))
    }
}

/// Who knows where sequences stand. What is asked is answered outside of the statement's transaction, unless that has
/// changed the sequence itself.
pub trait Sequences: Send + Sync {
    /// Asks something of a sequence.
    fn ask<'f>(
        &'f self,
        txn: &'f mut Txn,
        request: SequenceRequest,
    ) -> BoxFuture<'f, SqlResult<Datum>>;

    /// Where a sequence stands.
    fn state<'f>(
        &'f self,
        txn: &'f mut Txn,
        id: TableId,
    ) -> BoxFuture<'f, SqlResult<SequenceState>>;
}

/// There are no sequences.
pub struct NoSequences;

impl Sequences for NoSequences {
    fn ask<'f>(&'f self, _: &'f mut Txn, _: SequenceRequest) -> BoxFuture<'f, SqlResult<Datum>> {
        Box::pin(async { Err(SqlError::internal("nobody knows any sequence")) })
    }

    fn state<'f>(&'f self, _: &'f mut Txn, _: TableId) -> BoxFuture<'f, SqlResult<SequenceState>> {
        Box::pin(async { Err(SqlError::internal("nobody knows any sequence")) })
    }
}

/// What a statement is run with, apart from its plan and its transaction.
pub struct ExecContext<'a> {
    /// What functions may ask.
    pub eval: EvalContext<'a>,
    /// The values of `$1`, `$2`, …, of the plan's types.
    pub params: &'a [Datum],
    /// The rows of virtual tables.
    pub virtual_tables: &'a dyn VirtualTables,
    /// Where sequences stand.
    pub sequences: &'a dyn Sequences,
    /// The statement is a transaction by itself, which has not been begun anew yet, and will be if it cannot be serialized.
    pub may_repeat: bool,
}

/// A plan that is being run, as expressions see it that have it as a subquery: they know no operators.
pub(crate) trait Subplan: Send {
    /// The next rows; none at the end.
    fn next<'f>(
        &'f mut self,
        plan: &'f Node,
        run: &'f mut Run<'_>,
    ) -> Roomy<'f, SqlResult<Option<Batch>>>;
}

/// Begins to run a plan.
pub(crate) type OpenSubplan = fn(&Node) -> Box<dyn Subplan>;

/// What outlives a call into an execution: a portal keeps it between fetches.
pub(crate) struct Shared {
    /// The statement's memory.
    pub(crate) pool: Pool,
    /// How subqueries are run.
    pub(crate) open: OpenSubplan,
    /// Rows of the WITH queries that have been run.
    pub(crate) ctes: Vec<Arc<Vec<Row>>>,
    /// For them.
    pub(crate) ctes_held: Vec<Reservation>,
    /// Values of subqueries that refer to nothing outside, by the address of their plan.
    pub(crate) answers: BTreeMap<usize, Answer>,
    /// Whether a subquery refers to something outside, by the address of its plan.
    pub(crate) correlated: BTreeMap<usize, bool>,
    /// The statement has WITH queries.
    pub(crate) has_ctes: bool,
    /// What the statement has written.
    pub(crate) pending: Pending,
    /// For what the fields above hold.
    pub(crate) held: Reservation,
}

impl Shared {
    pub(crate) fn new(pool: Pool, open: OpenSubplan) -> Self {
        let held = pool.reserve();
        Shared {
            open,
            ctes: Vec::new(),
            ctes_held: Vec::new(),
            answers: BTreeMap::new(),
            correlated: BTreeMap::new(),
            has_ctes: false,
            pending: Pending::new(&pool),
            held,
            pool,
        }
    }
}

/// A call into an execution: everything that an operator works with.
pub(crate) struct Run<'a> {
    /// What is read through.
    pub(crate) txn: &'a mut Txn,
    /// What the statement is run with.
    pub(crate) ctx: &'a ExecContext<'a>,
    /// What outlives the call.
    pub(crate) shared: &'a mut Shared,
    /// The rows that [`sql_plan::Expr::Outer`] refers to, the nearest last.
    pub(crate) outer: Vec<Row>,
}

/// Work of a batch that is passed on, whatever is in it.
const STEP: u32 = 16;

impl Run<'_> {
    /// Between two portions of work: stops a statement that was asked to stop, and now and then lets other tasks of the
    /// same thread go first.
    pub(crate) async fn step(&mut self) -> SqlResult<()> {
        let interrupt = self.ctx.eval.interrupt;
        interrupt.spend(STEP)?;
        if interrupt.is_due() { interrupt.give_way().await } else { Ok(()) }
    }
}
