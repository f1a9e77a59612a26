//! Expressions.

use sql_parse::name;
use sql_parse::types;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, Numeric, SqlType};
use sqlparser::ast::{self, BinaryOperator, UnaryOperator, Value};

use super::Binder;

impl Binder<'_> {
    /// Binds an expression. Its type may still be unknown.
    pub(crate) fn expr(&mut self, expr: &ast::Expr) -> SqlResult<Expr> {
        self.part(|binder| binder.expr_here(expr))
    }

    /// Binds an expression, with its place.
    pub(crate) fn placed(&mut self, expr: &ast::Expr) -> SqlResult<(Expr, Option<u32>)> {
        Ok((self.expr(expr)?, self.pos(expr)))
    }

    fn expr_here(&mut self, expr: &ast::Expr) -> SqlResult<Expr> {
        match expr {
            ast::Expr::Identifier(ident) => {
                self.column(&name::fold(ident), self.places.of_ident(ident))
            }
            ast::Expr::CompoundIdentifier(idents) => self.compound(idents),
            ast::Expr::Value(value) => self.value(value),
            ast::Expr::Nested(inner) => self.expr(inner),
            ast::Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            ast::Expr::UnaryOp { op, expr: operand } => self.unary(op, operand),
            ast::Expr::Function(function) => self.call(function),
            ast::Expr::Cast { kind, expr: input, data_type, .. } => {
                self.written_cast(expr, kind, input, data_type)
            }
            ast::Expr::TypedString(typed) => {
                let ty = types::resolve(&typed.data_type)?;
                let literal = self.value(&typed.value)?;
                let position = self.pos(expr);
                self.explicit_cast(literal, ty, position, position)
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            ast::Expr::Exists { subquery, negated } => self.exists(subquery, *negated),
            ast::Expr::Subquery(query) => self.scalar_subquery(query),
            ast::Expr::InSubquery { expr, subquery, negated } => {
                self.in_subquery(expr, subquery, *negated)
            }
            ast::Expr::Tuple(exprs) => {
                let exprs = exprs.iter().map(|e| self.expr(e)).collect::<SqlResult<Vec<_>>>()?;
                self.row(exprs)
            }
            ast::Expr::Array(array) => self.array(array, None),
            other => self.form(other),
        }
    }

    /// ROW(…): parts of unknown type become text only when nothing else decides them.
    pub(crate) fn row(&mut self, exprs: Vec<Expr>) -> SqlResult<Expr> {
        Ok(Expr::Row(exprs))
    }

    pub(crate) fn compound(&mut self, idents: &[ast::Ident]) -> SqlResult<Expr> {
        let position = idents.first().and_then(|ident| self.places.of_ident(ident));
        let parts: Vec<String> = idents.iter().map(name::fold).collect();
        match parts.as_slice() {
            [table, column] => self.qualified_column(None, table, column, position),
            [schema, table, column] => self.qualified_column(Some(schema), table, column, position),
            [database, schema, table, column] => {
                if database != self.catalog.database() {
                    return Err(
                        name::cross_database(&[database, schema, table, column]).at_if(position)
                    );
                }
                self.qualified_column(Some(schema), table, column, position)
            }
            [column] => self.column(column, position),
            _ => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "improper qualified name (too many dotted names)",
            )
            .at_if(position)),
        }
    }

    fn value(&mut self, value: &ast::ValueWithSpan) -> SqlResult<Expr> {
        let position = self.places.of_span(value.span);
        let text = |text: &str| Ok(Expr::Const(Datum::text(text), SqlType::Unknown));
        match &value.value {
            Value::Number(digits, _) => number(digits).map_err(|error| error.at_if(position)),
            Value::SingleQuotedString(s)
            | Value::EscapedStringLiteral(s)
            | Value::UnicodeStringLiteral(s)
            | Value::NationalStringLiteral(s) => text(s),
            Value::DollarQuotedString(s) => text(&s.value),
            Value::Boolean(value) => Ok(Expr::Const(Datum::Bool(*value), SqlType::Bool)),
            Value::Null => Ok(Expr::Const(Datum::Null, SqlType::Unknown)),
            Value::Placeholder(name) => {
                let index = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
                match index {
                    Some(index) if index > 0 => self.parameter(index - 1, position),
                    _ => Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("syntax error at or near \"{name}\""),
                    )
                    .at_if(position)),
                }
            }
            Value::SingleQuotedByteStringLiteral(_) | Value::HexStringLiteral(_) => {
                Err(SqlError::unsupported("a bit string").at_if(position))
            }
            other => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )
            .at_if(position)),
        }
    }

    fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> SqlResult<Expr> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return self.logical(left, op, right);
        }
        // sqlparser's trees lean to the left: what follows without parentheses is done in a loop.
        let mut spine = vec![(op, right)];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
                break;
            }
            spine.push((op, right));
            first = left;
        }
        let (mut expr, mut place) = self.placed(first)?;
        for (op, right) in spine.into_iter().rev() {
            let position = self.places.operator_before(right);
            let right = self.placed(right)?;
            expr = self.operate(op, (expr, place), right, position)?;
            place = position;
        }
        Ok(expr)
    }

    fn operate(
        &mut self,
        op: &BinaryOperator,
        left: (Expr, Option<u32>),
        right: (Expr, Option<u32>),
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let name = operator_name(op);
        self.compare_or_call(&name, left, right, position)
    }

    /// AND or OR of any number of conditions, whichever way they lean.
    fn logical(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> SqlResult<Expr> {
        let mut operands = vec![right];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = first {
            if inner != op {
                break;
            }
            operands.push(right);
            first = left;
        }
        operands.push(first);
        let is_and = *op == BinaryOperator::And;
        let what = if is_and { "AND" } else { "OR" };
        let mut exprs = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let (expr, place) = self.placed(operand)?;
            match (self.boolean(expr, what, place)?, is_and) {
                (Expr::And(inner), true) | (Expr::Or(inner), false) => exprs.extend(inner),
                (expr, _) => exprs.push(expr),
            }
        }
        Ok(if is_and { Expr::And(exprs) } else { Expr::Or(exprs) })
    }

    fn unary(&mut self, op: &UnaryOperator, operand: &ast::Expr) -> SqlResult<Expr> {
        let position = self.places.operator_before(operand);
        if let (UnaryOperator::Minus, Some((negative, digits))) = (op, literal(operand)) {
            // The smallest integer is a literal too.
            let sign = if negative { "" } else { "-" };
            return number(&format!("{sign}{digits}")).map_err(|error| error.at_if(position));
        }
        let (expr, place) = self.placed(operand)?;
        let name = match op {
            UnaryOperator::Not => {
                let expr = self.boolean(expr, "NOT", place)?;
                return Ok(Expr::Not(Box::new(expr)));
            }
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            other => return Err(SqlError::unsupported(other).at_if(position)),
        };
        self.operator(name, vec![(expr, place)], position)
    }

    fn written_cast(
        &mut self,
        whole: &ast::Expr,
        kind: &ast::CastKind,
        input: &ast::Expr,
        ty: &ast::DataType,
    ) -> SqlResult<Expr> {
        let position = match kind {
            ast::CastKind::DoubleColon => self.places.operator_after(input),
            _ => self.pos(whole),
        };
        let ty = types::resolve(ty).map_err(|error| error.at_if(position))?;
        let mut inner = input;
        while let ast::Expr::Nested(deeper) = inner {
            inner = deeper;
        }
        if let (ast::Expr::Array(array), Some(element)) = (inner, ty.element()) {
            return self.array(array, Some((element, ty)));
        }
        let (expr, place) = self.placed(input)?;
        self.explicit_cast(expr, ty, place, position)
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> SqlResult<Expr> {
        let operand = operand.map(|operand| self.placed(operand)).transpose()?;
        let mut whens = Vec::new();
        let (mut results, mut places) = (Vec::new(), Vec::new());
        for branch in conditions {
            let (when, place) = self.placed(&branch.condition)?;
            whens.push(match &operand {
                None => self.boolean(when, "CASE/WHEN", place)?,
                Some((value, at)) => {
                    let value = (self.copy(value)?, *at);
                    self.compare_or_call("=", value, (when, place), place)?
                }
            });
            let (result, place) = self.placed(&branch.result)?;
            results.push(result);
            places.push(place);
        }
        // ELSE counts first when the types are matched, as in PostgreSQL.
        if let Some(otherwise) = otherwise {
            let (result, place) = self.placed(otherwise)?;
            results.insert(0, result);
            places.insert(0, place);
        }
        let (results, ty) = self.unify(results, &places, "CASE")?;
        let mut results = results.into_iter();
        let otherwise = if otherwise.is_some() { results.next().map(Box::new) } else { None };
        let branches = whens.into_iter().zip(results).collect();
        Ok(Expr::Case { branches, otherwise, ty })
    }

    /// ARRAY[…], of elements of a type if a cast says so.
    fn array(&mut self, array: &ast::Array, cast: Option<(SqlType, SqlType)>) -> SqlResult<Expr> {
        let (mut exprs, mut places) = (Vec::new(), Vec::new());
        for element in &array.elem {
            if matches!(element, ast::Expr::Array(_)) {
                return Err(SqlError::unsupported("an array of several dimensions")
                    .at_if(self.pos(element)));
            }
            let (expr, place) = self.placed(element)?;
            exprs.push(expr);
            places.push(place);
        }
        if let Some((element, ty)) = cast {
            let mut cast = Vec::with_capacity(exprs.len());
            for (expr, place) in exprs.into_iter().zip(places) {
                cast.push(self.explicit_cast(expr, element, place, place)?);
            }
            return Ok(Expr::Array(cast, ty));
        }
        if exprs.is_empty() {
            return Err(SqlError::new(
                SqlState::INDETERMINATE_DATATYPE,
                "cannot determine type of empty array",
            )
            .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let (exprs, ty) = self.unify(exprs, &places, "ARRAY")?;
        let array = ty.array().ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", ty.name()),
            )
        })?;
        Ok(Expr::Array(exprs, array))
    }
}

