//! INSERT.

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnDescriptor, IndexId, TableDescriptor};
use sql_parse::{Overriding, name};
use sql_plan::{Expr, Node, OnConflict, OutputColumn, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast::{self, ConflictTarget, OnConflictAction, OnInsert, SetExpr, TableObject};

use super::returning::is_default;
use super::scope::{Clause, Item, Level, Scope};
use super::{Binder, table};

impl Binder<'_> {
    /// Binds an INSERT.
    pub(crate) fn insert(&mut self, insert: &ast::Insert) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let TableObject::TableName(target) = &insert.table else {
            return Err(SqlError::unsupported("INSERT into what is no table"));
        };
        let table = self.written_table(&name::object(target, &self.places)?)?;
        let targets = self.target_columns(&table, &insert.columns)?;
        let implicit = insert.columns.is_empty();
        let before = match &insert.source {
            Some(query) => self.push_with(query.with.as_ref())?,
            None => self.push_with(None)?,
        };
        let input = match insert.source.as_deref() {
            None => self.default_row(&table)?,
            Some(query) => match &*query.body {
                SetExpr::Values(values) if is_plain(query) => {
                    self.insert_values(&table, &targets, values, implicit)?
                }
                _ => self.insert_query(&table, &targets, query, implicit)?,
            },
        };
        self.pop_with(before);
        let checks = self.checks_of(&table)?;
        let item = match &insert.table_alias {
            Some(alias) => Item::aliased(&table, name::fold(&alias.alias)),
            None => Item::of(&table),
        };
        let on_conflict = match &insert.on {
            None => None,
            Some(OnInsert::OnConflict(conflict)) => {
                Some(self.on_conflict(&table, &item, conflict)?)
            }
            Some(_) => {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"DUPLICATE\"",
                ));
            }
        };
        let mut scope = Scope::default();
        scope.add(item, table::columns(&table));
        let (returning, columns) = self.returning(insert.returning.as_deref(), scope)?;
        let input = Box::new(input);
        Ok((Node::Insert(node::Insert { table, input, checks, on_conflict, returning }), columns))
    }

    /// The columns that get values, by position: all that are not hidden if none are named.
    fn target_columns(
        &self,
        table: &TableDescriptor,
        names: &[ast::ObjectName],
    ) -> SqlResult<Vec<usize>> {
        if names.is_empty() {
            let visible = table.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
            return Ok(visible.map(|(index, _)| index).collect());
        }
        let mut targets = Vec::new();
        for column in names {
            let position = self.places.of_name(column);
            let column = name::parts(column)?.pop().unwrap_or_default();
            let index = self.written_column(table, &column, position)?;
            if targets.contains(&index) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{column}\" specified more than once"),
                )
                .at_if(position));
            }
            targets.push(index);
        }
        Ok(targets)
    }

    /// OVERRIDING USER VALUE: what is given for an identity column counts for nothing.
    fn ignores_value(&self, column: &ColumnDescriptor) -> bool {
        column.identity.is_some() && self.places.overriding() == Some(Overriding::User)
    }

    /// INSERT … DEFAULT VALUES.
    fn default_row(&mut self, table: &Arc<TableDescriptor>) -> SqlResult<Node> {
        let mut row = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            row.push(self.default_of(column)?);
        }
        Ok(Node::Values(node::Values { rows: vec![row], types: types_of(table) }))
    }

    fn insert_values(
        &mut self,
        table: &Arc<TableDescriptor>,
        targets: &[usize],
        values: &ast::Values,
        implicit: bool,
    ) -> SqlResult<Node> {
        let defaults = self.default_row(table)?;
        let Node::Values(node::Values { rows: defaults, types }) = defaults else {
            return Err(SqlError::internal("defaults that are no row"));
        };
        let default = defaults.into_iter().next().unwrap_or_default();
        let level = Level::new(Scope::default(), Clause::Values);
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let (rows, _) = self.within(level, |binder| {
            let mut rows = Vec::with_capacity(values.rows.len());
            for row in &values.rows {
                let row = &row.content;
                if row.len() != width {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "VALUES lists must all be the same length",
                    )
                    .at_if(row.first().and_then(|expr| binder.pos(expr))));
                }
                binder.check_count(row.len(), targets, row, implicit)?;
                let mut full = default.clone();
                for (expr, target) in row.iter().zip(targets) {
                    if is_default(expr) {
                        continue;
                    }
                    let Some(column) = table.columns.get(*target) else { continue };
                    if binder.ignores_value(column) {
                        continue;
                    }
                    binder.check_may_insert(column)?;
                    let (bound, place) = binder.placed(expr)?;
                    let bound = binder.assign(bound, &column.name, column.ty, place)?;
                    if let Some(slot) = full.get_mut(*target) {
                        *slot = bound;
                    }
                }
                rows.push(full);
            }
            Ok(rows)
        })?;
        Ok(Node::Values(node::Values { rows, types }))
    }

    /// Without a list of columns there may be fewer values than columns, with one there may not.
    fn check_count(
        &self,
        count: usize,
        targets: &[usize],
        row: &[ast::Expr],
        implicit: bool,
    ) -> SqlResult<()> {
        if count > targets.len() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            )
            .at_if(row.get(targets.len()).and_then(|expr| self.pos(expr))));
        }
        if count < targets.len() && !implicit {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            ));
        }
        Ok(())
    }

    fn insert_query(
        &mut self,
        table: &Arc<TableDescriptor>,
        targets: &[usize],
        query: &ast::Query,
        implicit: bool,
    ) -> SqlResult<Node> {
        let wanted: Vec<SqlType> =
            targets.iter().filter_map(|t| table.columns.get(*t)).map(|c| c.ty).collect();
        let plain = ast::Query { with: None, ..query.clone() };
        let (node, columns) = self.query(&plain, Some(&wanted))?;
        self.check_count(columns.len(), targets, &[], implicit)?;
        let Node::Values(node::Values { rows, types: _ }) = self.default_row(table)? else {
            return Err(SqlError::internal("defaults that are no row"));
        };
        let mut exprs = rows.into_iter().next().unwrap_or_default();
        for (slot, (output, target)) in columns.iter().zip(targets).enumerate() {
            let Some(column) = table.columns.get(*target) else { continue };
            if self.ignores_value(column) {
                continue;
            }
            self.check_may_insert(column)?;
            let expr = self.assign(Expr::Slot(slot, output.ty), &column.name, column.ty, None)?;
            if let Some(place) = exprs.get_mut(*target) {
                *place = expr;
            }
        }
        Ok(Node::Project(node::Project { input: Box::new(node), exprs }))
    }

    fn on_conflict(
        &mut self,
        table: &Arc<TableDescriptor>,
        item: &Item,
        conflict: &ast::OnConflict,
    ) -> SqlResult<OnConflict> {
        let index = match &conflict.conflict_target {
            None => None,
            Some(ConflictTarget::Columns(columns)) => Some(self.arbiter(table, columns)?),
            Some(ConflictTarget::OnConstraint(constraint)) => {
                let name = name::object(constraint, &self.places)?;
                let found =
                    table.indexes.iter().find(|i| i.unique && i.constraint && i.name == name.name);
                Some(found.map(|index| index.id).ok_or_else(|| {
                    SqlError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "constraint \"{}\" for table \"{}\" does not exist",
                            name.name, table.name
                        ),
                    )
                    .at_if(name.position)
                })?)
            }
        };
        let update = match &conflict.action {
            OnConflictAction::DoNothing => {
                return Ok(OnConflict { index, update: None, condition: None });
            }
            OnConflictAction::DoUpdate(update) => update,
        };
        if index.is_none() {
            return Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .hint("For example, ON CONFLICT (column_name)."));
        }
        let mut scope = Scope::default();
        scope.add(item.clone(), table::columns(table));
        scope.add(Item::derived("excluded".to_owned()), table::columns(table));
        let level = Level::new(scope, Clause::Set);
        let ((assignments, condition), _) = self.within(level, |binder| {
            let assignments = binder.assignments(table, &update.assignments)?;
            binder.clause(Clause::Where);
            let condition = match &update.selection {
                None => None,
                Some(condition) => {
                    let (condition, place) = binder.placed(condition)?;
                    Some(binder.boolean(condition, "WHERE", place)?)
                }
            };
            Ok((assignments, condition))
        })?;
        Ok(OnConflict { index, update: Some(assignments), condition })
    }

    /// The unique index over exactly these columns.
    fn arbiter(&self, table: &TableDescriptor, columns: &[ast::Ident]) -> SqlResult<IndexId> {
        let mut wanted = Vec::new();
        for ident in columns {
            let position = self.places.of_ident(ident);
            let index = self.written_column(table, &name::fold(ident), position)?;
            wanted.extend(table.columns.get(index).map(|column| column.id));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let fits = |index: &&sql_catalog::descriptor::IndexDescriptor| {
            let mut key: Vec<_> = index.key.iter().map(|(column, _)| *column).collect();
            key.sort_unstable();
            index.unique && key == wanted
        };
        table.indexes.iter().find(fits).map(|index| index.id).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            )
        })
    }
}

fn types_of(table: &TableDescriptor) -> Vec<SqlType> {
    table.columns.iter().map(|column| column.ty).collect()
}

/// VALUES without anything around it.
fn is_plain(query: &ast::Query) -> bool {
    query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none()
}
