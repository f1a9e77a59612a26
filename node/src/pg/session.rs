//! What a connection needs of a session. The real one is sql's; tests script one.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use sql::error::{SqlError, SqlResult};
use sql::interrupt::Interrupt;
use sql::plan::OutputColumn;
use sql::session::{ResultSink, TxnStatus};
use sql::types::SqlType;

use super::codec::frontend::{Bind, Format};

/// What a client has asked for when it connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// The user.
    pub user: String,
    /// The database, if the client has named one.
    pub database: Option<String>,
    /// The number that BackendKeyData gives the connection, above zero.
    pub number: u32,
    /// Settings, in the client's order; those of `options` come first.
    pub settings: Vec<(String, String)>,
}

/// What a prepared statement takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Types of its parameters.
    pub parameters: Vec<SqlType>,
    /// Its result columns; none if it gives no rows.
    pub columns: Option<Vec<OutputColumn>>,
}

/// How far a statement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done, and so is everything after it.
    Done,
    /// It is a COPY that waits for data.
    CopyIn {
        /// How the data is written.
        format: Format,
        /// How many columns it has.
        columns: usize,
    },
}

/// Makes sessions.
pub trait SessionFactory: Send + Sync + 'static {
    /// What it makes.
    type Session: PgSession;
    /// Opens a session, or says why the client gets none.
    fn open(&self, startup: Startup) -> BoxFuture<'_, SqlResult<Self::Session>>;
}

/// A session as the protocol sees it.
///
/// A future that is returned here is dropped only when the connection breaks (then comes [`PgSession::close`] at most)
/// or on a cancel request (then comes [`PgSession::cancelled`] at once).
pub trait PgSession: Send + 'static {
    /// The settings that clients are told at the start.
    fn parameters(&self) -> Vec<(String, String)>;
    /// What stops a statement that computes, from another task; none if it never computes for long.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }
    /// What ReadyForQuery says.
    fn status(&self) -> TxnStatus;
    /// For how long the client may be silent now, after ReadyForQuery; then the connection ends with 25P03.
    fn idle_limit(&self) -> Option<Duration>;
    /// Runs the statements of a text. The first error ends it.
    fn simple_query<'a>(
        &'a mut self,
        text: &'a str,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>>;
    /// Prepares a statement.
    fn parse<'a>(
        &'a mut self,
        name: &'a str,
        text: &'a str,
        types: &'a [u32],
    ) -> BoxFuture<'a, SqlResult<()>>;
    /// Makes a portal.
    fn bind<'a>(&'a mut self, bind: &'a Bind) -> BoxFuture<'a, SqlResult<()>>;
    /// Tells about a statement.
    fn describe_statement<'a>(&'a mut self, name: &'a str)
    -> BoxFuture<'a, SqlResult<Description>>;
    /// Tells about a portal's columns.
    fn describe_portal<'a>(
        &'a mut self,
        name: &'a str,
    ) -> BoxFuture<'a, SqlResult<Option<Vec<OutputColumn>>>>;
    /// Runs a portal, to its end or for so many rows (zero is all). `last` says that Sync is next: the session may commit
    /// an implicit transaction at once.
    fn execute<'a>(
        &'a mut self,
        portal: &'a str,
        max_rows: u32,
        last: bool,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>>;
    /// Forgets a statement, if there is one of this name.
    fn close_statement(&mut self, name: &str);
    /// Forgets a portal, if there is one of this name.
    fn close_portal(&mut self, name: &str);
    /// The end of a batch: commits the implicit transaction, or rolls it back after an error.
    fn sync(&mut self) -> BoxFuture<'_, SqlResult<()>>;
    /// Something went wrong in the extended protocol outside of the session (or in it): everything up to Sync is
    /// skipped now.
    fn batch_failed(&mut self);
    /// Data of the COPY that is under way.
    fn copy_data(&mut self, data: Bytes) -> BoxFuture<'_, SqlResult<()>>;
    /// The end of the data: finishes the COPY, and goes on with what follows it in the text.
    fn copy_done<'a>(&'a mut self, sink: &'a mut dyn ResultSink) -> BoxFuture<'a, SqlResult<Step>>;
    /// The client (or the protocol) gives the COPY up. Returns what to report.
    fn copy_fail(&mut self, why: SqlError) -> BoxFuture<'_, SqlError>;
    /// The future of the last call was dropped because the client wants the statement cancelled. Returns what to
    /// report: 57014, or 40003 if the outcome is unknown.
    fn cancelled(&mut self) -> BoxFuture<'_, SqlError>;
    /// The connection is gone: rolls back, and gives back what is held.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}
