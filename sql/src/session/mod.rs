//! Sessions: what a connection holds between statements, and how a statement's results leave.
//!
//! ```text
//!  simple_query ─┐                         ┌─ control (transactions, settings, cursors)
//!  parse, bind,  ├─▶ statement: retry, T1…T4 ├─ work (plan, run)          ─▶ ResultSink
//!  execute ──────┘                         └─ ddl, copy
//! ```
//!
//! What holds of transactions is T1 to T4 of `work::transaction`. Beside them:
//!
//! - S1. A future of a session may be dropped at any await (a client cancels, a connection breaks): whatever the
//!   session holds is then as before the call, or the transaction has failed. So a transaction is never moved out
//!   of the session while something is awaited.
//! - S2. Settings, prepared statements and cursors survive an error; settings go back with their transaction.
//! - S3. Whatever a client can make more of has a bound: statements, portals, the rows that they keep, savepoints,
//!   settings, plans.
//! - S4. A portal gives the rows that there were when it was made: before its transaction writes, they are read (`cursor`).

mod buffer;
mod control;
mod copy_in;
mod copy_lines;
mod copy_out;
mod cursor;
mod extended;
mod kept;
mod portal;
mod statement;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use sql_exec::sink::{Notice, ResultSink};
use sql_parse::{Parsed, Script};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::interrupt::Interrupt;
use sql_values::types::Datum;

use crate::catalog::store::Gates;
use crate::settings::Settings;
pub use crate::work::engine::SqlEngine;
use crate::work::engine::Surroundings;
use crate::work::sequences::SessionSequences;
use crate::work::transaction::State;
pub use copy_in::CopyFormat;
use copy_in::CopyIn;
pub use extended::Value;
pub use portal::Description;
use portal::{Portal, Prepared};
use statement::{Mode, tell};

/// How much longer it takes to parse and bind a text than to go through it.
const TEXT_WORK: usize = 64;

/// What ReadyForQuery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnStatus {
    /// No transaction is open.
    Idle,
    /// A transaction block is open.
    InBlock,
    /// The transaction block has failed.
    Failed,
}

/// How far a statement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done, and so is everything after it.
    Done,
    /// It is a COPY that waits for data.
    CopyIn {
        /// How the data is written.
        format: CopyFormat,
        /// How many columns it has.
        columns: usize,
    },
}

/// What a connection holds.
pub struct Session {
    engine: Arc<SqlEngine>,
    user: String,
    database: String,
    /// The number of its connection; zero is none.
    number: i32,
    settings: Settings,
    sequences: SessionSequences,
    state: State,
    gates: Gates,
    statements: BTreeMap<String, Arc<Prepared>>,
    portals: BTreeMap<String, Portal>,
    /// Statements of a simple query that are still to come.
    queue: Script,
    copy: Option<CopyIn>,
    /// The text of a simple query that runs has several statements, and is a transaction block of its own.
    in_text: bool,
    /// Stops the present statement.
    interrupt: Interrupt,
    /// When the present statement began.
    statement_time: i64,
    /// The present statement changes the schema.
    changing: bool,
    /// The present statement is the first of an implicit transaction.
    was_alone: bool,
    /// Parameters of the portal that is being run.
    lost_params: Option<Vec<Datum>>,
}

impl Session {
    /// A session of a user, with the settings that the client asks for.
    pub fn new(
        engine: Arc<SqlEngine>,
        user: &str,
        database: &str,
        startup: &[(String, String)],
    ) -> SqlResult<Session> {
        let settings = Settings::new(user, startup)?;
        let statement_time = engine.now();
        let interrupt = Interrupt::new(Surroundings(engine.env.clone()));
        Ok(Session {
            engine,
            interrupt,
            user: user.to_owned(),
            database: database.to_owned(),
            number: 0,
            settings,
            sequences: SessionSequences::default(),
            state: State::Idle,
            gates: Gates::default(),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            queue: Script::empty(),
            copy: None,
            in_text: false,
            statement_time,
            changing: false,
            was_alone: false,
            lost_params: None,
        })
    }

