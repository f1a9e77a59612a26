//! CREATE, ALTER and DROP.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, ColumnOption, IndexColumn, TableConstraint,
};

use super::cursor::Cursor;
use super::name::{fold, object};
use super::place::Places;
use super::statement::*;
use super::types;

/// Parses CREATE or ALTER.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let what = |ahead: usize| match cursor.tokens.get(ahead).map(|token| token.token.to_string()) {
        Some(word) => word.to_ascii_uppercase(),
        None => String::new(),
    };
    let names = [what(0), what(1), what(2)];
    let ours = match (names[1].as_str(), names[2].as_str()) {
        ("TABLE" | "INDEX", _) | ("UNIQUE", "INDEX") => true,
        ("UNLOGGED", "TABLE") => true,
        ("TEMP" | "TEMPORARY", "TABLE") => {
            return Err(SqlError::unsupported("CREATE TEMPORARY TABLE"));
        }
        _ => false,
    };
    if !ours {
        return Ok(Statement::Unsupported(format!("{} {}", names[0], names[1])));
    }
    let ast = cursor.source.parse(cursor.rest(), cursor.end, |parser| parser.parse_statement())?;
    let places = &cursor.source.places;
    match &*ast {
        ast::Statement::CreateTable(create) => create_table(create, places),
        ast::Statement::CreateIndex(create) => create_index(create, places),
        ast::Statement::AlterTable(alter) => alter_table(alter, places),
        _ => Ok(Statement::Unsupported(format!("{} {}", names[0], names[1]))),
    }
}

/// Parses DROP, after its first word.
pub(crate) fn parse_drop(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    cursor.index += 1;
    let index = cursor.is("index");
    if !index && !cursor.is("table") {
        let what = cursor.ident()?.to_ascii_uppercase();
        return Ok(Statement::Unsupported(format!("DROP {what}")));
    }
    cursor.index += 1;
    let concurrently = index && cursor.eat("concurrently");
    let if_exists = cursor.eat("if exists");
    let names = cursor.list(|cursor| cursor.name())?;
    let cascade = cursor.eat("cascade");
    cursor.eat("restrict");
    cursor.finish()?;
    let refused = match concurrently {
        true if names.len() > 1 => Some("dropping multiple objects"),
        true if cascade => Some("CASCADE"),
        _ => None,
    };
    if let Some(what) = refused {
        let text = format!("DROP INDEX CONCURRENTLY does not support {what}");
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    let drop = Drop { names, if_exists, cascade, concurrently };
    Ok(if index {
        Statement::Change(Change::DropIndex(drop))
    } else {
        Statement::Change(Change::DropTable(drop))
    })
}

fn create_table(create: &ast::CreateTable, places: &Places) -> SqlResult<Statement> {
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
        columns.push(column_spec(column, places, &mut constraints)?);
    }
    for constraint in &create.constraints {
        constraints.push(constraint_spec(constraint, places)?);
    }
    let name = object(&create.name, places)?;
    let if_not_exists = create.if_not_exists;
    Ok(Statement::Change(Change::CreateTable(CreateTable {
        name,
        if_not_exists,
        columns,
        constraints,
    })))
}

fn at(error: SqlError, position: Option<u32>) -> SqlError {
    match position {
        Some(position) => error.at(position),
        None => error,
    }
}

fn column_spec(
    column: &ast::ColumnDef,
    places: &Places,
    constraints: &mut Vec<ConstraintSpec>,
) -> SqlResult<ColumnSpec> {
    let position = places.of_ident(&column.name);
    let ty = types::resolve(&column.data_type).map_err(|error| at(error, position))?;
    let name = fold(&column.name);
    let mut spec = ColumnSpec { name: name.clone(), position, ty, not_null: false, default: None };
    for option in &column.options {
        let constraint = option.name.as_ref().map(fold);
        let kind = match &option.option {
            ColumnOption::Null => continue,
            ColumnOption::NotNull => {
                spec.not_null = true;
                continue;
            }
            ColumnOption::Default(expr) => {
                spec.default = Some(expr.to_string());
                continue;
            }
            ColumnOption::PrimaryKey(_) => {
                spec.not_null = true;
                ConstraintKind::PrimaryKey(vec![name.clone()])
            }
            ColumnOption::Unique(_) => ConstraintKind::Unique(vec![name.clone()]),
            ColumnOption::Check(check) => {
                ConstraintKind::Check { column: Some(name.clone()), expr: check.expr.to_string() }
            }
            ColumnOption::ForeignKey(foreign) => ConstraintKind::ForeignKey {
                columns: vec![name.clone()],
                target: object(&foreign.foreign_table, places)?,
                target_columns: foreign.referred_columns.iter().map(fold).collect(),
            },
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                return Err(at(
                    SqlError::unsupported("a generated or identity column")
                        .hint("Sequences do not exist yet; give the values."),
                    position,
                ));
            }
            ColumnOption::Collation(_) => continue,
            other => return Err(at(SqlError::unsupported(other), position)),
        };
        constraints.push(ConstraintSpec { name: constraint, kind });
    }
    Ok(spec)
}

