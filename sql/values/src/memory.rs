//! The memory of statements: what is held is counted before it is there, and given back when it is gone.
//!
//! ```text
//!  Memory (the node's statements) ─▶ Pool (one statement) ┬▶ Reservation: rows that an operator keeps, a batch
//!                                                         └▶ scratch: values of the row that is being computed
//! ```
//!
//! - M1. Whatever grows with data or with arguments is counted: rows that are kept, values as they are made. What does
//!   not fit fails with 53200 and a hint; nothing spills to disk (not built).
//! - M2. Values are counted by the function that makes them, before it does, as *scratch*; whoever keeps a value reserves
//!   for it, and the scratch of a row goes back to what it was before the row (see [`Pool::scratch`]).
//! - M3. A statement takes from the node in pieces of [`GRANT_BYTES`], and nothing for its first [`FREE_BYTES`]: a point
//!   read asks nobody.
//!
//! - M4. The trees of a text count in the node's memory alone, by their tokens (`parse`): nobody chooses their size by
//!   `work_mem`.
//!
//! Not counted: allocators' overhead, plans that are kept (they have a bound of their own), the buffers of connections, and
//! what a transaction has buffered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{SqlError, SqlResult, SqlState};
use crate::types::Datum;

/// Bytes that a statement may hold unless `work_mem` says otherwise.
pub const DEFAULT_STATEMENT_BYTES: usize = 64 << 20;
/// Bytes that the statements of a node may hold unless the operator says otherwise.
pub const DEFAULT_NODE_BYTES: usize = 1 << 30;

/// What a statement holds without asking the node.
const FREE_BYTES: usize = 256 << 10;
/// What it takes from the node at a time.
const GRANT_BYTES: usize = 1 << 20;
/// Values below are not worth counting one by one.
pub const SMALL_BYTES: usize = 1 << 10;

/// What the statements of a node hold together. Clones share it.
#[derive(Clone)]
pub struct Memory(Arc<Node>);

struct Node {
    used: AtomicUsize,
    limit: usize,
}

impl Memory {
    /// So many bytes for the statements of a node.
    pub fn new(limit: usize) -> Self {
        Memory(Arc::new(Node { used: AtomicUsize::new(0), limit }))
    }

    /// Bytes that statements have taken.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// A statement's part, of so many bytes at most.
    pub fn statement(&self, limit: usize) -> Pool {
        Pool::make(limit, Some(self.clone()))
    }

    fn take(&self, bytes: usize) -> SqlResult<()> {
        let used = self.0.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used <= self.0.limit {
            return Ok(());
        }
        self.give_back(bytes);
        let limit = self.0.limit;
        Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .detail(format!("The statements of this node hold all of their {limit} bytes."))
            .hint("Run fewer large statements at a time, or give the node more with --sql-memory."))
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bytes that a statement holds. Clones share it.
#[derive(Clone)]
pub struct Pool(Arc<Statement>);

struct Statement {
    /// By reservations.
    held: AtomicUsize,
    /// By values that are being computed.
    scratch: AtomicUsize,
    /// Taken from the node.
    granted: AtomicUsize,
    limit: usize,
    node: Option<Memory>,
}

impl Pool {
    /// Of a statement that shares with nobody.
    pub fn new(limit: usize) -> Self {
        Self::make(limit, None)
    }

    fn make(limit: usize, node: Option<Memory>) -> Self {
        Pool(Arc::new(Statement {
            held: AtomicUsize::new(0),
            scratch: AtomicUsize::new(0),
            granted: AtomicUsize::new(0),
            limit,
            node,
        }))
    }

    /// Nothing yet, to be grown.
    pub fn reserve(&self) -> Reservation {
        Reservation { pool: self.clone(), held: 0 }
    }

    /// What the statement may hold.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// What values hold that are being computed.
    pub fn scratch(&self) -> usize {
        self.0.scratch.load(Ordering::Relaxed)
    }

    /// Values have gone: what is left of them.
    pub fn set_scratch(&self, bytes: usize) {
        self.0.scratch.store(bytes, Ordering::Relaxed);
    }

    /// Counts a value that is about to be made.
    pub fn add_scratch(&self, bytes: usize) -> SqlResult<()> {
        let scratch = self.scratch().saturating_add(bytes);
        self.fits(self.0.held.load(Ordering::Relaxed).saturating_add(scratch))?;
        self.set_scratch(scratch);
        Ok(())
    }

