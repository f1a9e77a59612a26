//! From text to statements: sqlparser's PostgreSQL dialect where it fits, our own small parser for the statements that
//! only a session understands, and token-level patches for what sqlparser does not know.
//!
//! The modules stand in reading order.

pub mod place;
mod scan;

mod bounds;
mod row_lock;
mod statement;

pub mod name;

mod dialect;
mod lexical;
pub mod types;

mod source;

mod cursor;
mod query;
mod relation;
mod script;

mod change;
mod control;
mod copy;
mod portal;

mod utility;

use std::sync::Arc;

use sql_values::error::SqlResult;
use sql_values::memory::Pool;
use sql_values::types::SqlType;
use sqlparser::tokenizer::{Token, TokenWithSpan};

pub use bounds::{MAX_NESTING, too_complex};
pub use change::*;
pub use control::*;
use cursor::Cursor;
pub use place::Overriding;
pub use relation::{relation_name, with_relations};
pub use script::Script;
use source::Source;
pub use statement::*;

/// Parses a text of any number of statements; empty ones are left out. Either all of them parse or none: nothing of a
/// batch runs before its last syntax error is known. Positions count from the text's beginning.
pub fn parse(text: &str) -> SqlResult<Vec<Parsed>> {
    Script::read(text, &Pool::new(usize::MAX))?.collect()
}

/// Parses an expression that a descriptor holds (a default, a check). Its errors have no place.
pub fn parse_expression(text: &str) -> SqlResult<Expression> {
    let ast = Source::parse_all(text, "an expression", |parser| parser.parse_expr())?;
    Ok(Expression { ast, places: Arc::new(place::Places::none()) })
}

/// The type that a name means (`numeric(10,2)`, `int[]`).
pub fn parse_type(text: &str) -> SqlResult<SqlType> {
    let ty = Source::parse_all(text, "a type", |parser| parser.parse_data_type())?;
    types::resolve(&ty)
}

fn statement(
    source: &Source<'_>,
    tokens: Vec<TokenWithSpan>,
    end: Option<&TokenWithSpan>,
) -> SqlResult<Statement> {
    let mut cursor = Cursor { source, tokens: &tokens, end, index: 0 };
    let word = match cursor.peek() {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        Some(Token::LParen) => "select".to_owned(),
        _ => return Err(cursor.error()),
    };
    match word.as_str() {
        "select" | "with" | "values" | "insert" | "update" | "delete" | "merge" => {
            Ok(Statement::Query(Box::new(query::parse(source, tokens, end)?)))
        }
        "explain" => {
            cursor.index = 1;
            let (analyze, verbose) = utility::explain(&mut cursor)?;
            let query = Box::new(query::parse(source, cursor.rest(), end)?);
            Ok(Statement::Explain { analyze, verbose, query })
        }
        "create" | "alter" | "drop" | "truncate" => {
            cursor.index = 1;
            match change::parse(&mut cursor, &word)? {
                Some(change) => Ok(Statement::Change(change)),
                None => unsupported(&mut cursor, &word),
            }
        }
        "copy" => copy::parse(&mut cursor),
        "comment" | "grant" | "revoke" | "do" | "call" | "security" | "refresh" | "reindex"
        | "cluster" | "checkpoint" | "load" | "reassign" | "import" => {
            Ok(Statement::Unsupported(word.to_ascii_uppercase()))
        }
        word => match utility::parse(&mut cursor, word)? {
            Some(statement) => Ok(statement),
            None => Err(cursor.error()),
        },
    }
}

/// A statement that is not here, by its first two words.
fn unsupported(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Statement> {
    let what = cursor.ident()?.to_ascii_uppercase();
    Ok(Statement::Unsupported(format!("{} {what}", word.to_ascii_uppercase())))
}

#[cfg(test)]
mod tests;
