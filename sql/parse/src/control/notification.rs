//! LISTEN, UNLISTEN, NOTIFY.

use sql_values::error::SqlResult;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;

/// LISTEN, with the channel.
#[derive(Clone, Debug)]
pub struct Listen(pub String);

impl Listen {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        Ok(Some(Listen(cursor.ident()?)))
    }
}

/// UNLISTEN; none is all.
#[derive(Clone, Debug)]
pub struct Unlisten(pub Option<String>);

impl Unlisten {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let all = cursor.eat_token(&Token::Mul);
        Ok(Some(Unlisten(if all { None } else { Some(cursor.ident()?) })))
    }
}

/// NOTIFY.
#[derive(Clone, Debug)]
pub struct Notify {
    /// The channel.
    pub channel: String,
    /// The payload.
    pub payload: String,
}

impl Notify {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let channel = cursor.ident()?;
        let payload = if cursor.eat_token(&Token::Comma) {
            cursor.string().ok_or_else(|| cursor.error())?
        } else {
            String::new()
        };
        Ok(Some(Notify { channel, payload }))
    }
}
