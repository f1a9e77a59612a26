//! Where SQL sessions meet the node that serves them.

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use sql::error::{SqlError, SqlResult, SqlState};
use sql::plan::OutputColumn;
use sql::session::{ResultSink, TxnStatus};

use crate::node::Node;
use crate::pg::codec::frontend::Bind;
use crate::pg::session::{Description, PgSession, SessionFactory, Startup, Step};

/// Makes the sessions of a node's clients.
pub struct Sessions {
    _node: Node,
}

impl Sessions {
    /// Sessions whose transactions begin on this node.
    pub fn new(node: &Node) -> Self {
        Sessions { _node: node.clone() }
    }
}

impl SessionFactory for Sessions {
    type Session = NodeSession;

    fn open(&self, _: Startup) -> BoxFuture<'_, SqlResult<NodeSession>> {
        Box::pin(future::ready(Ok(NodeSession)))
    }
}

/// A client's session.
pub struct NodeSession;

fn unsupported<'a, R: Send + 'a>() -> BoxFuture<'a, SqlResult<R>> {
    Box::pin(future::ready(Err(SqlError::unsupported("this statement"))))
}

impl PgSession for NodeSession {
    fn parameters(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn status(&self) -> TxnStatus {
        TxnStatus::Idle
    }

    fn simple_query<'a>(
        &'a mut self,
        _: &'a str,
        _: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        unsupported()
    }

    fn parse<'a>(
        &'a mut self,
        _: &'a str,
        _: &'a str,
        _: &'a [u32],
    ) -> BoxFuture<'a, SqlResult<()>> {
        unsupported()
    }

    fn bind<'a>(&'a mut self, _: &'a Bind) -> BoxFuture<'a, SqlResult<()>> {
        unsupported()
    }

    fn describe_statement<'a>(&'a mut self, _: &'a str) -> BoxFuture<'a, SqlResult<Description>> {
        unsupported()
    }

    fn describe_portal<'a>(
        &'a mut self,
        _: &'a str,
    ) -> BoxFuture<'a, SqlResult<Option<Vec<OutputColumn>>>> {
        unsupported()
    }

    fn execute<'a>(
        &'a mut self,
        _: &'a str,
        _: u32,
        _: &'a mut dyn ResultSink,
    ) -> BoxFuture<'a, SqlResult<Step>> {
        unsupported()
    }

    fn close_statement(&mut self, _: &str) {}

    fn close_portal(&mut self, _: &str) {}

    fn sync(&mut self) -> BoxFuture<'_, SqlResult<()>> {
        Box::pin(future::ready(Ok(())))
    }

    fn batch_failed(&mut self) {}

    fn copy_data(&mut self, _: Bytes) -> BoxFuture<'_, SqlResult<()>> {
        unsupported()
    }

    fn copy_done<'a>(&'a mut self, _: &'a mut dyn ResultSink) -> BoxFuture<'a, SqlResult<Step>> {
        unsupported()
    }

    fn copy_fail(&mut self, why: SqlError) -> BoxFuture<'_, SqlError> {
        Box::pin(future::ready(why))
    }

    fn cancelled(&mut self) -> BoxFuture<'_, SqlError> {
        let what = "canceling statement due to user request";
        Box::pin(future::ready(SqlError::new(SqlState::QUERY_CANCELED, what)))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }
}
