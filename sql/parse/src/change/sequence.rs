//! CREATE, ALTER and DROP SEQUENCE.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::tokenizer::Token;

use super::drop::{Drop, dropped};
use crate::Name;
use crate::cursor::Cursor;

/// Something that is said of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceOption {
    /// AS.
    As(SqlType),
    /// INCREMENT BY.
    Increment(i64),
    /// MINVALUE; NO MINVALUE is the least that its type and direction allow.
    Min(Option<i64>),
    /// MAXVALUE, likewise.
    Max(Option<i64>),
    /// START WITH.
    Start(i64),
    /// RESTART; without a value, at the start.
    Restart(Option<i64>),
    /// CACHE.
    Cache(i64),
    /// CYCLE, NO CYCLE.
    Cycle(bool),
    /// OWNED BY.
    Owned(OwnedBy),
    /// SEQUENCE NAME, of an identity column's.
    Named(Name),
}

/// What OWNED BY says.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedBy {
    /// NONE.
    None,
    /// A column of a table.
    Column {
        /// The table.
        table: Name,
        /// Its column.
        column: String,
    },
    /// A name alone, which is none of a column.
    Unclear,
}

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// What is said of it.
    pub options: Vec<SequenceOption>,
}

/// ALTER SEQUENCE.
#[derive(Clone, Debug)]
pub struct AlterSequence {
    /// Which.
    pub name: Name,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is changed.
    pub action: AlterSequenceAction,
}

/// What ALTER SEQUENCE changes.
#[derive(Clone, Debug)]
pub enum AlterSequenceAction {
    /// What it is, or where it stands.
    Options(Vec<SequenceOption>),
    /// RENAME TO.
    Rename(String),
    /// SET SCHEMA.
    SetSchema(String),
}

/// DROP SEQUENCE.
#[derive(Clone, Debug)]
pub struct DropSequence(pub Drop);

impl CreateSequence {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        let temporary = ["temp", "temporary"].iter().any(|word| cursor.is(word));
        if temporary && cursor.is_at(1, "sequence") {
            return Err(SqlError::unsupported("CREATE TEMPORARY SEQUENCE"));
        }
        // What is lost in a crash is no promise: it may as well be kept.
        if !(cursor.eat("sequence") || cursor.eat("unlogged sequence")) {
            return Ok(None);
        }
        let if_not_exists = cursor.eat("if not exists");
        let name = cursor.name()?;
        Ok(Some(CreateSequence { name, if_not_exists, options: options(cursor)? }))
    }
}

impl AlterSequence {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.eat("sequence") {
            return Ok(None);
        }
        let if_exists = cursor.eat("if exists");
        let name = cursor.name()?;
        let action = if cursor.eat("rename to") {
            AlterSequenceAction::Rename(cursor.ident()?)
        } else if cursor.eat("set schema") {
            AlterSequenceAction::SetSchema(cursor.ident()?)
        } else if cursor.is("owner") {
            return Err(SqlError::unsupported("ALTER SEQUENCE ... OWNER TO"));
        } else if cursor.is("set") {
            return Err(SqlError::unsupported("ALTER SEQUENCE ... SET"));
        } else {
            let options = options(cursor)?;
            if options.is_empty() {
                return Err(cursor.error());
            }
            AlterSequenceAction::Options(options)
        };
        Ok(Some(AlterSequence { name, if_exists, action }))
    }
}

impl DropSequence {
    pub(crate) fn parse(cursor: &mut Cursor<'_>, _: &str) -> SqlResult<Option<Self>> {
        if !cursor.eat("sequence") {
            return Ok(None);
        }
        Ok(Some(DropSequence(dropped(cursor, false)?)))
    }
}

/// Options up to something else. 42601 if one is there twice.
pub(super) fn options(cursor: &mut Cursor<'_>) -> SqlResult<Vec<SequenceOption>> {
    let mut found: Vec<SequenceOption> = Vec::new();
    loop {
        let position = cursor.position();
        let Some(option) = option(cursor)? else { return Ok(found) };
        let kind = std::mem::discriminant(&option);
        if found.iter().any(|other| std::mem::discriminant(other) == kind) {
            let text = "conflicting or redundant options";
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, text).at_if(position));
        }
        found.push(option);
    }
}

/// The option that comes next, if one does.
pub(super) fn option(cursor: &mut Cursor<'_>) -> SqlResult<Option<SequenceOption>> {
    Ok(Some(if cursor.eat("as") {
        SequenceOption::As(type_name(cursor)?)
    } else if cursor.eat("increment") {
        cursor.eat("by");
        SequenceOption::Increment(integer(cursor)?)
    } else if cursor.eat("no minvalue") {
        SequenceOption::Min(None)
    } else if cursor.eat("minvalue") {
        SequenceOption::Min(Some(integer(cursor)?))
    } else if cursor.eat("no maxvalue") {
        SequenceOption::Max(None)
    } else if cursor.eat("maxvalue") {
        SequenceOption::Max(Some(integer(cursor)?))
    } else if cursor.eat("start") {
        cursor.eat("with");
        SequenceOption::Start(integer(cursor)?)
    } else if cursor.eat("restart") {
        let with = cursor.eat("with");
        let is_given = with || cursor.number_follows();
        SequenceOption::Restart(if is_given { Some(integer(cursor)?) } else { None })
    } else if cursor.eat("cache") {
        SequenceOption::Cache(integer(cursor)?)
    } else if cursor.eat("no cycle") {
        SequenceOption::Cycle(false)
    } else if cursor.eat("cycle") {
        SequenceOption::Cycle(true)
    } else if cursor.eat("owned by") {
        SequenceOption::Owned(owned_by(cursor)?)
    } else if cursor.eat("sequence name") {
        SequenceOption::Named(cursor.name()?)
    } else {
        return Ok(None);
    }))
}

fn owned_by(cursor: &mut Cursor<'_>) -> SqlResult<OwnedBy> {
    if cursor.eat("none") {
        return Ok(OwnedBy::None);
    }
    let position = cursor.position();
    let mut parts = vec![cursor.ident()?];
    while parts.len() < 4 && cursor.eat_token(&Token::Period) {
        parts.push(cursor.ident()?);
    }
    let column = parts.pop().unwrap_or_default();
    let Some(name) = parts.pop() else { return Ok(OwnedBy::Unclear) };
    let schema = parts.pop();
    Ok(OwnedBy::Column { table: Name { database: parts.pop(), schema, name, position }, column })
}

/// The name of a type: one word, which those that a sequence may have are.
fn type_name(cursor: &mut Cursor<'_>) -> SqlResult<SqlType> {
    let position = cursor.position();
    let name = cursor.ident()?;
    crate::parse_type(&name).map_err(|error| SqlError { position, ..error })
}

/// A number that fits in a bigint: 22P02 and 22003 as when such a text is read.
fn integer(cursor: &mut Cursor<'_>) -> SqlResult<i64> {
    let Some(text) = cursor.number() else { return Err(cursor.error()) };
    text.parse().map_err(|_| {
        let digits = text.strip_prefix('-').unwrap_or(&text);
        match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value \"{text}\" is out of range for type bigint"),
            ),
            false => SqlError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type bigint: \"{text}\""),
            ),
        }
    })
}