    /// The session with the number that its client knows its connection by.
    pub fn with_number(mut self, number: u32) -> Session {
        self.number = i32::try_from(number).unwrap_or(0);
        self
    }

    /// What stops the statement that runs at the time, and says whether it commits, from outside of its task. Whoever keeps
    /// it clears it before a call that an older request is not meant for.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The settings that clients are told when they connect.
    pub fn parameters(&self) -> Vec<(String, String)> {
        self.settings.reported()
    }

    /// What ReadyForQuery says.
    pub fn status(&self) -> TxnStatus {
        match &self.state {
            State::Open(open) if open.explicit => TxnStatus::InBlock,
            State::Failed(_) => TxnStatus::Failed,
            State::Open(_) | State::Idle => TxnStatus::Idle,
        }
    }

    /// For how long the client may be silent now before its connection ends with 25P03
    /// (`idle_in_transaction_session_timeout`); none is without end.
    pub fn idle_limit(&self) -> Option<Duration> {
        if self.status() == TxnStatus::Idle {
            return None;
        }
        self.settings.present().idle_in_transaction_timeout
    }

    /// The session's time zone and the time, as values are written and read.
    pub fn text_format(&self) -> sql_values::types::TextFormat {
        let present = self.settings.present();
        let format = sql_values::types::TextFormat::new(&present.time_zone, self.statement_time);
        format.with_style(present.style)
    }

    /// Runs the statements of a text in one implicit transaction, unless they make another. The first error ends it.
    pub async fn simple_query(&mut self, text: &str, sink: &mut dyn ResultSink) -> SqlResult<Step> {
        self.queue = Script::empty();
        // As in PostgreSQL, a simple query ends the unnamed statement and portal.
        self.statements.remove("");
        self.portals.remove("");
        match self.script(text) {
            Ok(script) if script.is_empty() => {
                sink.empty()?;
                return Ok(Step::Done);
            }
            Ok(script) => {
                self.in_text = script.len() > 1;
                self.queue = script;
            }
            Err(error) => return Err(self.failed(error)),
        }
        self.run_queue(sink).await
    }

    /// The statements of a text. Their trees are held by the node's memory, whatever a statement may hold.
    fn script(&self, text: &str) -> SqlResult<Script> {
        self.foresee_long(text)?;
        Script::read(text, &self.engine.memory.statement(usize::MAX))
    }

    /// Counts the work that a text makes before it is run: to parse and to bind it cannot be stopped, but others go on
    /// meanwhile.
    fn foresee_long(&self, text: &str) -> SqlResult<()> {
        self.interrupt.spend_bytes(text.len().saturating_mul(TEXT_WORK))
    }

    pub(super) async fn run_queue(&mut self, sink: &mut dyn ResultSink) -> SqlResult<Step> {
        while let Some(parsed) = self.queue.next() {
            let mode = Mode { types: &[], params: &[], last: self.queue.is_empty() };
            let step = match &parsed {
                Ok(parsed) => self.timed(parsed, mode, sink).await,
                Err(error) => Err(error.clone()),
            };
            match step {
                Ok(Step::Done) => {}
                Ok(waiting) => return Ok(waiting),
                Err(error) => {
                    self.queue = Script::empty();
                    return Err(self.failed(error));
                }
            }
        }
        Ok(Step::Done)
    }

    /// Sets the deadline of a statement that begins, by `statement_timeout`: for what waits its caller waits no longer,
    /// what computes looks at it itself.
    fn start_timer(&self) -> Option<Duration> {
        let limit = self.settings.present().statement_timeout;
        self.interrupt.set_timeout(limit);
        limit
    }

