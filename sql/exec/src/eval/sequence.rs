//! Calls that ask something of a sequence: answered by whoever runs the statement, once for each row.
//!
//! - A1. An answer belongs to one row and one call, which is known by its address (as subqueries are, Q2 of
//!   `eval::subquery`): what is evaluated again for another's sake takes no second value.
//! - A2. A row's calls are answered from left to right, also over several expressions of the same row
//!   (`op::parts` evaluates those row by row): `currval` gives what the `nextval` before it took.

use sql_catalog::function::{Function, SequenceFn, SequenceRequest};
use sql_plan::Expr;
use sql_values::error::SqlResult;
use sql_values::types::Datum;

use super::{Evaluator, Stop, Value};
use crate::context::Run;

/// What a call is known by.
pub(super) fn address(call: &Expr) -> usize {
    std::ptr::from_ref(call).addr()
}

impl Evaluator<'_> {
    /// The answer of a call, if it is known; or else what is asked.
    pub(super) fn sequence<'e>(
        &self,
        call: &'e Expr,
        function: &Function,
        body: SequenceFn,
        args: &'e [Expr],
        row: &[Datum],
    ) -> Value<'e> {
        if let Some(answer) = self.answers.of_call(address(call)) {
            return Ok(answer.clone());
        }
        let args = self.all(args, row)?;
        if function.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        Err(Stop::Sequence(call, body(&self.ctx.eval, &args)?))
    }
}

impl Run<'_> {
    /// Asks something of a sequence.
    pub(crate) async fn ask_sequence(&mut self, request: SequenceRequest) -> SqlResult<Datum> {
        self.ctx.sequences.ask(self.txn, request).await
    }
}
