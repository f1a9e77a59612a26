//! COPY's lines: how values are written in them.

use std::iter::Peekable;
use std::str::Chars;

use sql_parse::{CopyHeader, CopyOptions};
use sql_values::error::{SqlError, SqlResult, SqlState};

/// How values are told apart.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    pub(super) csv: bool,
    pub(super) delimiter: char,
    pub(super) null: String,
    pub(super) quote: char,
    pub(super) escape: char,
    pub(super) header: CopyHeader,
}

impl Dialect {
    /// From COPY's options, of FROM or of TO.
    pub(super) fn new(options: &CopyOptions, from: bool) -> SqlResult<Dialect> {
        let csv = match options.format.as_deref() {
            None | Some("text") => false,
            Some("csv") => true,
            Some("binary") => return Err(SqlError::unsupported("COPY in binary format")),
            Some(other) => {
                let text = format!("COPY format \"{other}\" not recognized");
                return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
            }
        };
        let one = |value: &Option<String>, default: char, what: &str| match value {
            None => Ok(default),
            Some(text) => {
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) if c.is_ascii() && c != '\n' && c != '\r' => Ok(c),
                    _ => {
                        let text = format!("COPY {what} must be a single one-byte character");
                        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text))
                    }
                }
            }
        };
        let quote = one(&options.quote, '"', "quote")?;
        let refused = |text: String| Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
        for (given, what, is_of_from) in [
            (options.force_quote.is_some(), "quote", false),
            (options.force_not_null.is_some(), "not null", true),
            (options.force_null.is_some(), "null", true),
        ] {
            if given && !csv {
                return refused(format!("COPY force {what} available only in CSV mode"));
            }
            if given && from != is_of_from {
                let verb = if is_of_from { "FROM" } else { "TO" };
                return refused(format!("COPY force {what} only available using COPY {verb}"));
            }
        }
        if options.header == CopyHeader::Match && !from {
            return refused("cannot use \"match\" with HEADER in COPY TO".to_owned());
        }
        Ok(Dialect {
            csv,
            delimiter: one(&options.delimiter, if csv { ',' } else { '\t' }, "delimiter")?,
            null: options.null.clone().unwrap_or(if csv { "" } else { "\\N" }.to_owned()),
            quote,
            escape: one(&options.escape, quote, "escape")?,
            header: options.header,
        })
    }
}

/// The values of a line in the text format; none is NULL.
pub(super) fn split_text(line: &str, dialect: &Dialect) -> SqlResult<Vec<Option<String>>> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut raw = String::new();
    let mut chars = line.chars().peekable();
    loop {
        match chars.next() {
            Some(c) if c == dialect.delimiter => {
                values.push((raw != dialect.null).then(|| std::mem::take(&mut value)));
                value.clear();
                raw.clear();
            }
            Some('\\') => {
                raw.push('\\');
                let Some(escaped) = chars.next() else { continue };
                raw.push(escaped);
                // `\\101` and `\\x41` are bytes, which may only together be characters.
                if let Some(bytes) = escaped_bytes(escaped, &mut chars, &mut raw) {
                    decode_run(bytes, &mut value, &mut chars, &mut raw)?;
                    continue;
                }
                value.push(match escaped {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    other => other,
                });
            }
            Some(c) => {
                raw.push(c);
                value.push(c);
            }
            None => {
                values.push((raw != dialect.null).then_some(value));
                return Ok(values);
            }
        }
    }
}

/// The byte that an octal (`\\1`, `\\101`) or hexadecimal (`\\x4`, `\\x41`) escape means, whose first character was read.
fn escaped_bytes(first: char, chars: &mut Peekable<Chars<'_>>, raw: &mut String) -> Option<u8> {
    let (radix, digits, mut value) = match first {
        '0'..='7' => (8, 2, first.to_digit(8)?),
        'x' if chars.peek().is_some_and(char::is_ascii_hexdigit) => (16, 2, 0),
        _ => return None,
    };
    for _ in 0..digits {
        let Some(next) = chars.next_if(|next| next.is_digit(radix)) else { break };
        raw.push(next);
        value = value * radix + next.to_digit(radix).unwrap_or(0);
    }
    // Octal digits beyond a byte wrap.
    Some((value & 0xff) as u8)
}

