//! Where statements come from: a text, a file or stdin, read no further than the next statement needs. The data of a COPY
//! FROM STDIN follow its statement, up to a line of `\.`, as `pg_dump` writes them.

use std::io::{self, BufRead};

use anyhow::Context;

use super::split::{end_of_statement, is_blank};

/// What a script consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A statement, or what is left at the end.
    Statement(String),
    /// A command of the shell, without its backslash.
    Command(String),
}

/// A script.
pub(super) struct Source<'a> {
    /// Read and not yet run.
    pending: String,
    more: Box<dyn BufRead + 'a>,
    /// Whether the data of a COPY come from stdin, not from the script: there is no place for them on a command line.
    data_on_stdin: bool,
}

impl<'a> Source<'a> {
    /// A text of the command line.
    pub(super) fn text(text: &str) -> Source<'static> {
        Source { pending: text.to_owned(), more: Box::new(io::empty()), data_on_stdin: true }
    }

    /// What can be read, as it comes: whoever writes it may wait for the results of its first statements.
    pub(super) fn reader(more: impl BufRead + 'a) -> Source<'a> {
        Source { pending: String::new(), more: Box::new(more), data_on_stdin: false }
    }

    /// The next statement or command; `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            let blank = self.pending.len() - self.pending.trim_start().len();
            self.pending.drain(..blank);
            if !is_blank(&self.pending) {
                break;
            }
            if !self.read_line()? {
                return Ok(None);
            }
        }
        if self.pending.starts_with('\\') {
            let line = self.take_line();
            return Ok(Some(Item::Command(line.trim()[1..].to_owned())));
        }
        loop {
            if let Some(end) = end_of_statement(&self.pending) {
                return Ok(Some(Item::Statement(self.pending.drain(..end).collect())));
            }
            // Another look is worth it only where another semicolon has come: a statement may have a million lines.
            loop {
                let before = self.pending.len();
                if !self.read_line()? {
                    return Ok(Some(Item::Statement(std::mem::take(&mut self.pending))));
                }
                if self.pending[before..].contains(';') {
                    break;
                }
            }
        }
    }

    /// The data of the COPY that was the last statement, from the line after it.
    pub(super) fn data(&mut self) -> impl FnMut() -> anyhow::Result<Option<String>> {
        let rest = self.pending.find('\n').map_or(self.pending.len(), |end| end + 1);
        if self.pending[..rest].trim().is_empty() {
            self.pending.drain(..rest);
        }
        let mut is_over = false;
        move || {
            if is_over {
                return Ok(None);
            }
            let line = if self.data_on_stdin { self.line_of_stdin()? } else { self.line()? };
            is_over = matches!(line.trim_end_matches(['\n', '\r']), "\\.") || line.is_empty();
            Ok((!is_over).then_some(line))
        }
    }

    /// A line with its end; empty at the end of the script.
    fn line(&mut self) -> anyhow::Result<String> {
        if self.pending.is_empty() {
            self.read_line()?;
        }
        Ok(self.take_line())
    }

    fn line_of_stdin(&self) -> anyhow::Result<String> {
        let mut line = String::new();
        io::stdin().read_line(&mut line).context("stdin")?;
        Ok(line)
    }

    fn take_line(&mut self) -> String {
        let end = self.pending.find('\n').map_or(self.pending.len(), |end| end + 1);
        self.pending.drain(..end).collect()
    }

    /// Adds a line to what is pending. False at the end.
    fn read_line(&mut self) -> anyhow::Result<bool> {
        Ok(self.more.read_line(&mut self.pending).context("the script cannot be read")? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Option<Item> {
        Some(Item::Statement(text.to_owned()))
    }

    #[test]
    fn a_script_is_statements_commands_and_data() {
        let script = "-- first\nselect 1; select\n';' ;\n\\timing on\ncopy t from stdin;\n1\ta;\n\\.\nselect 2";
        let mut source = Source::reader(script.as_bytes());
        assert_eq!(source.next().unwrap(), statement("-- first\nselect 1;"));
        assert_eq!(source.next().unwrap(), statement("select\n';' ;"));
        assert_eq!(source.next().unwrap(), Some(Item::Command("timing on".to_owned())));
        assert_eq!(source.next().unwrap(), statement("copy t from stdin;"));
        let mut data = source.data();
        assert_eq!(data().unwrap().as_deref(), Some("1\ta;\n"));
        assert_eq!((data().unwrap(), data().unwrap()), (None, None));
        drop(data);
        assert_eq!(source.next().unwrap(), statement("select 2"));
        assert_eq!(source.next().unwrap(), None);
    }

    #[test]
    fn a_text_of_the_command_line_needs_no_last_semicolon() {
        let mut source = Source::text("select 1; -- that was it");
        assert_eq!(source.next().unwrap(), statement("select 1;"));
        assert_eq!(source.next().unwrap(), None);
        assert_eq!(Source::text("select 1").next().unwrap(), statement("select 1"));
        assert_eq!(Source::text(" ").next().unwrap(), None);
    }
}
