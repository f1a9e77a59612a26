//! Settings: SET, SHOW, RESET.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, IntervalFields, SqlType, TextFormat, Zone, datetime};
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;

/// What SET sets to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// Values as text; a list is what was separated by commas.
    Values(Vec<String>),
}

/// SET.
#[derive(Clone, Debug)]
pub struct Set {
    /// The setting, in lower case (`timezone`, `app.user`).
    pub name: String,
    /// To what.
    pub value: SetValue,
    /// Until the transaction's end.
    pub local: bool,
}

impl Set {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
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
            return Ok(Some(Set { name: "client_encoding".into(), value, local }));
        }
        let of_words = cursor.is("time") || cursor.is_at(1, "authorization") || cursor.is("role");
        let name = setting_name(cursor)?;
        if !of_words && !cursor.eat_token(&Token::Eq) {
            cursor.expect("to")?;
        } else if name == "role" {
            let _ = cursor.eat_token(&Token::Eq) || cursor.eat("to");
        }
        if cursor.eat("default") || (name == "timezone" && cursor.eat("local")) {
            return Ok(Some(Set { name, value: SetValue::Default, local }));
        }
        let values = cursor.list(|cursor| set_value(cursor))?;
        Ok(Some(Set { name, value: SetValue::Values(values), local }))
    }
}

/// SHOW, with the setting; `all` is SHOW ALL.
#[derive(Clone, Debug)]
pub struct Show(pub String);

impl Show {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        Ok(Some(Show(setting_name(cursor)?)))
    }
}

/// RESET; none is RESET ALL.
#[derive(Clone, Debug)]
pub struct Reset(pub Option<String>);

impl Reset {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let name = setting_name(cursor)?;
        Ok(Some(Reset(Some(name).filter(|name| name != "all"))))
    }
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

/// A value, as SET and options have them.
pub(crate) fn set_value(cursor: &mut Cursor<'_>) -> SqlResult<String> {
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
