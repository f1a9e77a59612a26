//! ALTER TABLE.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation};

use super::column::{ColumnSpec, ConstraintSpec, column_spec, constraint_spec};
use super::tree;
use crate::Name;
use crate::cursor::Cursor;
use crate::name::{fold, object};
use crate::place::Places;

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// The table.
    pub name: Name,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is done, in order.
    pub actions: Vec<AlterAction>,
}

/// A part of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum AlterAction {
    /// ADD [CONSTRAINT name] PRIMARY KEY, UNIQUE, CHECK, FOREIGN KEY.
    AddConstraint(ConstraintSpec),
    /// ADD COLUMN.
    AddColumn {
        /// The column.
        column: ColumnSpec,
        /// Constraints written with it.
        constraints: Vec<ConstraintSpec>,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP COLUMN.
    DropColumn {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// DROP CONSTRAINT.
    DropConstraint {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// RENAME TO.
    Rename(String),
    /// RENAME COLUMN.
    RenameColumn {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// ALTER COLUMN … SET or DROP DEFAULT.
    SetDefault {
        /// The column.
        column: String,
        /// The default as text that parses again.
        default: Option<String>,
    },
    /// ALTER COLUMN … SET or DROP NOT NULL.
    SetNotNull {
        /// The column.
        column: String,
        /// SET.
        not_null: bool,
    },
}

impl AlterTable {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.is("table") {
            return Ok(None);
        }
        match &*tree(cursor)? {
            ast::Statement::AlterTable(alter) => of(alter, &cursor.source.places).map(Some),
            _ => Ok(None),
        }
    }
}

fn of(alter: &ast::AlterTable, places: &Places) -> SqlResult<AlterTable> {
    let mut actions = Vec::new();
    for operation in &alter.operations {
        alter_action(operation, places, &mut actions)?;
    }
    let name = object(&alter.name, places)?;
    Ok(AlterTable { name, if_exists: alter.if_exists, actions })
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
