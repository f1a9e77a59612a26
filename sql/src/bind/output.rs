//! Result columns: their names, and the order of rows.

use sqlparser::ast;

use crate::parse::name;
use crate::plan::{Expr, SortKey};

/// The name that PostgreSQL gives to a column without one.
pub(crate) fn column_name(expr: &ast::Expr) -> String {
    named(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn named(expr: &ast::Expr) -> Option<String> {
    use ast::Expr as E;
    Some(match expr {
        E::Identifier(ident) => name::fold(ident),
        E::CompoundIdentifier(idents) => name::fold(idents.last()?),
        E::Nested(inner) | E::Collate { expr: inner, .. } => return named(inner),
        E::Function(function) => name::parts(&function.name).ok()?.pop()?,
        E::Cast { expr, data_type, .. } => match named(expr) {
            Some(name) => name,
            None => type_name(data_type)?,
        },
        E::TypedString(typed) => type_name(&typed.data_type)?,
        E::Interval(_) => "interval".into(),
        E::Case { else_result, .. } => {
            let otherwise = else_result.as_deref().and_then(named);
            otherwise.unwrap_or_else(|| "case".into())
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
        E::Value(value) => match value.value {
            ast::Value::Boolean(_) => "bool".into(),
            _ => return None,
        },
        E::CompoundFieldAccess { root, .. } => return named(root),
        E::Subquery(query) => match &*query.body {
            ast::SetExpr::Select(select) => match select.projection.as_slice() {
                [ast::SelectItem::UnnamedExpr(expr)] => return named(expr),
                [ast::SelectItem::ExprWithAlias { alias, .. }] => name::fold(alias),
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}

fn type_name(ty: &ast::DataType) -> Option<String> {
    crate::parse::types::resolve(ty).ok().map(|ty| ty.typname())
}

/// A sort key: NULLs count as greater than everything unless something else is said.
pub(crate) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> SortKey {
    let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
    SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) }
}
