//! The value of an expression for one row: the one meaning that batches and direct operators share.
//!
//! Invariants:
//!
//! - V1. Evaluation is synchronous and reads nothing. Where the value of a subquery is needed that is not known
//!   yet, it stops and says which ([`Stop::Subquery`]); whoever drives it ([`subquery`]) runs that subquery and
//!   evaluates again from the start, now knowing its value. So laziness has one implementation, and subqueries in
//!   branches that are not taken are never run. Calls that ask something of a sequence are the same ([`sequence`]).
//!   What was evaluated before is evaluated once more: no other function has effects, but for changes of the session
//!   that are asked for ([`sql_catalog::function::SessionState`]), and are the same asked twice.
//! - V2. AND and OR look at their parts from left to right and at no more than they need; CASE and COALESCE
//!   likewise. All arguments of a call are evaluated, also of a strict one with a NULL among them.
//! - V3. Strict functions are never called with a NULL.

mod call;
mod logic;
mod sequence;
mod subquery;
mod vector;

use sql_catalog::function::{Body, SequenceRequest};
use sql_plan::{Expr, SubqueryKind};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

use crate::answer::Answers;
use crate::context::ExecContext;
use crate::row::Row;
pub(crate) use call::output;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Stop<'e> {
    /// There never will be.
    Error(SqlError),
    /// This expression is a subquery whose answer is not known yet.
    Subquery(&'e Expr),
    /// This expression is a call that asks this of a sequence.
    Sequence(&'e Expr, SequenceRequest),
}

impl From<SqlError> for Stop<'_> {
    fn from(error: SqlError) -> Self {
        Stop::Error(error)
    }
}

/// A value, or why there is none.
pub(crate) type Value<'e> = Result<Datum, Stop<'e>>;

/// Evaluates expressions within a statement.
#[derive(Clone, Copy)]
pub(crate) struct Evaluator<'a> {
    pub(crate) ctx: &'a ExecContext<'a>,
    /// The nearest last.
    pub(crate) outer: &'a [Row],
    /// What is known of this row's subqueries.
    pub(crate) answers: Answers<'a>,
}

impl<'a> Evaluator<'a> {
    /// Evaluates expressions that never wait ([`Expr::waits`]).
    pub(crate) fn new(ctx: &'a ExecContext<'a>, outer: &'a [Row]) -> Self {
        Evaluator { ctx, outer, answers: Answers::none() }
    }

    /// The value of an expression that never waits.
    pub(crate) fn value(&self, expr: &Expr, row: &[Datum]) -> SqlResult<Datum> {
        self.eval(expr, row).map_err(|stop| match stop {
            Stop::Error(error) => error,
            Stop::Subquery(_) | Stop::Sequence(..) => {
                SqlError::internal("waits where nobody answers")
            }
        })
    }

