//! A connection: blocks and statements, farewells and hang-ups, and whether something that may commit is on its way.

use std::rc::Rc;
use std::time::Duration;

use kv::env::Rng;
use kv::ids::NodeId;
use tokio::task::JoinHandle;
use tokio_postgres::error::Error;
use tokio_postgres::{Config, NoTls};

use super::outcome::{Trouble, describe, is_bearable, judge};
use super::statement::{Param, Reply, Statements};
use crate::rng::SeedRng;
use crate::sim::clients::Failure;
use crate::sim::cluster::Cluster;

/// A client that hears nothing from a node for so long does not wait for a session.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Share of blocks, in a thousand, whose client hangs up before it says COMMIT: what they hold must go.
const HANG_UP_BEFORE: u64 = 12;
/// Share of blocks, in a thousand, whose client hangs up after it has said COMMIT.
const HANG_UP_AFTER: u64 = 4;
/// Share of statements for which a cancel request is sent, which may come too late and hit a later one.
const CANCEL_PERCENT: u64 = 1;

/// A connection to a node.
pub(crate) struct Link {
    name: String,
    node: NodeId,
    cluster: Rc<Cluster>,
    rng: Rc<SeedRng>,
    statements: Statements,
    /// Moves the bytes. None: it ends by itself.
    task: Option<JoinHandle<()>>,
    in_block: bool,
    /// Something that may commit is on its way.
    in_doubt: bool,
    broken: bool,
}

