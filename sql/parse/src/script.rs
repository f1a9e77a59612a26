//! A text of statements, each parsed when its turn comes.
//!
//! All of a text is parsed before any of it runs, because a syntax error in its last statement keeps the first from
//! running. But a tree is a thousand times as large as its text at worst, and a text may have a million statements. So
//! only the trees of a text's beginning are kept from that; all others are dropped, and made again one by one.
//!
//! What tokens and trees hold is counted before they are there, against the node's memory and not the statement's: nobody
//! chooses their size by `work_mem`. A tree's count stays as long as the tree does.

use std::collections::VecDeque;

use sql_values::error::SqlResult;
use sql_values::memory::Pool;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::TokenWithSpan;

use super::dialect::operators::is_word;
use super::lexical::Piece;
use super::source::Text;
use super::statement::{Held, Parsed};

/// Bytes of text whose trees are kept. The first statement's always is.
const KEPT_TEXT: usize = 16 << 10;

/// Bytes that the tree and the plan take for a token of a statement, at most: of `VALUES (1), (1)` and the like.
const TREE_BYTES: usize = 512;

/// Bytes that they take for a SELECT or VALUES beside.
const SELECT_BYTES: usize = 16 << 10;

/// The statements of a text that are still to come.
pub struct Script {
    text: String,
    pool: Pool,
    /// The next ones.
    parsed: VecDeque<Parsed>,
    /// Those after them.
    later: VecDeque<Later>,
}

/// Where a statement stands.
struct Later {
    /// Its first byte, and the one after its semicolon, or its last.
    from: usize,
    to: usize,
    /// Characters before it.
    before: u32,
}

impl Script {
    /// Nothing to run.
    pub fn empty() -> Script {
        Script {
            text: String::new(),
            pool: Pool::new(0),
            parsed: VecDeque::new(),
            later: VecDeque::new(),
        }
    }

    /// Reads a text of any number of statements; empty ones are left out. Either all of them parse or none. What the
    /// trees take comes from the pool.
    ///
    /// # Errors
    /// The first syntax error; 54000 or 54001 of what is too large; 53200 where the memory does not suffice.
    pub fn read(text: &str, pool: &Pool) -> SqlResult<Script> {
        let mut script = Script { pool: pool.clone(), ..Script::empty() };
        let mut kept = 0;
        let mut held = pool.reserve();
        let mut read = Text::read(text, 0, &mut held)?;
        for piece in std::mem::take(&mut read.pieces) {
            let (Some(first), Some(last)) = (piece.0.first(), piece.1.as_ref().or(piece.0.last()))
            else {
                continue;
            };
            let from = read.places.byte_at(text, first.span.start);
            let to = read.places.byte_at(text, last.span.end);
            let before = read.places.of_span(first.span).unwrap_or(1) - 1;
            kept += to - from;
            let parsed = script.parse(&read, piece)?;
            if kept <= KEPT_TEXT || script.parsed.is_empty() {
                script.parsed.push_back(parsed);
            } else {
                script.later.push_back(Later { from, to, before });
            }
        }
        if !script.later.is_empty() {
            script.text = text.to_owned();
        }
        Ok(script)
    }

    fn parse(&self, read: &Text<'_>, (mut tokens, end): Piece) -> SqlResult<Parsed> {
        let mut bytes = self.pool.reserve();
        bytes.grow(bytes_of(&tokens))?;
        let source = read.source(&mut tokens)?;
        let text = match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => source.slice(first, last).to_owned(),
            _ => String::new(),
        };
        let statement = super::statement(&source, tokens, end.as_ref())?;
        Ok(Parsed { text, statement, _held: Some(Held::new(bytes)) })
    }

    fn parse_later(&self, later: &Later) -> SqlResult<Parsed> {
        let part = self.text.get(later.from..later.to).unwrap_or_default();
        let mut read = Text::read(part, later.before, &mut self.pool.reserve())?;
        let piece = std::mem::take(&mut read.pieces).into_iter().next();
        self.parse(&read, piece.unwrap_or_default())
    }

    /// How many statements are left.
    pub fn len(&self) -> usize {
        self.parsed.len() + self.later.len()
    }

    /// True iff none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// About the bytes of a statement's tree and plan, told from its tokens.
fn bytes_of(tokens: &[TokenWithSpan]) -> usize {
    let is_select = |token: &&TokenWithSpan| {
        is_word(&token.token, Keyword::SELECT) || is_word(&token.token, Keyword::VALUES)
    };
    let selects = tokens.iter().filter(is_select).count();
    tokens.len().saturating_mul(TREE_BYTES).saturating_add(selects * SELECT_BYTES)
}

impl Iterator for Script {
    type Item = SqlResult<Parsed>;

    fn next(&mut self) -> Option<SqlResult<Parsed>> {
        if let Some(parsed) = self.parsed.pop_front() {
            return Some(Ok(parsed));
        }
        let later = self.later.pop_front()?;
        Some(self.parse_later(&later))
    }
}