    /// Runs a statement within `statement_timeout`.
    async fn timed(
        &mut self,
        parsed: &Parsed,
        mode: Mode<'_>,
        sink: &mut dyn ResultSink,
    ) -> SqlResult<Step> {
        let Some(limit) = self.start_timer() else {
            return Box::pin(self.run_statement(parsed, mode, sink)).await;
        };
        let clock = self.engine.env.clock.clone();
        let run = Box::pin(self.run_statement(parsed, mode, sink));
        match clock.timeout(limit, run).await {
            Some(Ok(Step::Done)) => {
                self.interrupt.set_timeout(None);
                Ok(Step::Done)
            }
            // The data of a COPY belong to it.
            Some(result) => result,
            None if self.is_committing() => Err(unknown_outcome()),
            None => Err(SqlError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to statement timeout",
            )),
        }
    }

    fn is_committing(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.is_committing())
    }

    /// A statement has failed: an implicit transaction is gone, a block waits for its end (T2 and T4 of `work::transaction`).
    fn failed(&mut self, error: SqlError) -> SqlError {
        self.interrupt.set_timeout(None);
        self.copy = None;
        match std::mem::take(&mut self.state) {
            State::Open(open) if open.explicit && !open.is_ending() => {
                let mut open = open;
                let dead = error.asks_for_another_attempt();
                if dead || open.give_back() {
                    self.gates.clear();
                }
                self.state = State::Failed((!dead).then_some(open));
            }
            State::Failed(open) => self.state = State::Failed(open),
            State::Open(_) | State::Idle => {
                self.end_transaction(false);
            }
        }
        error
    }

    /// What ends with a transaction. Returns what clients are told.
    fn end_transaction(&mut self, committed: bool) -> Vec<(String, String)> {
        self.state = State::Idle;
        self.gates.clear();
        self.end_cursors(committed);
        self.settings.end_transaction(committed)
    }

    /// Commits the open transaction; the session is idle whatever comes of it.
    async fn commit(&mut self, sink: &mut dyn ResultSink) -> SqlResult<()> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        open.begin_end();
        let commits = self.interrupt.commits();
        if let Err(error) = self.read_held().await {
            self.roll_back(sink)?;
            return Err(error);
        }
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let result = open.commit().await;
        drop(commits);
        // Of a commit that failed they are nobody's, and undone should it have happened all the same.
        let builds = std::mem::take(&mut open.builds);
        // A schema change that is run again finds its gates still closed, and who waits for them waiting. If it is not,
        // `failed` opens them.
        let again = result.as_ref().is_err_and(SqlError::asks_for_another_attempt);
        let gates = again.then(|| std::mem::take(&mut self.gates));
        let changes = self.end_transaction(result.is_ok());
        self.gates = gates.unwrap_or_default();
        tell(sink, &changes)?;
        result?;
        for build in builds {
            build.finish(crate::ddl::duplicated).await?;
        }
        Ok(())
    }

    fn roll_back(&mut self, sink: &mut dyn ResultSink) -> SqlResult<()> {
        if let State::Open(open) | State::Failed(Some(open)) = &mut self.state {
            open.txn.rollback();
        }
        let changes = self.end_transaction(false);
        tell(sink, &changes)
    }

    /// Commits the transaction if no block holds it open.
    async fn finish_implicit(&mut self, sink: &mut dyn ResultSink) -> SqlResult<()> {
        match &self.state {
            State::Open(open) if !open.explicit => self.commit(sink).await,
            _ => Ok(()),
        }
    }

    /// The future of the last call was dropped because the client wants its statement cancelled. Returns what to
    /// report.
    pub fn cancelled(&mut self) -> SqlError {
        self.queue = Script::empty();
        let text = "canceling statement due to user request";
        let error = match self.is_committing() {
            true => unknown_outcome(),
            false => SqlError::new(SqlState::QUERY_CANCELED, text),
        };
        self.failed(error)
    }

    /// The connection is gone: rolls back, and gives back what is held.
    pub fn close(&mut self) {
        self.end_transaction(false);
        self.portals.clear();
        self.statements.clear();
        self.queue = Script::empty();
        self.copy = None;
    }
}

fn unknown_outcome() -> SqlError {
    SqlError::new(
        SqlState::STATEMENT_COMPLETION_UNKNOWN,
        "the statement was cancelled while it was being committed: its outcome is unknown",
    )
}