impl Link {
    /// Opens a connection; `None` if the node is down.
    pub(super) async fn open(
        name: &str,
        node: NodeId,
        cluster: &Rc<Cluster>,
        rng: &Rc<SeedRng>,
    ) -> Option<Link> {
        let pipe = cluster.dial(node)?;
        let mut config = Config::new();
        config.user("root").dbname("defaultdb").application_name(name);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, config.connect_raw(pipe, NoTls)).await;
        let (client, connection) = match opened.ok()? {
            Ok(opened) => opened,
            Err(error) => {
                if !is_bearable(&error) {
                    cluster.complain(format!("{node} refuses a session: {error}"));
                }
                return None;
            }
        };
        let task = tokio::task::spawn_local(async move {
            // How it ended shows at the statement that was under way.
            let _ = connection.await;
        });
        Some(Link {
            name: name.to_owned(),
            node,
            cluster: cluster.clone(),
            rng: rng.clone(),
            statements: Statements::new(client),
            task: Some(task),
            in_block: false,
            in_doubt: false,
            broken: false,
        })
    }

    /// The node at the other end.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// True while it may be used further.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken && !self.statements.is_closed()
    }

    /// A number below `sides`, to choose among ways to say the same.
    pub(super) fn roll(&self, sides: u64) -> u64 {
        self.rng.below(sides)
    }

    /// Says goodbye.
    pub(super) fn close(mut self) {
        // The task ends after the farewell.
        self.task = None;
    }

    /// Hangs up, without a farewell.
    fn cut(&mut self) {
        self.broken = true;
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Asks the node, at some time from now, to cancel what this connection does then, if anything.
    pub(super) fn cancel_within(&self, longest: Duration) {
        let after = self.rng.duration_between(Duration::ZERO, longest);
        let token = self.statements.cancel_token();
        let (cluster, node) = (self.cluster.clone(), self.node);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            if let Some(pipe) = cluster.dial(node) {
                // Nothing is ever answered to it; a node that crashes right now does not mind.
                let _ = token.cancel_query_raw(pipe, NoTls).await;
            }
        });
    }

    /// The client's patience is over.
    pub(super) fn give_up(&mut self) -> Failure {
        self.cut();
        match self.in_doubt {
            true => Failure::Info("timeout".into()),
            false => Failure::Fail("timeout before anything could be committed".into()),
        }
    }

    /// Something is wrong that no history shows (Q2, Q3).
    pub(super) fn complain(&self, what: impl std::fmt::Display) {
        self.cluster.complain(format!("{} at {}: {what}", self.name, self.node));
    }

    /// Runs a statement, by any of the three protocols.
    pub(super) async fn run(&mut self, text: &str, params: &[Param]) -> Result<Reply, Trouble> {
        if self.rng.percent(CANCEL_PERCENT) {
            self.cancel_within(Duration::from_millis(8));
        }
        let result = match self.roll(3) {
            0 => {
                self.doubt(text);
                self.statements.simple(text, params).await
            }
            1 => {
                self.doubt(text);
                self.statements.unnamed(text, params).await
            }
            _ => match self.statements.prepare(text, params).await {
                Ok(statement) => {
                    self.doubt(text);
                    self.statements.prepared(&statement, params).await
                }
                Err(error) => Err(error),
            },
        };
        self.settle(text, params, result)
    }

    /// A query's plan.
    pub(super) async fn explain(&self, query: &str) -> Result<String, String> {
        self.statements.explain(query).await.map_err(|error| describe(&error))
    }

    /// Runs a whole block as one text, by the only protocol that takes it.
    pub(super) async fn run_block(&mut self, text: &str) -> Result<(), Trouble> {
        // An error within leaves the block open.
        self.in_block = true;
        self.doubt(text);
        let result = self.statements.simple(text, &[]).await;
        self.settle(text, &[], result)?;
        self.in_block = false;
        Ok(())
    }

    /// From here on the outcome is unknown unless an answer comes, if the statement can commit anything.
    fn doubt(&mut self, text: &str) {
        let reads = ["SELECT", "ROLLBACK"].iter().any(|read| text.starts_with(read));
        self.in_doubt = text.contains("COMMIT") || (!self.in_block && !reads);
    }

    fn settle(
        &mut self,
        text: &str,
        params: &[Param],
        result: Result<Reply, Error>,
    ) -> Result<Reply, Trouble> {
        let said = match &result {
            Ok(reply) => format!("{:?}, {}", reply.rows, reply.count),
            Err(error) => describe(error),
        };
        let (name, node) = (&self.name, self.node);
        self.cluster.note(|| format!("sql {name} {node} {text} {params:?} -> {said}"));
        let doubt = std::mem::take(&mut self.in_doubt);
        result.map_err(|error| {
            if !is_bearable(&error) {
                self.complain(&said);
            }
            self.broken |= error.code().is_none();
            judge(&error, doubt)
        })
    }

    /// Opens a block.
    pub(super) async fn begin(&mut self) -> Result<(), Trouble> {
        let texts = ["BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE"];
        let text = *self.rng.pick(&texts);
        // Whatever comes of it, a ROLLBACK does no harm.
        self.in_block = true;
        self.run(text, &[]).await.map(|_| ())
    }

    /// Commits the block; or its client hangs up before it could, or before it heard.
    pub(super) async fn commit(&mut self) -> Result<(), Trouble> {
        let roll = self.roll(1_000);
        if roll < HANG_UP_BEFORE {
            self.cut();
            return Err(Trouble::Fail("the client hung up before its commit".into()));
        }
        if roll < HANG_UP_BEFORE + HANG_UP_AFTER {
            let patience = self.rng.duration_between(Duration::ZERO, Duration::from_millis(5));
            let commit = tokio::time::timeout(patience, self.run("COMMIT", &[])).await;
            return match commit {
                Ok(result) => self.committed(result),
                Err(_) => {
                    self.cut();
                    Err(Trouble::Unknown("the client hung up at its commit".into()))
                }
            };
        }
        let result = self.run("COMMIT", &[]).await;
        self.committed(result)
    }

    fn committed(&mut self, result: Result<Reply, Trouble>) -> Result<(), Trouble> {
        // The block has ended whatever came of it.
        self.in_block = false;
        result.map(|_| ())
    }

    /// Rolls a block back that is still open.
    pub(super) async fn leave_block(&mut self) {
        if std::mem::take(&mut self.in_block)
            && self.is_usable()
            && self.run("ROLLBACK", &[]).await.is_err()
        {
            self.cut();
        }
    }

    /// Now and then: something that is taken back at once, within a block.
    pub(super) async fn detour(&mut self, text: &str, params: &[Param]) -> Result<(), Trouble> {
        if !self.rng.percent(8) {
            return Ok(());
        }
        self.run("SAVEPOINT s", &[]).await?;
        self.run(text, params).await?;
        self.run("ROLLBACK TO SAVEPOINT s", &[]).await?;
        if self.rng.percent(50) {
            self.run("RELEASE SAVEPOINT s", &[]).await?;
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
