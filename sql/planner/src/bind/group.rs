//! ORDER BY and GROUP BY: what their keys mean, and the groups between FROM's rows and what is made of them.

use sql_parse::name;
use sql_plan::{Expr, Node, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast;

use super::Binder;
use super::list::check_targets;
use super::query::ordinal;
use super::scope::Level;
use super::select::Parts;

impl Binder<'_> {
    /// What ORDER BY or DISTINCT ON means: an output by its name or number, or else an expression.
    pub(crate) fn sort_target(
        &mut self,
        expr: &ast::Expr,
        parts: &mut Parts,
        clause: &str,
    ) -> SqlResult<usize> {
        let position = self.pos(expr);
        if let ast::Expr::Identifier(ident) = expr {
            let name = name::fold(ident);
            let mut found: Option<usize> = None;
            for (index, output) in parts.outputs.iter().enumerate() {
                if output.name != name {
                    continue;
                }
                match found {
                    Some(before) if parts.outputs[before].expr != output.expr => {
                        return Err(SqlError::new(
                            SqlState::AMBIGUOUS_COLUMN,
                            format!("{clause} \"{name}\" is ambiguous"),
                        )
                        .at_if(position));
                    }
                    Some(_) => {}
                    None => found = Some(index),
                }
            }
            if let Some(index) = found {
                return Ok(index);
            }
        }
        if let Some(index) = ordinal(expr, parts.outputs.len(), clause, position)? {
            return Ok(index);
        }
        let bound = self.expr(expr)?;
        let bound = self.settle(bound, position)?;
        if let Some(index) = parts.outputs.iter().position(|output| output.expr == bound) {
            return Ok(index);
        }
        let width = parts.outputs.len();
        if let Some(index) = parts.extras.iter().position(|extra| *extra == bound) {
            return Ok(width + index);
        }
        parts.extras.push(bound);
        check_targets(width + parts.extras.len())?;
        Ok(width + parts.extras.len() - 1)
    }

    /// A GROUP BY key: a column before an output's name, an output's number, or an expression.
    pub(crate) fn group_key(&mut self, expr: &ast::Expr, parts: &mut Parts) -> SqlResult<()> {
        let position = self.pos(expr);
        match expr {
            ast::Expr::Tuple(exprs) => {
                for expr in exprs {
                    self.group_key(expr, parts)?;
                }
                return Ok(());
            }
            ast::Expr::Nested(inner) => return self.group_key(inner, parts),
            ast::Expr::Identifier(ident) => {
                let name = name::fold(ident);
                let is_column = self.levels.last().is_some_and(|level| {
                    level.scope.entries.iter().any(|e| !e.qualified && e.name == name)
                });
                let output = parts.outputs.iter().position(|output| output.name == name);
                if let (false, Some(index)) = (is_column, output) {
                    return self.group_output(index, parts, position);
                }
            }
            _ => {}
        }
        if let Some(index) = ordinal(expr, parts.outputs.len(), "GROUP BY", position)? {
            return self.group_output(index, parts, position);
        }
        let bound = self.expr(expr)?;
        let bound = self.settle(bound, position)?;
        if !parts.groups.contains(&bound) {
            parts.groups.push(bound);
            check_targets(parts.groups.len())?;
        }
        Ok(())
    }

    fn group_output(
        &mut self,
        index: usize,
        parts: &mut Parts,
        position: Option<u32>,
    ) -> SqlResult<()> {
        let Some(output) = parts.outputs.get(index) else { return Ok(()) };
        let aggregate =
            |e: &Expr| matches!(e, Expr::Slot(slot, _) if *slot >= super::scope::AGGREGATES);
        if output.expr.any(&mut |e| aggregate(e)) {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in GROUP BY",
            )
            .at_if(output.position.or(position)));
        }
        if !parts.groups.contains(&output.expr) {
            parts.groups.push(output.expr.clone());
        }
        Ok(())
    }

    /// Puts the groups between FROM's rows and the expressions above them.
    pub(crate) fn group(
        &mut self,
        node: Node,
        parts: &mut Parts,
        level: &mut Level,
    ) -> SqlResult<Node> {
        let mut exprs: Vec<&mut Expr> = Vec::new();
        exprs.extend(parts.outputs.iter_mut().map(|output| &mut output.expr));
        exprs.extend(&mut parts.having);
        exprs.extend(&mut parts.extras);
        for (_, args, _) in &mut level.sets {
            exprs.extend(args);
        }
        let keys = std::mem::take(&mut parts.groups);
        let keys = super::aggregate::over_groups(keys, exprs, &level.scope, &level.reads)?;
        let aggregates = std::mem::take(&mut level.aggregates);
        let mut node = Node::Aggregate(node::Aggregate { input: Box::new(node), keys, aggregates });
        if let Some(predicate) = parts.having.take() {
            node = Node::Filter(node::Filter { input: Box::new(node), predicate });
        }
        Ok(node)
    }
}
