//! CREATE TABLE.

use sql_values::error::{SqlError, SqlResult};
use sqlparser::ast;

use super::column::{ColumnSpec, ConstraintSpec, column_spec, constraint_spec};
use super::identity::{self, Identities};
use crate::Name;
use crate::cursor::Cursor;
use crate::name::object;
use crate::place::Places;

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its columns.
    pub columns: Vec<ColumnSpec>,
    /// Its constraints, those written with a column too, in order.
    pub constraints: Vec<ConstraintSpec>,
}

impl CreateTable {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if cursor.is_at(1, "table") && (cursor.is("temp") || cursor.is("temporary")) {
            return Err(SqlError::unsupported("CREATE TEMPORARY TABLE"));
        }
        if !(cursor.is("table") || cursor.is("unlogged") && cursor.is_at(1, "table")) {
            return Ok(None);
        }
        let (tree, mut identities) = identity::tree(cursor, cursor.tokens)?;
        cursor.index = cursor.tokens.len();
        match &*tree {
            ast::Statement::CreateTable(create) => {
                of(create, &cursor.source.places, &mut identities).map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn of(
    create: &ast::CreateTable,
    places: &Places,
    identities: &mut Identities,
) -> SqlResult<CreateTable> {
    let refused = [
        (create.query.is_some(), "CREATE TABLE AS"),
        (create.like.is_some(), "CREATE TABLE ... (LIKE ...)"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_by.is_some() || create.partition_of.is_some(), "partitioning"),
        (create.on_commit.is_some(), "ON COMMIT"),
    ];
    if let Some((_, what)) = refused.iter().find(|(is, _)| *is) {
        return Err(SqlError::unsupported(what));
    }
    let mut columns = Vec::new();
    let mut constraints = Vec::new();
    for column in &create.columns {
        columns.push(column_spec(column, places, identities, &mut constraints)?);
    }
    for constraint in &create.constraints {
        constraints.push(constraint_spec(constraint, places)?);
    }
    let name = object(&create.name, places)?;
    let if_not_exists = create.if_not_exists;
    Ok(CreateTable { name, if_not_exists, columns, constraints })
}
