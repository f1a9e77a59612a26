//! A session by script: statements are words that say what they do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use kv::clock::Clock;
use sql::error::{SqlError, SqlResult, SqlState};
use sql::interrupt::Interrupt;
use sql::plan::OutputColumn;
use sql::session::{ResultSink, TxnStatus};
use sql::types::{Datum, SqlType};

use crate::pg::codec::frontend::{Bind, Format};
use crate::pg::session::{Description, PgSession, SessionFactory, Startup, Step};

/// How long a client may be silent in a block.
pub(super) const IDLE_LIMIT: Duration = Duration::from_millis(100);

pub(super) struct Fake {
    pub(super) clock: Clock,
    /// The texts of statements that have come to their end, of all sessions.
    pub(super) done: Arc<Mutex<Vec<String>>>,
}

impl SessionFactory for Fake {
    type Session = FakeSession;

    fn open(&self, startup: Startup) -> BoxFuture<'_, SqlResult<FakeSession>> {
        let result = if startup.database.as_deref() == Some("nowhere") {
            let what = "database \"nowhere\" does not exist";
            Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, what))
        } else {
            Ok(FakeSession {
                startup,
                clock: self.clock.clone(),
                done: self.done.clone(),
                interrupt: Interrupt::bounded(u32::MAX),
                statement: String::new(),
                portal: String::new(),
                values: Vec::new(),
                position: 0,
                in_block: false,
                failed: false,
                copied: Vec::new(),
            })
        };
        Box::pin(future::ready(result))
    }
}

pub(super) struct FakeSession {
    startup: Startup,
    clock: Clock,
    done: Arc<Mutex<Vec<String>>>,
    interrupt: Interrupt,
    statement: String,
    portal: String,
    values: Vec<Option<Bytes>>,
    position: i32,
    in_block: bool,
    failed: bool,
    copied: Vec<u8>,
}

fn column(name: &str, ty: SqlType) -> OutputColumn {
    OutputColumn { name: name.to_owned(), ty, source: None }
}

/// How long `wait` and `long commit` take.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// `rows N`: so many rows of a number and a text. `echo`: the first parameter. `number`: the connection's. `begin`,
/// `commit`, `boom`, `hang`, `wait`, `long commit`, `copy`, `zone Z`, `retry` (which gives a row, takes it back, and gives
/// another), or anything else.
async fn run(
    session: &mut FakeSession,
    text: &str,
    max_rows: u32,
    sink: &mut dyn ResultSink,
) -> SqlResult<Step> {
    let (word, argument) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "" => sink.empty()?,
        "rows" => {
            let count: i32 = argument.parse().map_err(|_| SqlError::internal("a number"))?;
            sink.columns(&columns(text).unwrap_or_default())?;
            let mut given = 0;
            while session.position < count {
                if max_rows > 0 && given == max_rows {
                    sink.suspended()?;
                    return Ok(Step::Done);
                }
                session.position += 1;
                given += 1;
                sink.row(&[Datum::Int4(session.position), Datum::text("x".repeat(10))])?;
                sink.ready().await?;
            }
            sink.complete(&format!("SELECT {given}"))?;
        }
        "retry" => {
            sink.columns(&[column("n", SqlType::Int4)])?;
            sink.row(&[Datum::Int4(1)])?;
            assert!(sink.can_discard());
            sink.discard();
            sink.columns(&[column("n", SqlType::Int4)])?;
            sink.row(&[Datum::Int4(2)])?;
            sink.complete("SELECT 1")?;
        }
        "echo" => {
            sink.columns(&columns(text).unwrap_or_default())?;
            let value = session.values.first().cloned().flatten();
            let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
            sink.row(&[text.map_or(Datum::Null, Datum::text)])?;
            sink.complete("SELECT 1")?;
        }
        "begin" => {
            session.in_block = true;
            sink.complete("BEGIN")?;
        }
        "commit" => {
            (session.in_block, session.failed) = (false, false);
            sink.complete("COMMIT")?;
        }
        "settings" => {
            sink.columns(&[column("setting", SqlType::Text)])?;
            for (name, value) in &session.startup.settings {
                sink.row(&[Datum::text(format!("{name}={value}"))])?;
            }
            sink.complete("SHOW")?;
        }
        "number" => {
            sink.columns(&[column("number", SqlType::Int4)])?;
            sink.row(&[Datum::Int4(session.startup.number as i32)])?;
            sink.complete("SELECT 1")?;
        }
        "zone" => {
            sink.parameter("TimeZone", argument)?;
            sink.complete("SET")?;
        }
        "boom" => {
            session.failed = session.in_block;
            return Err(SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero").at(3));
        }
        "hang" => future::pending().await,
        "wait" => {
            session.clock.sleep(WAIT).await;
            sink.complete("WAIT")?;
        }
        "long" => {
            let _commits = session.interrupt.commits();
            session.clock.sleep(WAIT).await;
            sink.complete("COMMIT")?;
        }
        "copy" => return Ok(Step::CopyIn { format: Format::Text, columns: 2 }),
        other => sink.complete(&other.to_uppercase())?,
    }
    session.done.lock().unwrap().push(text.to_owned());
    Ok(Step::Done)
}

