//! Sinks of work: rows with names in them, and rows for ourselves.

use futures::FutureExt;
use futures::future::BoxFuture;
use sql_catalog::function::EvalContext;
use sql_exec::Row;
use sql_exec::sink::{Notice, ResultSink};
use sql_functions as func;
use sql_plan::{OutputColumn, Plan};
use sql_values::error::SqlResult;
use sql_values::types::Datum;

/// Puts the names of a row's oids behind its columns, which only the catalog knows. [`give`] shows them.
pub(crate) fn append_names(
    row: &mut Row,
    columns: &[OutputColumn],
    eval: &EvalContext<'_>,
) -> SqlResult<()> {
    for (index, column) in columns.iter().enumerate() {
        if !column.ty.holds_names() {
            continue;
        }
        let name = match row.get(index) {
            None | Some(Datum::Null) => Datum::Null,
            Some(value) => Datum::text(func::output(eval, column.ty, value)?),
        };
        row.push(name);
    }
    Ok(())
}

/// Gives a row, with names instead of oids where a column is sent as text.
pub(crate) fn give(
    sink: &mut dyn ResultSink,
    columns: &[OutputColumn],
    row: &[Datum],
) -> SqlResult<()> {
    let Some((values, names @ [_, ..])) = row.split_at_checked(columns.len()) else {
        return sink.row(row);
    };
    let mut shown = values.to_vec();
    let named = columns.iter().enumerate().filter(|(_, column)| column.ty.holds_names());
    for ((index, _), name) in named.zip(names) {
        if !sink.is_binary(index)
            && let Some(value) = shown.get_mut(index)
        {
            *value = name.clone();
        }
    }
    sink.row(&shown)
}

/// Gives oids as the names of what they stand for.
pub(crate) struct Named<'a> {
    pub(crate) sink: &'a mut dyn ResultSink,
    pub(crate) plan: &'a Plan,
    pub(crate) eval: &'a EvalContext<'a>,
}

impl ResultSink for Named<'_> {
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()> {
        self.sink.columns(columns)
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        let mut row = row.to_vec();
        append_names(&mut row, &self.plan.columns, self.eval)?;
        give(self.sink, &self.plan.columns, &row)
    }
    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        self.sink.complete(tag)
    }
    fn suspended(&mut self) -> SqlResult<()> {
        self.sink.suspended()
    }
    fn empty(&mut self) -> SqlResult<()> {
        self.sink.empty()
    }
    fn notice(&mut self, notice: Notice) -> SqlResult<()> {
        self.sink.notice(notice)
    }
    fn parameter(&mut self, name: &str, value: &str) -> SqlResult<()> {
        self.sink.parameter(name, value)
    }
    fn can_discard(&self) -> bool {
        self.sink.can_discard()
    }
    fn is_binary(&self, column: usize) -> bool {
        self.sink.is_binary(column)
    }
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }
    fn discard(&mut self) {
        self.sink.discard();
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        self.sink.ready()
    }
}

/// Keeps rows for whoever asked from within.
#[derive(Default)]
pub(crate) struct Collected(pub(crate) Vec<Row>);

impl ResultSink for Collected {
    fn columns(&mut self, _: &[OutputColumn]) -> SqlResult<()> {
        Ok(())
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.0.push(row.to_vec());
        Ok(())
    }
    fn complete(&mut self, _: &str) -> SqlResult<()> {
        Ok(())
    }
    fn suspended(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn empty(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn notice(&mut self, _: Notice) -> SqlResult<()> {
        Ok(())
    }
    fn parameter(&mut self, _: &str, _: &str) -> SqlResult<()> {
        Ok(())
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self) {
        self.0.clear();
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        async { Ok(()) }.boxed()
    }
}
