//! What values as text depend on, and what reading them shares.

use super::TextStyle;
use super::datetime::Zone;
use crate::error::{SqlError, SqlState};

/// What text depends on beside the value.
#[derive(Clone, Debug)]
pub struct TextFormat {
    /// The session's time zone.
    pub zone: Zone,
    /// When the transaction began, for `now` and `today`: microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// What the session chooses of the form.
    pub style: TextStyle,
}

impl TextFormat {
    /// In UTC, at the epoch: for text that depends on neither.
    pub const UTC: TextFormat = TextFormat { zone: Zone::UTC, now: 0, style: TextStyle::DEFAULT };

    /// In a zone by its name. One that is not known is UTC: the setting was checked when it was set.
    pub fn new(time_zone: &str, now: i64) -> TextFormat {
        let zone = Zone::of_setting(time_zone).unwrap_or(Zone::UTC);
        TextFormat { zone, now, style: TextStyle::DEFAULT }
    }

    /// The same in another form.
    pub fn with_style(self, style: TextStyle) -> TextFormat {
        TextFormat { style, ..self }
    }
}

/// The error for text that is not of a type.
pub(crate) fn invalid_syntax(ty: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {ty}: \"{text}\""),
    )
}

/// Blanks as C's isspace has them.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}
