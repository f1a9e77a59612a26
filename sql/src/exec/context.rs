//! What an execution is given, and what it shares among its operators.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;

use txn::db::Txn;

use super::eval::Answer;
use super::write::Pending;
use crate::catalog::descriptor::TableDescriptor;
use crate::error::{SqlError, SqlResult, SqlState};
use crate::func::EvalContext;
use crate::types::Datum;

/// A row outside of a batch.
pub type Row = Vec<Datum>;

/// Bytes that a statement may hold unless the session says otherwise.
pub const DEFAULT_MEMORY: usize = 64 << 20;

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

/// Why a statement is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// A cancel request.
    User = 1,
    /// `statement_timeout`.
    Timeout = 2,
    /// The server stops.
    Shutdown = 3,
}

/// A flag that stops a statement at its next batch. Whoever waits (for a lock, for a range) does not look at it:
/// the session drops the future for that. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// Asks the statement to stop. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let order = Ordering::Relaxed;
        let _ = self.0.compare_exchange(0, reason as u8, order, order);
    }

    /// The error of a statement that was asked to stop.
    pub fn check(&self) -> SqlResult<()> {
        let (state, message) = match self.0.load(Ordering::Relaxed) {
            0 => return Ok(()),
            1 => (SqlState::QUERY_CANCELED, "canceling statement due to user request"),
            2 => (SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"),
            _ => (SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command"),
        };
        Err(SqlError::new(state, message))
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
    /// Stops the statement.
    pub cancel: &'a Cancel,
    /// Bytes that the statement may hold at a time; an estimate.
    pub memory: usize,
}

/// The bytes that a statement holds.
#[derive(Clone)]
pub(crate) struct Pool {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Pool { used: Arc::default(), limit }
    }

    /// Nothing yet, to be grown.
    pub(crate) fn reserve(&self) -> Reservation {
        Reservation { pool: self.clone(), held: 0 }
    }
}

/// A part of a [`Pool`], given back when dropped.
pub(crate) struct Reservation {
    pool: Pool,
    held: usize,
}

impl Reservation {
    /// Takes more, or says that the statement is too large.
    pub(crate) fn grow(&mut self, bytes: usize) -> SqlResult<()> {
        let used = self.pool.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.held += bytes;
        if used <= self.pool.limit {
            return Ok(());
        }
        let limit = self.pool.limit;
        Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .detail(format!("The statement needs more than its {limit} bytes."))
            .hint("Read fewer rows at a time, or add an index that gives them in order."))
    }

    /// Takes what a row needs.
    pub(crate) fn grow_row(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.grow(row_bytes(row))
    }

    /// Gives everything back.
    pub(crate) fn clear(&mut self) {
        self.pool.used.fetch_sub(self.held, Ordering::Relaxed);
        self.held = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}

/// About the bytes of a row.
pub(crate) fn row_bytes(row: &[Datum]) -> usize {
    size_of::<Row>() + row.iter().map(datum_bytes).sum::<usize>()
}

fn datum_bytes(datum: &Datum) -> usize {
    let heap = match datum {
        Datum::Text(text) => text.len() + 16,
        Datum::Bytea(bytes) => bytes.len() + 32,
        Datum::Numeric(numeric) => 2 * numeric.digits.len(),
        Datum::Array(items) | Datum::Record(items) => items.iter().map(datum_bytes).sum(),
        _ => 0,
    };
    size_of::<Datum>() + heap
}

/// What outlives a call into an execution: a portal keeps it between fetches.
pub(crate) struct Shared {
    /// The statement's memory.
    pub(crate) pool: Pool,
    /// Rows of the WITH queries that have been run.
    pub(crate) ctes: Vec<Arc<Vec<Row>>>,
    /// For them.
    pub(crate) ctes_held: Vec<Reservation>,
    /// Values of subqueries that refer to nothing outside, by the address of their plan.
    pub(crate) answers: BTreeMap<usize, Answer>,
    /// Whether a subquery refers to something outside, by the address of its plan.
    pub(crate) correlated: BTreeMap<usize, bool>,
    /// What the statement has written.
    pub(crate) pending: Pending,
    /// Counts towards the next pause.
    pub(crate) steps: u32,
    /// For what the fields above hold.
    pub(crate) held: Reservation,
}

impl Shared {
    pub(crate) fn new(memory: usize) -> Self {
        let pool = Pool::new(memory);
        let held = pool.reserve();
        Shared {
            ctes: Vec::new(),
            ctes_held: Vec::new(),
            answers: BTreeMap::new(),
            correlated: BTreeMap::new(),
            pending: Pending::new(&pool),
            steps: 0,
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
    /// The rows that [`crate::plan::Expr::Outer`] refers to, the nearest last.
    pub(crate) outer: Vec<Row>,
}

/// Steps between two pauses.
const STEPS: u32 = 32;

impl Run<'_> {
    /// Between two portions of work: stops a statement that was asked to stop, and now and then lets others of the
    /// same thread go first.
    pub(crate) async fn step(&mut self) -> SqlResult<()> {
        self.ctx.cancel.check()?;
        self.shared.steps += 1;
        if self.shared.steps < STEPS {
            return Ok(());
        }
        self.shared.steps = 0;
        let mut paused = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Ok(())
    }
}
