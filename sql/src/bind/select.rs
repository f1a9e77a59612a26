//! SELECT: from FROM to the projected, sorted and limited rows.

use sqlparser::ast::{self, Distinct, GroupByExpr, SelectItem};

use super::query::{Tail, limited, ordinal};
use super::scope::{Clause, Level, SETS};
use super::{Binder, output};
use crate::catalog::descriptor::{ColumnId, TableId};
use crate::error::{SqlError, SqlResult, SqlState};
use crate::parse::name;
use crate::plan::{Expr, JoinKind, Node, OutputColumn, SortKey};
use crate::types::SqlType;

/// A column of the select list.
pub(crate) struct Output {
    pub(crate) expr: Expr,
    pub(crate) name: String,
    pub(crate) source: Option<(TableId, ColumnId)>,
    pub(crate) position: Option<u32>,
}

/// The expressions of a SELECT over its FROM's row.
struct Parts {
    outputs: Vec<Output>,
    filter: Option<Expr>,
    groups: Vec<Expr>,
    having: Option<Expr>,
    /// As indexes into the outputs and, after them, the extras.
    order: Vec<(usize, ast::OrderByOptions)>,
    distinct_on: Vec<usize>,
    /// What is sorted by but not selected.
    extras: Vec<Expr>,
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
        let level = Level::new(scope, Clause::Select);
        let (mut parts, mut level) =
            self.within(level, |binder| binder.parts(select, tail.order, wanted))?;
        if let Some(predicate) = parts.filter.take() {
            node = Node::Filter { input: Box::new(node), predicate };
        }
        let grouped =
            !parts.groups.is_empty() || !level.aggregates.is_empty() || parts.having.is_some();
        if !tail.locks.is_empty() && (grouped || select.distinct.is_some()) {
            let what = match (&select.distinct, parts.groups.is_empty()) {
                (Some(_), _) => "DISTINCT clause",
                (None, false) => "GROUP BY clause",
                (None, true) => "aggregate functions",
            };
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("FOR UPDATE is not allowed with {what}"),
            ));
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
        let mut node = Node::Project { input: Box::new(node), exprs };
        let keys: Vec<SortKey> = parts
            .order
            .iter()
            .map(|(index, options)| output::sort_key(slot(*index), options))
            .collect();
        let mut on = None;
        match distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct) => {
                node = Node::Distinct { input: Box::new(node), on: Vec::new() };
            }
            Some(Distinct::On(_)) => {
                on = Some(parts.distinct_on.iter().map(|index| slot(*index)).collect::<Vec<_>>());
            }
        }
        if !keys.is_empty() {
            node = Node::Sort { input: Box::new(node), keys, limit: None };
        }
        if let Some(on) = on {
            node = Node::Distinct { input: Box::new(node), on };
        }
        node = limited(node, tail.limit, tail.offset);
        if extra {
            let exprs = (0..width).map(slot).collect();
            node = Node::Project { input: Box::new(node), exprs };
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

    /// The select list, with `*` expanded. Also RETURNING's.
    pub(crate) fn select_list(
        &mut self,
        items: &[SelectItem],
        wanted: Option<&[SqlType]>,
    ) -> SqlResult<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in items {
            let (expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(name::fold(alias))),
                SelectItem::Wildcard(options) => {
                    let position = self.places.of_span(options.wildcard_token.0.span);
                    self.star(None, position, &mut outputs)?;
                    continue;
                }
                SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(table),
                    _,
                ) => {
                    let table = name::object(table, &self.places)?;
                    self.star(Some(&table), table.position, &mut outputs)?;
                    continue;
                }
                other => return Err(SqlError::unsupported(format!("the column {other}"))),
            };
            let (bound, position) = self.placed(expr)?;
            let bound = match wanted {
                None => self.settle(bound, position)?,
                Some(wanted) => match (bound.ty(), wanted.get(outputs.len())) {
                    (SqlType::Unknown, Some(ty)) => {
                        let ty = *ty;
                        self.assign(bound, "", ty, position)?
                    }
                    _ => bound,
                },
            };
            let plain = matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_));
            let source = if plain { self.source_of(&bound) } else { None };
            let name = alias.unwrap_or_else(|| output::column_name(expr));
            outputs.push(Output { expr: bound, name, source, position });
        }
        Ok(outputs)
    }

    /// The table column that an expression is, unchanged.
    fn source_of(&self, expr: &Expr) -> Option<(TableId, ColumnId)> {
        let scope = &self.levels.last()?.scope;
        scope.entries.iter().find(|entry| entry.expr == *expr)?.source
    }

    fn star(
        &mut self,
        table: Option<&crate::parse::Name>,
        position: Option<u32>,
        outputs: &mut Vec<Output>,
    ) -> SqlResult<()> {
        let scope = match self.levels.last() {
            Some(level) => &level.scope,
            None => return Err(SqlError::internal("a select list outside of a query")),
        };
        let mut entries = Vec::new();
        match table {
            None if scope.items.is_empty() => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "SELECT * with no tables specified is not valid",
                )
                .at_if(position));
            }
            None => {
                for index in &scope.star {
                    entries.extend(scope.entries.get(*index).cloned());
                }
            }
            Some(table) => {
                let Some(item) = scope.item(table.schema.as_deref(), &table.name) else {
                    return Err(self.missing_table(&table.name).at_if(position));
                };
                entries.extend(scope.entries.iter().filter(|e| e.table == Some(item)).cloned());
            }
        }
        let items: Vec<String> = scope.items.iter().map(|item| item.name.clone()).collect();
        if let Some(level) = self.levels.last_mut() {
            for entry in &entries {
                if let Expr::Slot(slot, _) = entry.expr {
                    let table = entry.table.and_then(|table| items.get(table));
                    let shown = match table {
                        Some(table) => format!("{table}.{}", entry.name),
                        None => entry.name.clone(),
                    };
                    level.reads.push((slot, shown, position));
                }
            }
        }
        for entry in entries {
            outputs.push(Output {
                expr: entry.expr,
                name: entry.name,
                source: entry.source,
                position,
            });
        }
        Ok(())
    }

    /// What ORDER BY or DISTINCT ON means: an output by its name or number, or else an expression.
    fn sort_target(
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
        Ok(width + parts.extras.len() - 1)
    }

    /// A GROUP BY key: a column before an output's name, an output's number, or an expression.
    fn group_key(&mut self, expr: &ast::Expr, parts: &mut Parts) -> SqlResult<()> {
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
    fn group(&mut self, node: Node, parts: &mut Parts, level: &mut Level) -> SqlResult<Node> {
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
        let mut node = Node::Aggregate { input: Box::new(node), keys, aggregates };
        if let Some(predicate) = parts.having.take() {
            node = Node::Filter { input: Box::new(node), predicate };
        }
        Ok(node)
    }
}

