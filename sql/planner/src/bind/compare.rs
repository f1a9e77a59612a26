//! Comparisons: of values, and of rows part by part.

use sql_catalog::function::Function;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};

use super::Binder;

/// A value with its place.
pub(crate) type Placed = (Expr, Option<u32>);

impl Binder<'_> {
    /// An operator, which over two rows is done part by part.
    pub(crate) fn compare_or_call(
        &mut self,
        name: &str,
        left: Placed,
        right: Placed,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        match (left, right) {
            ((Expr::Row(left), l), (Expr::Row(right), r)) => {
                self.compare_rows(name, (left, l), (right, r), position)
            }
            (left, right) => self.operator(name, vec![left, right], position),
        }
    }

    fn compare_rows(
        &mut self,
        name: &str,
        left: (Vec<Expr>, Option<u32>),
        right: (Vec<Expr>, Option<u32>),
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        if left.0.len() != right.0.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "unequal number of entries in row expressions",
            )
            .at_if(position));
        }
        let pairs: Vec<(Placed, Placed)> =
            left.0.into_iter().zip(right.0).map(|(a, b)| ((a, left.1), (b, right.1))).collect();
        match name {
            "=" => {
                let parts = self.each("=", pairs, position)?;
                Ok(Expr::And(parts))
            }
            "<>" => {
                let parts = self.each("<>", pairs, position)?;
                Ok(Expr::Or(parts))
            }
            "<" | "<=" | ">" | ">=" => self.lexicographic(name, pairs, position),
            _ => Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("could not determine interpretation of row comparison operator {name}"),
            )
            .at_if(position)),
        }
    }

    fn each(
        &mut self,
        name: &str,
        pairs: Vec<(Placed, Placed)>,
        position: Option<u32>,
    ) -> SqlResult<Vec<Expr>> {
        pairs
            .into_iter()
            .map(|(left, right)| self.compare_or_call(name, left, right, position))
            .collect()
    }

    /// `(a, b) < (c, d)`: the first pair that is not equal decides.
    fn lexicographic(
        &mut self,
        name: &str,
        pairs: Vec<(Placed, Placed)>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let strict = name.trim_end_matches('=').to_owned();
        let mut result: Option<Expr> = None;
        for (left, right) in pairs.into_iter().rev() {
            let Some(rest) = result.take() else {
                result = Some(self.compare_or_call(name, left, right, position)?);
                continue;
            };
            let (one, other) = (self.copy_placed(&left)?, self.copy_placed(&right)?);
            let before = self.compare_or_call(&strict, one, other, position)?;
            let same = self.compare_or_call("=", left, right, position)?;
            result = Some(Expr::Or(vec![before, Expr::And(vec![same, rest])]));
        }
        result.ok_or_else(|| {
            SqlError::new(SqlState::SYNTAX_ERROR, "cannot compare rows of zero length")
                .at_if(position)
        })
    }

    /// The equality function of two expressions, and both of the types that it takes.
    pub(crate) fn equality(
        &mut self,
        left: Placed,
        right: Placed,
        position: Option<u32>,
    ) -> SqlResult<(&'static Function, Expr, Expr)> {
        let (operator, exprs, _) = self.resolve_operator("=", vec![left, right], position)?;
        let mut exprs = exprs.into_iter();
        match (exprs.next(), exprs.next()) {
            (Some(left), Some(right)) => Ok((self.functions.function_of(&operator)?, left, right)),
            _ => Err(SqlError::internal("an operator without operands")),
        }
    }

    /// IS [NOT] DISTINCT FROM.
    pub(crate) fn distinct_from(
        &mut self,
        left: Placed,
        right: Placed,
        negated: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let is_null = |expr: &Expr| matches!(expr, Expr::Const(Datum::Null, SqlType::Unknown));
        let distinct = match (left, right) {
            // Against NULL it is IS NOT NULL, whatever the type.
            ((expr, _), (null, _)) | ((null, _), (expr, _)) if is_null(&null) => {
                Expr::Not(Box::new(Expr::IsNull(Box::new(expr))))
            }
            ((Expr::Row(left), l), (Expr::Row(right), r)) if left.len() == right.len() => {
                let mut parts = Vec::new();
                for (a, b) in left.into_iter().zip(right) {
                    parts.push(self.distinct_from((a, l), (b, r), false, position)?);
                }
                Expr::Or(parts)
            }
            (left, right) => {
                let (equals, left, right) = self.equality(left, right, position)?;
                Expr::IsDistinct { equals, sides: Box::new((left, right)) }
            }
        };
        Ok(if negated { Expr::Not(Box::new(distinct)) } else { distinct })
    }

    /// IS NULL; of a row, of all its parts.
    pub(crate) fn is_null(&mut self, expr: Expr, negated: bool) -> SqlResult<Expr> {
        let one = |expr: Expr| {
            let test = Expr::IsNull(Box::new(expr));
            if negated { Expr::Not(Box::new(test)) } else { test }
        };
        Ok(match expr {
            Expr::Row(parts) => {
                let mut tests = Vec::new();
                for part in parts {
                    tests.push(one(self.settle(part, None)?));
                }
                Expr::And(tests)
            }
            expr => one(self.settle(expr, None)?),
        })
    }

    /// IN (list).
    pub(crate) fn in_list(
        &mut self,
        input: Placed,
        list: Vec<Placed>,
        negated: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let negate = |expr: Expr| if negated { Expr::Not(Box::new(expr)) } else { expr };
        let is_row = matches!(input.0, Expr::Row(_));
        let mut types = vec![(input.0.ty(), input.1)];
        types.extend(list.iter().map(|(expr, place)| (expr.ty(), *place)));
        // All of one type: the list stays a list, which spans are made of.
        let common = if is_row { None } else { self.common_type(&types, "IN").ok() };
        if let Some(common) = common.filter(|ty| *ty != SqlType::Record) {
            let fits = types.iter().all(|(ty, _)| {
                self.can_coerce(*ty, common, sql_catalog::function::CastContext::Implicit)
            });
            if fits {
                let operator = self.find_operator("=", &[common, common], position)?;
                let to = match operator.right {
                    sql_catalog::function::ParamType::Exact(ty) => ty,
                    _ => common,
                };
                let input = self.common(input.0, to, "IN", input.1)?;
                let mut items = Vec::with_capacity(list.len());
                for (expr, place) in list {
                    items.push(self.common(expr, to, "IN", place)?);
                }
                return Ok(negate(Expr::InList {
                    input: Box::new(input),
                    list: items,
                    equals: self.functions.function_of(&operator)?,
                }));
            }
        }
        let mut tests = Vec::new();
        for item in list {
            let input = self.copy_placed(&input)?;
            tests.push(self.compare_or_call("=", input, item, position)?);
        }
        Ok(negate(Expr::Or(tests)))
    }

    /// BETWEEN.
    pub(crate) fn between(
        &mut self,
        value: Placed,
        low: Placed,
        high: Placed,
        negated: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let (first, second) = if negated { ("<", ">") } else { (">=", "<=") };
        let again = self.copy_placed(&value)?;
        let above = self.compare_or_call(first, again, low, position)?;
        let below = self.compare_or_call(second, value, high, position)?;
        let both = vec![above, below];
        Ok(if negated { Expr::Or(both) } else { Expr::And(both) })
    }
}
