//! Functions that give rows.

use sql_catalog::function::{Body, Function, SetRows};
use sql_plan::node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;

use crate::batch::{Batch, BatchBuilder};
use crate::context::Run;
use crate::row::Row;

/// Rows of functions, made as they are asked for.
#[derive(Default)]
pub(crate) struct TableFunction {
    /// By function; none once it has ended.
    rows: Vec<Option<SetRows>>,
    /// Rows given so far.
    given: i64,
}

impl TableFunction {
    pub(super) fn open(_: &node::TableFunction) -> Self {
        Self::default()
    }

    pub(super) async fn next(
        &mut self,
        node: &node::TableFunction,
        run: &mut Run<'_>,
    ) -> SqlResult<Option<Batch>> {
        let node::TableFunction { calls, types, ordinality } = node;
        if self.rows.is_empty() {
            for (function, args) in calls {
                let args = run.eval_all(args, &[]).await?;
                self.rows.push(Some(start(function, &args, run)?));
            }
        }
        let mut builder = BatchBuilder::new(types, &run.shared.pool);
        while !builder.is_full() {
            run.ctx.eval.interrupt.spend(1)?;
            let Some(mut row) = self.row()? else { break };
            self.given += 1;
            if *ordinality {
                row.push(Datum::Int8(self.given));
            }
            builder.push(&row)?;
        }
        Ok(builder.finish())
    }

    /// The next row, with NULLs for functions that have ended; none when all have.
    fn row(&mut self) -> SqlResult<Option<Row>> {
        if let [rows] = self.rows.as_mut_slice() {
            return rows.as_mut().and_then(Iterator::next).transpose();
        }
        let mut row = Row::with_capacity(self.rows.len());
        for rows in &mut self.rows {
            match rows.as_mut().and_then(Iterator::next) {
                Some(next) => row.extend(next?),
                None => {
                    *rows = None;
                    row.push(Datum::Null);
                }
            }
        }
        let has_ended = self.rows.iter().all(Option::is_none);
        Ok((!has_ended).then_some(row))
    }
}

/// The rows of a call, of which none is made yet.
fn start(function: &Function, args: &[Datum], run: &Run<'_>) -> SqlResult<SetRows> {
    if function.strict && args.iter().any(Datum::is_null) {
        return Ok(Box::new(std::iter::empty()));
    }
    match function.body {
        Body::Set(body, _) => body(&run.ctx.eval, args),
        Body::Scalar(body) => {
            let value = body(&run.ctx.eval, args)?;
            Ok(Box::new(std::iter::once(Ok(vec![value]))))
        }
        Body::Aggregate(_) | Body::Sequence(_) => {
            Err(SqlError::internal(format!("{} makes no rows", function.name)))
        }
    }
}
