//! CREATE INDEX.

use sql_values::error::{SqlError, SqlResult};
use sqlparser::ast;

use super::column::key_columns;
use super::tree;
use crate::Name;
use crate::cursor::Cursor;
use crate::name::object;
use crate::place::Places;

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// Its name; none lets the catalog choose.
    pub name: Option<String>,
    /// The table.
    pub table: Name,
    /// UNIQUE.
    pub unique: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// CONCURRENTLY.
    pub concurrently: bool,
    /// Columns with direction: true is descending.
    pub columns: Vec<(String, bool)>,
}

impl CreateIndex {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !(cursor.is("index") || cursor.is("unique") && cursor.is_at(1, "index")) {
            return Ok(None);
        }
        match &*tree(cursor)? {
            ast::Statement::CreateIndex(create) => of(create, &cursor.source.places).map(Some),
            _ => Ok(None),
        }
    }
}

fn of(create: &ast::CreateIndex, places: &Places) -> SqlResult<CreateIndex> {
    if create.predicate.is_some() {
        return Err(SqlError::unsupported("a partial index"));
    }
    if !create.include.is_empty() {
        return Err(SqlError::unsupported("an index with INCLUDE"));
    }
    if create.nulls_distinct == Some(false) {
        return Err(SqlError::unsupported("NULLS NOT DISTINCT"));
    }
    match &create.using {
        None | Some(ast::IndexType::BTree) => {}
        Some(other) => return Err(SqlError::unsupported(format!("access method {other}"))),
    }
    let name = match &create.name {
        Some(name) => Some(object(name, places)?.name),
        None => None,
    };
    Ok(CreateIndex {
        name,
        table: object(&create.table_name, places)?,
        unique: create.unique,
        if_not_exists: create.if_not_exists,
        concurrently: create.concurrently,
        columns: key_columns(&create.columns)?,
    })
}
