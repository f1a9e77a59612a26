//! Where tokens stand in the text.

use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::{Location, Span};

/// Turns sqlparser's lines and columns into PostgreSQL's characters from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Characters before each line. Empty for text that no client wrote: then nothing has a place.
    lines: Vec<u32>,
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
        Places { lines }
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

    /// Where an expression begins. An operator's place is its own, which the tree does not hold: its left side's.
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
