//! Expressions over batches.
//!
//! - K1. Kernels compute where they cannot differ from the evaluator: comparisons of integers, texts, dates and times
//!   (all are plain orders of what a column holds), arithmetic of integers, and logic. Floats are left to the evaluator:
//!   Arrow orders zeros and NaNs otherwise than PostgreSQL.
//! - K2. A kernel looks at rows that the evaluator, being lazy, might not look at. So where anything fails, the whole
//!   expression is evaluated again row by row: that gives the error of the first row that has one, or no error.
//! - K3. Of AND and OR, the parts without a kernel are only evaluated for rows that the parts before did not decide.

use arrow_arith::{boolean, numeric};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Datum as ArrowDatum, Scalar, UInt32Array};
use arrow_ord::cmp;
use sql_catalog::function::Kernel;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult};
use sql_values::memory::{Pool, heap_bytes};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};
use std::sync::Arc;

use super::Evaluator;
use crate::batch::column::{self, ColumnBuilder, Layout};
use crate::batch::{Batch, arrow_bug};
use crate::context::Run;

#[cfg(test)]
mod tests;

impl Run<'_> {
    /// The values of an expression for all rows of a batch.
    pub(crate) async fn eval_batch(&mut self, expr: &Expr, batch: &Batch) -> SqlResult<ArrayRef> {
        if !expr.waits() {
            return Evaluator::new(self.ctx, &self.outer).eval_batch(expr, batch);
        }
        let pool = self.shared.pool.clone();
        let mut made = Made::new(&pool);
        let mut builder = ColumnBuilder::new(expr.ty());
        for at in 0..batch.len() {
            let value = self.eval(expr, &batch.row(at)?).await?;
            made.keep(&value)?;
            builder.push(&value)?;
        }
        Ok(builder.finish())
    }

    /// The rows of a batch for which a condition is true.
    pub(crate) async fn select(
        &mut self,
        condition: &Expr,
        batch: Batch,
    ) -> SqlResult<Option<Batch>> {
        let keep = self.eval_batch(condition, &batch).await?;
        let keep = keep.as_boolean_opt();
        let keep = keep.ok_or_else(|| SqlError::internal("a condition that is no boolean"))?;
        batch.filter(keep)
    }
}

/// Whether it compares.
fn is_order(kernel: Kernel) -> bool {
    match kernel {
        Kernel::Equal | Kernel::NotEqual => true,
        Kernel::Less | Kernel::LessEqual | Kernel::Greater | Kernel::GreaterEqual => true,
        Kernel::Add | Kernel::Subtract | Kernel::Multiply | Kernel::Divide => false,
    }
}

/// Computes it over whole arrays.
fn run(
    kernel: Kernel,
    left: &dyn ArrowDatum,
    right: &dyn ArrowDatum,
) -> Result<ArrayRef, arrow_schema::ArrowError> {
    let order: BooleanArray = match kernel {
        Kernel::Equal => cmp::eq(left, right)?,
        Kernel::NotEqual => cmp::neq(left, right)?,
        Kernel::Less => cmp::lt(left, right)?,
        Kernel::LessEqual => cmp::lt_eq(left, right)?,
        Kernel::Greater => cmp::gt(left, right)?,
        Kernel::GreaterEqual => cmp::gt_eq(left, right)?,
        Kernel::Add => return numeric::add(left, right),
        Kernel::Subtract => return numeric::sub(left, right),
        Kernel::Multiply => return numeric::mul(left, right),
        Kernel::Divide => return numeric::div(left, right),
    };
    Ok(Arc::new(order))
}

fn compute(kernel: Kernel, left: &Vector, right: &Vector) -> SqlResult<Vector> {
    let both_same = matches!((left, right), (Vector::Same(_), Vector::Same(_)));
    let result = run(kernel, left.datum().as_ref(), right.datum().as_ref()).map_err(arrow_bug)?;
    Ok(if both_same { Vector::Same(result) } else { Vector::Each(result) })
}

/// Rows that an array's kernel goes through in a unit of work.
const VECTOR_ROWS: u32 = 64;

/// Counts the values of a column that is being made: as scratch, to which a row's values go back (M2 of
/// [`sql_values::memory`]).
struct Made<'a> {
    pool: &'a Pool,
    before: usize,
    bytes: usize,
}

impl<'a> Made<'a> {
    fn new(pool: &'a Pool) -> Self {
        Made { pool, before: pool.scratch(), bytes: 0 }
    }

