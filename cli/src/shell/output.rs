//! Results on stdout.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::client::{Column, Event};

/// A table is aligned over so many rows; longer results come in several.
const TABLE_ROWS_MAX: usize = 10_000;

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Aligned, with a header, for people.
    Table,
    /// A line a value, for wide rows.
    Expanded,
    /// Values between tabs, a row a line, without a header.
    Values,
}

/// Shows what a statement gives, as it comes.
pub(crate) struct Printer {
    layout: Layout,
    out: io::BufWriter<io::Stdout>,
    columns: Vec<Column>,
    rows: Vec<Vec<Option<String>>>,
    /// Rows of the present result, shown or not.
    count: usize,
}

impl Printer {
    pub(crate) fn new(layout: Layout) -> Self {
        let out = io::BufWriter::new(io::stdout());
        Printer { layout, out, columns: Vec::new(), rows: Vec::new(), count: 0 }
    }

    /// Takes one step of a statement.
    pub(crate) fn event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Columns(columns) => {
                (self.columns, self.count) = (columns, 0);
            }
            Event::Row(row) => self.row(row)?,
            Event::Complete(tag) => self.complete(&tag)?,
            Event::Copy(data) => self.out.write_all(&data)?,
            Event::Notice(report) => {
                self.out.flush()?;
                eprintln!("{}: {}", report.severity, report.message);
                if let Some(hint) = &report.hint {
                    eprintln!("HINT: {hint}");
                }
            }
        }
        Ok(())
    }

    /// Everything that was taken is on stdout then.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.layout == Layout::Table && !self.rows.is_empty() {
            self.table()?;
        }
        self.out.flush()
    }

    fn row(&mut self, row: Vec<Option<String>>) -> io::Result<()> {
        self.count += 1;
        match self.layout {
            Layout::Values => {
                for (index, value) in row.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\t" };
                    write!(self.out, "{separator}{}", value.as_deref().unwrap_or("NULL"))?;
                }
                writeln!(self.out)
            }
            Layout::Expanded => {
                let name_width = self.columns.iter().map(|column| width(&column.name)).max();
                writeln!(self.out, "-[ {} ]-", self.count)?;
                for (column, value) in self.columns.iter().zip(&row) {
                    let padding = name_width.unwrap_or(0) - width(&column.name);
                    let value = value.as_deref().unwrap_or("NULL");
                    writeln!(self.out, "{}{} | {value}", column.name, " ".repeat(padding))?;
                }
                Ok(())
            }
            Layout::Table => {
                self.rows.push(row);
                if self.rows.len() >= TABLE_ROWS_MAX { self.table() } else { Ok(()) }
            }
        }
    }

    fn complete(&mut self, tag: &str) -> io::Result<()> {
        let columns = std::mem::take(&mut self.columns);
        if self.layout == Layout::Values {
            return Ok(());
        }
        if columns.is_empty() {
            return writeln!(self.out, "{tag}");
        }
        self.columns = columns;
        if self.layout == Layout::Table && (self.count == 0 || !self.rows.is_empty()) {
            self.table()?;
        }
        self.columns.clear();
        let rows = if self.count == 1 { "row" } else { "rows" };
        writeln!(self.out, "({} {rows})", self.count)?;
        writeln!(self.out)
    }

    /// Writes the rows so far, aligned.
    fn table(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let shown = |value: &Option<String>| value.as_deref().unwrap_or("NULL").to_owned();
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|c| width(&c.name)).collect();
        for row in &rows {
            for (widest, value) in widths.iter_mut().zip(row) {
                *widest = value.lines().map(width).fold(*widest, usize::max);
            }
        }
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.line(&names, &widths, &vec![Align::Centre; names.len()])?;
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(self.out, "{}", rules.join("+"))?;
        let aligns: Vec<Align> = self.columns.iter().map(|column| align(column.oid)).collect();
        for row in &rows {
            self.line(row, &widths, &aligns)?;
        }
        Ok(())
    }

    /// One row, which takes several lines if a value does.
    fn line(&mut self, row: &[String], widths: &[usize], aligns: &[Align]) -> io::Result<()> {
        let height = row.iter().map(|value| value.lines().count()).max().unwrap_or(0).max(1);
        for index in 0..height {
            let mut text = String::new();
            for (column, value) in row.iter().enumerate() {
                let part = value.lines().nth(index).unwrap_or_default();
                let padding = widths[column].saturating_sub(width(part));
                let (before, after) = match aligns[column] {
                    Align::Left => (0, padding),
                    Align::Right => (padding, 0),
                    Align::Centre => (padding / 2, padding - padding / 2),
                };
                let separator = if column == 0 { " " } else { "| " };
                let (before, after) = (" ".repeat(before), " ".repeat(after));
                text.extend([separator, &before, part, &after, " "]);
            }
            writeln!(self.out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
    Centre,
}

/// Numbers to the right: int8, int2, int4, oid, float4, float8, numeric.
fn align(oid: u32) -> Align {
    match oid {
        20 | 21 | 23 | 26 | 700 | 701 | 1700 => Align::Right,
        _ => Align::Left,
    }
}

/// Columns of a terminal that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}
