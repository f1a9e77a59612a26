//! A text as tokens: cut into statements, bounded, patched, and asked where its errors are.

use std::sync::Arc;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::Postgres;
use super::lexical;
use super::place::Places;
use super::row_lock;
use crate::error::{SqlError, SqlResult, SqlState};

/// The longest text that is parsed, in bytes.
pub(crate) const MAX_TEXT: usize = 16 << 20;

/// How deeply parentheses, brackets and CASE may be nested.
const MAX_NESTING: usize = 200;

/// How many operators may depend on each other: sqlparser's trees are left-deep, and dropping one recurses.
const MAX_CHAIN: usize = 3000;

/// A text with its tokens.
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) places: Arc<Places>,
    /// The tokens of each statement, without blanks and comments, and the semicolon after it.
    pub(crate) statements: Vec<(Vec<TokenWithSpan>, Option<TokenWithSpan>)>,
}

impl<'a> Source<'a> {
    /// Reads a text.
    pub(crate) fn read(text: &'a str) -> SqlResult<Self> {
        if text.len() > MAX_TEXT {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a statement's text may have at most {MAX_TEXT} bytes"),
            ));
        }
        let mut places = Places::of(text);
        let tokens = Tokenizer::new(&Postgres::default(), text)
            .tokenize_with_location()
            .map_err(|error| unterminated(text, &places, &error.message, error.location))?;
        let tokens = lexical::tokens(text, &places, tokens)?;
        let mut statements = Vec::new();
        let mut current = Vec::new();
        for token in tokens {
            match token.token {
                Token::SemiColon => {
                    statements.push((std::mem::take(&mut current), Some(token)));
                }
                _ => current.push(token),
            }
        }
        statements.push((current, None));
        for (tokens, _) in &mut statements {
            check_nesting(tokens, &places)?;
            patch(tokens, &mut places);
            row_lock::patch(tokens, &mut places);
            places.note_operators(tokens);
        }
        Ok(Source { text, places: Arc::new(places), statements })
    }

    /// The text from one token to another.
    pub(crate) fn slice(&self, first: &TokenWithSpan, last: &TokenWithSpan) -> &'a str {
        let from = self.byte(first.span.start);
        let to = self.byte(last.span.end);
        self.text.get(from..to).unwrap_or(self.text)
    }

    /// The byte at a location.
    fn byte(&self, location: Location) -> usize {
        let Some(position) = self.places.at(location) else { return self.text.len() };
        byte_of(self.text, position)
    }

    /// Runs sqlparser over a statement's tokens, which it must use up.
    pub(crate) fn parse<T>(
        &self,
        tokens: &[TokenWithSpan],
        end: Option<&TokenWithSpan>,
        run: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> SqlResult<T> {
        let dialect = Postgres::default();
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(MAX_NESTING * 8)
            .with_tokens_with_locations(tokens.to_vec());
        let result = run(&mut parser).map_err(|error| self.error(error, tokens, end, &parser))?;
        let next = parser.peek_token();
        if next.token != Token::EOF {
            return Err(self.near(&next, end));
        }
        Ok(result)
    }

    /// `syntax error at or near` a token.
    pub(crate) fn near(&self, token: &TokenWithSpan, end: Option<&TokenWithSpan>) -> SqlError {
        let token = match (&token.token, end) {
            (Token::EOF, Some(end)) => end,
            (Token::EOF, None) => {
                let last = self.text.chars().count() as u32 + 1;
                return SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")
                    .at(last);
            }
            _ => token,
        };
        let text = self.slice(token, token);
        let error =
            SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""));
        match self.places.of_span(token.span) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    /// sqlparser says where it stopped only in words.
    fn error(
        &self,
        error: ParserError,
        tokens: &[TokenWithSpan],
        end: Option<&TokenWithSpan>,
        parser: &Parser<'_>,
    ) -> SqlError {
        let message = match error {
            ParserError::RecursionLimitExceeded => return too_complex(),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        if let Some(location) = location_in(&message) {
            match tokens.iter().find(|token| token.span.start == location) {
                Some(token) => return self.near(token, end),
                None => return self.near(&TokenWithSpan::new_eof(), end),
            }
        }
        if message.contains("EOF") {
            return self.near(&TokenWithSpan::new_eof(), end);
        }
        self.near(&parser.peek_token(), end)
    }
}

fn too_complex() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("The statement is nested too deeply.")
}

