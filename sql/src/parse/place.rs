//! Where tokens stand in the text.

use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

/// Turns sqlparser's lines and columns into PostgreSQL's characters from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Characters before each line. Empty for text that no client wrote: then nothing has a place.
    lines: Vec<u32>,
    /// Operators in order: sqlparser's tree does not hold where they are.
    operators: Vec<Location>,
    /// Where SYMMETRIC was written.
    symmetric: Vec<Location>,
    /// Names after OF of row locks of the weaker kind, and whether the name stands for all tables.
    weaker_locks: Vec<(Location, bool)>,
}

impl Places {
    /// The places of a text.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = vec![0];
        let mut count = 0;
        for c in text.chars() {
            count += 1;
            if c == '\n' {
                lines.push(count);
            }
        }
        Places { lines, ..Places::default() }
    }

    /// Nothing has a place.
    pub(crate) fn none() -> Self {
        Places::default()
    }

    /// Remembers where operators are.
    pub(crate) fn note_operators(&mut self, tokens: &[TokenWithSpan]) {
        for token in tokens {
            let operator = match &token.token {
                Token::Word(word) => {
                    word.quote_style.is_none()
                        && matches!(
                            word.value.to_ascii_uppercase().as_str(),
                            "LIKE"
                                | "ILIKE"
                                | "IN"
                                | "BETWEEN"
                                | "IS"
                                | "AND"
                                | "OR"
                                | "NOT"
                                | "SIMILAR"
                                | "OPERATOR"
                        )
                }
                Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::EscapedStringLiteral(_)
                | Token::DollarQuotedString(_)
                | Token::Placeholder(_)
                | Token::Period
                | Token::Comma
                | Token::LParen
                | Token::RParen
                | Token::LBracket
                | Token::RBracket => false,
                _ => true,
            };
            if operator {
                self.operators.push(token.span.start);
            }
        }
    }

    /// Remembers SYMMETRIC.
    pub(crate) fn note_symmetric(&mut self, location: Location) {
        self.symmetric.push(location);
    }

    /// Remembers that FOR NO KEY UPDATE or FOR KEY SHARE was written, by the name after its OF.
    pub(crate) fn note_weaker_lock(&mut self, name: Location, all: bool) {
        self.weaker_locks.push((name, all));
    }

    /// If a row lock with this name after OF is of the weaker kind: whether the name stands for all tables.
    pub(crate) fn weaker_lock(&self, name: &ast::ObjectName) -> Option<bool> {
        let start = name.span().start;
        let found = self.weaker_locks.iter().find(|(location, _)| *location == start);
        found.map(|(_, all)| *all)
    }

    /// True iff SYMMETRIC was written between two expressions.
    pub(crate) fn symmetric_between(&self, left: &ast::Expr, right: &ast::Expr) -> bool {
        let (from, to) = (left.span().end, right.span().start);
        self.symmetric.iter().any(|location| *location >= from && *location < to)
    }

    /// The operator after an expression.
    pub(crate) fn operator_after(&self, left: &ast::Expr) -> Option<u32> {
        let from = left.span().end;
        let index = self.operators.partition_point(|location| *location < from);
        self.operators.get(index).and_then(|location| self.at(*location))
    }

    /// The operator before an expression.
    pub(crate) fn operator_before(&self, right: &ast::Expr) -> Option<u32> {
        let to = right.span().start;
        let index = self.operators.partition_point(|location| *location < to);
        self.operators.get(index.checked_sub(1)?).and_then(|location| self.at(*location))
    }

    /// The character at a location.
    pub(crate) fn at(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let before = *self.lines.get(line)?;
        Some(before + u32::try_from(location.column).ok()?)
    }

    /// Where a span begins.
    pub(crate) fn of_span(&self, span: Span) -> Option<u32> {
        self.at(span.start)
    }

    /// Where an expression begins.
    pub(crate) fn of_expr(&self, expr: &ast::Expr) -> Option<u32> {
        self.of_span(expr.span())
    }

    /// Where an identifier begins.
    pub(crate) fn of_ident(&self, ident: &ast::Ident) -> Option<u32> {
        self.of_span(ident.span)
    }

    /// Where a name begins.
    pub(crate) fn of_name(&self, name: &ast::ObjectName) -> Option<u32> {
        self.of_span(name.span())
    }
}
