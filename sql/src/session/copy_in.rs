//! COPY FROM STDIN: data as it comes, cut into lines, each a row of an INSERT.
//!
//! Rows are inserted in portions of a bounded size while the data arrives, however it is cut into messages, all in the
//! statement's transaction; the first line that does not fit names itself in the error. COPY is never run again by
//! itself: its data is gone.

use std::sync::Arc;

use sql_exec::Row;
use sql_functions as func;
use sql_parse as parse;
use sql_parse::{Copy, CopyColumns, CopyHeader, CopySource, Script, Statement};
use sql_plan::Plan;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::memory::{Pool, Reservation};
use sql_values::types::{Datum, SqlType, TextFormat};

use super::copy_lines::{Dialect, split_csv, split_text};
use super::statement::Mode;
use super::{ResultSink, Session, Step};
use crate::work::Work;
use crate::work::transaction::State;

/// Longest line.
const MAX_LINE: usize = 16 << 20;

/// Lines that are inserted together, and their bytes: the last one may go beyond.
const PORTION_LINES: usize = 1_000;
const PORTION_BYTES: usize = 1 << 20;

/// How COPY's data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Lines with separated, escaped values; CSV too.
    Text,
    /// PostgreSQL's binary form.
    Binary,
}

/// A COPY that is under way.
pub(super) struct CopyIn {
    table: String,
    /// Its columns' names and types.
    names: Vec<String>,
    types: Vec<SqlType>,
    /// Of each column, whether the text of NULL is data, and whether it is NULL in quotes as well.
    never_null: Vec<bool>,
    null_in_quotes: Vec<bool>,
    plan: Arc<Plan>,
    dialect: Dialect,
    format: TextFormat,
    buffer: Vec<u8>,
    /// Where the search for the next line's end goes on, and whether that is within quotes.
    searched: usize,
    quoted: bool,
    line: u64,
    /// Read and not yet inserted: the rows and their lines, and the bytes of those.
    waiting: Vec<Row>,
    waiting_lines: Vec<u64>,
    waiting_bytes: usize,
    rows: u64,
    ended: bool,
    /// The implicit transaction ends with it.
    last: bool,
    /// For the buffer, and for what its lines are read into.
    memory: Pool,
    held: Reservation,
    counted: usize,
}

fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Columns as SQL.
pub(super) fn quote_names(names: &[String]) -> String {
    names.iter().map(|name| quote_name(name)).collect::<Vec<_>>().join(", ")
}

impl Work<'_> {
    /// The table's name as SQL, and its columns' names and types.
    pub(super) async fn copy_target(
        &mut self,
        name: &parse::Name,
        columns: &[String],
    ) -> SqlResult<(String, Vec<String>, Vec<SqlType>)> {
        let table = self.find_table(name).await?.ok_or_else(|| crate::work::undefined(name))?;
        let visible = || table.columns.iter().filter(|column| !column.hidden);
        let mut chosen = Vec::new();
        for name in columns {
            let column = visible().find(|column| column.name == *name).ok_or_else(|| {
                let text =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                SqlError::new(SqlState::UNDEFINED_COLUMN, text)
            })?;
            if chosen.contains(&column) {
                let text = format!("column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, text));
            }
            chosen.push(column);
        }
        if columns.is_empty() {
            chosen = visible().collect();
        }
        let names: Vec<_> = chosen.iter().map(|column| column.name.clone()).collect();
        let target = format!("{}.{}", quote_name(&table.schema), quote_name(&table.name));
        Ok((target, names, chosen.iter().map(|column| column.ty).collect()))
    }

    /// Which of the columns an option is about.
    pub(super) async fn copy_columns(
        &mut self,
        table: Option<&parse::Name>,
        names: &[String],
        option: &str,
        about: Option<&CopyColumns>,
    ) -> SqlResult<Vec<bool>> {
        let about = match about {
            None => return Ok(vec![false; names.len()]),
            Some(CopyColumns::All) => return Ok(vec![true; names.len()]),
            Some(CopyColumns::These(about)) => about,
        };
        if let Some(table) = table {
            // For the errors of columns that are not there.
            self.copy_target(table, about).await?;
        }
        if let Some(missing) = about.iter().find(|column| !names.contains(column)) {
            return Err(match table {
                Some(_) => SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("{option} column \"{missing}\" not referenced by COPY"),
                ),
                None => SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{missing}\" does not exist"),
                ),
            });
        }
        Ok(names.iter().map(|name| about.contains(name)).collect())
    }
}