/// A set-returning function in the select list multiplies the rows.
fn expand_sets(node: Node, parts: &mut Parts, level: Level) -> SqlResult<Node> {
    let mut sets = level.sets.into_iter();
    let Some((function, mut args, ty)) = sets.next() else { return Ok(node) };
    if sets.next().is_some() {
        return Err(SqlError::unsupported("more than one set-returning function in a select list"));
    }
    if ty == SqlType::Record {
        return Err(SqlError::unsupported("a function that returns rows in a select list"));
    }
    let width = node.types().len();
    for arg in &mut args {
        arg.lift(1);
    }
    let inner = Node::TableFunction { function, args, types: vec![ty], ordinality: false };
    let exprs = parts.outputs.iter_mut().map(|output| &mut output.expr);
    for expr in exprs.chain(&mut parts.extras) {
        expr.map_slots(&mut |slot, ty| Expr::Slot(if slot >= SETS { width } else { slot }, ty));
    }
    Ok(Node::Apply {
        kind: JoinKind::Inner,
        input: Box::new(node),
        inner: Box::new(inner),
        condition: None,
    })
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

/// Which tables of a FROM are locked.
#[derive(Clone, Debug)]
pub(crate) enum Locking {
    None,
    All,
    Of(Vec<String>),
}

impl Locking {
    /// True iff a table of this name is locked.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Locking::None => false,
            Locking::All => true,
            Locking::Of(names) => names.iter().any(|n| n == name),
        }
    }
}

impl Binder<'_> {
    /// FOR UPDATE and its like: every strength locks alike.
    fn note_locks(&mut self, locks: &[ast::LockClause]) -> SqlResult<()> {
        if matches!(self.locking, Locking::Of(_)) {
            self.locking = Locking::None;
        }
        for lock in locks {
            match &lock.nonblock {
                None => {}
                Some(ast::NonBlock::Nowait) => return Err(SqlError::unsupported("NOWAIT")),
                Some(ast::NonBlock::SkipLocked) => {
                    return Err(SqlError::unsupported("SKIP LOCKED"));
                }
            }
            self.locking = match (&lock.of, std::mem::replace(&mut self.locking, Locking::None)) {
                (None, _) | (_, Locking::All) => Locking::All,
                (Some(of), before) => {
                    let mut names = match before {
                        Locking::Of(names) => names,
                        _ => Vec::new(),
                    };
                    names.push(name::object(of, &self.places)?.name);
                    Locking::Of(names)
                }
            };
        }
        Ok(())
    }
}
