//! Subqueries within expressions: run when they are asked for, remembered as long as they stay the same.
//!
//! - Q1. An answer belongs to one row, unless the subquery refers to nothing outside of itself: then it is run once
//!   in the life of the execution.
//! - Q2. A subquery is known by the address of its plan, which neither moves nor changes while it is run.

use std::collections::BTreeMap;
use std::sync::Arc;

use sql_plan::{Expr, Node, SubqueryKind};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::{datum_bytes, row_bytes};
use sql_values::types::Datum;

use super::{Evaluator, Stop, sequence};
use crate::answer::{Answer, Answers, Rows, address};
use crate::context::Run;
use crate::keys::KeyTable;
use crate::row::Row;

/// From so many rows on, IN looks them up instead of comparing with each.
const MANY: usize = 16;

impl Run<'_> {
    /// The value of any expression over a row, whatever it waits for.
    pub(crate) async fn eval(&mut self, expr: &Expr, row: &[Datum]) -> SqlResult<Datum> {
        let interrupt = self.ctx.eval.interrupt;
        interrupt.spend(1)?;
        if interrupt.is_due() {
            interrupt.give_way().await?;
        }
        let scratch = self.shared.pool.scratch();
        let (mut local, mut calls) = (BTreeMap::new(), BTreeMap::new());
        loop {
            // What a subquery has stopped is made again.
            self.shared.pool.set_scratch(scratch);
            let answers = Answers::new(&self.shared.answers, &local, &calls);
            let evaluator = Evaluator { ctx: self.ctx, outer: &self.outer, answers };
            let needed = match evaluator.eval(expr, row) {
                Ok(value) => return Ok(value),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Subquery(needed)) => needed,
                Err(Stop::Sequence(call, request)) => {
                    calls.insert(sequence::address(call), self.ask_sequence(request).await?);
                    // What came before is evaluated once more.
                    interrupt.spend(u32::try_from(calls.len()).unwrap_or(u32::MAX))?;
                    if interrupt.is_due() {
                        interrupt.give_way().await?;
                    }
                    continue;
                }
            };
            let Expr::Subquery { kind, plan, .. } = needed else {
                return Err(SqlError::internal("waits for what is no subquery"));
            };
            let id = address(plan);
            let lasts = !self.is_correlated(plan);
            self.outer.push(row.to_vec());
            let answer = self.answer(kind, plan).await;
            self.outer.pop();
            let answer = answer?;
            if lasts {
                self.shared.held.grow(match &answer {
                    Answer::Rows(rows) => row_bytes(&rows.values),
                    Answer::Value(value) => datum_bytes(value),
                })?;
                self.shared.answers.insert(id, answer);
            } else {
                local.insert(id, answer);
            }
        }
    }

    /// True iff a condition is true, neither false nor NULL.
    pub(crate) async fn holds(&mut self, condition: &Expr, row: &[Datum]) -> SqlResult<bool> {
        let scratch = self.shared.pool.scratch();
        let value = self.eval(condition, row).await?;
        self.shared.pool.set_scratch(scratch);
        Ok(super::truth(&value)? == Some(true))
    }

    /// The values of several expressions over a row.
    pub(crate) async fn eval_all(&mut self, exprs: &[Expr], row: &[Datum]) -> SqlResult<Row> {
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            values.push(self.eval(expr, row).await?);
        }
        Ok(values)
    }

    fn is_correlated(&mut self, plan: &Node) -> bool {
        let id = address(plan);
        *self.shared.correlated.entry(id).or_insert_with(|| plan.is_correlated())
    }

    async fn answer(&mut self, kind: &SubqueryKind, plan: &Node) -> SqlResult<Answer> {
        let mut op = (self.shared.open)(plan);
        let mut held = self.shared.pool.reserve();
        let mut values = Vec::new();
        while let Some(batch) = op.next(plan, self).await? {
            match kind {
                SubqueryKind::Exists => return Ok(Answer::Value(Datum::Bool(true))),
                SubqueryKind::Scalar if values.len() + batch.len() > 1 => {
                    return Err(SqlError::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    ));
                }
                _ => {}
            }
            for at in 0..batch.len() {
                let value = batch.datum(0, at)?;
                held.grow_row(std::slice::from_ref(&value))?;
                values.push(value);
            }
        }
        Ok(match kind {
            SubqueryKind::Exists => Answer::Value(Datum::Bool(false)),
            SubqueryKind::Scalar => Answer::Value(values.pop().unwrap_or(Datum::Null)),
            SubqueryKind::Array => {
                self.ctx.eval.reserve_elements(values.len())?;
                Answer::Value(Datum::Array(values.into()))
            }
            SubqueryKind::In { input, .. } => {
                let ty = plan.types().first().copied();
                let alike = ty.filter(|ty| ty.base() == input.ty().base());
                let set = match alike.filter(|_| values.len() >= MANY) {
                    Some(ty) => {
                        let mut set = KeyTable::new(vec![ty]);
                        for value in values.iter().filter(|value| !value.is_null()) {
                            set.insert(vec![value.clone()], &mut held)?;
                        }
                        Some(Arc::new(set))
                    }
                    None => None,
                };
                let has_null = values.iter().any(Datum::is_null);
                Answer::Rows(Rows { values, has_null, set })
            }
        })
    }
}