impl Session {
    /// Makes ready for data.
    pub(super) async fn begin_copy(&mut self, copy: &Copy, mode: Mode<'_>) -> SqlResult<Step> {
        let dialect = Dialect::new(&copy.options, true)?;
        let CopySource::Table { name, columns } = &copy.source else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "COPY FROM needs a table"));
        };
        let mut work = self.work()?;
        work.check_not_read_only("COPY FROM")?;
        let (target, names, types) = work.copy_target(name, columns).await?;
        let options = &copy.options;
        let about = options.force_not_null.as_ref();
        let never_null = work.copy_columns(Some(name), &names, "FORCE_NOT_NULL", about).await?;
        let about = options.force_null.as_ref();
        let null_in_quotes = work.copy_columns(Some(name), &names, "FORCE_NULL", about).await?;
        let slots: Vec<_> = (1..=types.len()).map(|number| format!("${number}")).collect();
        let columns = quote_names(&names);
        // COPY's values count in identity columns too.
        let overriding = "overriding system value";
        let text =
            format!("insert into {target} ({columns}) {overriding} values ({})", slots.join(", "));
        let parsed = parse::parse(&text)?;
        let [parse::Parsed { statement: Statement::Query(query), .. }] = parsed.as_slice() else {
            return Err(SqlError::internal("COPY makes no INSERT"));
        };
        // Length and scale belong to the column, not to the parameter.
        let parameters: Vec<_> = types.iter().map(|ty| ty.base()).collect();
        let plan = work.plan(query, &text, &parameters).await?;
        let memory = work.memory();
        self.read_ahead().await?;
        let columns = types.len();
        self.copy = Some(CopyIn {
            table: name.name.clone(),
            names,
            types,
            never_null,
            null_in_quotes,
            plan,
            dialect,
            format: self.text_format(),
            buffer: Vec::new(),
            searched: 0,
            quoted: false,
            line: 0,
            waiting: Vec::new(),
            waiting_lines: Vec::new(),
            waiting_bytes: 0,
            rows: 0,
            ended: false,
            last: mode.last,
            held: memory.reserve(),
            memory,
            counted: 0,
        });
        Ok(Step::CopyIn { format: CopyFormat::Text, columns })
    }

    /// Data of the COPY that is under way.
    pub async fn copy_data(&mut self, data: &[u8]) -> SqlResult<()> {
        let result = self.take_data(data, false).await;
        result.map_err(|error| self.failed(error))
    }

    async fn take_data(&mut self, data: &[u8], end: bool) -> SqlResult<()> {
        // S1: dropped here, the COPY is gone and its transaction fails with the cancellation.
        let Some(mut copy) = self.copy.take() else {
            let text = "no COPY is under way";
            return Err(SqlError::new(SqlState::PROTOCOL_VIOLATION, text));
        };
        copy.count(data.len())?;
        copy.buffer.extend_from_slice(data);
        loop {
            let more = copy.read_lines(end);
            // The lines before one that cannot be read come first.
            if more != Ok(false) || end {
                self.insert_waiting(&mut copy).await?;
            }
            if !more? {
                break;
            }
        }
        self.copy = Some(copy);
        Ok(())
    }

    async fn insert_waiting(&mut self, copy: &mut CopyIn) -> SqlResult<()> {
        let rows = std::mem::take(&mut copy.waiting);
        let lines = std::mem::take(&mut copy.waiting_lines);
        copy.waiting_bytes = 0;
        copy.memory.set_scratch(0);
        if rows.is_empty() {
            return Ok(());
        }
        let mut work = self.work()?;
        copy.rows += work.run_each(&copy.plan, &rows).await.map_err(|(number, error)| {
            copy.placed(error, lines.get(number).copied().unwrap_or(copy.line))
        })?;
        Ok(())
    }

    /// The end of the data: finishes the COPY, and goes on with what follows it in the text.
    pub async fn copy_done(&mut self, sink: &mut dyn ResultSink) -> SqlResult<Step> {
        match self.finish_copy(sink).await {
            Ok(()) => Box::pin(self.run_queue(sink)).await,
            Err(error) => {
                self.queue = Script::empty();
                Err(self.failed(error))
            }
        }
    }

    async fn finish_copy(&mut self, sink: &mut dyn ResultSink) -> SqlResult<()> {
        self.take_data(&[], true).await?;
        self.interrupt.set_timeout(None);
        let Some(copy) = self.copy.take() else {
            return Err(SqlError::internal("a COPY ended twice"));
        };
        if let State::Open(open) = &mut self.state {
            open.statements += 1;
        }
        if copy.last {
            self.finish_implicit(sink).await?;
        }
        sink.complete(&format!("COPY {}", copy.rows))
    }

    /// The client gives the COPY up. Returns what to report.
    pub fn copy_fail(&mut self, why: SqlError) -> SqlError {
        self.queue = Script::empty();
        self.failed(why)
    }
}

impl CopyIn {
    /// Counts the buffer, to which so many bytes are added.
    fn count(&mut self, more: usize) -> SqlResult<()> {
        let bytes = self.buffer.len() + more;
        self.held.resize(self.counted, bytes)?;
        self.counted = bytes;
        Ok(())
    }

