//! Tables as a whole: VACUUM, ANALYZE, LOCK TABLE.

use sql_values::error::SqlResult;
use sqlparser::tokenizer::Token;

use super::settings::set_value;
use crate::Name;
use crate::cursor::Cursor;

/// VACUUM, with or without ANALYZE; no tables means all.
#[derive(Clone, Debug)]
pub struct Vacuum {
    /// Gather statistics too.
    pub analyze: bool,
    /// The tables.
    pub tables: Vec<Name>,
}

impl Vacuum {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let options = options(cursor)?;
        let mut analyze = options.iter().any(|name| name == "analyze" || name == "analyse");
        for word in ["full", "freeze", "verbose"] {
            cursor.eat(word);
        }
        analyze |= cursor.eat("analyze") || cursor.eat("analyse");
        Ok(Some(Vacuum { analyze, tables: maintained(cursor)? }))
    }
}

/// ANALYZE; no tables means all.
#[derive(Clone, Debug)]
pub struct Analyze {
    /// The tables.
    pub tables: Vec<Name>,
}

impl Analyze {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        options(cursor)?;
        cursor.eat("verbose");
        Ok(Some(Analyze { tables: maintained(cursor)? }))
    }
}

/// LOCK TABLE.
#[derive(Clone, Debug)]
pub struct LockTable {
    /// The tables.
    pub tables: Vec<Name>,
    /// The mode, in upper case (`ACCESS SHARE`).
    pub mode: String,
    /// NOWAIT.
    pub nowait: bool,
}

impl LockTable {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        cursor.eat("table");
        let tables = cursor.tables()?;
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
        Ok(Some(LockTable { tables, mode, nowait }))
    }
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
