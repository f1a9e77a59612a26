//! Result columns: their names, and the order of rows.

use sql_parse::name;
use sql_plan::{Expr, SortKey};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast;

/// The name that PostgreSQL gives to a column without one.
pub(crate) fn column_name(expr: &ast::Expr) -> String {
    named(expr).map_or_else(|| "?column?".to_owned(), |name| name.text)
}

/// A name, and whether it is only a guess: one of a type or `case`, to which another expression's own is preferred.
struct Named {
    text: String,
    guess: bool,
}

fn named(expr: &ast::Expr) -> Option<Named> {
    use ast::Expr as E;
    let text: String = match expr {
        E::Identifier(ident) => name::fold(ident),
        E::CompoundIdentifier(idents) => name::fold(idents.last()?),
        E::Nested(inner) | E::Collate { expr: inner, .. } => return named(inner),
        E::Function(function) => name::parts(&function.name).ok()?.pop()?,
        E::Cast { expr, data_type, .. } => {
            return match named(expr) {
                Some(name) if !name.guess => Some(name),
                _ => Some(Named { text: type_name(data_type)?, guess: true }),
            };
        }
        E::TypedString(typed) => {
            return Some(Named { text: type_name(&typed.data_type)?, guess: true });
        }
        E::Interval(_) => return Some(Named { text: "interval".into(), guess: true }),
        E::Case { else_result, .. } => {
            return match else_result.as_deref().and_then(named) {
                Some(name) if !name.guess => Some(name),
                _ => Some(Named { text: "case".into(), guess: true }),
            };
        }
        E::Exists { .. } => "exists".into(),
        E::Array(_) => "array".into(),
        E::Tuple(_) => "row".into(),
        E::Extract { .. } => "extract".into(),
        E::Position { .. } => "position".into(),
        E::Substring { shorthand: true, .. } => "substr".into(),
        E::Substring { .. } => "substring".into(),
        E::Overlay { .. } => "overlay".into(),
        E::Ceil { .. } => "ceil".into(),
        E::Floor { .. } => "floor".into(),
        E::AtTimeZone { .. } => "timezone".into(),
        E::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim".into(),
            Some(ast::TrimWhereField::Trailing) => "rtrim".into(),
            _ => "btrim".into(),
        },
        E::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                ast::AccessExpr::Dot(E::Identifier(field)) => Some(name::fold(field)),
                _ => None,
            });
            match field {
                Some(field) => field,
                None => return named(root),
            }
        }
        E::Subquery(query) => match &*query.body {
            ast::SetExpr::Select(select) => match select.projection.as_slice() {
                [ast::SelectItem::UnnamedExpr(expr)] => return named(expr),
                [ast::SelectItem::ExprWithAlias { alias, .. }] => name::fold(alias),
                _ => return None,
            },
            ast::SetExpr::Values(_) => "column1".into(),
            _ => return None,
        },
        _ => return None,
    };
    Some(Named { text, guess: false })
}

/// A type's name as `pg_type` has it; of an array that of its elements.
fn type_name(ty: &ast::DataType) -> Option<String> {
    let ty = sql_parse::types::resolve(ty).ok()?;
    let scalar = match ty {
        SqlType::Array(element) => element.scalar(),
        other => other,
    };
    Some(scalar.typname())
}

/// A sort key: NULLs count as greater than everything unless something else is said.
pub(crate) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> SqlResult<SortKey> {
    let descending = match &options.sort {
        Some(ast::OrderBySort::Desc) => true,
        Some(ast::OrderBySort::Using(operator)) => {
            match name::parts(operator)?.last().map(String::as_str) {
                Some("<") => false,
                Some(">") => true,
                other => {
                    let operator = other.unwrap_or_default();
                    return Err(SqlError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("operator {operator} is not a valid ordering operator"),
                    )
                    .hint(
                        "Ordering operators must be \"<\" or \">\" members of btree operator families.",
                    ));
                }
            }
        }
        _ => false,
    };
    Ok(SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) })
}