/// The name of `OPERATOR(…)`: all operators are in `pg_catalog`, so one of another schema keeps it and is not found.
pub(crate) fn catalog_operator(name: &str) -> &str {
    name.strip_prefix("pg_catalog.").unwrap_or(name)
}

/// A number with the signs before it: whether it is negative, and its digits.
fn literal(expr: &ast::Expr) -> Option<(bool, &str)> {
    match expr {
        ast::Expr::Nested(inner) => literal(inner),
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            literal(expr).map(|(negative, digits)| (!negative, digits))
        }
        ast::Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some((false, digits)),
            _ => None,
        },
        _ => None,
    }
}

/// A number's type: the smallest of integer, bigint and numeric that holds it.
pub(crate) fn number(digits: &str) -> SqlResult<Expr> {
    let digits = &digits.replace('_', "");
    if let Ok(value) = digits.parse::<i32>() {
        return Ok(Expr::Const(Datum::Int4(value), SqlType::Int4));
    }
    if let Ok(value) = digits.parse::<i64>() {
        return Ok(Expr::Const(Datum::Int8(value), SqlType::Int8));
    }
    Ok(Expr::Const(Datum::Numeric(Numeric::parse(digits)?), SqlType::Numeric(None)))
}

/// An operator's name in `pg_operator`.
pub(crate) fn operator_name(op: &BinaryOperator) -> String {
    match op {
        BinaryOperator::NotEq => "<>".to_owned(),
        BinaryOperator::PGCustomBinaryOperator(parts) => match catalog_operator(&parts.join(".")) {
            "!=" => "<>".to_owned(),
            name => name.to_owned(),
        },
        other => other.to_string(),
    }
}
