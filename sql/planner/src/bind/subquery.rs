//! Subqueries as values.
//!
//! Where PostgreSQL's three-valued IN, ANY and ALL have no direct form, they are put together from EXISTS: true if some
//! row compares true, else NULL if some row compares NULL, else false.

use sql_plan::{Expr, Node, OutputColumn, SubqueryKind, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
use sqlparser::ast;

use super::Binder;
use super::compare::Placed;

impl Binder<'_> {
    fn inner(&mut self, query: &ast::Query) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let locking = std::mem::take(&mut self.locking);
        let result = self.subquery(|binder| binder.query(query, None));
        self.locking = locking;
        result
    }

    /// `(SELECT …)`.
    pub(crate) fn scalar_subquery(&mut self, query: &ast::Query) -> SqlResult<Expr> {
        let (plan, columns) = self.inner(query)?;
        let [column] = columns.as_slice() else {
            return Err(one_column(query, self));
        };
        Ok(Expr::Subquery { kind: SubqueryKind::Scalar, plan: Box::new(plan), ty: column.ty })
    }

    /// ARRAY(SELECT …).
    pub(crate) fn array_subquery(&mut self, query: &ast::Query) -> SqlResult<Expr> {
        let (plan, columns) = self.inner(query)?;
        let [column] = columns.as_slice() else {
            return Err(one_column(query, self));
        };
        let ty = column.ty.array().ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", column.ty.name()),
            )
        })?;
        Ok(Expr::Subquery { kind: SubqueryKind::Array, plan: Box::new(plan), ty })
    }

    /// EXISTS.
    pub(crate) fn exists(&mut self, query: &ast::Query, negated: bool) -> SqlResult<Expr> {
        let (plan, _) = self.inner(query)?;
        let exists = exists(plan);
        Ok(if negated { Expr::Not(Box::new(exists)) } else { exists })
    }

    /// `x IN (SELECT …)`.
    pub(crate) fn in_subquery(
        &mut self,
        input: &ast::Expr,
        query: &ast::Query,
        negated: bool,
    ) -> SqlResult<Expr> {
        let place = self.pos(input);
        let input = self.placed(input)?;
        let found = self.quantified_subquery("=", input, query, false, place)?;
        Ok(if negated { Expr::Not(Box::new(found)) } else { found })
    }

    /// `x op ANY (SELECT …)`, `x op ALL (SELECT …)`.
    pub(crate) fn quantified_subquery(
        &mut self,
        name: &str,
        input: Placed,
        query: &ast::Query,
        all: bool,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let (plan, columns) = self.inner(query)?;
        let width = match &input.0 {
            Expr::Row(parts) => parts.len(),
            _ => 1,
        };
        if columns.len() != width {
            let few = if columns.len() > width { "many" } else { "few" };
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("subquery has too {few} columns"),
            )
            .at_if(position));
        }
        if let ([column], "=", false) = (columns.as_slice(), name, all)
            && !matches!(input.0, Expr::Row(_))
        {
            let other = (Expr::Slot(0, column.ty), None);
            let (equals, input, slot) = self.equality(input, other, position)?;
            let plan = projected(plan, slot);
            let kind = SubqueryKind::In { input: Box::new(input), equals };
            return Ok(Expr::Subquery { kind, plan: Box::new(plan), ty: SqlType::Bool });
        }
        // Compared inside: the left side is seen from one row further in.
        let (mut left, place) = input;
        left.lift(1);
        let slots = columns.iter().enumerate();
        let right = if width == 1 && !matches!(left, Expr::Row(_)) {
            Expr::Slot(0, columns.first().map_or(SqlType::Unknown, |column| column.ty))
        } else {
            Expr::Row(slots.map(|(slot, column)| Expr::Slot(slot, column.ty)).collect())
        };
        let test = self.compare_or_call(name, (left, place), (right, None), position)?;
        if test.ty() != SqlType::Bool {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                "op ANY/ALL (subquery) requires operator to yield boolean",
            )
            .at_if(position));
        }
        let again = self.copy(&test)?;
        let decides = if all { Expr::Not(Box::new(again)) } else { again };
        let filtered = |plan: Node, predicate: Expr| {
            exists(Node::Filter(node::Filter { input: Box::new(plan), predicate }))
        };
        let decided = filtered(self.copy_plan(&plan)?, decides);
        let unknown = filtered(plan, Expr::IsNull(Box::new(test)));
        let value = |value: bool| Expr::Const(Datum::Bool(value), SqlType::Bool);
        let null = Expr::Const(Datum::Null, SqlType::Bool);
        Ok(Expr::Case {
            branches: vec![(decided, value(!all)), (unknown, null)],
            otherwise: Some(Box::new(value(all))),
            ty: SqlType::Bool,
        })
    }
}

fn exists(plan: Node) -> Expr {
    Expr::Subquery { kind: SubqueryKind::Exists, plan: Box::new(plan), ty: SqlType::Bool }
}

/// The plan's only column as the comparison takes it.
fn projected(plan: Node, expr: Expr) -> Node {
    if matches!(expr, Expr::Slot(0, _)) {
        return plan;
    }
    Node::Project(node::Project { input: Box::new(plan), exprs: vec![expr] })
}

fn one_column(query: &ast::Query, binder: &Binder<'_>) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, "subquery must return only one column")
        .at_if(binder.places.of_query(query))
}
