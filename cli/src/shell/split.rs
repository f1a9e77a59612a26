//! The lexical shape of SQL: where a token ends, and where a statement does: at a semicolon that is not within a string,
//! a name, or a comment.

/// What a piece of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Semicolon,
    String,
    QuotedName,
    Comment,
    /// Letters, digits and underscores.
    Word,
    /// One other character.
    Other,
}

/// The token at a place of a text that is not its end, and where it ends; `None` if it has no end yet.
pub(crate) fn token(text: &str, at: usize) -> (Token, Option<usize>) {
    let bytes = text.as_bytes();
    let byte_at = |at: usize| bytes.get(at).copied();
    match bytes[at] {
        b';' => (Token::Semicolon, Some(at + 1)),
        b'\'' => {
            let escapes = at > 0
                && matches!(bytes[at - 1], b'e' | b'E')
                && (at < 2 || !is_word(bytes[at - 2]));
            (Token::String, end_of_quoted(bytes, at + 1, b'\'', escapes))
        }
        b'"' => (Token::QuotedName, end_of_quoted(bytes, at + 1, b'"', false)),
        b'-' if byte_at(at + 1) == Some(b'-') => (Token::Comment, end_of_line(bytes, at)),
        b'/' if byte_at(at + 1) == Some(b'*') => (Token::Comment, end_of_comment(bytes, at + 2)),
        b'$' if at == 0 || !is_word(bytes[at - 1]) => match dollar_tag(text, at) {
            Some(tag) => {
                let body = at + tag.len();
                (Token::String, text[body..].find(tag).map(|length| body + length + tag.len()))
            }
            None => (Token::Other, Some(at + 1)),
        },
        byte if is_word(byte) => {
            let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
            (Token::Word, Some(at + length))
        }
        _ => (Token::Other, Some(at + 1)),
    }
}

/// The length of the first statement, its semicolon included; `None` if it has no end yet.
pub(crate) fn end_of_statement(text: &str) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match token(text, at) {
            (Token::Semicolon, end) => return end,
            (_, end) => at = end?,
        }
    }
    None
}

/// Where the last whole statement ends; zero if there is none.
pub(crate) fn end_of_last(text: &str) -> usize {
    let mut end = 0;
    while let Some(length) = end_of_statement(&text[end..]) {
        end += length;
    }
    end
}

/// True iff there is nothing but blanks and comments.
pub(crate) fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            match end_of_comment(rest.as_bytes(), 2) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        } else {
            return rest.is_empty();
        }
        rest = rest.trim_start();
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// A doubled quote is two ends and two starts, which comes to the same.
fn end_of_quoted(bytes: &[u8], mut at: usize, quote: u8, escapes: bool) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'\\' if escapes => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn end_of_line(bytes: &[u8], at: usize) -> Option<usize> {
    bytes[at..].iter().position(|byte| *byte == b'\n').map(|length| at + length)
}

/// Comments nest.
fn end_of_comment(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1;
    while depth > 0 {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
    Some(at)
}

/// The `$tag$` that begins here.
fn dollar_tag(text: &str, at: usize) -> Option<&str> {
    let inner = &text[at + 1..];
    let length = inner.bytes().take_while(|byte| is_word(*byte)).count();
    let first = inner.as_bytes().first()?;
    let is_tag = inner.as_bytes().get(length) == Some(&b'$') && !first.is_ascii_digit();
    is_tag.then(|| &text[at..at + length + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_they_do() {
        for (text, first) in [
            ("select 1; select 2", Some("select 1;")),
            ("select ';''' ; x", Some("select ';''' ;")),
            (r"select E'\';' ; x", Some(r"select E'\';' ;")),
            (r"select '\'; x", Some(r"select '\';")),
            (r"select type'\'; x", Some(r"select type'\';")),
            ("select \";\"; x", Some("select \";\";")),
            ("select 1 -- ;\n; x", Some("select 1 -- ;\n;")),
            ("select /* ; /* ; */ ; */ 1; x", Some("select /* ; /* ; */ ; */ 1;")),
            ("select $$;$$, $a$;$$;$a$; x", Some("select $$;$$, $a$;$$;$a$;")),
            ("select $1; x", Some("select $1;")),
            ("select a$b; $", Some("select a$b;")),
            ("select '", None),
            ("select 1 -- ;", None),
            ("select $a$ ;", None),
            ("", None),
        ] {
            assert_eq!(end_of_statement(text).map(|end| &text[..end]), first, "{text}");
        }
        assert!(is_blank(" -- a\n /* b /* c */ */ "));
        assert!(!is_blank("-- a\n1"));
        assert_eq!(end_of_last("a; b ';' ; c"), "a; b ';' ;".len());
    }
}