    /// Reads whole lines of the buffer, at the end the rest as a line too, until there are enough to insert: true iff
    /// they are enough.
    fn read_lines(&mut self, end: bool) -> SqlResult<bool> {
        let mut start = 0;
        let mut enough = Ok(false);
        while !self.ended {
            if self.waiting.len() >= PORTION_LINES || self.waiting_bytes >= PORTION_BYTES {
                enough = Ok(true);
                break;
            }
            let (line_end, next) = match self.find_line_end(start) {
                Some(at) => (at, at + 1),
                None if end && start < self.buffer.len() => (self.buffer.len(), self.buffer.len()),
                None => break,
            };
            self.line += 1;
            let mut line = &self.buffer[start..line_end];
            line = line.strip_suffix(b"\r").unwrap_or(line);
            if line == b"\\." {
                self.ended = true;
            } else if self.line == 1 && self.dialect.header != CopyHeader::None {
                if self.dialect.header == CopyHeader::Match
                    && let Err(error) = self.check_header(line)
                {
                    enough = Err(self.placed(error, self.line));
                    break;
                }
            } else {
                match self.parse_line(line) {
                    Ok(row) => {
                        self.waiting_bytes += line.len();
                        self.waiting.push(row);
                        self.waiting_lines.push(self.line);
                    }
                    Err(error) => {
                        enough = Err(self.placed(error, self.line));
                        break;
                    }
                }
            }
            start = next;
            self.searched = next;
        }
        if self.ended {
            start = self.buffer.len();
        }
        self.buffer.drain(..start);
        self.searched = self.searched.saturating_sub(start);
        if self.buffer.len() > MAX_LINE && enough == Ok(false) {
            let text = "a line of COPY data is too long";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        enough
    }

    /// The next newline that ends a row: within CSV's quotes it is data, after a text value's backslash too.
    fn find_line_end(&mut self, start: usize) -> Option<usize> {
        let mut at = self.searched.max(start);
        while let Some(&byte) = self.buffer.get(at) {
            if self.dialect.csv {
                let escape = self.dialect.escape != self.dialect.quote
                    && byte == self.dialect.escape as u8
                    && self.quoted;
                if escape {
                    // What it escapes neither ends the quotes nor escapes again.
                    if at + 1 == self.buffer.len() {
                        break;
                    }
                    at += 1;
                } else if byte == self.dialect.quote as u8 {
                    self.quoted = !self.quoted;
                } else if byte == b'\n' && !self.quoted {
                    self.searched = at;
                    return Some(at);
                }
            } else if byte == b'\\' {
                if at + 1 == self.buffer.len() {
                    break;
                }
                at += 1;
            } else if byte == b'\n' {
                self.searched = at;
                return Some(at);
            }
            at += 1;
        }
        self.searched = at.min(self.buffer.len());
        None
    }

    /// The values of a line; none is NULL.
    fn split(&self, line: &[u8]) -> SqlResult<Vec<Option<String>>> {
        let line = std::str::from_utf8(line).map_err(|_| {
            let text = "invalid byte sequence for encoding \"UTF8\"";
            SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, text)
        })?;
        match self.dialect.csv {
            true => split_csv(line, &self.dialect),
            false => split_text(line, &self.dialect),
        }
    }

    /// The first line must have the columns' names, in their order.
    fn check_header(&self, line: &[u8]) -> SqlResult<()> {
        let wrong = |text: String| Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, text));
        let fields = self.split(line)?;
        let (got, expected) = (fields.len(), self.names.len());
        if got != expected {
            let text = "wrong number of fields in header line";
            return wrong(format!("{text}: got {got}, expected {expected}"));
        }
        for (number, (field, name)) in (1..).zip(fields.iter().zip(&self.names)) {
            let got = match field {
                Some(field) if field == name => continue,
                Some(field) => format!("got \"{field}\""),
                None => format!("got null value (\"{}\")", self.dialect.null),
            };
            let text = format!("column name mismatch in header line field {number}");
            return wrong(format!("{text}: {got}, expected \"{name}\""));
        }
        Ok(())
    }

    /// A value as the options that force it one way or the other have it.
    fn forced(&self, value: Option<String>, column: usize) -> Option<String> {
        let is = |flags: &[bool]| flags.get(column).copied().unwrap_or_default();
        match value {
            None if is(&self.never_null) => Some(self.dialect.null.clone()),
            Some(text) if is(&self.null_in_quotes) && text == self.dialect.null => None,
            value => value,
        }
    }

    fn parse_line(&self, line: &[u8]) -> SqlResult<Vec<Datum>> {
        let mut values = self.split(line)?;
        if values.len() > self.types.len() {
            let text = "extra data after last expected column";
            return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, text));
        }
        if values.len() < self.types.len() {
            let text = format!("missing data for column {}", values.len() + 1);
            return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, text));
        }
        if self.dialect.csv {
            let forced = values.into_iter().enumerate();
            values = forced.map(|(column, value)| self.forced(value, column)).collect();
        }
        let typed = values.into_iter().zip(&self.types).map(|(value, ty)| match value {
            None => Ok(Datum::Null),
            Some(text) => {
                self.memory.add_scratch(func::parsed_bytes(ty.base(), &text))?;
                if ty.holds_names() {
                    // Only the statement can look it up.
                    return Ok(Datum::text(text));
                }
                Datum::parse_text(ty.base(), &text, &self.format)
            }
        });
        typed.collect()
    }

    fn placed(&self, error: SqlError, line: u64) -> SqlError {
        error.context(format!("COPY {}, line {line}", self.table))
    }
}
