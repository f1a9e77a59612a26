//! Expressions with a syntax of their own: tests, patterns, EXTRACT and its like.

use sql_parse::{name, types};
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
use sqlparser::ast::{self, AccessExpr, BinaryOperator, CeilFloorKind, Subscript, Value};

use super::Binder;
use super::compare::Placed;
use super::expr::{catalog_operator, operator_name};

impl Binder<'_> {
    /// Binds what has a form of its own.
    pub(crate) fn form(&mut self, expr: &ast::Expr) -> SqlResult<Expr> {
        use ast::Expr as E;
        match expr {
            E::IsNull(e) => {
                let e = self.expr(e)?;
                self.is_null(e, false)
            }
            E::IsNotNull(e) => {
                let e = self.expr(e)?;
                self.is_null(e, true)
            }
            E::IsTrue(e) => self.truth(e, "IS TRUE", true, false),
            E::IsNotTrue(e) => self.truth(e, "IS NOT TRUE", true, true),
            E::IsFalse(e) => self.truth(e, "IS FALSE", false, false),
            E::IsNotFalse(e) => self.truth(e, "IS NOT FALSE", false, true),
            E::IsUnknown(e) | E::IsNotUnknown(e) => {
                let (inner, place) = self.placed(e)?;
                let inner = self.boolean(inner, "IS UNKNOWN", place)?;
                self.is_null(inner, matches!(expr, E::IsNotUnknown(_)))
            }
            E::IsDistinctFrom(l, r) | E::IsNotDistinctFrom(l, r) => {
                let position = self.places.operator_before(r);
                let (left, right) = (self.placed(l)?, self.placed(r)?);
                self.distinct_from(left, right, matches!(expr, E::IsNotDistinctFrom(..)), position)
            }
            E::InList { expr, list, negated } => {
                let position = list.first().and_then(|first| self.places.operator_before(first));
                let input = self.placed(expr)?;
                let list = list.iter().map(|e| self.placed(e)).collect::<SqlResult<Vec<_>>>()?;
                self.in_list(input, list, *negated, position)
            }
            E::Between { expr, negated, low, high } => {
                let position = self.places.operator_before(low);
                let value = self.placed(expr)?;
                let (from, to) = (self.placed(low)?, self.placed(high)?);
                if !self.places.symmetric_between(expr, low) {
                    return self.between(value, from, to, *negated, position);
                }
                let again = self.copy_placed(&value)?;
                let (low, high) = (self.copy_placed(&from)?, self.copy_placed(&to)?);
                let one = self.between(again, low, high, *negated, position)?;
                let other = self.between(value, to, from, *negated, position)?;
                let both = vec![one, other];
                Ok(if *negated { Expr::And(both) } else { Expr::Or(both) })
            }
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(if *negated { "!~~" } else { "~~" }, expr, pattern, escape_char)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(if *negated { "!~~*" } else { "~~*" }, expr, pattern, escape_char)
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                let position = self.places.operator_before(pattern);
                let value = self.placed(expr)?;
                let mut args = vec![self.placed(pattern)?];
                if let Some(escape) = escape_char {
                    args.push(self.placed(escape)?);
                }
                let pattern = self.invoke("similar_to_escape", args, position)?;
                let name = if *negated { "!~" } else { "~" };
                self.operator(name, vec![value, (pattern, position)], position)
            }
            E::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, false)
            }
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true),
            E::AtTimeZone { timestamp, time_zone } => {
                let position = self.pos(timestamp);
                let (timestamp, zone) = (self.placed(timestamp)?, self.placed(time_zone)?);
                self.invoke("timezone", vec![zone, timestamp], position)
            }
            E::Extract { field, expr: source, .. } => {
                let position = self.pos(expr);
                let field = field.to_string().trim_matches(['\'', '"']).to_ascii_lowercase();
                let source = self.placed(source)?;
                let field = (Expr::Const(Datum::text(field), SqlType::Text), None);
                self.invoke("extract", vec![field, source], position)
            }
            E::Position { expr: needle, r#in: hay } => {
                let position = self.pos(needle);
                let (needle, hay) = (self.placed(needle)?, self.placed(hay)?);
                self.invoke("position", vec![hay, needle], position)
            }
            E::Substring { expr: text, substring_from, substring_for, .. } => {
                let position = self.pos(text);
                let mut args = vec![self.placed(text)?];
                match (substring_from, substring_for) {
                    (None, Some(_)) => {
                        args.push((Expr::Const(Datum::Int4(1), SqlType::Int4), None))
                    }
                    (Some(from), _) => args.push(self.placed(from)?),
                    (None, None) => {}
                }
                if let Some(length) = substring_for {
                    args.push(self.placed(length)?);
                }
                self.invoke("substring", args, position)
            }
            E::Trim { trim_where, trim_what, expr: text, trim_characters } => {
                let position = self.pos(text);
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.placed(text)?];
                let characters = trim_characters.iter().flatten();
                for what in trim_what.as_deref().into_iter().chain(characters) {
                    args.push(self.placed(what)?);
                }
                self.invoke(name, args, position)
            }
            E::Overlay { expr: text, overlay_what, overlay_from, overlay_for } => {
                let position = self.pos(text);
                let mut args = vec![
                    self.placed(text)?,
                    self.placed(overlay_what)?,
                    self.placed(overlay_from)?,
                ];
                if let Some(length) = overlay_for {
                    args.push(self.placed(length)?);
                }
                self.invoke("overlay", args, position)
            }
            E::Ceil { expr: number, field } | E::Floor { expr: number, field } => {
                if !matches!(field, CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime)) {
                    return Err(SqlError::unsupported(expr).at_if(self.pos(number)));
                }
                let name = if matches!(expr, E::Ceil { .. }) { "ceil" } else { "floor" };
                let position = self.pos(number);
                let number = self.placed(number)?;
                self.invoke(name, vec![number], position)
            }
            E::Collate { expr, collation } => {
                let last = name::parts(collation)?.pop().unwrap_or_default();
                if matches!(last.as_str(), "default" | "C" | "POSIX" | "ucs_basic") {
                    return self.expr(expr);
                }
                Err(SqlError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("collation \"{last}\" for encoding \"UTF8\" does not exist"),
                )
                .at_if(self.places.of_name(collation)))
            }
            E::Interval(interval) => self.interval(interval),
            E::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            // An operator in front of its operand that has no variant of its own.
            E::Prefixed { prefix, value } => {
                let position = self.places.operator_before(value);
                let value = self.placed(value)?;
                let name = catalog_operator(&prefix.value);
                self.operator(name, vec![value], position)
            }
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(SqlError::new(SqlState::SYNTAX_ERROR, "* is only allowed in a select list"))
            }
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => {
                Err(SqlError::unsupported("GROUPING SETS").at_if(self.pos(expr)))
            }
            other => {
                Err(SqlError::unsupported(format!("the expression {other}")).at_if(self.pos(other)))
            }
        }
    }

    /// A call by name of what some syntax stands for.
    pub(crate) fn invoke(
        &mut self,
        name: &str,
        args: Vec<Placed>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let found = self.function(name, args, position).map_err(|mut error| {
            // The grammar's own names are of the catalog, but for these two, which are plain calls there.
            if error.state == SqlState::UNDEFINED_FUNCTION && !matches!(name, "ceil" | "floor") {
                error.message = error.message.replacen("function ", "function pg_catalog.", 1);
            }
            error
        });
        let (function, args, ty) = found?;
        self.fold(Expr::Call { function, args, ty }, position)
    }

    /// IS [NOT] TRUE and FALSE: NULL counts as the other one.
    fn truth(&mut self, e: &ast::Expr, what: &str, is: bool, negated: bool) -> SqlResult<Expr> {
        let (expr, place) = self.placed(e)?;
        let expr = self.boolean(expr, what, place)?;
        let default = Expr::Const(Datum::Bool(!is), SqlType::Bool);
        let known = Expr::Coalesce(vec![expr, default], SqlType::Bool);
        Ok(if is == negated { Expr::Not(Box::new(known)) } else { known })
    }

    fn like(
        &mut self,
        operator: &str,
        value: &ast::Expr,
        pattern: &ast::Expr,
        escape: &Option<Box<ast::Expr>>,
    ) -> SqlResult<Expr> {
        let position = self.places.operator_before(pattern);
        let value = self.placed(value)?;
        let mut pattern = self.placed(pattern)?;
        if let Some(escape) = escape {
            let escape = self.placed(escape)?;
            pattern = (self.invoke("like_escape", vec![pattern, escape], position)?, position);
        }
        self.operator(operator, vec![value, pattern], position)
    }

    /// `x op ANY (…)`, `x op ALL (…)`: over a subquery or an array.
    fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
    ) -> SqlResult<Expr> {
        let name = operator_name(op);
        let position = self.places.operator_before(right);
        let mut right = right;
        while let ast::Expr::Nested(inner) = right {
            right = inner;
        }
        let input = self.placed(left)?;
        if let ast::Expr::Subquery(query) = right {
            return self.quantified_subquery(&name, input, query, all, position);
        }
        let (array, place) = self.placed(right)?;
        let array = match (array.ty(), &array) {
            (SqlType::Unknown, _) => {
                // An array of what the left side is.
                let element = match input.0.ty() {
                    SqlType::Unknown => SqlType::Text,
                    ty => ty.base(),
                };
                let ty = element.array().unwrap_or(sql_values::types::TypeId::Text.array());
                self.common(array, ty, "ANY", place)?
            }
            _ => array,
        };
        let Some(element) = array.ty().element() else {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires array on right side",
            )
            .at_if(position));
        };
        let operator = self.find_operator(&name, &[input.0.ty(), element], position)?;
        if operator.result != sql_catalog::function::ParamType::Exact(SqlType::Bool) {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
            )
            .at_if(position));
        }
        let param = |param: Option<sql_catalog::function::ParamType>, own: SqlType| match param {
            Some(sql_catalog::function::ParamType::Exact(ty)) => ty,
            _ => own,
        };
        let left_ty = param(
            operator.left,
            if input.0.ty() == SqlType::Unknown { element } else { input.0.ty() },
        );
        let right_ty = param(Some(operator.right), element);
        let input = self.common(input.0, left_ty, "ANY", input.1)?;
        let array = if right_ty.base() == element.base() {
            array
        } else {
            let ty = right_ty.array().unwrap_or(array.ty());
            self.common(array, ty, "ANY", place)?
        };
        Ok(Expr::Quantified {
            input: Box::new(input),
            array: Box::new(array),
            function: self.functions.function_of(&operator)?,
            all,
        })
    }

    /// INTERVAL '…' [field].
    fn interval(&mut self, interval: &ast::Interval) -> SqlResult<Expr> {
        let position = self.pos(&interval.value);
        let ast::Expr::Value(value) = &*interval.value else {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "an interval's value must be a string",
            )
            .at_if(position));
        };
        let text = match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
            other => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                )
                .at_if(position));
            }
        };
        let ty = interval_type(interval).ok_or_else(|| {
            SqlError::new(SqlState::SYNTAX_ERROR, "an interval cannot have these fields")
                .at_if(position)
        })?;
        self.literal(text, ty, true).map_err(|error| error.at_if(position))
    }

    /// `array[index]`.
    fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> SqlResult<Expr> {
        let position = self.pos(root);
        // `schema.table.column[index]`: the dots before the first subscript are a column's name.
        let mut inner = root;
        while let ast::Expr::Nested(deeper) = inner {
            inner = deeper;
        }
        let mut idents = match inner {
            ast::Expr::Identifier(ident) => vec![ident.clone()],
            _ => Vec::new(),
        };
        let mut chain = chain;
        while let ([AccessExpr::Dot(ast::Expr::Identifier(field)), rest @ ..], false) =
            (chain, idents.is_empty())
        {
            idents.push(field.clone());
            chain = rest;
        }
        let mut expr = if idents.len() > 1 { self.compound(&idents)? } else { self.expr(root)? };
        for access in chain {
            let index = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => index,
                AccessExpr::Subscript(Subscript::Slice { .. }) => {
                    return Err(SqlError::unsupported("an array's slice").at_if(position));
                }
                AccessExpr::Dot(_) => {
                    return Err(
                        SqlError::unsupported("a field of a composite value").at_if(position)
                    );
                }
            };
            let Some(element) = expr.ty().element() else {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "cannot subscript type {} because it does not support subscripting",
                        expr.ty().name()
                    ),
                )
                .at_if(position));
            };
            let (index, place) = self.placed(index)?;
            let from = index.ty();
            let index = self
                .try_coerce(
                    index,
                    SqlType::Int4,
                    sql_catalog::function::CastContext::Assignment,
                    place,
                )?
                .ok_or_else(|| {
                    SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("array subscript must have type integer, not {}", from.name()),
                    )
                    .at_if(place)
                })?;
            expr = Expr::Subscript(Box::new(expr), Box::new(index), element);
        }
        Ok(expr)
    }
}

