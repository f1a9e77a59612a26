//! COPY TO STDOUT: a query's rows as lines.

use futures::future::BoxFuture;
use sql_exec::sink::{Notice, ResultSink};
use sql_parse as parse;
use sql_parse::{Copy, CopyHeader, CopySource, Query, Statement};
use sql_plan::OutputColumn;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType, TextFormat};

use super::Session;
use super::copy_in::quote_names;
use super::copy_lines::Dialect;

impl Session {
    /// Runs COPY TO STDOUT.
    pub(super) async fn copy_out(
        &mut self,
        copy: &Copy,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<String> {
        let dialect = Dialect::new(&copy.options, false)?;
        let format = self.text_format();
        let mut work = self.work()?;
        let plan = match &copy.source {
            CopySource::Query(query) => work.plan(query, &copy_text(query), &[]).await?,
            CopySource::Table { name, columns } => {
                let (target, names, _) = work.copy_target(name, columns).await?;
                let text = format!("select {} from {target}", quote_names(&names));
                let parsed = parse::parse(&text)?;
                let [parse::Parsed { statement: Statement::Query(query), .. }] = parsed.as_slice()
                else {
                    return Err(SqlError::internal("COPY makes no query"));
                };
                work.plan(query, &text, &[]).await?
            }
        };
        if !plan.parameters.is_empty() {
            let text = "there is no parameter $1";
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, text));
        }
        let names: Vec<_> = plan.columns.iter().map(|column| column.name.clone()).collect();
        let table = match &copy.source {
            CopySource::Table { name, .. } => Some(name),
            CopySource::Query(_) => None,
        };
        let about = copy.options.force_quote.as_ref();
        let quoted = work.copy_columns(table, &names, "FORCE_QUOTE", about).await?;
        sink.copy_out(plan.columns.len())?;
        let types: Vec<_> = plan.columns.iter().map(|column| column.ty).collect();
        let mut lines = Lines { sink, dialect, format, types, quoted: Vec::new(), rows: 0 };
        if lines.dialect.header != CopyHeader::None {
            lines.line(names.into_iter().map(Some).collect())?;
        }
        lines.quoted = quoted;
        work.run(&plan, &[], &mut lines).await?;
        let rows = lines.rows;
        sink.copy_out_done()?;
        Ok(format!("COPY {rows}"))
    }
}

/// A key for the plan cache: the tree's text.
fn copy_text(query: &Query) -> String {
    roomy(|| format!("copy {}", *query.ast))
}

/// Writes rows as lines to the sink behind it.
struct Lines<'a> {
    sink: &'a mut dyn ResultSink,
    dialect: Dialect,
    format: TextFormat,
    types: Vec<SqlType>,
    /// Which columns have quotes whether they need them or not.
    quoted: Vec<bool>,
    rows: u64,
}

impl Lines<'_> {
    fn line(&mut self, values: Vec<Option<String>>) -> SqlResult<()> {
        let mut line = String::new();
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                line.push(self.dialect.delimiter);
            }
            match value {
                None => line.push_str(&self.dialect.null),
                Some(text) if self.dialect.csv => {
                    let always = self.quoted.get(at).copied().unwrap_or_default();
                    write_csv(&mut line, text, always, &self.dialect);
                }
                Some(text) => write_text(&mut line, text, &self.dialect),
            }
        }
        line.push('\n');
        self.sink.copy_data(line.as_bytes())
    }
}

fn write_text(line: &mut String, text: &str, dialect: &Dialect) {
    for c in text.chars() {
        let escaped = match c {
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            c if c == '\\' || c == dialect.delimiter => c,
            c => {
                line.push(c);
                continue;
            }
        };
        line.push('\\');
        line.push(escaped);
    }
}

fn write_csv(line: &mut String, text: &str, always: bool, dialect: &Dialect) {
    let special = |c: char| c == dialect.delimiter || c == dialect.quote || c == '\n' || c == '\r';
    if !always && text != dialect.null && text != "\\." && !text.contains(special) {
        line.push_str(text);
        return;
    }
    line.push(dialect.quote);
    for c in text.chars() {
        if c == dialect.quote || c == dialect.escape {
            line.push(dialect.escape);
        }
        line.push(c);
    }
    line.push(dialect.quote);
}

impl ResultSink for Lines<'_> {
    fn columns(&mut self, _: &[OutputColumn]) -> SqlResult<()> {
        Ok(())
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        self.rows += 1;
        let values = row.iter().zip(&self.types).map(|(datum, ty)| match datum {
            Datum::Null => None,
            datum => Some(datum.to_text(*ty, &self.format)),
        });
        self.line(values.collect())
    }
    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        self.sink.complete(tag)
    }
    fn suspended(&mut self) -> SqlResult<()> {
        self.sink.suspended()
    }
    fn empty(&mut self) -> SqlResult<()> {
        self.sink.empty()
    }
    fn notice(&mut self, notice: Notice) -> SqlResult<()> {
        self.sink.notice(notice)
    }
    fn parameter(&mut self, name: &str, value: &str) -> SqlResult<()> {
        self.sink.parameter(name, value)
    }
    fn can_discard(&self) -> bool {
        self.sink.can_discard()
    }
    fn is_full(&self) -> bool {
        self.sink.is_full()
    }
    fn discard(&mut self) {
        self.sink.discard();
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        self.sink.ready()
    }
}
