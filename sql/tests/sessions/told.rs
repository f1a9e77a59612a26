//! A sink that writes down what it is told.

use futures::FutureExt;
use futures::future::BoxFuture;
use sql::error::SqlResult;
use sql::plan::OutputColumn;
use sql::session::{Notice, ResultSink};
use sql::types::{Datum, SqlType, TextFormat};

/// What a session gave, as lines.
#[derive(Default)]
pub(crate) struct Told {
    types: Vec<SqlType>,
    pub(crate) lines: Vec<String>,
    pub(crate) discards: usize,
    /// Asks for all columns in binary form.
    pub(crate) binary: bool,
}

impl ResultSink for Told {
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()> {
        self.types = columns.iter().map(|column| column.ty).collect();
        Ok(())
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        let values = row.iter().zip(&self.types);
        let values: Vec<_> =
            values.map(|(datum, ty)| datum.to_text(*ty, &TextFormat::UTC)).collect();
        self.lines.push(values.join(","));
        Ok(())
    }
    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        self.lines.push(tag.to_owned());
        Ok(())
    }
    fn is_binary(&self, _: usize) -> bool {
        self.binary
    }
    fn suspended(&mut self) -> SqlResult<()> {
        self.lines.push("suspended".to_owned());
        Ok(())
    }
    fn empty(&mut self) -> SqlResult<()> {
        self.lines.push("empty".to_owned());
        Ok(())
    }
    fn notice(&mut self, _: Notice) -> SqlResult<()> {
        Ok(())
    }
    fn parameter(&mut self, _: &str, _: &str) -> SqlResult<()> {
        Ok(())
    }
    fn copy_out(&mut self, _: usize) -> SqlResult<()> {
        Ok(())
    }
    fn copy_data(&mut self, data: &[u8]) -> SqlResult<()> {
        self.lines.push(String::from_utf8_lossy(data).trim_end().to_owned());
        Ok(())
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self) {
        self.lines.clear();
        self.discards += 1;
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        async { Ok(()) }.boxed()
    }
}
