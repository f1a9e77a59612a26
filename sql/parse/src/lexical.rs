//! Tokens as PostgreSQL cuts them, from sqlparser's: operators and literals that are written in pieces.

use std::str::CharIndices;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::dialect::Postgres;
use super::place::Places;

/// The tokens of a statement, without blanks and comments, and the semicolon after it.
pub(crate) type Piece = (Vec<TokenWithSpan>, Option<TokenWithSpan>);

/// Finds the bytes of places that come in order.
struct Bytes<'a> {
    rest: CharIndices<'a>,
    /// The place of the character that comes next.
    next: u32,
    len: usize,
}

impl<'a> Bytes<'a> {
    /// The bytes of a text whose first character has this place.
    fn of(text: &'a str, first: u32) -> Self {
        Bytes { rest: text.char_indices(), next: first, len: text.len() }
    }

    /// The byte of a character that is not before the last one asked for.
    fn at(&mut self, position: u32) -> usize {
        while self.next < position && self.rest.next().is_some() {
            self.next += 1;
        }
        self.rest.clone().next().map_or(self.len, |(byte, _)| byte)
    }
}

/// The tokens of a text without blanks and comments, cut into statements, as they come.
pub(crate) struct Pieces<'a> {
    text: &'a str,
    places: &'a Places,
    bytes: Bytes<'a>,
    /// The statements that have ended.
    done: Vec<Piece>,
    /// The one under way.
    current: Vec<TokenWithSpan>,
    /// A newline has come since the last token that was kept.
    newline: bool,
}

impl<'a> Pieces<'a> {
    /// Of a text, whose tokens are to come in order.
    pub(crate) fn of(text: &'a str, places: &'a Places) -> Self {
        let bytes = Bytes::of(text, places.first());
        Pieces { text, places, bytes, done: Vec::new(), current: Vec::new(), newline: false }
    }

    /// Takes some tokens. The last of them is not the beginning of an operator that goes on.
    pub(crate) fn take(&mut self, tokens: impl Iterator<Item = TokenWithSpan>) -> SqlResult<()> {
        let mut tokens = tokens.peekable();
        while let Some(token) = tokens.next() {
            if let Token::Whitespace(blank) = &token.token {
                self.newline |= blank.to_string().contains('\n');
                continue;
            }
            if is_operator_like(&token.token) {
                let mut last = token.span;
                while let Some(next) = tokens
                    .next_if(|next| is_operator_like(&next.token) && next.span.start == last.end)
                {
                    last = next.span;
                }
                let (from, to) = (self.places.at(token.span.start), self.places.at(last.end));
                let (Some(from), Some(to)) = (from, to) else {
                    return Err(SqlError::internal("a token without a place"));
                };
                let (first, end) = (self.bytes.at(from), self.bytes.at(to));
                cut_operators(&self.text[first..end], token.span, &mut self.current);
            } else if token.token == Token::SemiColon {
                self.done.push((std::mem::take(&mut self.current), Some(token)));
            } else if !self.continues(&token)? {
                self.current.push(token);
            }
            self.newline = false;
        }
        Ok(())
    }

    /// The statements.
    pub(crate) fn end(mut self) -> Vec<Piece> {
        self.done.push((self.current, None));
        self.done
    }

    fn continues(&mut self, token: &TokenWithSpan) -> SqlResult<bool> {
        let before = self.current.last_mut();
        continued(before, token, self.newline, self.text, self.places, &mut self.bytes)
    }
}

/// Cuts a run of operator characters into operators, as PostgreSQL's lexer does: the longest, but without `+` and `-`
/// at its end unless it has a character that the SQL standard's operators do not have.
fn cut_operators(run: &str, span: Span, result: &mut Vec<TokenWithSpan>) {
    let special = run.contains(['~', '!', '@', '#', '^', '&', '|', '`', '?', '%']);
    let first = if special { run } else { run.trim_end_matches(['+', '-']) };
    // What was taken off its end is one character each.
    let singles = (first.len()..run.len()).map(|at| &run[at..=at]);
    let mut start = span.start;
    for op in [first].into_iter().filter(|op| !op.is_empty()).chain(singles) {
        let mut end = start;
        end.column += op.len() as u64;
        result.push(TokenWithSpan::new(operator(op), Span::new(start, end)));
        start = end;
    }
}

fn operator(text: &str) -> Token {
    match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "^" => Token::Caret,
        "=>" => Token::RArrow,
        other => Token::CustomBinaryOperator(other.to_owned()),
    }
}

/// True iff a token has only characters of operators.
fn is_operator_like(token: &Token) -> bool {
    !matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Whitespace(_)
    ) && token.to_string().chars().all(|ch| "+-*/<>=~!@#%^&|`?".contains(ch))
        && !matches!(token, Token::EOF)
}

/// A string after a string is the same literal if a newline is between them, and an error otherwise. True iff it was
/// put behind what is before it.
fn continued(
    before: Option<&mut TokenWithSpan>,
    token: &TokenWithSpan,
    newline: bool,
    text: &str,
    places: &Places,
    bytes: &mut Bytes<'_>,
) -> SqlResult<bool> {
    let (Some(before), Token::SingleQuotedString(more)) = (before, &token.token) else {
        return Ok(false);
    };
    let joined = match &mut before.token {
        _ if !newline => false,
        Token::SingleQuotedString(first) | Token::NationalStringLiteral(first) => {
            first.push_str(more);
            true
        }
        Token::EscapedStringLiteral(first) => {
            // The continuation has escapes as well.
            let (Some(from), Some(to)) = (places.of_span(token.span), places.at(token.span.end))
            else {
                return Ok(false);
            };
            let (from, to) = (bytes.at(from), bytes.at(to));
            let dialect = Postgres::default();
            let escaped = format!("E{}", &text[from..to]);
            match Tokenizer::new(&dialect, &escaped).tokenize().ok().as_deref() {
                Some([Token::EscapedStringLiteral(more)]) => {
                    first.push_str(more);
                    true
                }
                _ => false,
            }
        }
        _ => false,
    };
    if joined {
        before.span.end = token.span.end;
        return Ok(true);
    }
    let literal = matches!(
        before.token,
        Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::DollarQuotedString(_)
    );
    if !literal {
        return Ok(false);
    }
    let from = places.of_span(token.span).unwrap_or(1);
    let to = places.at(token.span.end).unwrap_or(from);
    let (from_byte, to_byte) = (bytes.at(from), bytes.at(to));
    let message = format!("syntax error at or near \"{}\"", &text[from_byte..to_byte]);
    Err(SqlError::new(SqlState::SYNTAX_ERROR, message).at(from))
}
