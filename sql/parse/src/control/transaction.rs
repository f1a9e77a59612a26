//! Transactions' beginnings, ends and savepoints.

use sql_values::error::SqlResult;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;

/// Modes of a transaction; none is the session's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY.
    pub read_only: Option<bool>,
    /// DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// An isolation level as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// BEGIN, START TRANSACTION.
#[derive(Clone, Debug)]
pub struct Begin(pub TransactionModes);

impl Begin {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, word: &str) -> SqlResult<Option<Self>> {
        match word {
            "start" => cursor.expect("transaction")?,
            _ => noise(cursor),
        }
        Ok(Some(Begin(modes(cursor)?)))
    }
}

/// SET TRANSACTION, or with `session` SET SESSION CHARACTERISTICS AS TRANSACTION.
#[derive(Clone, Debug)]
pub struct SetTransaction {
    /// For all transactions to come.
    pub session: bool,
    /// What is set.
    pub modes: TransactionModes,
}

impl SetTransaction {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let session = cursor.eat("session characteristics as transaction");
        if !session && !cursor.eat("transaction") {
            return Ok(None);
        }
        Ok(Some(SetTransaction { session, modes: modes(cursor)? }))
    }
}

/// COMMIT, END.
#[derive(Clone, Debug)]
pub struct Commit {
    /// AND CHAIN.
    pub chain: bool,
}

impl Commit {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        noise(cursor);
        Ok(Some(Commit { chain: chain(cursor) }))
    }
}

/// ROLLBACK TO SAVEPOINT, with its name.
#[derive(Clone, Debug)]
pub struct RollbackTo(pub String);

impl RollbackTo {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        noise(cursor);
        if !cursor.eat("to") {
            return Ok(None);
        }
        cursor.eat("savepoint");
        Ok(Some(RollbackTo(cursor.ident()?)))
    }
}

/// ROLLBACK, ABORT.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// AND CHAIN.
    pub chain: bool,
}

impl Rollback {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        noise(cursor);
        Ok(Some(Rollback { chain: chain(cursor) }))
    }
}

/// SAVEPOINT, with its name.
#[derive(Clone, Debug)]
pub struct Savepoint(pub String);

impl Savepoint {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        Ok(Some(Savepoint(cursor.ident()?)))
    }
}

/// RELEASE SAVEPOINT, with its name.
#[derive(Clone, Debug)]
pub struct Release(pub String);

impl Release {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        cursor.eat("savepoint");
        Ok(Some(Release(cursor.ident()?)))
    }
}

/// A word that means nothing.
fn noise(cursor: &mut Cursor<'_>) {
    let _ = cursor.eat("work") || cursor.eat("transaction");
}

fn modes(cursor: &mut Cursor<'_>) -> SqlResult<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        if cursor.eat("isolation level") {
            modes.isolation = Some(isolation(cursor)?);
        } else if cursor.eat("read only") {
            modes.read_only = Some(true);
        } else if cursor.eat("read write") {
            modes.read_only = Some(false);
        } else if cursor.eat("deferrable") {
            modes.deferrable = Some(true);
        } else if cursor.eat("not deferrable") {
            modes.deferrable = Some(false);
        } else if cursor.at_end() {
            return Ok(modes);
        } else {
            return Err(cursor.error());
        }
        cursor.eat_token(&Token::Comma);
    }
}

fn isolation(cursor: &mut Cursor<'_>) -> SqlResult<IsolationLevel> {
    if cursor.eat("serializable") {
        Ok(IsolationLevel::Serializable)
    } else if cursor.eat("repeatable read") {
        Ok(IsolationLevel::RepeatableRead)
    } else if cursor.eat("read committed") {
        Ok(IsolationLevel::ReadCommitted)
    } else if cursor.eat("read uncommitted") {
        Ok(IsolationLevel::ReadUncommitted)
    } else {
        Err(cursor.error())
    }
}

fn chain(cursor: &mut Cursor<'_>) -> bool {
    !cursor.eat("and no chain") && cursor.eat("and chain")
}
