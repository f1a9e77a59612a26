//! Statements about the session: those of [`super::control`], and EXECUTE and cursors, which run queries.

use sql_values::error::{SqlError, SqlResult};
use sql_values::stack::Tree;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::control::{self, set_value};
use super::cursor::Cursor;
use super::portal::{declare, fetch};
use super::statement::*;

/// Parses the statement if it is one of these, by its first word.
pub(crate) fn parse(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Option<Statement>> {
    cursor.index += 1;
    let statement = match word {
        "prepare" if cursor.is("transaction") => {
            return Ok(Some(Statement::Unsupported("PREPARE TRANSACTION".into())));
        }
        "execute" => execute(cursor)?,
        "declare" => declare(cursor)?,
        "fetch" => fetch(cursor, false)?,
        "move" => fetch(cursor, true)?,
        _ => {
            let control = control::parse(cursor, word)?;
            if control.is_none() {
                cursor.index -= 1;
            }
            return Ok(control.map(Statement::Control));
        }
    };
    cursor.finish()?;
    Ok(Some(statement))
}

fn execute(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let name = cursor.ident()?;
    let rest = cursor.rest();
    let mut arguments = Vec::new();
    if !rest.is_empty() {
        let list = cursor.source.parse(rest, cursor.end, |parser| {
            parser.expect_token(&Token::LParen)?;
            let item = |parser: &mut Parser<'_>| parser.parse_expr().map(Tree::new);
            let list = parser.parse_comma_separated(item)?;
            parser.expect_token(&Token::RParen)?;
            Ok(list)
        })?;
        let places = &cursor.source.places;
        arguments = list
            .iter()
            .map(|ast| Expression { ast: ast.clone(), places: places.clone() })
            .collect();
        cursor.index = cursor.tokens.len();
    }
    Ok(Statement::Execute { name, arguments })
}

/// EXPLAIN's options: analyze, verbose. A format other than text is refused.
pub(crate) fn explain(cursor: &mut Cursor<'_>) -> SqlResult<(bool, bool)> {
    let (mut analyze, mut verbose) = (false, false);
    if matches!(cursor.peek(), Some(Token::LParen)) && !cursor.is_at(1, "select") {
        cursor.index += 1;
        loop {
            let name = cursor.ident()?;
            let value = match cursor.peek() {
                Some(Token::Comma | Token::RParen) => "on".to_owned(),
                _ => set_value(cursor)?,
            };
            let on = !matches!(value.as_str(), "off" | "false" | "0");
            match name.as_str() {
                "analyze" | "analyse" => analyze = on,
                "verbose" => verbose = on,
                "format" if value != "text" => {
                    return Err(SqlError::unsupported(format!("EXPLAIN (FORMAT {value})")));
                }
                _ => {}
            }
            if cursor.eat_token(&Token::RParen) {
                break;
            }
            cursor.expect_token(&Token::Comma)?;
        }
    } else {
        analyze = cursor.eat("analyze") || cursor.eat("analyse");
        verbose = cursor.eat("verbose");
    }
    Ok((analyze, verbose))
}
