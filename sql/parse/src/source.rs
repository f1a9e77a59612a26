//! A text as tokens: cut into statements, bounded, patched, and asked where its errors are.

use std::sync::Arc;

use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::{Pool, Reservation};
use sql_values::stack::{PIECE, RED, Tree, roomy};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::bounds::{self, MAX_RECURSION, too_complex};
use super::dialect::Postgres;
use super::lexical::{Piece, Pieces};
use super::place::{Overriding, Places};
use super::row_lock;
use super::scan;

/// The longest text that is parsed, in bytes.
pub(crate) const MAX_TEXT: usize = 16 << 20;

/// Makes sqlparser keep to the bounds of our own recursions: it grows the stack by itself, with less to spare.
fn instruct_parser() {
    recursive::set_minimum_stack_size(RED);
    recursive::set_stack_allocation_size(PIECE);
}

/// A text with its tokens.
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) places: Places,
    /// Those of each statement; of the last one there is no semicolon.
    pub(crate) pieces: Vec<Piece>,
}

impl<'a> Text<'a> {
    /// Reads a text, before whose first character so many others stand in what the client wrote. The memory of the
    /// tokens is counted.
    pub(crate) fn read(text: &'a str, before: u32, held: &mut Reservation) -> SqlResult<Self> {
        if text.len() > MAX_TEXT {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a statement's text may have at most {MAX_TEXT} bytes"),
            ));
        }
        let places = Places::of(text, before);
        let mut pieces = Pieces::of(text, &places);
        let mut tokens = Vec::new();
        let (mut from, mut start) = (0, Location::new(1, 1));
        while from < text.len() {
            let part = scan::part(text, from);
            held.grow(part.tokens.saturating_mul(size_of::<TokenWithSpan>()))?;
            let piece = &text[from..part.end];
            Tokenizer::new(&Postgres::default(), piece)
                .tokenize_with_location_into_buf_with_mapper(&mut tokens, |mut token| {
                    token.span.start = shifted(start, token.span.start);
                    token.span.end = shifted(start, token.span.end);
                    token
                })
                .map_err(|error| {
                    unterminated(text, &places, &error.message, shifted(start, error.location))
                })?;
            start = shifted(start, end_of(piece));
            pieces.take(tokens.drain(..))?;
            from = part.end;
        }
        let pieces = pieces.end();
        Ok(Text { text, places, pieces })
    }

    /// One of its statements, whose tokens are bounded and patched.
    pub(crate) fn source(&self, tokens: &mut Vec<TokenWithSpan>) -> SqlResult<Source<'a>> {
        let mut places = self.places.clone();
        bounds::check(tokens, &places)?;
        patch(tokens, &mut places);
        row_lock::patch(tokens, &mut places);
        overriding(tokens, &mut places);
        places.note_operators(tokens);
        Ok(Source { text: self.text, places: Arc::new(places) })
    }
}

/// Where a statement's tokens come from.
pub(crate) struct Source<'a> {
    text: &'a str,
    pub(crate) places: Arc<Places>,
}

impl<'a> Source<'a> {
    /// Reads a text that is one piece of grammar, which parses to the end.
    pub(crate) fn parse_all<T>(
        text: &'a str,
        what: &str,
        run: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> SqlResult<Tree<T>> {
        let mut read = Text::read(text, 0, &mut Pool::new(usize::MAX).reserve())?;
        let (Some((mut tokens, None)), None) = (read.pieces.pop(), read.pieces.pop()) else {
            let text = format!("{what} may have no semicolon");
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, text));
        };
        read.source(&mut tokens)?.parse(tokens, None, run)
    }

    /// The text from one token to another.
    pub(crate) fn slice(&self, first: &TokenWithSpan, last: &TokenWithSpan) -> &'a str {
        let byte = |location| self.places.byte_at(self.text, location);
        self.text.get(byte(first.span.start)..byte(last.span.end)).unwrap_or(self.text)
    }

    /// Runs sqlparser over a statement's tokens, which it must use up.
    pub(crate) fn parse<T>(
        &self,
        tokens: impl Into<Vec<TokenWithSpan>>,
        end: Option<&TokenWithSpan>,
        run: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
    ) -> SqlResult<Tree<T>> {
        let dialect = Postgres::default();
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(MAX_RECURSION)
            .with_tokens_with_locations(tokens.into());
        instruct_parser();
        let result = roomy(|| run(&mut parser).map(Tree::new));
        let result = result.map_err(|error| self.error(error, end, &parser))?;
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
                let last = self.places.first() + self.text.chars().count() as u32;
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
        end: Option<&TokenWithSpan>,
        parser: &Parser<'_>,
    ) -> SqlError {
        let message = match error {
            ParserError::RecursionLimitExceeded => return too_complex(),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        if let Some(location) = location_in(&message) {
            let tokens = (0..).map(|index| parser.token_at(index));
            let mut tokens = tokens.take_while(|token| token.token != Token::EOF);
            match tokens.find(|token| token.span.start == location) {
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

/// A location in a piece of text as one in the whole text.
fn shifted(start: Location, within: Location) -> Location {
    match within.line {
        1 => Location::new(start.line, start.column + within.column - 1),
        line => Location::new(start.line + line - 1, within.column),
    }
}

/// The location behind a text.
fn end_of(text: &str) -> Location {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
    let last = text.rsplit('\n').next().unwrap_or(text);
    Location::new(1 + lines, 1 + last.chars().count() as u64)
}

/// `… at Line: 1, Column: 8`.
fn location_in(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once(" at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// What the tokenizer does not like is an open quotation, nearly always.
fn unterminated(text: &str, places: &Places, message: &str, location: Location) -> SqlError {
    let position = places.at(location).unwrap_or(places.first());
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
    let words = [Keyword::TABLE, Keyword::SYMMETRIC, Keyword::ASYMMETRIC];
    if !tokens.iter().any(|token| words.iter().any(|word| is(Some(token), *word))) {
        return;
    }
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

/// Takes OVERRIDING { SYSTEM | USER } VALUE away, and the places remember it.
fn overriding(tokens: &mut Vec<TokenWithSpan>, places: &mut Places) {
    if !is(tokens.first(), Keyword::INSERT) && !is(tokens.first(), Keyword::WITH) {
        return;
    }
    let word = |at: usize, word: &str| {
        matches!(tokens.get(at).map(|token| &token.token),
            Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    };
    let starts = |at: &usize| word(*at, "overriding") && word(at + 2, "value");
    let Some(at) = (0..tokens.len()).find(starts) else { return };
    let said = match () {
        () if word(at + 1, "system") => Overriding::System,
        () if word(at + 1, "user") => Overriding::User,
        () => return,
    };
    places.note_overriding(said);
    tokens.drain(at..at + 3);
}
