//! Statements about the session: settings, transactions, prepared statements, cursors, maintenance.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::stack::Tree;
use sql_values::types::{Datum, IntervalFields, SqlType, TextFormat, Zone, datetime};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::portal::{declare, fetch};
use super::statement::*;
use super::transaction::{begin, chain, modes, rollback};
use super::{query, types};

/// Parses the statement if it is one of these, by its first word.
pub(crate) fn parse(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Option<Statement>> {
    cursor.index += 1;
    let statement = match word {
        "begin" => begin(cursor)?,
        "start" => {
            cursor.expect("transaction")?;
            Statement::Control(Control::Begin(modes(cursor)?))
        }
        "commit" | "end" => {
            let _ = cursor.eat("work") || cursor.eat("transaction");
            Statement::Control(Control::Commit { chain: chain(cursor)? })
        }
        "rollback" | "abort" => rollback(cursor)?,
        "savepoint" => Statement::Control(Control::Savepoint(cursor.ident()?)),
        "release" => {
            cursor.eat("savepoint");
            Statement::Control(Control::Release(cursor.ident()?))
        }
        "set" => set(cursor)?,
        "show" => Statement::Control(Control::Show(setting_name(cursor)?)),
        "reset" => match setting_name(cursor)?.as_str() {
            "all" => Statement::Control(Control::Reset(None)),
            name => Statement::Control(Control::Reset(Some(name.to_owned()))),
        },
        "prepare" => prepare(cursor)?,
        "execute" => execute(cursor)?,
        "deallocate" => {
            cursor.eat("prepare");
            Statement::Control(Control::Deallocate(if cursor.eat("all") {
                None
            } else {
                Some(cursor.ident()?)
            }))
        }
        "discard" => Statement::Control(Control::Discard(if cursor.eat("all") {
            DiscardKind::All
        } else if cursor.eat("plans") {
            DiscardKind::Plans
        } else if cursor.eat("sequences") {
            DiscardKind::Sequences
        } else if cursor.eat("temp") || cursor.eat("temporary") {
            DiscardKind::Temp
        } else {
            return Err(cursor.error());
        })),
        "declare" => declare(cursor)?,
        "fetch" => fetch(cursor, false)?,
        "move" => fetch(cursor, true)?,
        "close" => Statement::Control(Control::Close(if cursor.eat("all") {
            None
        } else {
            Some(cursor.ident()?)
        })),
        "listen" => Statement::Control(Control::Listen(cursor.ident()?)),
        "unlisten" => Statement::Control(Control::Unlisten(if cursor.eat_token(&Token::Mul) {
            None
        } else {
            Some(cursor.ident()?)
        })),
        "notify" => {
            let channel = cursor.ident()?;
            let payload = if cursor.eat_token(&Token::Comma) {
                cursor.string().ok_or_else(|| cursor.error())?
            } else {
                String::new()
            };
            Statement::Control(Control::Notify { channel, payload })
        }
        "lock" => lock(cursor)?,
        "truncate" => truncate(cursor)?,
        "vacuum" => vacuum(cursor)?,
        "analyze" | "analyse" => {
            options(cursor)?;
            cursor.eat("verbose");
            Statement::Control(Control::Analyze { tables: maintained(cursor)? })
        }
        _ => {
            cursor.index -= 1;
            return Ok(None);
        }
    };
    cursor.finish()?;
    Ok(Some(statement))
}

/// A setting's name: `timezone`, `app.user`, or one of the names of several words.
fn setting_name(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    if cursor.eat("time zone") {
        return Ok("timezone".into());
    }
    if cursor.eat("transaction isolation level") {
        return Ok("transaction_isolation".into());
    }
    if cursor.eat("session authorization") {
        return Ok("session_authorization".into());
    }
    let mut name = cursor.ident()?.to_ascii_lowercase();
    while cursor.eat_token(&Token::Period) {
        name.push('.');
        name.push_str(&cursor.ident()?.to_ascii_lowercase());
    }
    Ok(name)
}

fn set(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    if cursor.eat("session characteristics as transaction") {
        return Ok(Statement::Control(Control::SetTransaction {
            session: true,
            modes: modes(cursor)?,
        }));
    }
    if cursor.is("transaction") {
        cursor.index += 1;
        return Ok(Statement::Control(Control::SetTransaction {
            session: false,
            modes: modes(cursor)?,
        }));
    }
    let local = cursor.eat("local");
    if !local && !cursor.is_at(1, "authorization") {
        cursor.eat("session");
    }
    if cursor.eat("names") {
        let value = match cursor.string() {
            Some(text) => SetValue::Values(vec![text]),
            None if cursor.eat("default") || cursor.at_end() => SetValue::Default,
            None => return Err(cursor.error()),
        };
        return Ok(Statement::Control(Control::Set {
            name: "client_encoding".into(),
            value,
            local,
        }));
    }
    let of_words = cursor.is("time") || cursor.is_at(1, "authorization") || cursor.is("role");
    let name = setting_name(cursor)?;
    if !of_words && !cursor.eat_token(&Token::Eq) {
        cursor.expect("to")?;
    } else if name == "role" {
        let _ = cursor.eat_token(&Token::Eq) || cursor.eat("to");
    }
    if cursor.eat("default") || (name == "timezone" && cursor.eat("local")) {
        return Ok(Statement::Control(Control::Set { name, value: SetValue::Default, local }));
    }
    let values = cursor.list(|cursor| set_value(cursor))?;
    Ok(Statement::Control(Control::Set { name, value: SetValue::Values(values), local }))
}

fn set_value(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    // SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE
    let interval = cursor.is("interval")
        && matches!(
            cursor.tokens.get(cursor.index + 1).map(|t| &t.token),
            Some(Token::SingleQuotedString(_))
        );
    if interval {
        cursor.index += 1;
        let text = cursor.string().ok_or_else(|| cursor.error())?;
        return zone_of_interval(cursor, &text);
    }
    if let Some(text) = cursor.string() {
        return Ok(text);
    }
    if let Some(number) = cursor.number() {
        return Ok(number);
    }
    cursor.ident()
}

/// The time zone that an interval from UTC means.
fn zone_of_interval(cursor: &mut Cursor<'_>, text: &str) -> SqlResult<String> {
    let fields = if cursor.eat("hour to minute") {
        IntervalFields::HOUR | IntervalFields::MINUTE
    } else if cursor.eat("hour") {
        IntervalFields::HOUR
    } else if cursor.at_end() {
        IntervalFields::ALL
    } else {
        let message = "time zone interval must be HOUR or HOUR TO MINUTE";
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    };
    let interval = datetime::parse_interval(text, fields)?;
    let seconds = i32::try_from(interval.micros / datetime::SECOND).ok();
    match seconds.filter(|_| interval.months == 0 && interval.days == 0) {
        Some(seconds) => Ok(Zone::posix(seconds)),
        None => {
            let shown = Datum::from(interval).to_text(SqlType::Interval(None), &TextFormat::UTC);
            Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"TimeZone\": \"INTERVAL '{shown}'\""),
            ))
        }
    }
}

