//! COPY.

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::query;
use super::statement::{Copy, CopyOptions, CopySource, Statement};
use crate::error::{SqlError, SqlResult, SqlState};

/// Parses COPY, after its first word.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    cursor.index += 1;
    let source = if cursor.eat_token(&Token::LParen) {
        let from = cursor.index;
        let mut depth = 1usize;
        while depth > 0 {
            match cursor.peek() {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) => depth -= 1,
                Some(_) => {}
                None => return Err(cursor.error()),
            }
            cursor.index += 1;
        }
        let close = cursor.index - 1;
        let tokens = cursor.tokens.get(from..close).unwrap_or(&[]);
        let query = query::parse(cursor.source, tokens, cursor.tokens.get(close))?;
        CopySource::Query(Box::new(query))
    } else {
        let name = cursor.name()?;
        let mut columns = Vec::new();
        if cursor.eat_token(&Token::LParen) {
            columns = cursor.list(|cursor| cursor.ident())?;
            cursor.expect_token(&Token::RParen)?;
        }
        CopySource::Table { name, columns }
    };
    let from = if matches!(source, CopySource::Table { .. }) && cursor.eat("from") {
        true
    } else {
        cursor.expect("to")?;
        false
    };
    if cursor.string().is_some() || cursor.is("program") {
        return Err(SqlError::unsupported("COPY from or to a file of the server")
            .hint("Use STDIN or STDOUT; psql's \\copy reads and writes the client's files."));
    }
    if !cursor.eat("stdin") {
        cursor.expect("stdout")?;
    }
    let options = options(cursor)?;
    if cursor.is("where") {
        return Err(SqlError::unsupported("COPY ... WHERE"));
    }
    cursor.finish()?;
    Ok(Statement::Copy(Copy { source, from, options }))
}

fn options(cursor: &mut Cursor<'_>) -> SqlResult<CopyOptions> {
    let mut options = CopyOptions::default();
    cursor.eat("with");
    if cursor.eat_token(&Token::LParen) {
        loop {
            option(cursor, &mut options)?;
            if cursor.eat_token(&Token::RParen) {
                return Ok(options);
            }
            cursor.expect_token(&Token::Comma)?;
        }
    }
    // The form before PostgreSQL 9.0, which clients still send.
    loop {
        if cursor.eat("binary") {
            options.format = Some("binary".into());
        } else if cursor.eat("csv") {
            options.format = Some("csv".into());
        } else if cursor.eat("header") {
            options.header = true;
        } else if cursor.eat("freeze") {
            options.freeze = true;
        } else if cursor.eat("delimiter") || cursor.eat("delimiters") {
            cursor.eat("as");
            options.delimiter = Some(text(cursor)?);
        } else if cursor.eat("null") {
            cursor.eat("as");
            options.null = Some(text(cursor)?);
        } else if cursor.eat("quote") {
            cursor.eat("as");
            options.quote = Some(text(cursor)?);
        } else if cursor.eat("escape") {
            cursor.eat("as");
            options.escape = Some(text(cursor)?);
        } else if cursor.eat("encoding") {
            options.encoding = Some(text(cursor)?);
        } else {
            return Ok(options);
        }
    }
}

fn text(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    let error = cursor.error();
    cursor.string().ok_or(error)
}

fn option(cursor: &mut Cursor<'_>, options: &mut CopyOptions) -> SqlResult<()> {
    let position = cursor.position();
    let name = cursor.ident()?;
    match name.as_str() {
        "format" => {
            let format = match cursor.string() {
                Some(text) => text,
                None => cursor.ident()?,
            };
            if !matches!(format.as_str(), "text" | "csv" | "binary") {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("COPY format \"{format}\" not recognized"),
                ));
            }
            options.format = Some(format);
        }
        "freeze" => options.freeze = boolean(cursor)?,
        "header" => options.header = boolean(cursor)?,
        "delimiter" => options.delimiter = Some(text(cursor)?),
        "null" => options.null = Some(text(cursor)?),
        "quote" => options.quote = Some(text(cursor)?),
        "escape" => options.escape = Some(text(cursor)?),
        "encoding" => options.encoding = Some(text(cursor)?),
        "force_quote" | "force_not_null" | "force_null" | "default" | "on_error" => {
            return Err(SqlError::unsupported(format!(
                "COPY option {}",
                name.to_ascii_uppercase()
            )));
        }
        _ => {
            let error =
                SqlError::new(SqlState::SYNTAX_ERROR, format!("option \"{name}\" not recognized"));
            return Err(match position {
                Some(position) => error.at(position),
                None => error,
            });
        }
    }
    Ok(())
}

fn boolean(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    if matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) {
        return Ok(true);
    }
    let value = match (cursor.string(), cursor.number()) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => cursor.ident()?,
    };
    Ok(!matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "0"))
}
