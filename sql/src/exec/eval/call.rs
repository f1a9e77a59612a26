//! Calls of functions, and values as text.

use super::{Evaluator, Stop, Value};
use crate::error::{SqlError, SqlResult};
use crate::exec::context::ExecContext;
use crate::func::{self, Body, Function};
use crate::plan::Expr;
use crate::types::{Datum, SqlType};

/// The function with an oid.
pub(crate) fn function(oid: u32) -> SqlResult<&'static Function> {
    let function = func::registry().function_ref(oid);
    function.ok_or_else(|| SqlError::internal(format!("no function has oid {oid}")))
}

/// A value as text.
pub(crate) fn output(ctx: &ExecContext<'_>, value: &Datum, ty: SqlType) -> SqlResult<String> {
    func::output(&ctx.eval, ty, value)
}

impl Evaluator<'_> {
    pub(super) fn call<'e>(&self, oid: u32, args: &'e [Expr], row: &[Datum]) -> Value<'e> {
        // Most have one or two: no need for the heap.
        match args {
            [only] => {
                let args = [self.eval(only, row)?];
                self.apply(oid, &args).map_err(Stop::Error)
            }
            [left, right] => {
                let args = [self.eval(left, row)?, self.eval(right, row)?];
                self.apply(oid, &args).map_err(Stop::Error)
            }
            _ => {
                let args = self.all(args, row)?;
                self.apply(oid, &args).map_err(Stop::Error)
            }
        }
    }

    /// Calls a function with values.
    pub(super) fn apply(&self, oid: u32, args: &[Datum]) -> SqlResult<Datum> {
        let function = function(oid)?;
        if function.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        match function.body {
            Body::Scalar(body) => body(&self.ctx.eval, args),
            Body::Set(..) | Body::Aggregate(_) => {
                Err(SqlError::internal(format!("{} gives no single value", function.name)))
            }
        }
    }
}
