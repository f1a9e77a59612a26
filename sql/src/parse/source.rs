//! A text as tokens: cut into statements, bounded, patched, and asked where its errors are.

use std::sync::Arc;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::bounds;
use super::dialect::Postgres;
use super::lexical;
use super::place::Places;
use super::row_lock;
use crate::error::{SqlError, SqlResult, SqlState};
use crate::stack::{self, Tree, roomy};

/// The longest text that is parsed, in bytes.
pub(crate) const MAX_TEXT: usize = 16 << 20;

/// How deep the parser may recurse: a level of nesting is some of its own.
pub(crate) const MAX_RECURSION: usize = 4 * bounds::MAX_NESTING;

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
            bounds::check(tokens, &places)?;
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
        self.places.byte_of(self.text, position)
    }

    /// Runs sqlparser over a statement's tokens, which it must use up.
    pub(crate) fn parse<T>(
        &self,
        tokens: &[TokenWithSpan],
        end: Option<&TokenWithSpan>,
        run: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> SqlResult<Tree<T>> {
        let dialect = Postgres::default();
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(MAX_RECURSION)
            .with_tokens_with_locations(tokens.to_vec());
        stack::instruct_parser();
        let result = roomy(|| run(&mut parser).map(Tree::new));
        let result = result.map_err(|error| self.error(error, tokens, end, &parser))?;
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

pub(crate) fn too_complex() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("The statement is nested too deeply.")
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
    let rest = &text[places.byte_of(text, position)..];
    let what = match message.to_ascii_lowercase() {
        m if m.contains("comment") => "unterminated /* comment",
        m if m.contains("string") => "unterminated quoted string",
        m if m.contains("expected close delimiter") => "unterminated quoted identifier",
        m if m.contains("dollar") || m.contains('$') => "unterminated dollar-quoted string",
        _ => "syntax error",
    };
    SqlError::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{rest}\"")).at(position)
}

fn is(token: Option<&TokenWithSpan>, keyword: Keyword) -> bool {
    matches!(token.map(|t| &t.token),
        Some(Token::Word(Word { keyword: k, quote_style: None, .. })) if *k == keyword)
}

/// Rewrites what PostgreSQL knows and sqlparser does not:
/// `TABLE t` becomes `SELECT * FROM t`; SYMMETRIC and ASYMMETRIC go, and the places remember SYMMETRIC.
fn patch(tokens: &mut Vec<TokenWithSpan>, places: &mut Places) {
    let mut patched: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = std::mem::take(tokens).into_iter().peekable();
    while let Some(token) = rest.next() {
        let before = patched.last();
        let follows_set = is(before, Keyword::UNION)
            || is(before, Keyword::EXCEPT)
            || is(before, Keyword::INTERSECT)
            || is(before, Keyword::ALL);
        let starts_query = before.is_none_or(|t| matches!(t.token, Token::LParen)) || follows_set;
        let word_next = matches!(rest.peek().map(|t| &t.token), Some(Token::Word(_)));
        let here = Some(&token);
        if is(here, Keyword::TABLE) && starts_query && word_next {
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            patched.extend(words.into_iter().map(|word| TokenWithSpan::new(word, token.span)));
        } else if is(before, Keyword::BETWEEN) && is(here, Keyword::SYMMETRIC) {
            places.note_symmetric(token.span.start);
        } else if !(is(before, Keyword::BETWEEN) && is(here, Keyword::ASYMMETRIC)) {
            patched.push(token);
        }
    }
    *tokens = patched;
}
