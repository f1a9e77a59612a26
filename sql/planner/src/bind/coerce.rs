//! Casts: which exist in which context, and how an expression becomes one of another type.

use sql_catalog::function::{CastContext, CastMethod};
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{DateOrder, Datum, IntervalStyle, SqlType, TextFormat, TextStyle};

use super::Binder;

impl Binder<'_> {
    /// True iff a value of one type may become one of another in a context. Modifiers do not matter.
    pub(crate) fn can_coerce(&self, from: SqlType, to: SqlType, context: CastContext) -> bool {
        let (from, to) = (from.base(), to.base());
        if from == to || from == SqlType::Unknown {
            return true;
        }
        if let Some(cast) = self.functions.cast(from, to) {
            return cast.context <= context;
        }
        if let (Some(from), SqlType::Array(to)) = (from.element(), to) {
            let to = to.scalar();
            return from != SqlType::Unknown && self.can_coerce(from, to, context);
        }
        // By output and input functions: to strings on assignment, from strings only where it is written.
        if is_string(to) && from != SqlType::Void {
            return context >= CastContext::Assignment;
        }
        is_string(from) && to != SqlType::Void && context == CastContext::Explicit
    }

    /// The expression as one of another type, or none if there is no such cast in this context.
    pub(crate) fn try_coerce(
        &mut self,
        expr: Expr,
        to: SqlType,
        context: CastContext,
        position: Option<u32>,
    ) -> SqlResult<Option<Expr>> {
        let from = expr.ty();
        let explicit = context == CastContext::Explicit;
        if from == to {
            return Ok(Some(expr));
        }
        if from == SqlType::Unknown {
            return self.decide(expr, to, explicit, position).map(Some);
        }
        if !self.can_coerce(from, to, context) {
            return Ok(None);
        }
        let (from_base, to_base) = (from.base(), to.base());
        let mut expr = expr;
        if from_base == to {
            // The modifier is forgotten, the value is the same.
            return Ok(Some(relabelled(expr, to)));
        }
        if from_base != to_base {
            expr = match (expr, self.functions.cast(from_base, to_base)) {
                (Expr::Const(Datum::Null, _), _) => Expr::Const(Datum::Null, to_base),
                (Expr::Const(datum @ Datum::Text(_), _), Some(cast))
                    if cast.method == CastMethod::Binary && to_base.is_text() =>
                {
                    Expr::Const(datum, to_base)
                }
                (expr, Some(cast)) => match cast.method {
                    CastMethod::Function(oid)
                        if let Some(function) = self.functions.function(oid)
                            && function.args.len() == 1 =>
                    {
                        self.fold(Expr::Call { function, args: vec![expr], ty: to_base }, position)?
                    }
                    _ => Expr::Cast { input: Box::new(expr), ty: to_base, explicit },
                },
                (expr, None) => Expr::Cast { input: Box::new(expr), ty: to_base, explicit },
            };
        }
        // A modifier is applied where a value is stored or a cast is written, never in between.
        if to != to_base && context >= CastContext::Assignment && (from != to) {
            expr = match expr {
                Expr::Const(Datum::Null, _) => Expr::Const(Datum::Null, to),
                expr => Expr::Cast { input: Box::new(expr), ty: to, explicit },
            };
        }
        Ok(Some(self.fold(expr, position)?))
    }

    /// A literal or parameter of unknown type as one of a type.
    fn decide(
        &mut self,
        expr: Expr,
        to: SqlType,
        explicit: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        match expr {
            Expr::Const(Datum::Null, _) => Ok(Expr::Const(Datum::Null, to)),
            Expr::Const(Datum::Text(text), _) => {
                self.literal(&text, to, explicit).map_err(|error| error.at_if(position))
            }
            Expr::Param(index, _) => {
                let base = to.base();
                let known = self.set_parameter(index, base, position)?;
                let expr = super::param(index, known);
                if known == to || (known == base && to == base) {
                    return Ok(expr);
                }
                Ok(Expr::Cast { input: Box::new(expr), ty: to, explicit })
            }
            other => Ok(Expr::Cast { input: Box::new(other), ty: to, explicit }),
        }
    }

    /// A string literal as a value of a type. What depends on the session (its time zone, the present time, names of
    /// tables) stays a cast of the text, because the plan outlives the session's settings. A sequence is found now: the plan
    /// depends on it as on a table.
    pub(crate) fn literal(&mut self, text: &str, ty: SqlType, explicit: bool) -> SqlResult<Expr> {
        if ty == SqlType::Unknown {
            return Ok(Expr::Const(Datum::text(text), ty));
        }
        let later = || {
            let input = Box::new(Expr::Const(Datum::text(text), SqlType::Text));
            Ok(Expr::Cast { input, ty, explicit })
        };
        let figures = text.trim();
        let number = !figures.is_empty() && figures.bytes().all(|b| b.is_ascii_digit());
        if ty == SqlType::RegClass
            && let Ok(Some(sequence)) = self.sequence_named(text)
        {
            return Ok(Expr::Const(Datum::Oid(sequence.id.0), ty));
        }
        if ty.holds_names() && !number {
            return later();
        }
        // What an interval's numbers count depends on its fields; a string's length is applied as the cast says.
        let read_as = if matches!(ty, SqlType::Interval(_)) { ty } else { ty.base() };
        let read = |format: TextFormat, order, intervals| {
            let style = TextStyle { order, intervals, ..TextStyle::DEFAULT };
            Datum::parse_text(read_as, text, &format.with_style(style))
        };
        let here = || TextFormat::new("UTC", 0);
        let elsewhere = TextFormat::new("Asia/Kolkata", 86_400_000_000_000_000);
        let one = read(here(), DateOrder::Mdy, IntervalStyle::Postgres);
        let others = [
            read(elsewhere, DateOrder::Dmy, IntervalStyle::Sql),
            read(here(), DateOrder::Ymd, IntervalStyle::Postgres),
        ];
        match one {
            // What nobody can read is refused at once.
            Err(error) if others.iter().all(Result::is_err) => Err(error),
            Ok(one) if others.iter().all(|other| other.as_ref() == Ok(&one)) => {
                Ok(Expr::Const(one.apply_modifier(ty, explicit)?, ty))
            }
            _ => later(),
        }
    }

    /// The expression as a boolean, for WHERE and its like.
    pub(crate) fn boolean(
        &mut self,
        expr: Expr,
        what: &str,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let ty = expr.ty();
        match self.try_coerce(expr, SqlType::Bool, CastContext::Implicit, position)? {
            Some(expr) => Ok(expr),
            None => Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("argument of {what} must be type boolean, not type {}", ty.name()),
            )
            .at_if(position)),
        }
    }

    /// A cast that is written.
    pub(crate) fn explicit_cast(
        &mut self,
        expr: Expr,
        to: SqlType,
        literal: Option<u32>,
        cast: Option<u32>,
    ) -> SqlResult<Expr> {
        let from = expr.ty();
        let position = if from == SqlType::Unknown { literal } else { cast };
        match self.try_coerce(expr, to, CastContext::Explicit, position)? {
            Some(expr) => Ok(expr),
            None => Err(SqlError::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {} to {}", from.base().name(), to.base().name()),
            )
            .at_if(cast)),
        }
    }

    /// An expression that is stored into a column.
    pub(crate) fn assign(
        &mut self,
        expr: Expr,
        column: &str,
        to: SqlType,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let from = expr.ty();
        match self.try_coerce(expr, to, CastContext::Assignment, position)? {
            Some(expr) => Ok(expr),
            None => Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {} but expression is of type {}",
                    to.base().name(),
                    from.base().name()
                ),
            )
            .hint("You will need to rewrite or cast the expression.")
            .at_if(position)),
        }
    }

    /// The type that several expressions have in common (UNION, CASE, VALUES, …), by PostgreSQL's rule: the first known
    /// type, unless a later one of its category takes it in and not the other way round.
    pub(crate) fn common_type(
        &self,
        types: &[(SqlType, Option<u32>)],
        what: &str,
    ) -> SqlResult<SqlType> {
        let mut known = types.iter().filter(|(ty, _)| *ty != SqlType::Unknown);
        let Some((first, _)) = known.next() else { return Ok(SqlType::Text) };
        if types.iter().all(|(ty, _)| ty == first) {
            return Ok(*first);
        }
        let mut candidate = first.base();
        for (ty, position) in known {
            let ty = ty.base();
            if ty == candidate {
                continue;
            }
            if ty.category() != candidate.category() {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{what} types {} and {} cannot be matched",
                        candidate.name(),
                        ty.name()
                    ),
                )
                .at_if(*position));
            }
            if !candidate.preferred()
                && self.can_coerce(candidate, ty, CastContext::Implicit)
                && !self.can_coerce(ty, candidate, CastContext::Implicit)
            {
                candidate = ty;
            }
        }
        Ok(candidate)
    }

    /// The expression as one of the common type.
    pub(crate) fn common(
        &mut self,
        expr: Expr,
        to: SqlType,
        what: &str,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let from = expr.ty();
        match self.try_coerce(expr, to, CastContext::Implicit, position)? {
            Some(expr) => Ok(expr),
            None => Err(SqlError::new(
                SqlState::CANNOT_COERCE,
                format!("{what} could not convert type {} to {}", from.name(), to.name()),
            )
            .at_if(position)),
        }
    }

    /// All expressions as ones of their common type.
    pub(crate) fn unify(
        &mut self,
        exprs: Vec<Expr>,
        positions: &[Option<u32>],
        what: &str,
    ) -> SqlResult<(Vec<Expr>, SqlType)> {
        let place = |index: usize| positions.get(index).copied().flatten();
        let types: Vec<_> = exprs.iter().enumerate().map(|(i, e)| (e.ty(), place(i))).collect();
        let ty = self.common_type(&types, what)?;
        let exprs = exprs
            .into_iter()
            .enumerate()
            .map(|(index, expr)| self.common(expr, ty, what, place(index)))
            .collect::<SqlResult<Vec<_>>>()?;
        Ok((exprs, ty))
    }

    /// An output whose type is still unknown becomes text.
    pub(crate) fn settle(&mut self, expr: Expr, position: Option<u32>) -> SqlResult<Expr> {
        if expr.ty() != SqlType::Unknown {
            return Ok(expr);
        }
        self.decide(expr, SqlType::Text, false, position)
    }
}

/// A value under a type that says less about it.
fn relabelled(expr: Expr, to: SqlType) -> Expr {
    match expr {
        Expr::Slot(slot, _) => Expr::Slot(slot, to),
        Expr::Outer { level, slot, .. } => Expr::Outer { level, slot, ty: to },
        Expr::Const(value, _) => Expr::Const(value, to),
        Expr::Case { branches, otherwise, .. } => Expr::Case { branches, otherwise, ty: to },
        Expr::Coalesce(parts, _) => Expr::Coalesce(parts, to),
        Expr::Subquery { kind: kind @ sql_plan::SubqueryKind::Scalar, plan, .. } => {
            Expr::Subquery { kind, plan, ty: to }
        }
        other => other,
    }
}

/// True iff output and input functions serve as casts from and to it.
fn is_string(ty: SqlType) -> bool {
    ty.category() == 'S'
}
