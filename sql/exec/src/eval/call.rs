//! Calls of functions, and values as text.

use sql_catalog::function::{Body, Function};
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::heap_bytes;
use sql_values::types::{Datum, SqlType};

use super::{Evaluator, Value};
use crate::context::ExecContext;

/// A value as text.
pub(crate) fn output(ctx: &ExecContext<'_>, value: &Datum, ty: SqlType) -> SqlResult<String> {
    ctx.eval.output(ty, value)
}

/// Digits of a number that is counted when it is there: it has no more than some ten thousand.
const LONG_NUMBER: usize = 512;

/// Bytes of a value that functions go through.
fn long_bytes(value: &Datum) -> usize {
    match value {
        Datum::Text(text) => text.len(),
        Datum::Bytea(bytes) => bytes.len(),
        Datum::Packed(_, bytes) => bytes.len(),
        Datum::Array(items) | Datum::Record(items) => size_of_val::<[Datum]>(items),
        _ => 0,
    }
}

impl Evaluator<'_> {
    /// The value of a call. What its arguments made is gone when it is there.
    pub(super) fn call<'e>(
        &self,
        function: &Function,
        args: &'e [Expr],
        row: &[Datum],
    ) -> Value<'e> {
        let memory = self.ctx.eval.memory;
        let before = memory.scratch();
        // Most have one or two: no need for the heap.
        let (with_args, value) = match args {
            [only] => {
                let args = [self.eval(only, row)?];
                (memory.scratch(), self.apply(function, &args)?)
            }
            [left, right] => {
                let args = [self.eval(left, row)?, self.eval(right, row)?];
                (memory.scratch(), self.apply(function, &args)?)
            }
            _ => {
                let args = self.all(args, row)?;
                (memory.scratch(), self.apply(function, &args)?)
            }
        };
        let made = memory.scratch() - with_args;
        memory.set_scratch(before + made);
        Ok(value)
    }

    /// Calls a function with values.
    pub(super) fn apply(&self, function: &Function, args: &[Datum]) -> SqlResult<Datum> {
        if function.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        match function.body {
            Body::Scalar(body) => {
                let bytes: usize = args.iter().map(long_bytes).sum();
                self.ctx.eval.interrupt.spend_bytes(bytes)?;
                let value = body(&self.ctx.eval, args)?;
                if let Datum::Numeric(number) = &value
                    && number.digits.len() > LONG_NUMBER
                {
                    self.ctx.eval.reserve(heap_bytes(&value))?;
                }
                Ok(value)
            }
            Body::Set(..) | Body::Aggregate(_) | Body::Sequence(_) => {
                Err(SqlError::internal(format!("{} gives no single value", function.name)))
            }
        }
    }
}
