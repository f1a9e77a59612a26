//! Where a long text can be cut without cutting a token, so that it is read in pieces.
//!
//! sqlparser reads a text into one vector with a token for every blank, and a token is a hundred times as large as that.
//! Read in pieces, only what counts is kept. A cut is behind a blank, a parenthesis, a comma or a semicolon that is not
//! quoted and in no comment: none of them is a part of another token.

/// Bytes of text that are read at a time, if they can be cut there.
pub(super) const PIECE: usize = 64 << 10;

/// A part of a text.
pub(crate) struct Part {
    /// The byte after its last.
    pub(crate) end: usize,
    /// How many tokens it has at most.
    pub(crate) tokens: usize,
}

/// The part of a text that begins at a byte, which is its first or one after a cut.
pub(crate) fn part(text: &str, from: usize) -> Part {
    let bytes = text.as_bytes();
    let mut at = from;
    let mut tokens = 0;
    // Whether the character before is a part of a word, which `$` and E then go on with.
    let mut in_word = false;
    while let Some(&byte) = bytes.get(at) {
        tokens += 1;
        let rest = bytes.get(at..).unwrap_or_default();
        let was_in_word = std::mem::replace(&mut in_word, false);
        let length = match (byte, rest.get(1)) {
            (b'\'', _) => quoted(rest, b'\'', false),
            (b'"', _) => quoted(rest, b'"', false),
            (b'e' | b'E', Some(b'\'')) if !was_in_word => {
                1 + quoted(rest.get(1..).unwrap_or_default(), b'\'', true)
            }
            (b'-', Some(b'-')) => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            (b'/', Some(b'*')) => comment(rest),
            (b'$', _) if !was_in_word => dollar_quoted(rest).unwrap_or(1),
            (b'(' | b')' | b',' | b';', _) => 1,
            _ if byte.is_ascii_whitespace() => 1,
            _ => {
                in_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
                at += 1;
                continue;
            }
        };
        at += length;
        let cut = length == 1 && byte != b'$';
        if cut && at - from >= PIECE {
            return Part { end: at, tokens };
        }
    }
    Part { end: text.len(), tokens }
}

/// The length of what begins with a quote, to its other one; two are one within. All of the text if there is none.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if escapes && byte == b'\\' {
            at += 1;
        } else if byte == quote {
            if text.get(at) != Some(&quote) {
                return at;
            }
            at += 1;
        }
    }
    text.len()
}

/// The length of a comment, which may hold others.
fn comment(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(pair) = text.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of `$tag$…$tag$`, if this is one.
fn dollar_quoted(text: &[u8]) -> Option<usize> {
    let tag = text.iter().skip(1).position(|byte| *byte == b'$')? + 2;
    let (tag, rest) = text.split_at_checked(tag)?;
    let name = tag.get(1..tag.len() - 1)?;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..);
    if name.first().is_some_and(u8::is_ascii_digit) || !name.iter().all(is_word) {
        return None;
    }
    let found = rest.windows(tag.len()).position(|window| window == tag);
    Some(found.map_or(text.len(), |at| tag.len() + at + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All cuts of a text, as if every piece were short.
    fn cuts(text: &str) -> Vec<&str> {
        let long = format!("{}{text}", "x".repeat(PIECE));
        let Part { end, .. } = part(&long, 0);
        let first = end - PIECE;
        vec![&text[..first], &text[first..]]
    }

    #[test]
    fn nothing_is_cut_within_a_token() {
        assert_eq!(cuts("'a, b' c"), ["'a, b' ", "c"]);
        assert_eq!(cuts("+E'\\', b' c"), ["+E'\\', b' ", "c"]);
        assert_eq!(cuts("+E'a'', b' c"), ["+E'a'', b' ", "c"]);
        // A word that ends with e is no mark of escapes.
        assert_eq!(cuts("e'\\', b'"), ["e'\\',", " b'"]);
        assert_eq!(cuts("+$a$ $$, $a$, c"), ["+$a$ $$, $a$,", " c"]);
        // Within a word a dollar begins nothing.
        assert_eq!(cuts("$a, b$a, c"), ["$a,", " b$a, c"]);
        assert_eq!(cuts("+$1, c"), ["+$1,", " c"]);
        assert_eq!(cuts("+--, b\n, c"), ["+--, b\n", ", c"]);
        assert_eq!(cuts("+/*, /*,*/ b*/, c"), ["+/*, /*,*/ b*/,", " c"]);
        assert_eq!(cuts("\"a\"\", b\";c"), ["\"a\"\", b\";", "c"]);
        assert_eq!(cuts("'open, and more"), ["'open, and more", ""]);
    }
}
