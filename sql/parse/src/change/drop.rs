//! DROP TABLE, DROP INDEX and TRUNCATE.

use sql_values::error::{SqlError, SqlResult, SqlState};

use crate::Name;
use crate::cursor::Cursor;

/// What every DROP says.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Which.
    pub names: Vec<Name>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
    /// CONCURRENTLY, of an index: it may be no part of a transaction.
    pub concurrently: bool,
}

/// DROP TABLE.
#[derive(Clone, Debug)]
pub struct DropTable(pub Drop);

impl DropTable {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.eat("table") {
            return Ok(None);
        }
        Ok(Some(DropTable(dropped(cursor, false)?)))
    }
}

/// DROP INDEX.
#[derive(Clone, Debug)]
pub struct DropIndex(pub Drop);

impl DropIndex {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.eat("index") {
            return Ok(None);
        }
        let concurrently = cursor.eat("concurrently");
        let drop = dropped(cursor, concurrently)?;
        let refused = match concurrently {
            true if drop.names.len() > 1 => "dropping multiple objects",
            true if drop.cascade => "CASCADE",
            _ => return Ok(Some(DropIndex(drop))),
        };
        // What is no statement at all is a syntax error before.
        cursor.finish()?;
        let text = format!("DROP INDEX CONCURRENTLY does not support {refused}");
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
    }
}

pub(super) fn dropped(cursor: &mut Cursor<'_>, concurrently: bool) -> SqlResult<Drop> {
    let if_exists = cursor.eat("if exists");
    let names = cursor.list(|cursor| cursor.name())?;
    let cascade = cursor.eat("cascade");
    cursor.eat("restrict");
    Ok(Drop { names, if_exists, cascade, concurrently })
}

/// TRUNCATE.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// The tables.
    pub tables: Vec<Name>,
    /// And those that refer to them.
    pub cascade: bool,
    /// RESTART IDENTITY.
    pub restart_identity: bool,
}

impl Truncate {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        cursor.eat("table");
        let tables = cursor.tables()?;
        let restart_identity = cursor.eat("restart identity");
        if !restart_identity {
            cursor.eat("continue identity");
        }
        let cascade = cursor.eat("cascade");
        cursor.eat("restrict");
        Ok(Some(Truncate { tables, cascade, restart_identity }))
    }
}
