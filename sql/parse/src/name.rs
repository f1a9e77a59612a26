//! Identifiers and names.

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::ast;

use super::place::Places;
use super::statement::Name;

/// The longest identifier, in bytes.
const MAX_IDENTIFIER: usize = 63;

/// An identifier as PostgreSQL means it: in lower case unless quoted, cut at 63 bytes.
pub fn fold(ident: &ast::Ident) -> String {
    fold_text(&ident.value, ident.quote_style.is_some())
}

/// The same of a token's text.
pub(crate) fn fold_text(value: &str, quoted: bool) -> String {
    let mut name = if quoted { value.to_owned() } else { value.to_ascii_lowercase() };
    if name.len() > MAX_IDENTIFIER {
        let mut end = MAX_IDENTIFIER;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

/// A column's or table's alias. sqlparser takes strings too, without their places.
pub fn alias(ident: &ast::Ident) -> SqlResult<String> {
    if ident.quote_style == Some('\'') {
        let text = ident.value.replace('\'', "''");
        let message = format!("syntax error at or near \"'{text}'\"");
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    }
    Ok(fold(ident))
}

/// The parts of a name, folded.
pub fn parts(name: &ast::ObjectName) -> SqlResult<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ast::ObjectNamePart::Identifier(ident) => Ok(fold(ident)),
            ast::ObjectNamePart::Function(_) => Err(SqlError::unsupported("a computed name")),
        })
        .collect()
}

/// A table's or index's name.
pub fn object(name: &ast::ObjectName, places: &Places) -> SqlResult<Name> {
    let mut parts = parts(name)?;
    let position = places.of_name(name);
    let last = parts.pop();
    match (last, parts.len()) {
        (Some(name), 0..=2) => {
            let schema = parts.pop();
            Ok(Name { database: parts.pop(), schema, name, position })
        }
        _ => {
            let error = SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("improper qualified name (too many dotted names): {name}"),
            );
            Err(match position {
                Some(position) => error.at(position),
                None => error,
            })
        }
    }
}

impl Name {
    /// A name with a database is one of that database alone: 0A000 if it is not the present one.
    pub fn within(&self, database: &str) -> SqlResult<()> {
        let Some(other) = self.database.as_ref().filter(|other| *other != database) else {
            return Ok(());
        };
        let schema = self.schema.as_deref().unwrap_or_default();
        let quoted = format!("\"{other}.{schema}.{}\"", self.name);
        Err(cross_database(&[&quoted]).at_if(self.position))
    }
}

/// 0A000 for a name of another database.
pub fn cross_database(parts: &[&str]) -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cross-database references are not implemented: {}", parts.join(".")),
    )
}