fn prepare(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    if cursor.is("transaction") {
        return Ok(Statement::Unsupported("PREPARE TRANSACTION".into()));
    }
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
    Ok(Statement::Control(Control::Prepare { name, types, statement }))
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

/// From the weakest to the strongest.
const TABLE_LOCK_MODES: [&str; 8] = [
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];

fn lock(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    cursor.eat("table");
    let tables = cursor.list(|cursor| {
        cursor.eat("only");
        let name = cursor.name()?;
        cursor.eat_token(&Token::Mul);
        Ok(name)
    })?;
    let mut mode = String::new();
    if cursor.eat("in") {
        while !cursor.is("mode") {
            if !mode.is_empty() {
                mode.push(' ');
            }
            mode.push_str(&cursor.ident()?.to_ascii_uppercase());
        }
        if !TABLE_LOCK_MODES.contains(&mode.as_str()) {
            return Err(cursor.error());
        }
        cursor.expect("mode")?;
    } else {
        mode.push_str("ACCESS EXCLUSIVE");
    }
    let nowait = cursor.eat("nowait");
    Ok(Statement::Control(Control::LockTable { tables, mode, nowait }))
}

fn truncate(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    cursor.eat("table");
    let tables = cursor.list(|cursor| {
        cursor.eat("only");
        let name = cursor.name()?;
        cursor.eat_token(&Token::Mul);
        Ok(name)
    })?;
    let _ = cursor.eat("restart identity") || cursor.eat("continue identity");
    let cascade = cursor.eat("cascade");
    cursor.eat("restrict");
    Ok(Statement::Change(Change::Truncate { tables, cascade }))
}

/// `( option [value], … )`, if next: the names of those that are on.
fn options(cursor: &mut Cursor<'_>) -> SqlResult<Vec<String>> {
    if !cursor.eat_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let options = cursor.list(|cursor| {
        let name = cursor.ident()?;
        let on = match cursor.peek() {
            Some(Token::Comma | Token::RParen) => true,
            _ => !matches!(set_value(cursor)?.as_str(), "off" | "false" | "0"),
        };
        Ok((name, on))
    })?;
    cursor.expect_token(&Token::RParen)?;
    Ok(options.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect())
}

fn vacuum(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let options = options(cursor)?;
    let mut analyze = options.iter().any(|name| name == "analyze" || name == "analyse");
    for word in ["full", "freeze", "verbose"] {
        cursor.eat(word);
    }
    analyze |= cursor.eat("analyze") || cursor.eat("analyse");
    Ok(Statement::Control(Control::Vacuum { analyze, tables: maintained(cursor)? }))
}

/// Tables, possibly with columns, which mean nothing here.
fn maintained(cursor: &mut Cursor<'_>) -> SqlResult<Vec<Name>> {
    if cursor.at_end() {
        return Ok(Vec::new());
    }
    cursor.list(|cursor| {
        let name = cursor.name()?;
        if cursor.eat_token(&Token::LParen) {
            cursor.list(|cursor| cursor.ident())?;
            cursor.expect_token(&Token::RParen)?;
        }
        Ok(name)
    })
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
