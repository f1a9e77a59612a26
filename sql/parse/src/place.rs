//! Where tokens stand in the text.

use std::sync::Arc;

use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

/// Characters between two whose bytes are known.
const STRIDE: usize = 256;

/// Turns sqlparser's lines and columns into PostgreSQL's characters from 1.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Those of the text, which its statements share.
    marks: Arc<Marks>,
    /// Operators in order: sqlparser's tree does not hold where they are.
    operators: Vec<Location>,
    /// Where SYMMETRIC was written.
    symmetric: Vec<Location>,
    /// What an INSERT overrides.
    overriding: Option<Overriding>,
    /// Names after OF of row locks of the weaker kind, and whether the name stands for all tables.
    weaker_locks: Vec<(Location, bool)>,
}

/// What OVERRIDING says of the values of identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// SYSTEM VALUE: those that are given count.
    System,
    /// USER VALUE: those of the sequence count.
    User,
}

/// What is known of a text.
#[derive(Debug, Default)]
struct Marks {
    /// Characters before the text, in what the client wrote.
    before: u32,
    /// Characters of the text before each line. Empty for text that no client wrote: then nothing has a place.
    lines: Vec<u32>,
    /// The byte at which every so many characters begin ([`STRIDE`]).
    bytes: Vec<usize>,
}

impl Places {
    /// The places of a text, before whose first character so many others stand in what the client wrote.
    pub(crate) fn of(text: &str, before: u32) -> Self {
        let (mut lines, mut bytes) = (vec![0], Vec::new());
        let mut count = 0;
        for (byte, c) in text.char_indices() {
            if (count as usize).is_multiple_of(STRIDE) {
                bytes.push(byte);
            }
            count += 1;
            if c == '\n' {
                lines.push(count);
            }
        }
        Places { marks: Arc::new(Marks { before, lines, bytes }), ..Places::default() }
    }

    /// Nothing has a place.
    pub(crate) fn none() -> Self {
        Places::default()
    }

    /// The place of the text's first character.
    pub(crate) fn first(&self) -> u32 {
        self.marks.before + 1
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
    pub(crate) fn note_overriding(&mut self, overriding: Overriding) {
        self.overriding = Some(overriding);
    }

    /// What the statement says with OVERRIDING, which sqlparser does not know.
    pub fn overriding(&self) -> Option<Overriding> {
        self.overriding
    }

    pub(crate) fn note_symmetric(&mut self, location: Location) {
        self.symmetric.push(location);
    }

    /// Remembers that FOR NO KEY UPDATE or FOR KEY SHARE was written, by the name after its OF.
    pub(crate) fn note_weaker_lock(&mut self, name: Location, all: bool) {
        self.weaker_locks.push((name, all));
    }

    /// If a row lock with this name after OF is of the weaker kind: whether the name stands for all tables.
    pub fn weaker_lock(&self, name: &ast::ObjectName) -> Option<bool> {
        let start = name.span().start;
        let found = self.weaker_locks.iter().find(|(location, _)| *location == start);
        found.map(|(_, all)| *all)
    }

    /// The byte of the places' text at which a character (from 1, of what the client wrote) begins.
    pub(crate) fn byte_of(&self, text: &str, position: u32) -> usize {
        let index = position.saturating_sub(self.marks.before + 1) as usize;
        let Some(before) = self.marks.bytes.get(index / STRIDE) else { return text.len() };
        let rest = text.get(*before..).unwrap_or_default();
        rest.char_indices().nth(index % STRIDE).map_or(text.len(), |(byte, _)| before + byte)
    }

    /// The byte of the places' text at a location.
    pub(crate) fn byte_at(&self, text: &str, location: Location) -> usize {
        self.at(location).map_or(text.len(), |position| self.byte_of(text, position))
    }

    /// True iff SYMMETRIC was written between two expressions.
    pub fn symmetric_between(&self, left: &ast::Expr, right: &ast::Expr) -> bool {
        let (from, to) = (end(left), start(right));
        let index = self.symmetric.partition_point(|location| *location < from);
        self.symmetric.get(index).is_some_and(|location| *location < to)
    }

    /// The operator after an expression.
    pub fn operator_after(&self, left: &ast::Expr) -> Option<u32> {
        let from = end(left);
        let index = self.operators.partition_point(|location| *location < from);
        self.operators.get(index).and_then(|location| self.at(*location))
    }

    /// The operator before an expression.
    pub fn operator_before(&self, right: &ast::Expr) -> Option<u32> {
        let to = start(right);
        let index = self.operators.partition_point(|location| *location < to);
        self.operators.get(index.checked_sub(1)?).and_then(|location| self.at(*location))
    }

    /// The character at a location.
    pub(crate) fn at(&self, location: Location) -> Option<u32> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let before = self.marks.before + *self.marks.lines.get(line)?;
        Some(before + u32::try_from(location.column).ok()?)
    }

    /// Where a query begins.
    pub fn of_query(&self, query: &ast::Query) -> Option<u32> {
        self.at(query_start(query))
    }

    /// Where a span begins.
    pub fn of_span(&self, span: Span) -> Option<u32> {
        self.at(span.start)
    }

