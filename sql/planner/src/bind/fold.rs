//! Constants are computed while binding, where nothing but their arguments counts.

use sql_catalog::function::{Body, EvalContext, NoSession, Volatility};
use sql_plan::Expr;
use sql_values::error::{SqlResult, SqlState};
use sql_values::interrupt::Interrupt;
use sql_values::memory::Pool;
use sql_values::types::{Datum, SqlType};

use super::{Binder, Functions};

/// Values longer than this are not kept in a plan.
const MAX_CONSTANT: usize = 1024;

/// Calls that do more work, or make more bytes, are left for the executor: there they can be stopped.
const MAX_WORK: u32 = 2_000;
const MAX_BYTES: usize = 64 << 10;

impl Binder<'_> {
    /// The value of a call of an immutable function with constants. A call that fails is left for the executor: it may
    /// never be reached.
    pub(crate) fn fold(&self, expr: Expr, _position: Option<u32>) -> SqlResult<Expr> {
        fold_call(expr, self.functions, self.catalog, false)
    }
}

/// A value cast while binding, by what the catalog says now.
pub(crate) fn constant_cast(
    value: Datum,
    ty: SqlType,
    functions: &'static Functions,
    catalog: &dyn sql_catalog::CatalogView,
) -> SqlResult<Datum> {
    let (interrupt, memory) = (Interrupt::bounded(MAX_WORK), Pool::new(MAX_BYTES));
    let context = context(functions, catalog, &interrupt, &memory);
    context.cast(value, SqlType::Text, ty, true)
}

/// Surroundings in which nothing but arguments and the catalog counts.
fn context<'a>(
    functions: &'static Functions,
    catalog: &'a dyn sql_catalog::CatalogView,
    interrupt: &'a Interrupt,
    memory: &'a Pool,
) -> EvalContext<'a> {
    EvalContext {
        statement_time: 0,
        transaction_time: 0,
        clock: &|| 0,
        random: &|| 0,
        time_zone: "UTC",
        style: sql_values::types::TextStyle::DEFAULT,
        catalog,
        functions,
        session: &NoSession,
        backend_pid: 0,
        interrupt,
        memory,
    }
}

/// The same for the optimiser, which knows what is never reached, and so may raise errors.
pub(crate) fn fold_call(
    expr: Expr,
    functions: &'static Functions,
    catalog: &dyn sql_catalog::CatalogView,
    raise: bool,
) -> SqlResult<Expr> {
    Ok(match &expr {
        Expr::Call { function, args, ty } => {
            let mut values = Vec::with_capacity(args.len());
            for arg in args {
                let Expr::Const(value, _) = arg else { return Ok(expr) };
                values.push(value.clone());
            }
            if function.volatility != Volatility::Immutable {
                return Ok(expr);
            }
            let Body::Scalar(body) = function.body else { return Ok(expr) };
            if function.strict && values.iter().any(Datum::is_null) {
                return Ok(Expr::Const(Datum::Null, *ty));
            }
            let (interrupt, memory) = (Interrupt::bounded(MAX_WORK), Pool::new(MAX_BYTES));
            let context = context(functions, catalog, &interrupt, &memory);
            match body(&context, &values) {
                Ok(value) if is_small(&value) => Expr::Const(value, *ty),
                // Not an error of the call: it is to be run where there is more room and time.
                Err(_) if context.interrupt.is_spent() => expr,
                Err(error) if error.state == SqlState::OUT_OF_MEMORY => expr,
                Err(error) if raise => return Err(error),
                _ => expr,
            }
        }
        Expr::Cast { input, ty, explicit } => match &**input {
            // Only the modifier is applied: what input and output functions give may depend on settings.
            Expr::Const(Datum::Null, _) => Expr::Const(Datum::Null, *ty),
            Expr::Const(value, from) if from.base() == ty.base() => {
                match value.clone().apply_modifier(*ty, *explicit) {
                    Ok(value) => Expr::Const(value, *ty),
                    Err(error) if raise => return Err(error),
                    Err(_) => expr,
                }
            }
            Expr::Const(value @ Datum::Text(_), from)
                if is_string(*from) && is_string(*ty) && !matches!(from, SqlType::Char(_)) =>
            {
                match value.clone().apply_modifier(*ty, *explicit) {
                    Ok(value) => Expr::Const(value, *ty),
                    Err(error) if raise => return Err(error),
                    Err(_) => expr,
                }
            }
            _ => expr,
        },
        _ => expr,
    })
}

fn is_string(ty: SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Unknown)
}

fn is_small(value: &Datum) -> bool {
    match value {
        Datum::Text(text) => text.len() <= MAX_CONSTANT,
        Datum::Bytea(bytes) => bytes.len() <= MAX_CONSTANT,
        Datum::Packed(_, bytes) => bytes.len() <= MAX_CONSTANT,
        Datum::Numeric(number) => number.digits.len() <= MAX_CONSTANT,
        Datum::Array(values) | Datum::Record(values) => {
            values.len() <= MAX_CONSTANT && values.iter().all(is_small)
        }
        _ => true,
    }
}