    /// A row's value is about to be copied; what else the row has made is gone.
    fn keep(&mut self, value: &Datum) -> SqlResult<()> {
        let bytes = heap_bytes(value);
        self.pool.set_scratch(self.before + self.bytes);
        if bytes > 0 {
            self.pool.add_scratch(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }
}

/// Values for all rows.
enum Vector {
    /// One a row.
    Each(ArrayRef),
    /// The same for all: an array of one.
    Same(ArrayRef),
}

impl Evaluator<'_> {
    /// The values of an expression without subqueries for all rows of a batch.
    pub(crate) fn eval_batch(&self, expr: &Expr, batch: &Batch) -> SqlResult<ArrayRef> {
        self.ctx.eval.interrupt.spend(1 + batch.len() as u32 / VECTOR_ROWS)?;
        if has_kernels(expr)
            && let Ok(vector) = self.vector(expr, batch)
        {
            return vector.spread(batch.len());
        }
        self.eval_rows(expr, batch, None)
    }

    /// An expression for which [`has_kernels`]. Fails where a row's value fails, or might.
    fn vector(&self, expr: &Expr, batch: &Batch) -> SqlResult<Vector> {
        roomy(|| self.vector_here(expr, batch))
    }

    fn vector_here(&self, expr: &Expr, batch: &Batch) -> SqlResult<Vector> {
        Ok(Vector::Each(match expr {
            Expr::Slot(slot, _) => {
                let column = batch.column(*slot).cloned();
                column.ok_or_else(|| SqlError::internal(format!("no slot {slot}")))?
            }
            Expr::Const(..) | Expr::Param(..) | Expr::Outer { .. } => {
                let mut builder = ColumnBuilder::new(expr.ty());
                builder.push(&self.value(expr, &[])?)?;
                return Ok(Vector::Same(builder.finish()));
            }
            Expr::Call { function, args, .. } => match (function.kernel, args.as_slice()) {
                (Some(kernel), [left, right]) => {
                    let (left, right) = (self.vector(left, batch)?, self.vector(right, batch)?);
                    return compute(kernel, &left, &right);
                }
                _ => return Err(no_kernel()),
            },
            Expr::Not(input) => {
                let input = self.vector(input, batch)?.spread(batch.len())?;
                Arc::new(boolean::not(booleans(&input)?).map_err(arrow_bug)?)
            }
            Expr::IsNull(input) => {
                let input = self.vector(input, batch)?.spread(batch.len())?;
                Arc::new(boolean::is_null(&input).map_err(arrow_bug)?)
            }
            Expr::And(parts) => self.logic(parts, true, batch)?,
            Expr::Or(parts) => self.logic(parts, false, batch)?,
            _ => return Err(no_kernel()),
        }))
    }

    /// AND or OR.
    fn logic(&self, parts: &[Expr], and: bool, batch: &Batch) -> SqlResult<ArrayRef> {
        let mut result = BooleanArray::from(vec![and; batch.len()]);
        for part in parts {
            let part = if has_kernels(part) {
                self.vector(part, batch)?.spread(batch.len())?
            } else {
                self.eval_rows(part, batch, Some((&result, !and)))?
            };
            let part = booleans(&part)?;
            let combined = match and {
                true => boolean::and_kleene(&result, part),
                false => boolean::or_kleene(&result, part),
            };
            result = combined.map_err(arrow_bug)?;
        }
        Ok(Arc::new(result))
    }

    /// Row by row, with no more slots than are needed. Rows that `decided` has with the given value are left NULL.
    fn eval_rows(
        &self,
        expr: &Expr,
        batch: &Batch,
        decided: Option<(&BooleanArray, bool)>,
    ) -> SqlResult<ArrayRef> {
        let slots = expr.slots();
        let mut row = vec![Datum::Null; batch.types().len()];
        let mut made = Made::new(self.ctx.eval.memory);
        let mut builder = ColumnBuilder::new(expr.ty());
        for at in 0..batch.len() {
            if let Some((decided, value)) = decided
                && decided.is_valid(at)
                && decided.value(at) == value
            {
                builder.push(&Datum::Null)?;
                continue;
            }
            for &slot in &slots {
                let datum = batch.datum(slot, at)?;
                let place = row.get_mut(slot);
                *place.ok_or_else(|| SqlError::internal(format!("no slot {slot}")))? = datum;
            }
            self.ctx.eval.interrupt.spend(1)?;
            let value = self.value(expr, &row)?;
            made.keep(&value)?;
            builder.push(&value)?;
        }
        Ok(builder.finish())
    }
}

/// True iff [`Evaluator::vector`] is worth a try.
pub(super) fn has_kernels(expr: &Expr) -> bool {
    match expr {
        Expr::Slot(..) | Expr::Const(..) | Expr::Param(..) | Expr::Outer { .. } => true,
        Expr::Call { function, args, ty } => {
            let same =
                matches!(args.as_slice(), [left, right] if comparable(left.ty(), right.ty()));
            let known = match function.kernel {
                Some(kernel) if is_order(kernel) => *ty == SqlType::Bool,
                Some(_) => args.iter().all(|arg| arg.ty() == *ty),
                None => false,
            };
            same && known && roomy(|| args.iter().all(has_kernels))
        }
        Expr::Not(input) | Expr::IsNull(input) => roomy(|| has_kernels(input)),
        Expr::And(parts) | Expr::Or(parts) => roomy(|| parts.first().is_some_and(has_kernels)),
        _ => false,
    }
}

/// Both are kept alike, as something whose order is PostgreSQL's.
fn comparable(left: SqlType, right: SqlType) -> bool {
    let layout = column::layout(left);
    let plain = matches!(
        layout,
        Layout::Int16 | Layout::Int32 | Layout::Int64 | Layout::UInt32 | Layout::Utf8
    );
    plain && layout == column::layout(right)
}

impl Vector {
    fn datum(&self) -> Box<dyn ArrowDatum> {
        match self {
            Vector::Each(array) => Box::new(Arc::clone(array)),
            Vector::Same(array) => Box::new(Scalar::new(Arc::clone(array))),
        }
    }

    /// As an array with a value for each row.
    fn spread(self, len: usize) -> SqlResult<ArrayRef> {
        match self {
            Vector::Each(array) => Ok(array),
            Vector::Same(array) => {
                let zeros = UInt32Array::from(vec![0; len]);
                arrow_select::take::take(&array, &zeros, None).map_err(arrow_bug)
            }
        }
    }
}

fn booleans(array: &ArrayRef) -> SqlResult<&BooleanArray> {
    array.as_boolean_opt().ok_or_else(|| SqlError::internal("logic over what is no boolean"))
}

fn no_kernel() -> SqlError {
    SqlError::internal("an expression without a kernel")
}