/// The names of an index's columns; expressions are refused.
fn key_columns(columns: &[IndexColumn]) -> SqlResult<Vec<(String, bool)>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            ast::Expr::Identifier(ident) => {
                let descending = matches!(column.column.options.sort, Some(ast::OrderBySort::Desc));
                if column.column.options.nulls_first.is_some_and(|first| first != descending) {
                    return Err(SqlError::unsupported("an index with another order of NULLs"));
                }
                Ok((fold(ident), descending))
            }
            _ => Err(SqlError::unsupported("an index over an expression")),
        })
        .collect()
}

fn constraint_columns(columns: &[IndexColumn]) -> SqlResult<Vec<String>> {
    Ok(key_columns(columns)?.into_iter().map(|(name, _)| name).collect())
}

fn constraint_spec(constraint: &TableConstraint, places: &Places) -> SqlResult<ConstraintSpec> {
    let (name, kind) = match constraint {
        TableConstraint::PrimaryKey(key) => {
            (key.name.as_ref(), ConstraintKind::PrimaryKey(constraint_columns(&key.columns)?))
        }
        TableConstraint::Unique(key) => {
            (key.name.as_ref(), ConstraintKind::Unique(constraint_columns(&key.columns)?))
        }
        TableConstraint::Check(check) => (
            check.name.as_ref(),
            ConstraintKind::Check { column: None, expr: check.expr.to_string() },
        ),
        TableConstraint::ForeignKey(foreign) => (
            foreign.name.as_ref(),
            ConstraintKind::ForeignKey {
                columns: foreign.columns.iter().map(fold).collect(),
                target: object(&foreign.foreign_table, places)?,
                target_columns: foreign.referred_columns.iter().map(fold).collect(),
            },
        ),
        other => return Err(SqlError::unsupported(other)),
    };
    Ok(ConstraintSpec { name: name.map(fold), kind })
}

fn create_index(create: &ast::CreateIndex, places: &Places) -> SqlResult<Statement> {
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
    Ok(Statement::Change(Change::CreateIndex(CreateIndex {
        name,
        table: object(&create.table_name, places)?,
        unique: create.unique,
        if_not_exists: create.if_not_exists,
        concurrently: create.concurrently,
        columns: key_columns(&create.columns)?,
    })))
}

fn alter_table(alter: &ast::AlterTable, places: &Places) -> SqlResult<Statement> {
    let mut actions = Vec::new();
    for operation in &alter.operations {
        alter_action(operation, places, &mut actions)?;
    }
    let name = object(&alter.name, places)?;
    Ok(Statement::Change(Change::AlterTable(AlterTable {
        name,
        if_exists: alter.if_exists,
        actions,
    })))
}

fn cascades(behaviour: &Option<ast::DropBehavior>) -> bool {
    matches!(behaviour, Some(ast::DropBehavior::Cascade))
}

fn alter_action(
    operation: &AlterTableOperation,
    places: &Places,
    actions: &mut Vec<AlterAction>,
) -> SqlResult<()> {
    actions.push(match operation {
        AlterTableOperation::AddConstraint { constraint, .. } => {
            AlterAction::AddConstraint(constraint_spec(constraint, places)?)
        }
        AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
            let mut constraints = Vec::new();
            let column = column_spec(column_def, places, &mut constraints)?;
            AlterAction::AddColumn { column, constraints, if_not_exists: *if_not_exists }
        }
        AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            for name in column_names {
                actions.push(AlterAction::DropColumn {
                    name: fold(name),
                    if_exists: *if_exists,
                    cascade: cascades(drop_behavior),
                });
            }
            return Ok(());
        }
        AlterTableOperation::DropConstraint { if_exists, name, .. } => {
            AlterAction::DropConstraint { name: fold(name), if_exists: *if_exists }
        }
        AlterTableOperation::RenameTable {
            table_name: ast::RenameTableNameKind::To(name) | ast::RenameTableNameKind::As(name),
        } => AlterAction::Rename(object(name, places)?.name),
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            AlterAction::RenameColumn { from: fold(old_column_name), to: fold(new_column_name) }
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            let column = fold(column_name);
            match op {
                AlterColumnOperation::SetDefault { value } => {
                    AlterAction::SetDefault { column, default: Some(value.to_string()) }
                }
                AlterColumnOperation::DropDefault => {
                    AlterAction::SetDefault { column, default: None }
                }
                AlterColumnOperation::SetNotNull => {
                    AlterAction::SetNotNull { column, not_null: true }
                }
                AlterColumnOperation::DropNotNull => {
                    AlterAction::SetNotNull { column, not_null: false }
                }
                other => {
                    return Err(SqlError::unsupported(format!(
                        "ALTER TABLE ... ALTER COLUMN {other}"
                    )));
                }
            }
        }
        other => {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("ALTER TABLE ... {other} is not supported"),
            ));
        }
    });
    Ok(())
}
