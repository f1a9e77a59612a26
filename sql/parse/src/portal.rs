//! Cursors: DECLARE, FETCH, MOVE.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::query;
use super::statement::{DeclareCursor, FetchDirection, QueryKind, Statement};

pub(crate) fn declare(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let name = cursor.ident()?;
    let (mut binary, mut scroll, mut insensitive) = (false, None, None);
    loop {
        if cursor.eat("binary") {
            binary = true;
        } else if cursor.eat("no scroll") {
            decide(&mut scroll, false, "SCROLL and NO SCROLL")?;
        } else if cursor.eat("scroll") {
            decide(&mut scroll, true, "SCROLL and NO SCROLL")?;
        } else if cursor.eat("insensitive") {
            decide(&mut insensitive, true, "ASENSITIVE and INSENSITIVE")?;
        } else if cursor.eat("asensitive") {
            decide(&mut insensitive, false, "ASENSITIVE and INSENSITIVE")?;
        } else {
            break;
        }
    }
    cursor.expect("cursor")?;
    let hold = cursor.eat("with hold");
    if !hold {
        cursor.eat("without hold");
    }
    cursor.expect("for")?;
    let position = cursor.position();
    let first = cursor.error();
    let query = query::inner(cursor)?;
    if !matches!(&query.statement, Statement::Query(query) if query.kind == QueryKind::Select) {
        return Err(first.at_if(position));
    }
    let insensitive = insensitive == Some(true);
    let declare = DeclareCursor { name, hold, scroll, binary, insensitive, query };
    Ok(Statement::DeclareCursor(declare))
}

/// Takes one of two words that contradict each other.
fn decide(choice: &mut Option<bool>, value: bool, both: &str) -> SqlResult<()> {
    if choice.replace(value).is_some_and(|old| old != value) {
        let text = format!("cannot specify both {both}");
        return Err(SqlError::new(SqlState::INVALID_CURSOR_DEFINITION, text));
    }
    Ok(())
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

/// As in PostgreSQL, a number beyond 32 bits is no count.
fn count(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    if matches!(cursor.peek(), Some(Token::Minus | Token::Plus)) {
        let is_negative = cursor.peek() == Some(&Token::Minus);
        cursor.index += 1;
        let count = unsigned(cursor)?;
        return Ok(if is_negative { -count } else { count });
    }
    unsigned(cursor)
}

fn unsigned(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    let error = cursor.error();
    match cursor.peek() {
        Some(Token::Number(text, _)) => {
            cursor.index += 1;
            text.parse::<i32>().map(i64::from).map_err(|_| error)
        }
        _ => Err(error),
    }
}

/// A count, or 1 if none is written.
fn counted(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    match cursor.peek() {
        Some(Token::Number(..) | Token::Minus | Token::Plus) => count(cursor),
        _ => Ok(1),
    }
}
