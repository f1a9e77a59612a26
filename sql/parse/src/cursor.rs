//! A cursor over the tokens of a statement that we parse ourselves.

use sql_values::error::{SqlError, SqlResult};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::name::fold_text;
use super::source::Source;
use super::statement::Name;

/// Where we are in a statement.
pub(crate) struct Cursor<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) tokens: &'a [TokenWithSpan],
    /// The semicolon.
    pub(crate) end: Option<&'a TokenWithSpan>,
    pub(crate) index: usize,
}

impl<'a> Cursor<'a> {
    /// What is left.
    pub(crate) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens.get(self.index..).unwrap_or(&[])
    }

    pub(crate) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.index).map(|token| &token.token)
    }

    /// Where the next token is.
    pub(crate) fn position(&self) -> Option<u32> {
        self.tokens.get(self.index).and_then(|token| self.source.places.of_span(token.span))
    }

    /// An error at the next token.
    pub(crate) fn error(&self) -> SqlError {
        match self.tokens.get(self.index) {
            Some(token) => self.source.near(token, self.end),
            None => self.source.near(&TokenWithSpan::new_eof(), self.end),
        }
    }

    /// True iff the token `ahead` of the next one is this word, unquoted.
    pub(crate) fn is_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tokens.get(self.index + ahead).map(|token| &token.token),
            Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    /// True iff the next token is this word.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.is_at(0, word)
    }

    /// Takes these words if they are all next.
    pub(crate) fn eat(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        if words.split(' ').enumerate().all(|(ahead, word)| self.is_at(ahead, word)) {
            self.index += count;
            return true;
        }
        false
    }

    /// Takes these words, which must be next.
    pub(crate) fn expect(&mut self, words: &str) -> SqlResult<()> {
        for word in words.split(' ') {
            if !self.eat(word) {
                return Err(self.error());
            }
        }
        Ok(())
    }

    /// Takes a token if it is next.
    pub(crate) fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.index += 1;
        }
        found
    }

    /// Takes a token, which must be next.
    pub(crate) fn expect_token(&mut self, token: &Token) -> SqlResult<()> {
        if self.eat_token(token) { Ok(()) } else { Err(self.error()) }
    }

    /// True iff nothing is left.
    pub(crate) fn at_end(&self) -> bool {
        self.index >= self.tokens.len()
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self) -> SqlResult<()> {
        if self.at_end() { Ok(()) } else { Err(self.error()) }
    }

    /// An identifier.
    pub(crate) fn ident(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.index += 1;
                Ok(fold_text(&word.value, word.quote_style.is_some()))
            }
            _ => Err(self.error()),
        }
    }

    /// A possibly qualified name.
    pub(crate) fn name(&mut self) -> SqlResult<Name> {
        let position = self.position();
        let first = self.ident()?;
        if self.eat_token(&Token::Period) {
            let second = self.ident()?;
            if self.eat_token(&Token::Period) {
                let name = self.ident()?;
                return Ok(Name { database: Some(first), schema: Some(second), name, position });
            }
            return Ok(Name { database: None, schema: Some(first), name: second, position });
        }
        Ok(Name { database: None, schema: None, name: first, position })
    }

    /// A list of tables, as TRUNCATE and LOCK TABLE name them: each may have ONLY before it or a star behind it.
    pub(crate) fn tables(&mut self) -> SqlResult<Vec<Name>> {
        self.list(|cursor| {
            cursor.eat("only");
            let name = cursor.name()?;
            cursor.eat_token(&Token::Mul);
            Ok(name)
        })
    }

    /// Things separated by commas.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A string literal, if next.
    pub(crate) fn string(&mut self) -> Option<String> {
        let text = match self.peek()? {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return None,
        };
        self.index += 1;
        Some(text)
    }

    /// True iff a number is next, with or without a sign.
    pub(crate) fn number_follows(&mut self) -> bool {
        let start = self.index;
        let found = self.number().is_some();
        self.index = start;
        found
    }

    /// A number with its sign, as text, if next.
    pub(crate) fn number(&mut self) -> Option<String> {
        let sign = match self.peek()? {
            Token::Minus => "-",
            Token::Plus => "",
            _ => {
                let Token::Number(text, _) = self.peek()? else { return None };
                self.index += 1;
                return Some(text.clone());
            }
        };
        let Token::Number(text, _) = &self.tokens.get(self.index + 1)?.token else { return None };
        self.index += 2;
        Some(format!("{sign}{text}"))
    }
}
