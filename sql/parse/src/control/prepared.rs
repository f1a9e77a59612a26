//! Prepared statements and cursors: PREPARE, DEALLOCATE, CLOSE, DISCARD.

use sql_values::error::SqlResult;
use sql_values::types::SqlType;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{Parsed, query, types};

/// PREPARE.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// Its name.
    pub name: String,
    /// Declared parameter types.
    pub types: Vec<SqlType>,
    /// The statement.
    pub statement: Box<Parsed>,
}

impl Prepare {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let name = cursor.ident()?;
        let mut types = Vec::new();
        if cursor.eat_token(&Token::LParen) {
            loop {
                types.push(data_type(cursor)?);
                if cursor.eat_token(&Token::RParen) {
                    break;
                }
                cursor.expect_token(&Token::Comma)?;
            }
        }
        cursor.expect("as")?;
        let statement = query::inner(cursor)?;
        Ok(Some(Prepare { name, types, statement }))
    }
}

/// DEALLOCATE; none is all.
#[derive(Clone, Debug)]
pub struct Deallocate(pub Option<String>);

impl Deallocate {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        cursor.eat("prepare");
        Ok(Some(Deallocate(all_or_one(cursor)?)))
    }
}

/// CLOSE; none is all.
#[derive(Clone, Debug)]
pub struct Close(pub Option<String>);

impl Close {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        Ok(Some(Close(all_or_one(cursor)?)))
    }
}

/// DISCARD, with what it forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// ALL.
    All,
    /// PLANS.
    Plans,
    /// SEQUENCES.
    Sequences,
    /// TEMP.
    Temp,
}

impl Discard {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        Ok(Some(if cursor.eat("all") {
            Discard::All
        } else if cursor.eat("plans") {
            Discard::Plans
        } else if cursor.eat("sequences") {
            Discard::Sequences
        } else if cursor.eat("temp") || cursor.eat("temporary") {
            Discard::Temp
        } else {
            return Err(cursor.error());
        }))
    }
}

fn all_or_one(cursor: &mut Cursor<'_>) -> SqlResult<Option<String>> {
    if cursor.eat("all") { Ok(None) } else { cursor.ident().map(Some) }
}

/// A type name: up to the next comma or parenthesis that is not its own.
fn data_type(cursor: &mut Cursor<'_>) -> SqlResult<SqlType> {
    let from = cursor.index;
    let mut depth = 0usize;
    while let Some(token) = cursor.peek() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => break,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => break,
            _ => {}
        }
        cursor.index += 1;
    }
    let tokens = cursor.tokens.get(from..cursor.index).unwrap_or(&[]);
    let next = cursor.tokens.get(cursor.index);
    let ty = cursor.source.parse(tokens, next, |parser| parser.parse_data_type())?;
    types::resolve(&ty)
}
