//! Colours of the statement that is being typed.

use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

use super::keywords::KEYWORDS;
use super::split::{Token, token};

/// Keywords, strings, numbers and comments stand out.
pub(super) struct SqlHighlighter;

impl Highlighter for SqlHighlighter {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        if line.trim_start().starts_with('\\') {
            styled.push((Color::Purple.normal(), line.to_owned()));
            return styled;
        }
        let mut at = 0;
        while at < line.len() {
            let (kind, end) = token(line, at);
            // What has no end yet goes on to the end of the line.
            let end = end.unwrap_or(line.len());
            let text = &line[at..end];
            styled.push((style(kind, text), text.to_owned()));
            at = end;
        }
        styled
    }
}

fn style(kind: Token, text: &str) -> Style {
    match kind {
        Token::String => Color::Green.normal(),
        Token::Comment => Style::new().dimmed(),
        Token::Word if text.starts_with(|first: char| first.is_ascii_digit()) => {
            Color::Cyan.normal()
        }
        Token::Word if KEYWORDS.binary_search(&text.to_ascii_uppercase().as_str()).is_ok() => {
            Color::Blue.bold()
        }
        Token::Word | Token::QuotedName | Token::Semicolon | Token::Other => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(line: &str) -> Vec<(Style, String)> {
        let plain = |piece: &(Style, String)| piece.0 == Style::new();
        let styled = SqlHighlighter.highlight(line, 0).buffer;
        assert_eq!(styled.iter().map(|piece| piece.1.as_str()).collect::<String>(), line);
        styled.into_iter().filter(|piece| !plain(piece)).collect()
    }

    #[test]
    fn words_strings_numbers_and_comments_stand_out() {
        assert!(KEYWORDS.is_sorted());
        let found = pieces("select größe, 12, 'it''s', $$x$$ from \"Select\" -- why");
        let expected = [
            (Color::Blue.bold(), "select"),
            (Color::Cyan.normal(), "12"),
            (Color::Green.normal(), "'it'"),
            (Color::Green.normal(), "'s'"),
            (Color::Green.normal(), "$$x$$"),
            (Color::Blue.bold(), "from"),
            (Style::new().dimmed(), "-- why"),
        ];
        let expected = expected.map(|(style, text)| (style, text.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(pieces("'open"), [(Color::Green.normal(), "'open".to_owned())]);
        assert_eq!(pieces("\\d t"), [(Color::Purple.normal(), "\\d t".to_owned())]);
    }
}