/// The byte at which a character (from 1) begins.
fn byte_of(text: &str, position: u32) -> usize {
    let index = (position as usize).saturating_sub(1);
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// `… at Line: 1, Column: 8`.
fn location_in(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once(" at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// What the tokenizer does not like is an open quotation, nearly always.
fn unterminated(text: &str, places: &Places, message: &str, location: Location) -> SqlError {
    let position = places.at(location).unwrap_or(1);
    let rest = &text[byte_of(text, position)..];
    let what = match message.to_ascii_lowercase() {
        m if m.contains("comment") => "unterminated /* comment",
        m if m.contains("string") => "unterminated quoted string",
        m if m.contains("expected close delimiter") => "unterminated quoted identifier",
        m if m.contains("dollar") || m.contains('$') => "unterminated dollar-quoted string",
        _ => "syntax error",
    };
    SqlError::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{rest}\"")).at(position)
}

/// Bounds what sqlparser and everything after it would recurse into.
fn check_nesting(tokens: &[TokenWithSpan], places: &Places) -> SqlResult<()> {
    // Operators since the last comma, for every open parenthesis.
    let mut open: Vec<usize> = vec![0];
    let mut total = 0;
    // Prefix operators one after the other: each is a level, without a parenthesis.
    let mut prefixes = 0;
    for token in tokens {
        prefixes = if is_prefix(&token.token) { prefixes + 1 } else { 0 };
        match &token.token {
            Token::LParen | Token::LBracket => open.push(0),
            Token::RParen | Token::RBracket => {
                if open.len() > 1 {
                    total -= open.pop().unwrap_or(0);
                }
            }
            Token::Comma => {
                if let Some(last) = open.last_mut() {
                    total -= *last;
                    *last = 0;
                }
            }
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::CASE => open.push(0),
                Keyword::END if open.len() > 1 => total -= open.pop().unwrap_or(0),
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT => {
                    if let Some(last) = open.last_mut() {
                        *last += 1;
                        total += 1;
                    }
                }
                _ => {}
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period => {}
            _ => {
                if let Some(last) = open.last_mut() {
                    *last += 1;
                    total += 1;
                }
            }
        }
        if open.len() + prefixes > MAX_NESTING || total > MAX_CHAIN {
            let error = too_complex();
            return Err(match places.of_span(token.span) {
                Some(position) => error.at(position),
                None => error,
            });
        }
    }
    Ok(())
}

fn is_prefix(token: &Token) -> bool {
    match token {
        Token::Minus | Token::Plus | Token::CustomBinaryOperator(_) => true,
        Token::Word(word) => word.keyword == Keyword::NOT && word.quote_style.is_none(),
        _ => false,
    }
}

fn is(token: Option<&TokenWithSpan>, keyword: Keyword) -> bool {
    matches!(token.map(|t| &t.token),
        Some(Token::Word(Word { keyword: k, quote_style: None, .. })) if *k == keyword)
}

/// Rewrites what PostgreSQL knows and sqlparser does not:
/// `TABLE t` becomes `SELECT * FROM t`; SYMMETRIC and ASYMMETRIC go, and the places remember SYMMETRIC.
fn patch(tokens: &mut Vec<TokenWithSpan>, places: &mut Places) {
    let mut index = 0;
    while index < tokens.len() {
        let before = index.checked_sub(1).and_then(|i| tokens.get(i));
        let here = tokens.get(index);
        let follows_set = is(before, Keyword::UNION)
            || is(before, Keyword::EXCEPT)
            || is(before, Keyword::INTERSECT)
            || is(before, Keyword::ALL);
        let starts_query = before.is_none_or(|t| matches!(t.token, Token::LParen)) || follows_set;
        let word_next = matches!(tokens.get(index + 1).map(|t| &t.token), Some(Token::Word(_)));
        if is(here, Keyword::TABLE) && starts_query && word_next {
            let span = tokens[index].span;
            let replacement =
                [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            tokens.splice(
                index..=index,
                replacement.into_iter().map(|token| TokenWithSpan::new(token, span)),
            );
        } else if is(before, Keyword::BETWEEN) {
            if is(here, Keyword::SYMMETRIC) {
                places.note_symmetric(tokens[index].span.start);
                tokens.remove(index);
            } else if is(here, Keyword::ASYMMETRIC) {
                tokens.remove(index);
            }
        }
        index += 1;
    }
}
