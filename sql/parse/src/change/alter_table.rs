//! ALTER TABLE.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::column::{ColumnSpec, ConstraintSpec, column_spec, constraint_spec};
use super::identity::{self, Identities, IdentityChange};
use super::sequence::SequenceOption;
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
    /// ALTER COLUMN … ADD GENERATED … AS IDENTITY.
    AddIdentity {
        /// The column.
        column: String,
        /// ALWAYS instead of BY DEFAULT.
        always: bool,
        /// What is said of its sequence.
        options: Vec<SequenceOption>,
    },
    /// ALTER COLUMN … SET GENERATED, SET with an option of its sequence, RESTART.
    AlterIdentity {
        /// The column.
        column: String,
        /// What is changed.
        changes: Vec<IdentityChange>,
    },
    /// ALTER COLUMN … DROP IDENTITY.
    DropIdentity {
        /// The column.
        column: String,
        /// IF EXISTS.
        if_exists: bool,
    },
}

impl AlterTable {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.is("table") {
            return Ok(None);
        }
        let tokens = cursor.tokens;
        let Some((head, actions)) = actions_of(cursor) else { return whole(cursor, tokens) };
        let mut altered: Option<AlterTable> = None;
        for action in actions {
            let mut part = Cursor { tokens: action, index: 0, ..*cursor };
            let more = match identity::action(&mut part)? {
                Some(action) => vec![action],
                None => {
                    let statement = [head, action].concat();
                    match whole(cursor, &statement)? {
                        Some(alter) => alter.actions,
                        None => return Ok(None),
                    }
                }
            };
            match &mut altered {
                Some(alter) => alter.actions.extend(more),
                None => {
                    let mut head = Cursor { tokens: head, index: 2, ..*cursor };
                    let if_exists = head.eat("if exists");
                    head.eat("only");
                    altered = Some(AlterTable { name: head.name()?, if_exists, actions: more });
                }
            }
        }
        cursor.index = cursor.tokens.len();
        Ok(altered)
    }
}

/// Tokens before the actions of a statement, and those of each, if one of them is about an identity column.
fn actions_of<'a>(cursor: &Cursor<'a>) -> Option<(&'a [TokenWithSpan], Vec<&'a [TokenWithSpan]>)> {
    let mut head = Cursor { index: 2, ..*cursor };
    head.eat("if exists");
    head.eat("only");
    head.name().ok()?;
    head.eat_token(&Token::Mul);
    let (before, rest) = cursor.tokens.split_at(head.index);
    let mut depth = 0;
    let actions: Vec<_> = rest
        .split(|token| {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            depth == 0 && token.token == Token::Comma
        })
        .collect();
    let is_identity = |action: &&[TokenWithSpan]| {
        let mut part = Cursor { tokens: action, index: 0, ..*cursor };
        !matches!(identity::action(&mut part), Ok(None))
    };
    actions.iter().any(is_identity).then_some((before, actions))
}

/// A statement of actions that sqlparser knows.
fn whole(cursor: &mut Cursor<'_>, tokens: &[TokenWithSpan]) -> SqlResult<Option<AlterTable>> {
    let (tree, mut identities) = identity::tree(cursor, tokens)?;
    cursor.index = cursor.tokens.len();
    match &*tree {
        ast::Statement::AlterTable(alter) => {
            of(alter, &cursor.source.places, &mut identities).map(Some)
        }
        _ => Ok(None),
    }
}

fn of(
    alter: &ast::AlterTable,
    places: &Places,
    identities: &mut Identities,
) -> SqlResult<AlterTable> {
    let mut actions = Vec::new();
    for operation in &alter.operations {
        alter_action(operation, places, identities, &mut actions)?;
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
    identities: &mut Identities,
    actions: &mut Vec<AlterAction>,
) -> SqlResult<()> {
    actions.push(match operation {
        AlterTableOperation::AddConstraint { constraint, .. } => {
            AlterAction::AddConstraint(constraint_spec(constraint, places)?)
        }
        AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
            let mut constraints = Vec::new();
            let column = column_spec(column_def, places, identities, &mut constraints)?;
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
