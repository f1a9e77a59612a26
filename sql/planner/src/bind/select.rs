//! SELECT: from FROM to the projected, sorted and limited rows.

use sql_plan::{Expr, JoinKind, Node, OutputColumn, SortKey, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast::{self, Distinct, GroupByExpr};

use super::list::Output;
use super::query::{Tail, limited};
use super::scope::{Clause, Level, SETS};
use super::{Binder, output};

/// The expressions of a SELECT over its FROM's row.
pub(crate) struct Parts {
    pub(crate) outputs: Vec<Output>,
    filter: Option<Expr>,
    pub(crate) groups: Vec<Expr>,
    pub(crate) having: Option<Expr>,
    /// As indexes into the outputs and, after them, the extras.
    order: Vec<(usize, ast::OrderByOptions)>,
    distinct_on: Vec<usize>,
    /// What is sorted by but not selected.
    pub(crate) extras: Vec<Expr>,
}

impl Binder<'_> {
    /// Binds a SELECT with its ORDER BY and LIMIT.
    pub(crate) fn select(
        &mut self,
        select: &ast::Select,
        tail: Tail<'_>,
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        refuse(select)?;
        let outer_lock = self.locking.clone();
        self.note_locks(tail.locks)?;
        let from = self.from(&select.from);
        self.locking = outer_lock;
        let (mut node, scope) = from?;
        self.check_locks(tail.locks, &scope)?;
        let level = Level::new(scope, Clause::Select);
        let (mut parts, mut level) =
            self.within(level, |binder| binder.parts(select, tail.order, wanted))?;
        if let Some(predicate) = parts.filter.take() {
            node = Node::Filter(node::Filter { input: Box::new(node), predicate });
        }
        let grouped =
            !parts.groups.is_empty() || !level.aggregates.is_empty() || parts.having.is_some();
        if !tail.locks.is_empty() && (grouped || select.distinct.is_some()) {
            let what = match (&select.distinct, parts.groups.is_empty()) {
                (Some(_), _) => "DISTINCT clause",
                (None, false) => "GROUP BY clause",
                (None, true) => "aggregate functions",
            };
            return Err(self.locks_refused(tail.locks, what));
        }
        if grouped {
            node = self.group(node, &mut parts, &mut level)?;
        }
        node = expand_sets(node, &mut parts, level)?;
        let distinct = select.distinct.as_ref();
        self.finish_select(node, parts, distinct, tail)
    }

    fn finish_select(
        &mut self,
        node: Node,
        parts: Parts,
        distinct: Option<&Distinct>,
        tail: Tail<'_>,
    ) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let columns: Vec<OutputColumn> = parts
            .outputs
            .iter()
            .map(|o| OutputColumn { name: o.name.clone(), ty: o.expr.ty(), source: o.source })
            .collect();
        let width = columns.len();
        let extra = !parts.extras.is_empty();
        let mut exprs: Vec<Expr> = parts.outputs.into_iter().map(|o| o.expr).collect();
        exprs.extend(parts.extras);
        let types: Vec<SqlType> = exprs.iter().map(Expr::ty).collect();
        let slot =
            |index: usize| Expr::Slot(index, types.get(index).copied().unwrap_or(SqlType::Unknown));
        let mut node = Node::Project(node::Project { input: Box::new(node), exprs });
        let keys: Vec<SortKey> = parts
            .order
            .iter()
            .map(|(index, options)| output::sort_key(slot(*index), options))
            .collect::<SqlResult<Vec<_>>>()?
            .into_iter()
            .collect();
        let mut on = None;
        match distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                node = Node::Distinct(node::Distinct { input: Box::new(node), on: Vec::new() });
            }
            Some(Distinct::On(_)) => {
                on = Some(parts.distinct_on.iter().map(|index| slot(*index)).collect::<Vec<_>>());
            }
        }
        if !keys.is_empty() {
            node = Node::Sort(node::Sort { input: Box::new(node), keys, limit: None });
        }
        if let Some(on) = on {
            node = Node::Distinct(node::Distinct { input: Box::new(node), on });
        }
        node = limited(node, tail.limit, tail.offset);
        if extra {
            let exprs = (0..width).map(slot).collect();
            node = Node::Project(node::Project { input: Box::new(node), exprs });
        }
        Ok((node, columns))
    }

    /// Binds all expressions of a SELECT, in PostgreSQL's order: it decides which use of a parameter gives its type.
    fn parts(
        &mut self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<Parts> {
        self.clause(Clause::Select);
        let outputs = self.select_list(&select.projection, wanted)?;
        self.clause(Clause::Where);
        let filter = match &select.selection {
            None => None,
            Some(condition) => {
                let (condition, place) = self.placed(condition)?;
                Some(self.boolean(condition, "WHERE", place)?)
            }
        };
        self.clause(Clause::Having);
        let having = match &select.having {
            None => None,
            Some(condition) => {
                let (condition, place) = self.placed(condition)?;
                Some(self.boolean(condition, "HAVING", place)?)
            }
        };
        let mut parts = Parts {
            outputs,
            filter,
            groups: Vec::new(),
            having,
            order: Vec::new(),
            distinct_on: Vec::new(),
            extras: Vec::new(),
        };
        self.clause(Clause::OrderBy);
        for key in order {
            let index = self.sort_target(&key.expr, &mut parts, "ORDER BY")?;
            parts.order.push((index, key.options.clone()));
        }
        self.clause(Clause::GroupBy);
        match &select.group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                for expr in exprs {
                    self.group_key(expr, &mut parts)?;
                }
            }
            _ => return Err(SqlError::unsupported("GROUPING SETS")),
        }
        self.clause(Clause::DistinctOn);
        match &select.distinct {
            Some(Distinct::On(exprs)) => {
                for expr in exprs {
                    let index = self.sort_target(expr, &mut parts, "DISTINCT ON")?;
                    parts.distinct_on.push(index);
                }
                check_distinct_on(&parts, exprs.first().and_then(|e| self.pos(e)))?;
            }
            Some(Distinct::Distinct) if !parts.extras.is_empty() => {
                let extra = order
                    .iter()
                    .zip(&parts.order)
                    .find(|(_, (index, _))| *index >= parts.outputs.len());
                let position = extra.and_then(|(key, _)| self.pos(&key.expr));
                return Err(SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )
                .at_if(position));
            }
            _ => {}
        }
        Ok(parts)
    }
}

