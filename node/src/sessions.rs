//! Where SQL's sessions meet the protocol: sql knows no messages, and the protocol knows no SQL.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use sql::error::{SqlError, SqlResult, SqlState};
use sql::interrupt::Interrupt;
pub use sql::memory::DEFAULT_NODE_BYTES;
use sql::memory::Memory;
use sql::plan::OutputColumn;
use sql::session::{CopyFormat, ResultSink, Session, SqlEngine, TxnStatus, Value};

use crate::node::Node;
use crate::pg::codec::frontend::{Bind, Format};
use crate::pg::session::{Description, PgSession, SessionFactory, Startup, Step};

/// The one database that there is, also for clients that name none.
pub const DATABASE: &str = "defaultdb";
/// The one user that there is, and may do everything.
pub const USER: &str = "root";

/// Makes the sessions of a node's clients.
pub struct Sessions {
    engine: Arc<SqlEngine>,
}

impl Sessions {
    /// Sessions whose transactions begin on this node, and whose statements hold so many bytes at most, together.
    pub fn new(node: &Node, memory: usize) -> Self {
        let memory = Memory::new(memory);
        Sessions { engine: SqlEngine::new(node.db().clone(), node.env().clone(), memory) }
    }
}

impl SessionFactory for Sessions {
    type Session = NodeSession;

    fn open(&self, startup: Startup) -> BoxFuture<'_, SqlResult<NodeSession>> {
        Box::pin(future::ready(self.admit(&startup)))
    }
}

impl Sessions {
    /// Opens a session: 28000 for an unknown user, 3D000 for an unknown database, in PostgreSQL's order.
    fn admit(&self, startup: &Startup) -> SqlResult<NodeSession> {
        let Startup { user, database, settings, number } = startup;
        if user != USER {
            let text = format!("role \"{user}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, text));
        }
        let database = database.as_deref().unwrap_or(DATABASE);
        if database != DATABASE {
            let text = format!("database \"{database}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, text));
        }
        let session = Session::new(self.engine.clone(), user, database, settings)?;
        Ok(NodeSession(session.with_number(*number)))
    }
}

/// A client's session.
pub struct NodeSession(Session);

fn step(step: sql::session::Step) -> Step {
    match step {
        sql::session::Step::Done => Step::Done,
        sql::session::Step::CopyIn { format, columns } => {
            let format = match format {
                CopyFormat::Text => Format::Text,
                CopyFormat::Binary => Format::Binary,
            };
            Step::CopyIn { format, columns }
        }
    }
}

/// The values of a Bind, each with its format.
fn values(bind: &Bind) -> Vec<Value> {
    let format = |index: usize| match bind.formats.as_slice() {
        [] => Format::Text,
        [all] => *all,
        // The decoder has seen to it that there is one for each.
        each => each.get(index).copied().unwrap_or(Format::Text),
    };
    let value = |(index, value): (usize, &Option<Bytes>)| match (value, format(index)) {
        (None, _) => Value::Null,
        (Some(bytes), Format::Text) => Value::Text(bytes.clone()),
        (Some(bytes), Format::Binary) => Value::Binary(bytes.clone()),
    };
    bind.values.iter().enumerate().map(value).collect()
}

impl PgSession for NodeSession {
    fn parameters(&self) -> Vec<(String, String)> {
        self.0.parameters()
    }

    fn interrupt(&self) -> Option<Interrupt> {
        Some(self.0.interrupt())
    }

    fn status(&self) -> TxnStatus {
        self.0.status()
    }

    fn idle_limit(&self) -> Option<std::time::Duration> {
        self.0.idle_limit()
    }

    fn simple_query<'a>(
        &'a mut self,
        text: &'a str,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        Box::pin(async move { self.0.simple_query(text, sink).await.map(step) })
    }

    fn parse<'a>(
        &'a mut self,
        name: &'a str,
        text: &'a str,
        types: &'a [u32],
    ) -> BoxFuture<'a, SqlResult<()>> {
        Box::pin(self.0.parse(name, text, types))
    }

    fn bind<'a>(&'a mut self, bind: &'a Bind) -> BoxFuture<'a, SqlResult<()>> {
        Box::pin(async move {
            let values = values(bind);
            self.0.bind(&bind.portal, &bind.statement, &values).await
        })
    }

    fn describe_statement<'a>(
        &'a mut self,
        name: &'a str,
    ) -> BoxFuture<'a, SqlResult<Description>> {
        let described = self.0.describe_statement(name);
        let described = described.map(|description| Description {
            parameters: description.parameters,
            columns: description.columns,
        });
        Box::pin(future::ready(described))
    }

    fn describe_portal<'a>(
        &'a mut self,
        name: &'a str,
    ) -> BoxFuture<'a, SqlResult<Option<Vec<OutputColumn>>>> {
        Box::pin(future::ready(self.0.describe_portal(name)))
    }

    fn execute<'a>(
        &'a mut self,
        portal: &'a str,
        max_rows: u32,
        last: bool,
        sink: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        Box::pin(async move { self.0.execute(portal, max_rows, last, sink).await.map(step) })
    }

    fn close_statement(&mut self, name: &str) {
        self.0.close_statement(name);
    }

    fn close_portal(&mut self, name: &str) {
        self.0.close_portal(name);
    }

    fn sync(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        Box::pin(self.0.sync())
    }

    fn batch_failed(&mut self) {
        self.0.batch_failed();
    }

    fn copy_data(&mut self, data: Bytes) -> BoxFuture<'_, SqlResult<()>> {
        Box::pin(async move { self.0.copy_data(&data).await })
    }

    fn copy_done<'a>(&'a mut self, sink: &'a mut dyn ResultSink) -> BoxFuture<'a, SqlResult<Step>> {
        Box::pin(async move { self.0.copy_done(sink).await.map(step) })
    }

    fn copy_fail(&mut self, why: SqlError) -> BoxFuture<'_, SqlError> {
        Box::pin(future::ready(self.0.copy_fail(why)))
    }

    fn cancelled(&mut self) -> BoxFuture<'_, SqlError> {
        Box::pin(future::ready(self.0.cancelled()))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.0.close();
        Box::pin(future::ready(()))
    }
}