fn columns(text: &str) -> Option<Vec<OutputColumn>> {
    match text.split(' ').next() {
        Some("rows") => Some(vec![column("n", SqlType::Int4), column("t", SqlType::Text)]),
        Some("echo") => Some(vec![column("value", SqlType::Text)]),
        _ => None,
    }
}

fn done<'a, R: Send + 'a>(result: R) -> BoxFuture<'a, R> {
    Box::pin(future::ready(result))
}

impl PgSession for FakeSession {
    fn parameters(&self) -> Vec<(String, String)> {
        vec![("server_version".to_owned(), "15.0".to_owned())]
    }

    fn interrupt(&self) -> Option<Interrupt> {
        Some(self.interrupt.clone())
    }

    fn status(&self) -> TxnStatus {
        match (self.in_block, self.failed) {
            (false, _) => TxnStatus::Idle,
            (true, false) => TxnStatus::InBlock,
            (true, true) => TxnStatus::Failed,
        }
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.in_block.then_some(IDLE_LIMIT)
    }

    fn simple_query<'a>(
        &'a mut self,
        text: &'a str,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        Box::pin(async move {
            for statement in text.split(';') {
                self.position = 0;
                match run(self, statement, 0, sink).await? {
                    Step::Done => {}
                    step => return Ok(step),
                }
            }
            Ok(Step::Done)
        })
    }

    fn parse<'a>(
        &'a mut self,
        _: &'a str,
        text: &'a str,
        _: &'a [u32],
    ) -> BoxFuture<'a, SqlResult<()>> {
        self.statement = text.to_owned();
        if text == "syntax" {
            return done(Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error")));
        }
        done(Ok(()))
    }

    fn bind<'a>(&'a mut self, bind: &'a Bind) -> BoxFuture<'a, SqlResult<()>> {
        (self.portal, self.values) = (self.statement.clone(), bind.values.clone());
        self.position = 0;
        done(Ok(()))
    }

    fn describe_statement<'a>(&'a mut self, _: &'a str) -> BoxFuture<'a, SqlResult<Description>> {
        let parameters = vec![SqlType::Text];
        done(Ok(Description { parameters, columns: columns(&self.statement) }))
    }

    fn describe_portal<'a>(
        &'a mut self,
        _: &'a str,
    ) -> BoxFuture<'a, SqlResult<Option<Vec<OutputColumn>>>> {
        done(Ok(columns(&self.portal)))
    }

    fn execute<'a>(
        &'a mut self,
        _: &'a str,
        max_rows: u32,
        _: bool,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        let text = self.portal.clone();
        Box::pin(async move { run(self, &text, max_rows, sink).await })
    }

    fn close_statement(&mut self, _: &str) {}

    fn close_portal(&mut self, _: &str) {}

    fn sync(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        done(Ok(()))
    }

    fn batch_failed(&mut self) {
        self.failed = self.in_block;
    }

    fn copy_data(&mut self, data: Bytes) -> BoxFuture<'_, SqlResult<()>> {
        if data.starts_with(b"bad") {
            return done(Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, "bad line")));
        }
        self.copied.extend(data);
        done(Ok(()))
    }

    fn copy_done<'a>(&'a mut self, sink: &'a mut dyn ResultSink) -> BoxFuture<'a, SqlResult<Step>> {
        self.done.lock().unwrap().push("copy".to_owned());
        let lines = std::mem::take(&mut self.copied).split(|byte| *byte == b'\n').count() - 1;
        done(sink.complete(&format!("COPY {lines}")).map(|()| Step::Done))
    }

    fn copy_fail(&mut self, why: SqlError) -> BoxFuture<'_, SqlError> {
        self.copied.clear();
        done(why)
    }

    fn cancelled(&mut self) -> BoxFuture<'_, SqlError> {
        let what = "canceling statement due to user request";
        done(SqlError::new(SqlState::QUERY_CANCELED, what))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        done(())
    }
}
