//! Columns and constraints, as CREATE TABLE and ALTER TABLE write them.

use sql_values::error::{SqlError, SqlResult};
use sql_values::types::SqlType;
use sqlparser::ast::{self, ColumnOption, IndexColumn, TableConstraint};

use super::identity::{Generated, Identities};
use crate::name::{fold, object};
use crate::place::Places;
use crate::{Name, types};

/// A column to be made.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub position: Option<u32>,
    /// Its type.
    pub ty: SqlType,
    /// NOT NULL (also of a primary key written with it).
    pub not_null: bool,
    /// NULL, which says nothing but beside NOT NULL.
    pub null: bool,
    /// DEFAULT's expression as text that parses again.
    pub default: Option<String>,
    /// A sequence gives its values.
    pub generated: Vec<Generated>,
}

/// A constraint to be made.
#[derive(Clone, Debug)]
pub struct ConstraintSpec {
    /// Its name, if written.
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintKind,
}

/// What a constraint demands.
#[derive(Clone, Debug)]
pub enum ConstraintKind {
    /// PRIMARY KEY over these columns.
    PrimaryKey(Vec<String>),
    /// UNIQUE over these columns.
    Unique(Vec<String>),
    /// CHECK, with the column it is written with, and its condition as text that parses again.
    Check {
        /// The column, for the constraint's name.
        column: Option<String>,
        /// The condition.
        expr: String,
    },
    /// FOREIGN KEY: kept to be refused or accepted by the catalog.
    ForeignKey {
        /// Columns of this table.
        columns: Vec<String>,
        /// The other table.
        target: Name,
        /// Columns there; empty means its primary key.
        target_columns: Vec<String>,
    },
}

fn at(error: SqlError, position: Option<u32>) -> SqlError {
    match position {
        Some(position) => error.at(position),
        None => error,
    }
}

/// A column, whose constraints go to the others.
pub(super) fn column_spec(
    column: &ast::ColumnDef,
    places: &Places,
    identities: &mut Identities,
    constraints: &mut Vec<ConstraintSpec>,
) -> SqlResult<ColumnSpec> {
    let position = places.of_ident(&column.name);
    let serial = types::serial(&column.data_type).map_err(|error| at(error, position))?;
    let ty = match serial {
        Some(ty) => ty,
        None => types::resolve(&column.data_type).map_err(|error| at(error, position))?,
    };
    let name = fold(&column.name);
    let mut spec = ColumnSpec {
        name: name.clone(),
        position,
        ty,
        not_null: false,
        null: false,
        default: None,
        generated: serial.iter().map(|_| Generated::Serial).collect(),
    };
    for option in &column.options {
        let constraint = option.name.as_ref().map(fold);
        let kind = match &option.option {
            ColumnOption::Null => {
                spec.null = true;
                continue;
            }
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
            ColumnOption::Generated { generated_as, generation_expr: None, .. } => {
                spec.generated.push(Generated::Identity {
                    always: matches!(generated_as, ast::GeneratedAs::Always),
                    options: identities.pop_front().unwrap_or_default(),
                });
                continue;
            }
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                return Err(at(SqlError::unsupported("a generated column"), position));
            }
            ColumnOption::Collation(_) => continue,
            other => return Err(at(SqlError::unsupported(other), position)),
        };
        constraints.push(ConstraintSpec { name: constraint, kind });
    }
    Ok(spec)
}

/// The names of an index's columns; expressions are refused.
pub(super) fn key_columns(columns: &[IndexColumn]) -> SqlResult<Vec<(String, bool)>> {
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

/// A constraint of a table.
pub(super) fn constraint_spec(
    constraint: &TableConstraint,
    places: &Places,
) -> SqlResult<ConstraintSpec> {
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
