//! Where results go. The session calls, a connection (or a test) implements.

use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, TextStyle};

/// A notice or warning: an error that is none.
pub type Notice = SqlError;

/// Takes what a statement gives, in order.
///
/// What was taken may be held back as long as [`ResultSink::can_discard`]: then the session may run the statement
/// again after a serialization failure, and calls [`ResultSink::discard`] first. Once a byte has left, it may not.
pub trait ResultSink: Send {
    /// The statement yields rows with these columns.
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()>;
    /// True iff a column of those that were told last is sent in its type's binary form.
    fn is_binary(&self, column: usize) -> bool {
        let _ = column;
        false
    }
    /// A row; one datum a column.
    fn row(&mut self, row: &[Datum]) -> SqlResult<()>;
    /// The statement is done; the tag is CommandComplete's (`INSERT 0 1`).
    fn complete(&mut self, tag: &str) -> SqlResult<()>;
    /// A row-limited execution has given as many rows as asked; the portal has more.
    fn suspended(&mut self) -> SqlResult<()>;
    /// There was nothing in the text.
    fn empty(&mut self) -> SqlResult<()>;
    /// A notice.
    fn notice(&mut self, notice: Notice) -> SqlResult<()>;
    /// What the session chooses of how values look as text, from here on. Told before each statement.
    fn text_style(&mut self, style: TextStyle) {
        let _ = style;
    }
    /// A setting that clients are told about has changed.
    fn parameter(&mut self, name: &str, value: &str) -> SqlResult<()>;
    /// A COPY TO STDOUT begins, with so many columns.
    fn copy_out(&mut self, columns: usize) -> SqlResult<()> {
        let _ = columns;
        Err(SqlError::unsupported("COPY TO STDOUT on this connection"))
    }
    /// A piece of a COPY TO STDOUT.
    fn copy_data(&mut self, data: &[u8]) -> SqlResult<()> {
        let _ = data;
        Err(SqlError::unsupported("COPY TO STDOUT on this connection"))
    }
    /// The COPY TO STDOUT has given all its rows.
    fn copy_out_done(&mut self) -> SqlResult<()> {
        Ok(())
    }
    /// True iff nothing of the present statement has left yet.
    fn can_discard(&self) -> bool;
    /// Forgets what the present statement gave.
    fn discard(&mut self);
    /// True iff [`ResultSink::ready`] should be asked before the next row, not only now and then.
    fn is_full(&self) -> bool {
        false
    }
    /// Completes when more rows may be given: back-pressure. A connection that is gone is an error.
    fn ready(&mut self) -> futures::future::BoxFuture<'_, SqlResult<()>>;
}
