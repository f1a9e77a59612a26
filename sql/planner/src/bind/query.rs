//! Queries: WITH, a body, ORDER BY, LIMIT, locks.

use sql_catalog::function::CastContext;
use sql_parse::name;
use sql_plan::{Expr, Node, OutputColumn, SortKey, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
use sqlparser::ast::{self, LimitClause, OrderByKind, SetExpr};

use super::scope::{Clause, Level, Scope};
use super::{Binder, output};

/// What surrounds a query's body.
pub(crate) struct Tail<'a> {
    pub(crate) order: &'a [ast::OrderByExpr],
    pub(crate) limit: Option<Expr>,
    pub(crate) offset: Option<Expr>,
    pub(crate) locks: &'a [ast::LockClause],
}

impl Binder<'_> {
    /// Binds a query. `wanted` are the types of the columns that it is stored into: a literal's type follows them.
    pub(crate) fn query(
        &mut self,
        query: &ast::Query,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        self.deeper(|binder| {
            let before = binder.push_with(query.with.as_ref())?;
            let result = binder.body(query, wanted);
            binder.pop_with(before);
            result
        })
    }

    fn body(
        &mut self,
        query: &ast::Query,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        if query.for_clause.is_some()
            || query.settings.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "not a clause of PostgreSQL"));
        }
        let order: &[ast::OrderByExpr] = match &query.order_by {
            None => &[],
            Some(order) => match &order.kind {
                OrderByKind::Expressions(list) => list,
                OrderByKind::All(_) => return Err(SqlError::unsupported("ORDER BY ALL")),
            },
        };
        let (limit, offset) = self.limits(query)?;
        let tail = Tail { order, limit, offset, locks: &query.locks };
        match &*query.body {
            SetExpr::Select(select) => self.select(select, tail, wanted),
            SetExpr::Query(inner)
                if tail.order.is_empty()
                    && tail.limit.is_none()
                    && tail.offset.is_none()
                    && tail.locks.is_empty() =>
            {
                self.query(inner, wanted)
            }
            SetExpr::Insert(ast::Statement::Insert(insert)) => self.insert(insert),
            SetExpr::Update(ast::Statement::Update(update)) => self.update(update),
            SetExpr::Delete(ast::Statement::Delete(delete)) => self.delete(delete),
            body => {
                if !tail.locks.is_empty() {
                    return Err(self.locks_refused(tail.locks, "UNION/INTERSECT/EXCEPT"));
                }
                let (node, columns) = self.set_expr(body, wanted)?;
                let node = self.order_by_outputs(node, &columns, tail.order)?;
                Ok((limited(node, tail.limit, tail.offset), columns))
            }
        }
    }

    /// LIMIT, OFFSET and FETCH: bigint without slots.
    fn limits(&mut self, query: &ast::Query) -> SqlResult<(Option<Expr>, Option<Expr>)> {
        let (mut limit, mut offset) = match &query.limit_clause {
            None => (None, None),
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "LIMIT #,# syntax is not supported",
                )
                .hint("Use separate LIMIT and OFFSET clauses."));
            }
        };
        let one = ast::Expr::Value(ast::Value::Number("1".into(), false).with_empty_span());
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties || fetch.percent {
                return Err(SqlError::unsupported("FETCH ... WITH TIES"));
            }
            limit = Some(fetch.quantity.as_ref().unwrap_or(&one));
        }
        // LIMIT ALL and LIMIT NULL are no limit.
        limit = limit.filter(
            |expr| !matches!(expr, ast::Expr::Identifier(i) if i.value.eq_ignore_ascii_case("all")),
        );
        offset = offset.filter(|_| true);
        Ok((self.limit(limit, "LIMIT")?, self.limit(offset, "OFFSET")?))
    }

    fn limit(&mut self, expr: Option<&ast::Expr>, what: &str) -> SqlResult<Option<Expr>> {
        let Some(expr) = expr else { return Ok(None) };
        let position = self.pos(expr);
        let level = Level::new(Scope::default(), Clause::Limit);
        let (bound, _) = self.within(level, |binder| {
            let bound = binder.expr(expr)?;
            let ty = bound.ty();
            match binder.try_coerce(bound, SqlType::Int8, CastContext::Assignment, position)? {
                Some(bound) => Ok(bound),
                None => Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("argument of {what} must be type bigint, not type {}", ty.name()),
                )
                .at_if(position)),
            }
        })?;
        if !bound.slots().is_empty() {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {what} must not contain variables"),
            )
            .at_if(position));
        }
        // The query's own level is not there yet when the executor computes it: nothing to put right, since the
        // expression was bound with an empty one in its place.
        match bound {
            Expr::Const(Datum::Null, _) => Ok(None),
            bound => Ok(Some(bound)),
        }
    }

    /// ORDER BY of what is no SELECT: names and numbers of its columns only.
    fn order_by_outputs(
        &mut self,
        node: Node,
        columns: &[OutputColumn],
        order: &[ast::OrderByExpr],
    ) -> SqlResult<Node> {
        if order.is_empty() {
            return Ok(node);
        }
        let mut keys: Vec<SortKey> = Vec::new();
        for key in order {
            let position = self.pos(&key.expr);
            let slot = match &key.expr {
                ast::Expr::Identifier(ident) => {
                    let name = name::fold(ident);
                    let mut found =
                        columns.iter().enumerate().filter(|(_, column)| column.name == name);
                    match (found.next(), found.next()) {
                        (Some((slot, _)), None) => Some(slot),
                        (Some(_), Some(_)) => {
                            return Err(SqlError::new(
                                SqlState::AMBIGUOUS_COLUMN,
                                format!("ORDER BY \"{name}\" is ambiguous"),
                            )
                            .at_if(position));
                        }
                        (None, _) => {
                            return Err(SqlError::new(
                                SqlState::UNDEFINED_COLUMN,
                                format!("column \"{name}\" does not exist"),
                            )
                            .at_if(position));
                        }
                    }
                }
                expr => ordinal(expr, columns.len(), "ORDER BY", position)?,
            };
            let Some(slot) = slot else {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                )
                .detail("Only result column names can be used, not expressions or functions.")
                .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                .at_if(position));
            };
            let ty = columns.get(slot).map_or(SqlType::Unknown, |column| column.ty);
            keys.push(output::sort_key(Expr::Slot(slot, ty), &key.options)?);
        }
        Ok(Node::Sort(node::Sort { input: Box::new(node), keys, limit: None }))
    }
}

/// The column that a number in ORDER BY or GROUP BY means.
pub(crate) fn ordinal(
    expr: &ast::Expr,
    count: usize,
    clause: &str,
    position: Option<u32>,
) -> SqlResult<Option<usize>> {
    let ast::Expr::Value(value) = expr else { return Ok(None) };
    match &value.value {
        ast::Value::Number(digits, _) => match digits.parse::<usize>() {
            Ok(number) if (1..=count).contains(&number) => Ok(Some(number - 1)),
            Ok(number) => Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("{clause} position {number} is not in select list"),
            )
            .at_if(position)),
            Err(_) => Err(non_integer(clause).at_if(position)),
        },
        ast::Value::SingleQuotedString(_) => Err(non_integer(clause).at_if(position)),
        _ => Ok(None),
    }
}

fn non_integer(clause: &str) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))
}

/// With LIMIT and OFFSET, if there are any.
pub(crate) fn limited(node: Node, limit: Option<Expr>, offset: Option<Expr>) -> Node {
    if limit.is_none() && offset.is_none() {
        return node;
    }
    Node::Limit(node::Limit { input: Box::new(node), limit, offset })
}
