//! Columns whose values a sequence gives, in the forms that sqlparser does not read.

use std::collections::VecDeque;

use sql_values::error::SqlResult;
use sql_values::stack::Tree;
use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::alter_table::AlterAction;
use super::sequence::{SequenceOption, option, options};
use crate::cursor::Cursor;

/// How a sequence gives a column its values.
#[derive(Clone, Debug)]
pub enum Generated {
    /// A serial type: the default is the next value of a sequence that goes with the column.
    Serial,
    /// GENERATED … AS IDENTITY.
    Identity {
        /// ALWAYS instead of BY DEFAULT.
        always: bool,
        /// What is said of its sequence.
        options: Vec<SequenceOption>,
    },
}

/// What a change of an identity column says.
#[derive(Clone, Debug)]
pub enum IdentityChange {
    /// SET GENERATED: ALWAYS (true) or BY DEFAULT.
    Always(bool),
    /// Of its sequence: SET, or RESTART.
    Option(SequenceOption),
}

/// What is said of the sequences of a statement's identity columns, in the order of the columns.
pub(super) type Identities = VecDeque<Vec<SequenceOption>>;

/// The tokens as a syntax tree, without what stands in parentheses behind AS IDENTITY: sqlparser knows it in one order
/// alone.
pub(super) fn tree(
    cursor: &Cursor<'_>,
    tokens: &[TokenWithSpan],
) -> SqlResult<(Tree<ast::Statement>, Identities)> {
    let mut identities = Identities::new();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut part = Cursor { source: cursor.source, tokens, end: cursor.end, index: 0 };
    while let Some(token) = tokens.get(part.index) {
        let is_identity = part.is("identity") && part.index > 0 && {
            let before = &tokens[part.index - 1].token;
            matches!(before, Token::Word(word) if word.value.eq_ignore_ascii_case("as"))
        };
        kept.push(token.clone());
        part.index += 1;
        if is_identity {
            identities.push_back(in_parentheses(&mut part)?);
        }
    }
    let tree = cursor.source.parse(kept, cursor.end, |parser| parser.parse_statement())?;
    Ok((tree, identities))
}

fn in_parentheses(cursor: &mut Cursor<'_>) -> SqlResult<Vec<SequenceOption>> {
    if !cursor.eat_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let options = options(cursor)?;
    if options.is_empty() {
        return Err(cursor.error());
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

/// ALWAYS or BY DEFAULT.
fn always(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    if cursor.eat("always") {
        return Ok(true);
    }
    cursor.expect("by default").map(|()| false)
}

/// An action of ALTER TABLE about a column's identity; none if it is another.
pub(super) fn action(cursor: &mut Cursor<'_>) -> SqlResult<Option<AlterAction>> {
    if !cursor.eat("alter") {
        return Ok(None);
    }
    cursor.eat("column");
    let Ok(column) = cursor.ident() else { return Ok(None) };
    let action = if cursor.eat("add generated") {
        let always = always(cursor)?;
        cursor.expect("as identity")?;
        AlterAction::AddIdentity { column, always, options: in_parentheses(cursor)? }
    } else if cursor.eat("drop identity") {
        AlterAction::DropIdentity { column, if_exists: cursor.eat("if exists") }
    } else {
        let changes = changes(cursor)?;
        if changes.is_empty() {
            return Ok(None);
        }
        AlterAction::AlterIdentity { column, changes }
    };
    cursor.finish()?;
    Ok(Some(action))
}

fn changes(cursor: &mut Cursor<'_>) -> SqlResult<Vec<IdentityChange>> {
    let mut changes = Vec::new();
    loop {
        let start = cursor.index;
        if cursor.is("restart") {
            changes.extend(option(cursor)?.map(IdentityChange::Option));
        } else if cursor.eat("set generated") {
            changes.push(IdentityChange::Always(always(cursor)?));
        } else if cursor.eat("set") {
            match option(cursor)? {
                Some(option) => changes.push(IdentityChange::Option(option)),
                None => {
                    // SET DEFAULT and SET NOT NULL are others'.
                    cursor.index = start;
                    return Ok(changes);
                }
            }
        } else {
            return Ok(changes);
        }
    }
}
