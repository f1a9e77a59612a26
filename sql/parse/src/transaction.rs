//! Transactions' beginnings and ends.

use sql_values::error::SqlResult;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{Control, IsolationLevel, Statement, TransactionModes};

pub(crate) fn begin(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let _ = cursor.eat("work") || cursor.eat("transaction");
    Ok(Statement::Control(Control::Begin(modes(cursor)?)))
}

pub(crate) fn modes(cursor: &mut Cursor<'_>) -> SqlResult<TransactionModes> {
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

pub(crate) fn chain(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    if cursor.eat("and no chain") {
        return Ok(false);
    }
    Ok(cursor.eat("and chain"))
}

pub(crate) fn rollback(cursor: &mut Cursor<'_>) -> SqlResult<Statement> {
    let _ = cursor.eat("work") || cursor.eat("transaction");
    if cursor.eat("to") {
        cursor.eat("savepoint");
        return Ok(Statement::Control(Control::RollbackTo(cursor.ident()?)));
    }
    Ok(Statement::Control(Control::Rollback { chain: chain(cursor)? }))
}
