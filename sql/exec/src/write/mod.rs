//! INSERT, UPDATE, DELETE.
//!
//! - W1. What a statement writes is kept in [`crate::pending::Pending`] until all of it has run, and goes to the transaction then. So
//!   no read of a statement sees its own writes (the Halloween problem; data-modifying WITH queries), and a
//!   statement that fails has written nothing.
//!   A statement that writes more than it should keep writes through to the transaction, portion by portion: until it is
//!   done, its reads are those of a transaction that has not ([`txn::db::Txn::pin`]), and if it fails a savepoint
//!   undoes it.
//! - W2. Only questions of uniqueness look at [`crate::pending::Pending`]: there, a key is what the statement has made of it (also what it
//!   has written through), or else what a locking read finds. The lock makes others that would write the same key wait.
//!   A statement that may be run again asks whether a whole span of new keys is empty, and locks nothing if it is.
//! - W3. A row is written once by a statement: who comes second to a row that was updated or deleted leaves it (as
//!   PostgreSQL does), and ON CONFLICT DO UPDATE refuses.
//! - W4. Rows are taken one after the other: NOT NULL, checks, then uniqueness, index by index in the table's
//!   order. What fails first is reported.
//! - W5. Rows come in portions ([`foresee`]): the keys that W2 will ask for are locked and read together before the first
//!   row of a portion is taken. That changes when they are locked, and nothing else.
//! - W6. What deletes a whole span may become one write ([`erase`]), if it is the transaction's only statement.

mod constraint;
mod erase;
mod foresee;
mod insert;
mod lock;
mod modify;

use std::collections::VecDeque;

use sql_plan::{Expr, Node, node};
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::Reservation;
use sql_values::types::Datum;

use crate::context::Run;
use crate::row::Row;

/// What a write has done.
pub(crate) struct Written {
    /// Rows inserted, updated or deleted.
    pub(crate) affected: u64,
    returned: VecDeque<Row>,
    held: Reservation,
}

impl Written {
    pub(crate) fn new(run: &Run<'_>) -> Self {
        Written { affected: 0, returned: VecDeque::new(), held: run.shared.pool.reserve() }
    }

    /// Writes what rows of the input ask for. An error comes with the number of the row that it is about, from zero.
    pub(crate) async fn write_all(
        &mut self,
        node: &Node,
        rows: Vec<Row>,
        run: &mut Run<'_>,
    ) -> Result<(), (usize, SqlError)> {
        run.foresee_rows(node, &rows).await.map_err(|error| (0, error))?;
        for (number, row) in rows.into_iter().enumerate() {
            run.step().await.map_err(|error| (number, error))?;
            self.write(node, row, run).await.map_err(|error| (number, error))?;
        }
        run.shared.pending.forget();
        Ok(())
    }

    /// Writes what a row of the input asks for.
    async fn write(&mut self, node: &Node, row: Row, run: &mut Run<'_>) -> SqlResult<()> {
        let (written, returning) = match node {
            Node::Insert(node::Insert { table, checks, on_conflict, returning, .. }) => {
                (run.insert(table, row, checks, on_conflict.as_ref()).await?, returning)
            }
            Node::Update(node::Update { table, assignments, checks, returning, .. }) => {
                (run.update(table, row, assignments, checks).await?, returning)
            }
            Node::Delete(node::Delete { table, returning, .. }) => {
                (run.delete(table, row)?, returning)
            }
            _ => return Err(SqlError::internal("a write is run with another node")),
        };
        let Some(row) = written else {
            return Ok(());
        };
        self.affected += 1;
        if let Some(exprs) = returning {
            let row = run.eval_all(exprs, &row).await?;
            self.held.grow_row(&row)?;
            self.returned.push_back(row);
        }
        Ok(())
    }

    /// Takes the rows to return, in order, one by one.
    pub(crate) fn returned(&mut self) -> impl Iterator<Item = Row> {
        std::iter::from_fn(|| self.returned.pop_front())
    }
}

/// Where the rows of a write come from.
pub(crate) fn input_of(node: &Node) -> SqlResult<&Node> {
    match node {
        Node::Insert(node::Insert { input, .. })
        | Node::Update(node::Update { input, .. })
        | Node::Delete(node::Delete { input, .. }) => Ok(input),
        _ => Err(SqlError::internal("a write is run with another node")),
    }
}

/// Sets the columns of `row` to the values of expressions over `over`.
async fn assign(
    row: &mut [Datum],
    assignments: &[(usize, Expr)],
    over: &[Datum],
    run: &mut Run<'_>,
) -> SqlResult<()> {
    for (at, expr) in assignments {
        let value = run.eval(expr, over).await?;
        let place = row.get_mut(*at);
        *place.ok_or_else(|| SqlError::internal(format!("no column at {at}")))? = value;
    }
    Ok(())
}
