//! Operations as SQL: tokio-postgres over a pipe in memory to a simulated node's SQL port.
//!
//! ```text
//!  ClientOp ─▶ register, bank, pairs (statements) ─▶ Link (a connection) ─▶ Cluster::dial ─▶ node::pg::Server
//! ```
//!
//! What clients do here is what clients do: connections live for many operations, and end with the node, by a farewell
//! or without one; a statement goes by the simple protocol, as an unnamed statement or as a prepared one; alone or in a
//! block, with savepoints, locks and conflicts; a transaction is run again on 40001, and on nothing else.
//!
//! - Q1. An operation is `fail` only if the database said so, or if nothing that may commit was on its way: a COMMIT, or
//!   a writing statement outside of a block. 40003 and a lost connection leave such a one unknown.
//! - Q2. An error that no client should ever see is a violation: an internal error, a syntax error, a broken protocol.
//! - Q3. What a transaction reads twice, by way of the table, an index or an aggregate, is the same. If not, that is a
//!   violation, without any checker.

mod bank;
mod changer;
mod linger;
mod link;
mod outcome;
mod pairs;
mod register;
mod schema;
mod statement;
mod sweep;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kv::ids::NodeId;

use crate::client::{Answer, ClientOp};
use crate::rng::SeedRng;
use crate::sim::clients::{ATTEMPTS_MAX, Failure, OP_TIMEOUT, retry_pause};
use crate::sim::cluster::Cluster;
pub(super) use changer::{disturb, final_check};
pub(super) use link::Link;
use outcome::Trouble;
pub(super) use schema::{load, split_keys};
pub(super) use sweep::{MUCH, Sweeps};

/// Share of operations after which a client says goodbye to its connection.
const CLOSE_PERCENT: u64 = 2;

/// What a client of SQL keeps: a connection to each node, while it lives.
pub(super) struct SqlClient {
    name: String,
    cluster: Rc<Cluster>,
    rng: Rc<SeedRng>,
    links: RefCell<BTreeMap<NodeId, Link>>,
}

impl SqlClient {
    /// A client without connections. Its name is for the trace.
    pub(super) fn new(name: String, cluster: Rc<Cluster>, rng: SeedRng) -> Self {
        SqlClient { name, cluster, rng: Rc::new(rng), links: RefCell::default() }
    }

    /// A connection to the node: the one that is kept, or a new one. `None` if the node is down.
    pub(super) async fn link(&self, at: NodeId) -> Option<Link> {
        let kept = self.links.borrow_mut().remove(&at).filter(Link::is_usable);
        match kept {
            Some(link) => Some(link),
            None => Link::open(&self.name, at, &self.cluster, &self.rng).await,
        }
    }

    /// Runs an operation over a connection.
    pub(super) async fn execute(&self, mut link: Link, op: ClientOp) -> Result<Answer, Failure> {
        let work = tokio::time::timeout(OP_TIMEOUT, self.attempts(&mut link, op)).await;
        let result = match work {
            Ok(result) => result,
            Err(_) => Err(link.give_up()),
        };
        self.keep(link);
        result
    }

    /// Keeps a connection that is still good; now and then it is closed with a farewell.
    fn keep(&self, link: Link) {
        if !link.is_usable() {
            return;
        }
        if self.rng.percent(CLOSE_PERCENT) {
            link.close();
        } else {
            self.links.borrow_mut().insert(link.node(), link);
        }
    }

    /// Runs an operation, again after serialization failures.
    async fn attempts(&self, link: &mut Link, op: ClientOp) -> Result<Answer, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let trouble = match Box::pin(body(link, op)).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            link.leave_block().await;
            match trouble {
                Trouble::Unknown(why) => return Err(Failure::Info(why)),
                Trouble::Fail(why) => return Err(Failure::Fail(why)),
                Trouble::Retry(why) if attempt == ATTEMPTS_MAX || !link.is_usable() => {
                    return Err(Failure::Fail(why));
                }
                Trouble::Retry(_) => tokio::time::sleep(retry_pause(&self.rng)).await,
            }
        }
    }
}

/// One attempt.
async fn body(link: &mut Link, op: ClientOp) -> Result<Answer, Trouble> {
    match op {
        ClientOp::Read { key } => register::read(link, key).await,
        ClientOp::Write { key, value } => register::write(link, key, value).await,
        ClientOp::Cas { key, old, new } => register::cas(link, key, old, new).await,
        ClientOp::Transfer { from, to, amount, mode, pause } => {
            bank::transfer(link, (from, to), amount, mode, pause).await
        }
        ClientOp::ReadAccounts { scan } => bank::read(link, scan).await,
        ClientOp::ReadTotal => bank::total(link).await,
        ClientOp::ReadPair { pair } => pairs::read(link, pair).await,
        ClientOp::Deposit { pair, side, mode, pause }
        | ClientOp::Withdraw { pair, side, mode, pause } => {
            let (a, b) = pairs::change(link, &op, pair, side, mode, pause).await?;
            Ok(Answer::Pair { a, b, wrote: op.pair_write(a, b) })
        }
    }
}