    /// The value of an expression over a row.
    pub(crate) fn eval<'e>(&self, expr: &'e Expr, row: &[Datum]) -> Value<'e> {
        match expr {
            Expr::Const(datum, _) => Ok(datum.clone()),
            Expr::Slot(slot, _) => Ok(slot_of(row, *slot)?.clone()),
            Expr::Outer { level, slot, .. } => {
                let at = self.outer.len().checked_sub(level + 1);
                let row = at
                    .and_then(|at| self.outer.get(at))
                    .ok_or_else(|| SqlError::internal(format!("no outer row at level {level}")))?;
                Ok(slot_of(row, *slot)?.clone())
            }
            Expr::Param(index, _) => {
                let value = self.ctx.params.get(*index);
                Ok(value.cloned().ok_or_else(|| {
                    SqlError::internal(format!("no value for parameter ${}", index + 1))
                })?)
            }
            _ => roomy(|| self.eval_parts(expr, row)),
        }
    }

    /// The value of an expression that has parts.
    fn eval_parts<'e>(&self, expr: &'e Expr, row: &[Datum]) -> Value<'e> {
        match expr {
            Expr::Call { function, args, .. } => match function.body {
                Body::Sequence(body) => self.sequence(expr, function, body, args, row),
                _ => self.call(function, args, row),
            },
            Expr::Cast { input, ty, explicit } => {
                let value = self.eval(input, row)?;
                Ok(self.ctx.eval.cast(value, input.ty(), *ty, *explicit)?)
            }
            Expr::And(parts) => self.and(parts, row),
            Expr::Or(parts) => self.or(parts, row),
            Expr::Not(input) => Ok(match truth(&self.eval(input, row)?)? {
                Some(value) => Datum::Bool(!value),
                None => Datum::Null,
            }),
            Expr::IsNull(input) => Ok(Datum::Bool(self.eval(input, row)?.is_null())),
            Expr::IsDistinct { equals, sides } => self.is_distinct(equals, sides, row),
            Expr::Case { branches, otherwise, .. } => {
                self.case(branches, otherwise.as_deref(), row)
            }
            Expr::Coalesce(parts, _) => self.coalesce(parts, row),
            Expr::Extreme { args, beats, .. } => self.extreme(args, beats, row),
            Expr::Quantified { input, array, function, all } => {
                self.quantified(input, array, function, *all, row)
            }
            Expr::InList { input, list, equals } => self.in_list(input, list, equals, row),
            Expr::Array(items, _) => {
                self.ctx.eval.interrupt.spend(items.len() as u32 / 64)?;
                Ok(Datum::Array(self.all(items, row)?.into()))
            }
            Expr::Row(items) => {
                let record = Datum::Record(self.all(items, row)?.into());
                if record_depth(&record) > MAX_RECORD_DEPTH {
                    let text = format!("records may be nested {MAX_RECORD_DEPTH} deep at most");
                    return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text).into());
                }
                Ok(record)
            }
            Expr::Subscript(array, index, _) => self.subscript(array, index, row),
            Expr::Subquery { kind, plan, .. } => {
                let Some(answer) = self.answers.of(plan) else {
                    return Err(Stop::Subquery(expr));
                };
                match kind {
                    SubqueryKind::In { input, equals } => {
                        self.in_answer(input, equals, answer, row)
                    }
                    _ => Ok(answer.value()?),
                }
            }
            Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => {
                self.eval(expr, row)
            }
        }
    }

    /// True iff a condition is true, neither false nor NULL.
    pub(crate) fn holds<'e>(&self, condition: &'e Expr, row: &[Datum]) -> Result<bool, Stop<'e>> {
        Ok(truth(&self.eval(condition, row)?)? == Some(true))
    }

    fn all<'e>(&self, items: &'e [Expr], row: &[Datum]) -> Result<Vec<Datum>, Stop<'e>> {
        items.iter().map(|item| self.eval(item, row)).collect()
    }

    fn subscript<'e>(&self, array: &'e Expr, index: &'e Expr, row: &[Datum]) -> Value<'e> {
        // Vectors count from zero, arrays from one.
        let first = match array.ty() {
            SqlType::Int2Vector | SqlType::OidVector => 0,
            _ => 1,
        };
        let array = self.eval(array, row)?;
        let index = match self.eval(index, row)? {
            Datum::Int2(index) => i64::from(index),
            Datum::Int4(index) => i64::from(index),
            Datum::Int8(index) => index,
            Datum::Null => return Ok(Datum::Null),
            _ => return Err(SqlError::internal("an index that is no integer").into()),
        };
        match array {
            Datum::Array(items) => {
                let at = usize::try_from(index - first).ok();
                Ok(at.and_then(|at| items.get(at)).cloned().unwrap_or(Datum::Null))
            }
            Datum::Null => Ok(Datum::Null),
            _ => Err(SqlError::internal("an index into what is no array").into()),
        }
    }
}

/// How deeply records may be nested: as text, each level doubles the quotation marks of all that it holds.
const MAX_RECORD_DEPTH: usize = 16;

fn record_depth(datum: &Datum) -> usize {
    match datum {
        Datum::Record(items) => 1 + items.iter().map(record_depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a boolean says; none for NULL.
pub(crate) fn truth(datum: &Datum) -> SqlResult<Option<bool>> {
    match datum {
        Datum::Bool(value) => Ok(Some(*value)),
        Datum::Null => Ok(None),
        other => Err(SqlError::internal(format!("a condition that is no boolean: {other:?}"))),
    }
}

fn slot_of(row: &[Datum], slot: usize) -> SqlResult<&Datum> {
    row.get(slot).ok_or_else(|| SqlError::internal(format!("a row without slot {slot}")))
}