    /// Where an expression begins.
    pub fn of_expr(&self, expr: &ast::Expr) -> Option<u32> {
        self.at(start(expr))
    }

    /// Where an identifier begins.
    pub fn of_ident(&self, ident: &ast::Ident) -> Option<u32> {
        self.of_span(ident.span)
    }

    /// Where a name begins.
    pub fn of_name(&self, name: &ast::ObjectName) -> Option<u32> {
        self.of_span(name.span())
    }
}

/// Where an expression begins. Its span says the same, but looks at all of the expression for it: asked for every part,
/// that would be quadratic. Here only the way down its left side is walked.
fn start(expr: &ast::Expr) -> Location {
    use ast::Expr as E;
    let mut expr = expr;
    loop {
        expr = match expr {
            E::BinaryOp { left, .. } | E::AnyOp { left, .. } | E::AllOp { left, .. } => left,
            E::IsDistinctFrom(left, _) | E::IsNotDistinctFrom(left, _) => left,
            E::CompoundFieldAccess { root, .. } => root,
            E::AtTimeZone { timestamp, .. } => timestamp,
            E::InList { expr, .. }
            | E::InSubquery { expr, .. }
            | E::Between { expr, .. }
            | E::Like { expr, .. }
            | E::ILike { expr, .. }
            | E::SimilarTo { expr, .. }
            | E::Collate { expr, .. } => expr,
            E::Substring { expr, .. } | E::Overlay { expr, .. } | E::Position { expr, .. } => expr,
            E::Trim { expr, trim_what, .. } => trim_what.as_deref().unwrap_or(expr),
            E::Tuple(parts) | E::Array(ast::Array { elem: parts, .. }) => match parts.first() {
                Some(first) => first,
                None => return expr.span().start,
            },
            E::Function(function) => return function.name.span().start,
            E::Case { case_token, .. } => return case_token.0.span.start,
            E::Subquery(query) | E::Exists { subquery: query, .. } => return query_start(query),
            other => match only_part(other) {
                Some(part) => part,
                None => return other.span().start,
            },
        };
    }
}

/// Where an expression ends, as its span says.
fn end(expr: &ast::Expr) -> Location {
    use ast::Expr as E;
    let mut expr = expr;
    loop {
        expr = match expr {
            E::BinaryOp { right, .. } | E::AnyOp { right, .. } | E::AllOp { right, .. } => right,
            E::IsDistinctFrom(_, right) | E::IsNotDistinctFrom(_, right) => right,
            E::AtTimeZone { time_zone, .. } => time_zone,
            E::Between { high, .. } => high,
            E::Like { pattern, .. } | E::ILike { pattern, .. } | E::SimilarTo { pattern, .. } => {
                pattern
            }
            E::InList { expr, list, .. } => list.last().unwrap_or(expr),
            E::Position { r#in, .. } => r#in,
            E::Substring { expr, substring_from, substring_for, .. } => {
                substring_for.as_deref().or(substring_from.as_deref()).unwrap_or(expr)
            }
            E::Overlay { overlay_from, overlay_for, .. } => {
                overlay_for.as_deref().unwrap_or(overlay_from)
            }
            E::Tuple(parts) | E::Array(ast::Array { elem: parts, .. }) => match parts.last() {
                Some(last) => last,
                None => return expr.span().end,
            },
            E::Function(function) => match last_argument(function) {
                Some(last) => last,
                None => return function.span().end,
            },
            E::Case { end_token, .. } => return end_token.0.span.end,
            other => match only_part(other) {
                Some(part) => part,
                None => return other.span().end,
            },
        };
    }
}

/// The last argument of a call of arguments alone.
fn last_argument(function: &ast::Function) -> Option<&ast::Expr> {
    if function.filter.is_some() || !function.within_group.is_empty() {
        return None;
    }
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    match list.args.last() {
        Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(last)))
            if list.clauses.is_empty() =>
        {
            Some(last)
        }
        _ => None,
    }
}

/// The part whose span is the expression's.
fn only_part(expr: &ast::Expr) -> Option<&ast::Expr> {
    use ast::Expr as E;
    match expr {
        E::Nested(part)
        | E::IsNull(part)
        | E::IsNotNull(part)
        | E::IsTrue(part)
        | E::IsNotTrue(part)
        | E::IsFalse(part)
        | E::IsNotFalse(part)
        | E::IsUnknown(part)
        | E::IsNotUnknown(part) => Some(part),
        E::UnaryOp { expr, .. }
        | E::Cast { expr, .. }
        | E::Extract { expr, .. }
        | E::Ceil { expr, .. }
        | E::Floor { expr, .. } => Some(expr),
        E::Interval(interval) => Some(&interval.value),
        E::Prefixed { value, .. } => Some(value),
        _ => None,
    }
}

/// Where a query begins.
fn query_start(query: &ast::Query) -> Location {
    let mut query = query;
    loop {
        if let Some(with) = &query.with {
            return with.with_token.0.span.start;
        }
        let mut body = &*query.body;
        while let ast::SetExpr::SetOperation { left, .. } = body {
            body = left;
        }
        match body {
            ast::SetExpr::Query(inner) => query = inner,
            ast::SetExpr::Select(select) => return select.select_token.0.span.start,
            other => return other.span().start,
        }
    }
}
