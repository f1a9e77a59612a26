//! Runs the scripts of `testdata/logic`: SQL with the results that PostgreSQL gives, through a session over a node's
//! transactions.
//!
//! A script is a list of records, separated by blank lines; `#` begins a comment.
//!
//! ```text
//! statement ok [tag]            the SQL below completes, with this tag if one is given
//! statement error 23505 [text]  it fails with this SQLSTATE, and its message contains the text
//! statement notice 25P01        it completes, with this notice
//! query [rowsort] [names]       its rows are those below `----`, values separated by ` | `; before them the columns' names
//! session name                  the records below run in this session
//! ```
//!
//! NULL is written `NULL`, the empty string `(empty)`. `testdata/record.py` records a script again with PostgreSQL's
//! answers.

#![allow(clippy::disallowed_methods, reason = "reads the scripts from the tree")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sql::error::{SqlError, SqlResult};
use sql::memory::{DEFAULT_NODE_BYTES, Memory};
use sql::plan::OutputColumn;
use sql::session::{Notice, ResultSink, Session, SqlEngine};
use sql::types::{Datum, TextFormat};
use txn::db::{Config, Db};
use txn::testing::LocalCluster;

/// Keeps what a text gives.
#[derive(Default)]
struct Output {
    columns: Vec<OutputColumn>,
    rows: Vec<Vec<String>>,
    tags: Vec<String>,
    notices: Vec<Notice>,
    format: Option<TextFormat>,
}

impl ResultSink for Output {
    fn columns(&mut self, columns: &[OutputColumn]) -> SqlResult<()> {
        self.columns = columns.to_vec();
        Ok(())
    }
    fn row(&mut self, row: &[Datum]) -> SqlResult<()> {
        if row.len() != self.columns.len() {
            return Err(SqlError::internal("a row without its columns"));
        }
        let format = self.format.as_ref().expect("set before the first row");
        let values = row.iter().zip(&self.columns).map(|(datum, column)| match datum {
            Datum::Null => "NULL".to_owned(),
            datum => match datum.to_text(column.ty, format) {
                text if text.is_empty() => "(empty)".to_owned(),
                text => text,
            },
        });
        self.rows.push(values.collect());
        Ok(())
    }
    fn complete(&mut self, tag: &str) -> SqlResult<()> {
        self.tags.push(tag.to_owned());
        Ok(())
    }
    fn suspended(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn empty(&mut self) -> SqlResult<()> {
        Ok(())
    }
    fn notice(&mut self, notice: Notice) -> SqlResult<()> {
        self.notices.push(notice);
        Ok(())
    }
    fn parameter(&mut self, _: &str, _: &str) -> SqlResult<()> {
        Ok(())
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self) {
        self.rows.clear();
        self.tags.clear();
    }
    fn ready(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        async { Ok(()) }.boxed()
    }
}

struct Runner {
    engine: Arc<SqlEngine>,
    sessions: BTreeMap<String, Session>,
    current: String,
}

impl Runner {
    fn new() -> Runner {
        let cluster = LocalCluster::new();
        let db = Db::new(cluster.env.clone(), cluster.clone(), Config::default());
        let engine = SqlEngine::new(db, cluster.env.clone(), Memory::new(DEFAULT_NODE_BYTES));
        Runner { engine, sessions: BTreeMap::new(), current: "main".into() }
    }

    async fn run(&mut self, text: &str) -> Result<Output, (Output, SqlError)> {
        let engine = &self.engine;
        let session = self.sessions.entry(self.current.clone()).or_insert_with(|| {
            Session::new(engine.clone(), "postgres", "postgres", &[]).expect("opens")
        });
        let mut output = Output { format: Some(session.text_format()), ..Output::default() };
        match session.simple_query(text, &mut output).await {
            Ok(_) => Ok(output),
            Err(error) => Err((output, error)),
        }
    }

    /// What is wrong with a record, if anything.
    async fn check(&mut self, record: &Record) -> Option<String> {
        let words: Vec<_> = record.head.splitn(4, ' ').collect();
        if let ["session", name] = words.as_slice() {
            self.current = (*name).to_owned();
            return None;
        }
        let result = self.run(&record.sql).await;
        match words.as_slice() {
            ["statement", "ok", tag @ ..] => match result {
                Err((_, error)) => Some(format!("failed: {error} {:?}", error.detail)),
                Ok(output) if !tag.is_empty() => {
                    let tag = tag.join(" ");
                    let last = output.tags.last().cloned().unwrap_or_default();
                    (last != tag).then(|| format!("tag {last:?}"))
                }
                Ok(_) => None,
            },
            ["statement", "error", state, text @ ..] => match result {
                Ok(_) => Some("completed".into()),
                Err((_, error)) => {
                    let fits = error.state.0 == *state && error.message.contains(&text.join(" "));
                    (!fits).then(|| format!("failed: {error}"))
                }
            },
            ["statement", "notice", state] => match result {
                Ok(output) if output.notices.iter().any(|notice| notice.state.0 == *state) => None,
                Ok(output) => Some(format!("notices {:?}", output.notices)),
                Err((_, error)) => Some(format!("failed: {error}")),
            },
            ["query", options @ ..] => match result {
                Err((_, error)) => Some(format!("failed: {error} {:?}", error.detail)),
                Ok(output) => {
                    let mut rows: Vec<_> = output.rows.iter().map(|row| row.join(" | ")).collect();
                    let mut expected = record.expected.clone();
                    if options.contains(&"names") {
                        let names = output.columns.iter().map(|column| column.name.as_str());
                        rows.insert(0, names.collect::<Vec<_>>().join(" | "));
                    }
                    if options.contains(&"rowsort") {
                        rows.sort();
                        expected.sort();
                    }
                    (rows != expected).then(|| format!("gave\n{}", rows.join("\n")))
                }
            },
            _ => Some("unknown record".into()),
        }
    }
}

struct Record {
    line: usize,
    head: String,
    sql: String,
    expected: Vec<String>,
}

fn records(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut lines = text.lines().zip(1..).peekable();
    while let Some((head, line)) = lines.next() {
        if head.trim().is_empty() || head.starts_with('#') {
            continue;
        }
        let mut record =
            Record { line, head: head.trim().into(), sql: String::new(), expected: Vec::new() };
        let mut in_rows = false;
        while let Some((text, _)) = lines.next_if(|(text, _)| !text.trim().is_empty()) {
            if text == "----" {
                in_rows = true;
            } else if in_rows {
                record.expected.push(text.trim_end().to_owned());
            } else {
                record.sql.push_str(text);
                record.sql.push('\n');
            }
        }
        records.push(record);
    }
    records
}

fn run_script(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a script");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut runner = Runner::new();
        let mut failures = Vec::new();
        for record in records(&text) {
            if let Some(wrong) = runner.check(&record).await {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.unwrap_or_default();
                failures.push(format!("{name}:{}: {}\n{wrong}\n", record.line, record.sql));
            }
        }
        failures
    })
}

#[test]
fn scripts_give_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/logic");
    // Scripts of another folder, and only those with this in their names.
    let folder = std::env::var("SCRIPTS").map_or(folder, std::path::PathBuf::from);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("scripts")
        .map(|entry| entry.expect("a script").path())
        .collect();
    paths.sort();
    let only = std::env::var("ONLY").unwrap_or_default();
    let named = |path: &&std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(&only))
    };
    let chosen = paths.iter().filter(named);
    let failures: Vec<_> = chosen.flat_map(|path| run_script(path)).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