    fn fits(&self, bytes: usize) -> SqlResult<()> {
        let statement = &*self.0;
        if bytes > statement.limit {
            return Err(self.exceeded());
        }
        let granted = statement.granted.load(Ordering::Relaxed);
        match &statement.node {
            Some(node) if bytes > FREE_BYTES && bytes > granted => {
                let more = (bytes - granted).next_multiple_of(GRANT_BYTES);
                node.take(more)?;
                statement.granted.fetch_add(more, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn exceeded(&self) -> SqlError {
        let limit = self.0.limit;
        SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .detail(format!("The statement needs more than its {limit} bytes (work_mem)."))
            .hint("Read fewer rows at a time, add an index that gives them in order, or raise work_mem.")
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            node.give_back(*self.granted.get_mut());
        }
    }
}

/// A part of a [`Pool`], given back when dropped.
pub struct Reservation {
    pool: Pool,
    held: usize,
}

impl Reservation {
    /// Takes more, or says that the statement is too large and takes nothing.
    pub fn grow(&mut self, bytes: usize) -> SqlResult<()> {
        let statement = &*self.pool.0;
        let held = statement.held.load(Ordering::Relaxed).saturating_add(bytes);
        self.pool.fits(held.saturating_add(self.pool.scratch()))?;
        statement.held.store(held, Ordering::Relaxed);
        self.held += bytes;
        Ok(())
    }

    /// Takes what a row needs.
    pub fn grow_row(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.grow(row_bytes(row))
    }

    /// What it holds.
    pub fn bytes(&self) -> usize {
        self.held
    }

    /// Gives some back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        self.pool.0.held.fetch_sub(bytes, Ordering::Relaxed);
        self.held -= bytes;
    }

    /// Takes or gives back what lies between two sizes of the same thing.
    pub fn resize(&mut self, from: usize, to: usize) -> SqlResult<()> {
        if to > from {
            return self.grow(to - from);
        }
        self.shrink(from - to);
        Ok(())
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.shrink(self.held);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}

/// About the bytes of a row.
pub fn row_bytes(row: &[Datum]) -> usize {
    size_of::<Vec<Datum>>() + row.iter().map(datum_bytes).sum::<usize>()
}

/// About the bytes of a value.
pub fn datum_bytes(datum: &Datum) -> usize {
    size_of::<Datum>() + heap_bytes(datum)
}

/// About the bytes of a value beside its own place.
pub fn heap_bytes(datum: &Datum) -> usize {
    match datum {
        Datum::Text(text) => text.len() + 16,
        Datum::Bytea(bytes) => bytes.len() + 32,
        Datum::Packed(_, bytes) => bytes.len() + 16,
        Datum::Numeric(numeric) => 2 * numeric.digits.len(),
        Datum::Array(items) | Datum::Record(items) => items.iter().map(datum_bytes).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_comes_back() {
        let pool = Pool::new(1_000);
        let mut first = pool.reserve();
        first.grow(600).unwrap();
        let mut second = pool.reserve();
        let error = second.grow(500).unwrap_err();
        assert_eq!(error.state, SqlState::OUT_OF_MEMORY);
        assert!(error.hint.is_some());
        second.grow(400).unwrap();
        assert!(pool.add_scratch(1).is_err());
        drop(first);
        pool.add_scratch(600).unwrap();
        assert!(second.grow(1).is_err());
        pool.set_scratch(0);
        second.resize(400, 1_000).unwrap();
        second.resize(1_000, 10).unwrap();
        first = pool.reserve();
        first.grow(990).unwrap();
    }

    #[test]
    fn statements_share_the_node() {
        let node = Memory::new(4 << 20);
        let small = node.statement(usize::MAX);
        let mut held = small.reserve();
        held.grow(FREE_BYTES).unwrap();
        assert_eq!(node.used(), 0, "a small statement asks nobody");
        let large = node.statement(usize::MAX);
        let mut most = large.reserve();
        most.grow(3 << 20).unwrap();
        assert_eq!(node.used(), 3 << 20);
        let error = held.grow(2 << 20).unwrap_err();
        assert!(error.detail.unwrap().contains("of this node"));
        assert_eq!(node.used(), 3 << 20, "a refusal takes nothing");
        drop(most);
        drop(large);
        assert_eq!(node.used(), 0);
        held.grow(2 << 20).unwrap();
    }
}
