//! Queries: sqlparser's.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast::{self, SetExpr};
use sqlparser::tokenizer::TokenWithSpan;

use super::cursor::Cursor;
use super::source::Source;
use super::statement::{Parsed, Query, QueryKind, Statement};

/// Parses a query.
pub(crate) fn parse(
    source: &Source<'_>,
    tokens: impl Into<Vec<TokenWithSpan>>,
    end: Option<&TokenWithSpan>,
) -> SqlResult<Query> {
    let tokens = tokens.into();
    let first = tokens.first().cloned();
    let ast = source.parse(tokens, end, |parser| parser.parse_statement())?;
    let kind = match &*ast {
        ast::Statement::Query(query) => kind_of(&query.body),
        ast::Statement::Insert(_) => QueryKind::Insert,
        ast::Statement::Update(_) => QueryKind::Update,
        ast::Statement::Delete(_) => QueryKind::Delete,
        ast::Statement::Merge(_) => return Err(SqlError::unsupported("MERGE")),
        _ => {
            return Err(match &first {
                Some(token) => source.near(token, end),
                None => SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"),
            });
        }
    };
    Ok(Query { kind, ast, places: source.places.clone() })
}

fn kind_of(body: &SetExpr) -> QueryKind {
    match body {
        SetExpr::Insert(_) => QueryKind::Insert,
        SetExpr::Update(_) => QueryKind::Update,
        SetExpr::Delete(_) => QueryKind::Delete,
        SetExpr::Query(query) => kind_of(&query.body),
        _ => QueryKind::Select,
    }
}

/// The rest is a query with its own text.
pub(crate) fn inner(cursor: &mut Cursor<'_>) -> SqlResult<Box<Parsed>> {
    let rest = cursor.rest();
    let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Err(cursor.error()) };
    let text = cursor.source.slice(first, last).to_owned();
    let query = parse(cursor.source, rest, cursor.end)?;
    cursor.index = cursor.tokens.len();
    Ok(Box::new(Parsed { text, statement: Statement::Query(Box::new(query)), _held: None }))
}
