//! Cursors: DECLARE, FETCH, MOVE.

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{FetchDirection, Statement};
use super::utility::inner_query;
use crate::error::SqlResult;

pub(crate) fn declare(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let name = cursor.ident()?;
    let (mut binary, mut scroll) = (false, None);
    loop {
        if cursor.eat("binary") {
            binary = true;
        } else if cursor.eat("no scroll") {
            scroll = Some(false);
        } else if cursor.eat("scroll") {
            scroll = Some(true);
        } else if !cursor.eat("insensitive") && !cursor.eat("asensitive") {
            break;
        }
    }
    cursor.expect("cursor")?;
    let hold = cursor.eat("with hold");
    cursor.eat("without hold");
    cursor.expect("for")?;
    let query = inner_query(cursor)?;
    Ok(Statement::DeclareCursor { name, hold, scroll, binary, query })
}

pub(crate) fn fetch(cursor: &mut Cursor<'_>, only_move: bool) -> SqlResult<Statement> {
    use FetchDirection as D;
    let direction = if cursor.eat("next") {
        D::Relative(1)
    } else if cursor.eat("prior") {
        D::Relative(-1)
    } else if cursor.eat("first") {
        D::Absolute(1)
    } else if cursor.eat("last") {
        D::Absolute(-1)
    } else if cursor.eat("absolute") {
        D::Absolute(count(cursor)?)
    } else if cursor.eat("relative") {
        D::RelativeRow(count(cursor)?)
    } else if cursor.eat("all") || cursor.eat("forward all") {
        D::All
    } else if cursor.eat("backward all") {
        D::BackwardAll
    } else if cursor.eat("forward") {
        D::Relative(counted(cursor)?)
    } else if cursor.eat("backward") {
        D::Relative(counted(cursor)?.saturating_neg())
    } else {
        D::Relative(counted(cursor)?)
    };
    let _ = cursor.eat("from") || cursor.eat("in");
    Ok(Statement::Fetch { name: cursor.ident()?, direction, only_move })
}

fn count(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    let error = cursor.error();
    cursor.number().and_then(|text| text.parse().ok()).ok_or(error)
}

/// A count, or 1 if none is written.
fn counted(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    match cursor.peek() {
        Some(Token::Number(..) | Token::Minus | Token::Plus) => count(cursor),
        _ => Ok(1),
    }
}
