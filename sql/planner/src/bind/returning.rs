//! RETURNING, and assignments to columns.

use std::sync::Arc;

use sql_catalog::descriptor::TableDescriptor;
use sql_parse::name;
use sql_plan::{Expr, OutputColumn};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{self, AssignmentTarget, SelectItem};

use super::scope::{Clause, Level};
use super::{Binder, Scope};

/// Expressions with the columns that they make.
pub(crate) type Returning = (Option<Vec<Expr>>, Vec<OutputColumn>);

impl Binder<'_> {
    /// Binds RETURNING over a scope.
    pub(crate) fn returning(
        &mut self,
        items: Option<&[SelectItem]>,
        scope: Scope,
    ) -> SqlResult<Returning> {
        let Some(items) = items else { return Ok((None, Vec::new())) };
        let level = Level::new(scope, Clause::Returning);
        let (outputs, _) = self.within(level, |binder| binder.select_list(items, None))?;
        let columns = outputs
            .iter()
            .map(|o| OutputColumn { name: o.name.clone(), ty: o.expr.ty(), source: o.source })
            .collect();
        Ok((Some(outputs.into_iter().map(|output| output.expr).collect()), columns))
    }

    /// SET: new values by column position, over the level in view.
    pub(crate) fn assignments(
        &mut self,
        table: &Arc<TableDescriptor>,
        assignments: &[ast::Assignment],
    ) -> SqlResult<Vec<(usize, Expr)>> {
        let mut result: Vec<(usize, Expr)> = Vec::new();
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(column) => {
                    let pair = self.assignment(table, column, &assignment.value)?;
                    result.push(pair);
                }
                AssignmentTarget::Tuple(columns) => {
                    let values = match &assignment.value {
                        ast::Expr::Tuple(values) => values.clone(),
                        ast::Expr::Nested(value) if columns.len() == 1 => vec![(**value).clone()],
                        ast::Expr::Function(call) if is_row(call) => row_args(call),
                        ast::Expr::Subquery(_) => {
                            return Err(SqlError::unsupported(
                                "assigning several columns from a subquery",
                            ));
                        }
                        value if columns.len() == 1 => vec![value.clone()],
                        _ => Vec::new(),
                    };
                    if values.len() != columns.len() {
                        return Err(SqlError::new(
                            SqlState::SYNTAX_ERROR,
                            "number of columns does not match number of values",
                        )
                        .at_if(self.pos(&assignment.value)));
                    }
                    for (column, value) in columns.iter().zip(&values) {
                        let pair = self.assignment(table, column, value)?;
                        result.push(pair);
                    }
                }
            }
        }
        for (index, (column, _)) in result.iter().enumerate() {
            if result[..index].iter().any(|(before, _)| before == column) {
                let name = table.columns.get(*column).map_or("", |c| c.name.as_str());
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("multiple assignments to same column \"{name}\""),
                ));
            }
        }
        Ok(result)
    }

    fn assignment(
        &mut self,
        table: &Arc<TableDescriptor>,
        column: &ast::ObjectName,
        value: &ast::Expr,
    ) -> SqlResult<(usize, Expr)> {
        let position = self.places.of_name(column);
        let parts = name::parts(column)?;
        let [name] = parts.as_slice() else {
            return Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    parts.first().map_or("", String::as_str),
                    table.name
                ),
            )
            .hint("SET target columns cannot be qualified with the relation name.")
            .at_if(position));
        };
        let index = self.written_column(table, name, position)?;
        let Some(column) = table.columns.get(index) else {
            return Err(SqlError::internal("a column without its place"));
        };
        if is_default(value) {
            return Ok((index, self.default_of(column)?));
        }
        self.check_may_update(column)?;
        let (expr, place) = self.placed(value)?;
        Ok((index, self.assign(expr, &column.name, column.ty, place)?))
    }
}

/// DEFAULT in place of a value.
pub(crate) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

fn is_row(call: &ast::Function) -> bool {
    name::parts(&call.name).is_ok_and(|parts| parts == ["row"])
}

fn row_args(call: &ast::Function) -> Vec<ast::Expr> {
    let ast::FunctionArguments::List(list) = &call.args else { return Vec::new() };
    list.args
        .iter()
        .filter_map(|arg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}
