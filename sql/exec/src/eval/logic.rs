//! Three-valued logic and what is built on it.

use sql_catalog::function::Function;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;

use super::{Evaluator, Value, truth};
use crate::answer::Answer;

impl Evaluator<'_> {
    pub(super) fn and<'e>(&self, parts: &'e [Expr], row: &[Datum]) -> Value<'e> {
        let mut unknown = false;
        for part in parts {
            match truth(&self.eval(part, row)?)? {
                Some(false) => return Ok(Datum::Bool(false)),
                Some(true) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(true) })
    }

    pub(super) fn or<'e>(&self, parts: &'e [Expr], row: &[Datum]) -> Value<'e> {
        let mut unknown = false;
        for part in parts {
            match truth(&self.eval(part, row)?)? {
                Some(true) => return Ok(Datum::Bool(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(false) })
    }

    pub(super) fn is_distinct<'e>(
        &self,
        equals: &Function,
        sides: &'e (Expr, Expr),
        row: &[Datum],
    ) -> Value<'e> {
        let (left, right) = (self.eval(&sides.0, row)?, self.eval(&sides.1, row)?);
        Ok(Datum::Bool(match (left.is_null(), right.is_null()) {
            (true, true) => false,
            (false, false) => truth(&self.apply(equals, &[left, right])?)? != Some(true),
            _ => true,
        }))
    }

    pub(super) fn case<'e>(
        &self,
        branches: &'e [(Expr, Expr)],
        otherwise: Option<&'e Expr>,
        row: &[Datum],
    ) -> Value<'e> {
        for (condition, result) in branches {
            if self.holds(condition, row)? {
                return self.eval(result, row);
            }
        }
        otherwise.map_or(Ok(Datum::Null), |result| self.eval(result, row))
    }

    pub(super) fn coalesce<'e>(&self, parts: &'e [Expr], row: &[Datum]) -> Value<'e> {
        for part in parts {
            let value = self.eval(part, row)?;
            if !value.is_null() {
                return Ok(value);
            }
        }
        Ok(Datum::Null)
    }

    pub(super) fn extreme<'e>(
        &self,
        args: &'e [Expr],
        beats: &Function,
        row: &[Datum],
    ) -> Value<'e> {
        let mut best = Datum::Null;
        for arg in args {
            let value = self.eval(arg, row)?;
            if value.is_null() {
                continue;
            }
            if best.is_null()
                || truth(&self.apply(beats, &[value.clone(), best.clone()])?)? == Some(true)
            {
                best = value;
            }
        }
        Ok(best)
    }

    pub(super) fn in_list<'e>(
        &self,
        input: &'e Expr,
        list: &'e [Expr],
        equals: &Function,
        row: &[Datum],
    ) -> Value<'e> {
        let input = self.eval(input, row)?;
        let mut unknown = false;
        for item in list {
            let item = self.eval(item, row)?;
            match truth(&self.apply(equals, &[input.clone(), item])?)? {
                Some(true) => return Ok(Datum::Bool(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(false) })
    }

    pub(super) fn quantified<'e>(
        &self,
        input: &'e Expr,
        array: &'e Expr,
        function: &Function,
        all: bool,
        row: &[Datum],
    ) -> Value<'e> {
        let input = self.eval(input, row)?;
        let items = match self.eval(array, row)? {
            Datum::Array(items) => items,
            Datum::Null => return Ok(Datum::Null),
            _ => return Err(SqlError::internal("ANY or ALL over what is no array").into()),
        };
        Ok(self.any_or_all(&input, &items, function, all)?)
    }

    /// `input IN (rows of a subquery)`.
    pub(super) fn in_answer<'e>(
        &self,
        input: &'e Expr,
        equals: &Function,
        answer: &Answer,
        row: &[Datum],
    ) -> Value<'e> {
        let input = self.eval(input, row)?;
        let rows = answer.rows()?;
        match &rows.set {
            // There are values, and NULL is equal to none and different from none.
            Some(_) if input.is_null() => Ok(Datum::Null),
            Some(set) => {
                let found = set.find(std::slice::from_ref(&input)).is_some();
                Ok(if !found && rows.has_null { Datum::Null } else { Datum::Bool(found) })
            }
            None => Ok(self.any_or_all(&input, &rows.values, equals, false)?),
        }
    }

    /// Over no items, ANY is false and ALL is true, also for NULL.
    fn any_or_all(
        &self,
        input: &Datum,
        items: &[Datum],
        function: &Function,
        all: bool,
    ) -> SqlResult<Datum> {
        let mut unknown = false;
        for item in items {
            match truth(&self.apply(function, &[input.clone(), item.clone()])?)? {
                Some(value) if value != all => return Ok(Datum::Bool(value)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
    }
}
