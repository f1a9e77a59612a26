//! A sink between a statement and the client's.

use futures::future::BoxFuture;
use sql_exec::sink::{Notice, ResultSink};
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, TextStyle};

use super::kept::{KEPT_BYTES_MAX, Kept};

/// Keeps the rows of a statement that are asked for in portions, as another sink is to show them.
pub(super) struct Buffer<'a> {
    pub(super) sink: &'a mut dyn ResultSink,
    pub(super) rows: Kept,
    pub(super) tag: Option<String>,
}

impl ResultSink for Buffer<'_> {
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()> {
        // It knows from then on which of them are binary.
        self.sink.columns(columns)
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.rows.push(row.to_vec());
        if self.rows.bytes() > KEPT_BYTES_MAX {
            let text = format!("A portal keeps at most {KEPT_BYTES_MAX} bytes of rows.");
            return Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory").detail(text));
        }
        Ok(())
    }
    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        self.tag = Some(tag.to_owned());
        Ok(())
    }
    fn suspended(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn empty(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn notice(&mut self, notice: Notice) -> SqlResult<()> {
        self.sink.notice(notice)
    }
    fn text_style(&mut self, style: TextStyle) {
        self.sink.text_style(style);
    }
    fn parameter(&mut self, name: &str, value: &str) -> SqlResult<()> {
        self.sink.parameter(name, value)
    }
    fn is_binary(&self, column: usize) -> bool {
        self.sink.is_binary(column)
    }
    fn can_discard(&self) -> bool {
        self.sink.can_discard()
    }
    fn discard(&mut self) {
        self.rows = Kept::default();
        self.sink.discard();
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        self.sink.ready()
    }
}
