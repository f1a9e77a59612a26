//! UNION, INTERSECT, EXCEPT, VALUES.

use sql_catalog::function::CastContext;
use sql_plan::{Expr, Node, OutputColumn, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier};

use super::list::check_targets;
use super::scope::{Clause, Level, Scope};
use super::{Binder, query};

impl Binder<'_> {
    /// Binds a body that is no plain SELECT, or one that is part of a set operation.
    pub(crate) fn set_expr(
        &mut self,
        body: &SetExpr,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        self.deeper(|binder| match body {
            SetExpr::Select(select) => {
                let tail = query::Tail { order: &[], limit: None, offset: None, locks: &[] };
                binder.select(select, tail, wanted)
            }
            SetExpr::Query(query) => binder.query(query, wanted),
            SetExpr::Values(values) => binder.values(values, wanted),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                binder.set_operation(left, *op, *set_quantifier, right, wanted)
            }
            other => Err(SqlError::unsupported(format!("the query {other}"))),
        })
    }

    /// UNION, INTERSECT and EXCEPT lean to the left: what follows without parentheses is done in a loop.
    fn set_operation(
        &mut self,
        left: &SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let mut spine = vec![(op, quantifier, right)];
        let mut first = left;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = first {
            spine.push((*op, *set_quantifier, right));
            first = left;
        }
        // Literals stay of unknown type until both sides are known.
        let wanted = wanted.or(Some(&[]));
        let mut result = self.set_expr(first, wanted)?;
        for (op, quantifier, right) in spine.into_iter().rev() {
            let right = self.set_expr(right, wanted)?;
            result = self.set_operate(op, quantifier, result, right)?;
        }
        Ok(result)
    }

    fn set_operate(
        &mut self,
        op: SetOperator,
        quantifier: SetQuantifier,
        (left, left_columns): (Node, Vec<OutputColumn>),
        (right, right_columns): (Node, Vec<OutputColumn>),
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let (what, all) = match (op, quantifier) {
            (SetOperator::Union, SetQuantifier::All) => ("UNION", true),
            (SetOperator::Intersect, SetQuantifier::All) => ("INTERSECT", true),
            (SetOperator::Except, SetQuantifier::All) => ("EXCEPT", true),
            (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => ("UNION", false),
            (SetOperator::Intersect, SetQuantifier::None | SetQuantifier::Distinct) => {
                ("INTERSECT", false)
            }
            (SetOperator::Except, SetQuantifier::None | SetQuantifier::Distinct) => {
                ("EXCEPT", false)
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"BY\"",
                ));
            }
        };
        if left_columns.len() != right_columns.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("each {what} query must have the same number of columns"),
            ));
        }
        let mut types = Vec::new();
        let mut columns = Vec::new();
        for (one, other) in left_columns.iter().zip(&right_columns) {
            let ty = self.common_type(&[(one.ty, None), (other.ty, None)], what)?;
            types.push(ty);
            columns.push(OutputColumn { name: one.name.clone(), ty, source: None });
        }
        let left = self.retyped(left, &types, what)?;
        let right = self.retyped(right, &types, what)?;
        let node = match op {
            SetOperator::Union => {
                // UNION ALL of UNION ALL is one, and UNION of UNION.
                let mut inputs = match left {
                    Node::Append(node::Append { inputs }) if all => inputs,
                    Node::Distinct(node::Distinct { input, on }) if !all && on.is_empty() => {
                        match *input {
                            Node::Append(node::Append { inputs }) => inputs,
                            input => {
                                vec![Node::Distinct(node::Distinct { input: Box::new(input), on })]
                            }
                        }
                    }
                    left => vec![left],
                };
                inputs.push(right);
                let append = Node::Append(node::Append { inputs });
                if all {
                    append
                } else {
                    Node::Distinct(node::Distinct { input: Box::new(append), on: Vec::new() })
                }
            }
            _ => Node::SetOp(node::SetOp {
                left: Box::new(left),
                right: Box::new(right),
                except: op == SetOperator::Except,
                all,
            }),
        };
        Ok((node, columns))
    }

    /// The rows with their slots cast to types. Constants of unknown type are decided where they stand.
    pub(crate) fn retyped(&mut self, node: Node, types: &[SqlType], what: &str) -> SqlResult<Node> {
        let now = node.types();
        if now == types {
            return Ok(node);
        }
        match node {
            Node::Project(node::Project { input, exprs }) => {
                let mut cast = Vec::with_capacity(exprs.len());
                for (expr, ty) in exprs.into_iter().zip(types) {
                    cast.push(self.common(expr, *ty, what, None)?);
                }
                Ok(Node::Project(node::Project { input, exprs: cast }))
            }
            Node::Values(node::Values { rows, .. }) => {
                let mut cast = Vec::with_capacity(rows.len());
                for row in rows {
                    let mut exprs = Vec::with_capacity(row.len());
                    for (expr, ty) in row.into_iter().zip(types) {
                        exprs.push(self.common(expr, *ty, what, None)?);
                    }
                    cast.push(exprs);
                }
                Ok(Node::Values(node::Values { rows: cast, types: types.to_vec() }))
            }
            node => {
                let mut exprs = Vec::with_capacity(now.len());
                for (slot, (from, to)) in now.iter().zip(types).enumerate() {
                    exprs.push(self.common(Expr::Slot(slot, *from), *to, what, None)?);
                }
                Ok(Node::Project(node::Project { input: Box::new(node), exprs }))
            }
        }
    }

    /// VALUES outside of INSERT.
    fn values(
        &mut self,
        values: &ast::Values,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let level = Level::new(Scope::default(), Clause::Values);
        let (rows, _) = self.within(level, |binder| {
            let mut rows = Vec::new();
            for row in &values.rows {
                let mut exprs = Vec::new();
                for expr in row.content.iter() {
                    exprs.push(binder.placed(expr)?);
                }
                rows.push(exprs);
            }
            Ok(rows)
        })?;
        let width = rows.first().map_or(0, Vec::len);
        check_targets(width)?;
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        let mut types = Vec::with_capacity(width);
        for column in 0..width {
            let all: Vec<(SqlType, Option<u32>)> = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|(expr, place)| (expr.ty(), *place))
                .collect();
            let unknown = all.iter().all(|(ty, _)| *ty == SqlType::Unknown);
            types.push(match wanted {
                Some(wanted) if unknown => wanted.get(column).copied().unwrap_or(SqlType::Unknown),
                _ => self.common_type(&all, "VALUES")?,
            });
        }
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            let mut exprs = Vec::with_capacity(width);
            for ((expr, place), ty) in row.into_iter().zip(&types) {
                exprs.push(if *ty == SqlType::Unknown {
                    expr
                } else {
                    match self.try_coerce(expr, *ty, CastContext::Implicit, place)? {
                        Some(expr) => expr,
                        None => return Err(SqlError::internal("VALUES without a common type")),
                    }
                });
            }
            bound.push(exprs);
        }
        let columns = types
            .iter()
            .enumerate()
            .map(|(index, ty)| OutputColumn {
                name: format!("column{}", index + 1),
                ty: *ty,
                source: None,
            })
            .collect();
        Ok((Node::Values(node::Values { rows: bound, types }), columns))
    }
}
