//! COPY.

use std::collections::BTreeSet;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::query;
use super::statement::{Copy, CopyColumns, CopyHeader, CopyOptions, CopySource, Statement};

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
        let mut given = BTreeSet::new();
        loop {
            let position = cursor.position();
            let name = cursor.ident()?;
            option(cursor, &name, position, &mut options)?;
            if !given.insert(name) {
                let error =
                    SqlError::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options");
                return Err(error.at_if(position));
            }
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
            options.header = CopyHeader::Names;
        } else if cursor.eat("force quote") {
            options.force_quote = Some(match cursor.eat_token(&Token::Mul) {
                true => CopyColumns::All,
                false => CopyColumns::These(cursor.list(|cursor| cursor.ident())?),
            });
        } else if cursor.eat("force not null") {
            options.force_not_null =
                Some(CopyColumns::These(cursor.list(|cursor| cursor.ident())?));
        } else if cursor.eat("force null") {
            options.force_null = Some(CopyColumns::These(cursor.list(|cursor| cursor.ident())?));
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

/// Columns in parentheses, or a star where an option may be about all.
fn columns(cursor: &mut Cursor<'_>, option: &str, position: Option<u32>) -> SqlResult<CopyColumns> {
    if option == "force_quote" && cursor.eat_token(&Token::Mul) {
        return Ok(CopyColumns::All);
    }
    if !cursor.eat_token(&Token::LParen) {
        let text = format!("argument to option \"{option}\" must be a list of column names");
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text).at_if(position));
    }
    let names = cursor.list(|cursor| cursor.ident())?;
    cursor.expect_token(&Token::RParen)?;
    Ok(CopyColumns::These(names))
}

fn option(
    cursor: &mut Cursor<'_>,
    name: &str,
    position: Option<u32>,
    options: &mut CopyOptions,
) -> SqlResult<()> {
    match name {
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
        "freeze" => {
            let text = "freeze requires a Boolean value";
            let value = boolean(cursor)?.ok_or(SqlError::new(SqlState::SYNTAX_ERROR, text))?;
            options.freeze = value;
        }
        "header" => {
            let text = "header requires a Boolean value or \"match\"";
            let wrong = SqlError::new(SqlState::SYNTAX_ERROR, text);
            options.header = match cursor.eat("match") {
                true => CopyHeader::Match,
                false if boolean(cursor)?.ok_or(wrong)? => CopyHeader::Names,
                false => CopyHeader::None,
            };
        }
        "force_quote" => options.force_quote = Some(columns(cursor, name, position)?),
        "force_not_null" => options.force_not_null = Some(columns(cursor, name, position)?),
        "force_null" => options.force_null = Some(columns(cursor, name, position)?),
        "delimiter" => options.delimiter = Some(text(cursor)?),
        "null" => options.null = Some(text(cursor)?),
        "quote" => options.quote = Some(text(cursor)?),
        "escape" => options.escape = Some(text(cursor)?),
        "encoding" => options.encoding = Some(text(cursor)?),
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

/// A value that says yes or no; none if it says neither.
fn boolean(cursor: &mut Cursor<'_>) -> SqlResult<Option<bool>> {
    if matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) {
        return Ok(Some(true));
    }
    let value = match (cursor.string(), cursor.number()) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => cursor.ident()?,
    };
    Ok(match value.to_ascii_lowercase().as_str() {
        "off" | "false" | "0" => Some(false),
        "on" | "true" | "1" => Some(true),
        _ => None,
    })
}