/// Adds bytes to a value: the first and those of the escapes that follow it immediately.
fn decode_run(
    first: u8,
    value: &mut String,
    chars: &mut Peekable<Chars<'_>>,
    raw: &mut String,
) -> SqlResult<()> {
    let mut bytes = vec![first];
    loop {
        let mut ahead = chars.clone();
        let escape = match (ahead.next(), ahead.next()) {
            (Some('\\'), Some(escape)) => escape,
            _ => break,
        };
        let mut text = String::from("\\");
        text.push(escape);
        let Some(byte) = escaped_bytes(escape, &mut ahead, &mut text) else { break };
        bytes.push(byte);
        raw.push_str(&text);
        *chars = ahead;
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else {
        let message = "invalid byte sequence for encoding \"UTF8\"";
        return Err(SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message));
    };
    value.push_str(&text);
    Ok(())
}

/// The values of a line of CSV; none is NULL, which is never quoted.
pub(super) fn split_csv(line: &str, dialect: &Dialect) -> SqlResult<Vec<Option<String>>> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut was_quoted = false;
    let mut chars = line.chars().peekable();
    loop {
        match chars.next() {
            Some(c) if c == dialect.quote => {
                was_quoted = true;
                loop {
                    match chars.next() {
                        Some(c)
                            if c == dialect.escape
                                && chars.peek().is_some_and(|next| {
                                    *next == dialect.quote || *next == dialect.escape
                                }) =>
                        {
                            value.extend(chars.next());
                        }
                        Some(c) if c == dialect.quote => break,
                        Some(c) => value.push(c),
                        None => {
                            let text = "unterminated CSV quoted field";
                            return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, text));
                        }
                    }
                }
            }
            Some(c) if c == dialect.delimiter => {
                let null = !was_quoted && value == dialect.null;
                values.push((!null).then(|| std::mem::take(&mut value)));
                value.clear();
                was_quoted = false;
            }
            Some(c) => value.push(c),
            None => {
                let null = !was_quoted && value == dialect.null;
                values.push((!null).then_some(value));
                return Ok(values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(format: &str) -> Dialect {
        let options = CopyOptions { format: Some(format.into()), ..CopyOptions::default() };
        Dialect::new(&options, true).unwrap()
    }

    #[test]
    fn text_has_escapes_and_nulls() {
        let values = split_text("a\\tb\t\\N\t\t\\\\N", &dialect("text")).unwrap();
        let wanted = [Some("a\tb"), None, Some(""), Some("\\N")];
        assert_eq!(values, wanted.map(|value| value.map(str::to_owned)));
    }

    #[test]
    fn text_has_bytes_in_figures() {
        let values = split_text("\\x41\\101\\x4g\t\\xg\\8\t\\xc3\\xa4\\303\\266", &dialect("text"));
        let wanted = ["AA\u{4}g", "xg8", "äö"].map(|value| Some(value.to_owned()));
        assert_eq!(values.unwrap(), wanted);
        for text in ["\\xff", "\\0", "\\xc3"] {
            assert_eq!(split_text(text, &dialect("text")).unwrap_err().state.0, "22021");
        }
    }

    #[test]
    fn csv_has_an_escape_of_its_own() {
        let escape = Some("\\".to_owned());
        let options = CopyOptions { format: Some("csv".into()), escape, ..CopyOptions::default() };
        let dialect = Dialect::new(&options, true).unwrap();
        let values = split_csv("\"a\\\"b\\\\\\c\",\\", &dialect).unwrap();
        let wanted = [Some("a\"b\\\\c"), Some("\\")];
        assert_eq!(values, wanted.map(|value| value.map(str::to_owned)));
    }

    #[test]
    fn csv_has_quotes_and_nulls() {
        let values = split_csv("1,,\"\",\"a \"\"b\"\", c\"", &dialect("csv")).unwrap();
        let wanted = [Some("1"), None, Some(""), Some("a \"b\", c")];
        assert_eq!(values, wanted.map(|value| value.map(str::to_owned)));
        assert_eq!(split_csv("\"a", &dialect("csv")).unwrap_err().state.0, "22P04");
    }
}
