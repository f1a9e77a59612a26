//! The select list.

use sql_catalog::descriptor::{ColumnId, TableId};
use sql_parse::name;
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast::{self, SelectItem};

use super::{Binder, output};

/// How many columns a query may compute, those that it only sorts or groups by included.
const MAX_TARGETS: usize = 1664;

/// Refuses too many columns.
pub(crate) fn check_targets(count: usize) -> SqlResult<()> {
    if count <= MAX_TARGETS {
        return Ok(());
    }
    let text = format!("target lists can have at most {MAX_TARGETS} entries");
    Err(SqlError::new(SqlState::TOO_MANY_COLUMNS, text))
}

/// A column of the select list.
pub(crate) struct Output {
    pub(crate) expr: Expr,
    pub(crate) name: String,
    pub(crate) source: Option<(TableId, ColumnId)>,
    pub(crate) position: Option<u32>,
}

impl Binder<'_> {
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
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(name::alias(alias)?)),
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
            check_targets(outputs.len())?;
        }
        check_targets(outputs.len())?;
        Ok(outputs)
    }

    /// The table column that an expression is, unchanged.
    fn source_of(&self, expr: &Expr) -> Option<(TableId, ColumnId)> {
        let scope = &self.levels.last()?.scope;
        scope.entries.iter().find(|entry| entry.expr == *expr)?.source
    }

    fn star(
        &mut self,
        table: Option<&sql_parse::Name>,
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
                table.within(self.catalog.database())?;
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
}