/// Set-returning functions in the select list multiply the rows: all of them are read side by side.
fn expand_sets(node: Node, parts: &mut Parts, level: Level) -> SqlResult<Node> {
    if level.sets.is_empty() {
        return Ok(node);
    }
    let width = node.types().len();
    let (mut calls, mut types) = (Vec::new(), Vec::new());
    for (function, mut args, ty) in level.sets {
        if ty == SqlType::Record {
            return Err(SqlError::unsupported("a function that returns rows in a select list"));
        }
        if args.iter().any(|arg| arg.slots().iter().any(|slot| *slot >= SETS)) {
            let what = "a set-returning function of another's rows in a select list";
            return Err(SqlError::unsupported(what));
        }
        for arg in &mut args {
            arg.lift(1);
        }
        calls.push((function, args));
        types.push(ty);
    }
    let inner = Node::TableFunction(node::TableFunction { calls, types, ordinality: false });
    let exprs = parts.outputs.iter_mut().map(|output| &mut output.expr);
    for expr in exprs.chain(&mut parts.extras) {
        expr.map_slots(&mut |slot, ty| {
            Expr::Slot(if slot >= SETS { width + slot - SETS } else { slot }, ty)
        });
    }
    Ok(Node::Apply(node::Apply {
        kind: JoinKind::Inner,
        input: Box::new(node),
        inner: Box::new(inner),
        condition: None,
    }))
}

/// DISTINCT ON keeps the first row of each group: the order must begin with what is grouped by.
fn check_distinct_on(parts: &Parts, position: Option<u32>) -> SqlResult<()> {
    let mut left = parts.distinct_on.clone();
    left.sort_unstable();
    left.dedup();
    for (index, _) in &parts.order {
        if left.is_empty() {
            break;
        }
        if parts.distinct_on.contains(index) {
            left.retain(|on| on != index);
            continue;
        }
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        )
        .at_if(position));
    }
    Ok(())
}

/// Clauses of other dialects, and those that are not there yet.
fn refuse(select: &ast::Select) -> SqlResult<()> {
    let refused = [
        (select.into.is_some(), "SELECT INTO"),
        (select.top.is_some(), "TOP"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
    ];
    match refused.iter().find(|(is, _)| *is) {
        Some((_, what)) => Err(SqlError::unsupported(what)),
        None => Ok(()),
    }
}