/// The type that an interval's fields and precision mean; none for fields that no interval has.
fn interval_type(interval: &ast::Interval) -> Option<SqlType> {
    use ast::{DateTimeField as D, IntervalFields as I};
    let fields = match (&interval.leading_field, &interval.last_field) {
        (None, None) => None,
        (Some(D::Year), None) => Some(I::Year),
        (Some(D::Month), None) => Some(I::Month),
        (Some(D::Day), None) => Some(I::Day),
        (Some(D::Hour), None) => Some(I::Hour),
        (Some(D::Minute), None) => Some(I::Minute),
        (Some(D::Second), None) => Some(I::Second),
        (Some(D::Year), Some(D::Month)) => Some(I::YearToMonth),
        (Some(D::Day), Some(D::Hour)) => Some(I::DayToHour),
        (Some(D::Day), Some(D::Minute)) => Some(I::DayToMinute),
        (Some(D::Day), Some(D::Second)) => Some(I::DayToSecond),
        (Some(D::Hour), Some(D::Minute)) => Some(I::HourToMinute),
        (Some(D::Hour), Some(D::Second)) => Some(I::HourToSecond),
        (Some(D::Minute), Some(D::Second)) => Some(I::MinuteToSecond),
        _ => return None,
    };
    // `SECOND(2)` has its digits where other fields have a leading precision, which PostgreSQL's do not have.
    let digits = match (&fields, interval.leading_precision) {
        (Some(I::Second) | None, Some(digits)) => Some(digits),
        (_, None) => interval.fractional_seconds_precision,
        (_, Some(_)) => return None,
    };
    Some(types::interval(fields.as_ref(), digits))
}
