//! A connection: statements in, rows out, and what an error says about their effect.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::rc::Rc;
use std::time::Duration;

use futures::TryStreamExt;
use kv::env::Rng;
use kv::ids::NodeId;
use tokio::task::JoinHandle;
use tokio_postgres::error::{Error, SqlState};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, RowStream, SimpleQueryMessage, Statement};

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

/// Errors that a client has to live with: a check that is false, a lock or data that is not to be had in time, a
/// statement that was cancelled.
const BEARABLE: [&str; 4] = ["23514", "55P03", "58000", "57014"];

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// 40001: nothing happened, and another attempt may succeed.
    Retry(String),
    /// Certainly nothing happened.
    Fail(String),
    /// Nobody knows.
    Unknown(String),
}

/// A statement's parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param {
    /// INT.
    Int(i32),
    /// BIGINT.
    Big(i64),
}

impl Param {
    /// A key of a workload.
    pub(super) fn key(number: u64) -> Param {
        Param::Int(i32::try_from(number).expect("keys are small"))
    }

    fn ty(self) -> Type {
        match self {
            Param::Int(_) => Type::INT4,
            Param::Big(_) => Type::INT8,
        }
    }

    fn literal(self) -> String {
        match self {
            Param::Int(value) => format!("({value})"),
            Param::Big(value) => format!("({value})"),
        }
    }
}

impl ToSql for Param {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Param::Int(value) => value.to_sql(ty, out),
            Param::Big(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT4, Type::INT8].contains(ty)
    }

    to_sql_checked!();
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Rows of numbers.
    pub(super) rows: Vec<Vec<Option<i64>>>,
    /// The number in the command tag.
    pub(super) count: u64,
}

impl Reply {
    /// The first value of the first row.
    pub(super) fn value(&self) -> Option<i64> {
        *self.rows.first()?.first()?
    }
}

/// A connection to a node.
pub(crate) struct Link {
    name: String,
    node: NodeId,
    cluster: Rc<Cluster>,
    rng: Rc<SeedRng>,
    client: Client,
    /// Moves the bytes. None: it ends by itself.
    task: Option<JoinHandle<()>>,
    prepared: BTreeMap<String, Statement>,
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
        config.user("prover").dbname("defaultdb").application_name(name);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, config.connect_raw(pipe, NoTls)).await;
        let (client, connection) = match opened.ok()? {
            Ok(opened) => opened,
            Err(error) => {
                if !is_lost(&error) {
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
            client,
            task: Some(task),
            prepared: BTreeMap::new(),
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
        !self.broken && !self.client.is_closed()
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
        let (token, cluster, node) = (self.client.cancel_token(), self.cluster.clone(), self.node);
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
            0 => self.run_simple(text, params).await,
            1 => self.run_unnamed(text, params).await,
            _ => self.run_prepared(text, params).await,
        };
        self.settle(text, params, result)
    }

    /// A query's plan.
    pub(super) async fn explain(&self, query: &str) -> Result<String, String> {
        let said = self.client.simple_query(&format!("EXPLAIN {query}")).await;
        let rows = said.map_err(|error| describe(&error))?.into_iter().filter_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            row.get(0).map(str::to_owned)
        });
        Ok(rows.collect::<Vec<_>>().join("\n"))
    }

    /// Runs a whole block as one text, by the only protocol that takes it.
    pub(super) async fn run_block(&mut self, text: &str) -> Result<(), Trouble> {
        // An error within leaves the block open.
        self.in_block = true;
        let result = self.run_simple(text, &[]).await;
        self.settle(text, &[], result)?;
        self.in_block = false;
        Ok(())
    }

    async fn run_simple(&mut self, text: &str, params: &[Param]) -> Result<Reply, Error> {
        let mut whole = text.to_owned();
        for (index, param) in params.iter().enumerate() {
            whole = whole.replace(&format!("${}", index + 1), &param.literal());
        }
        self.doubt(text);
        let mut reply = Reply::default();
        for message in self.client.simple_query(&whole).await? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let mut values = Vec::with_capacity(row.len());
                    for index in 0..row.len() {
                        let value = row.try_get(index)?.map(str::parse::<i64>);
                        values.push(value.map(|value| value.expect("only numbers are asked for")));
                    }
                    reply.rows.push(values);
                }
                SimpleQueryMessage::CommandComplete(count) => reply.count = count,
                _ => {}
            }
        }
        Ok(reply)
    }

    async fn run_unnamed(&mut self, text: &str, params: &[Param]) -> Result<Reply, Error> {
        self.doubt(text);
        let params: Vec<_> = params.iter().map(|param| (*param, param.ty())).collect();
        collect(self.client.query_typed_raw(text, params).await?).await
    }

    async fn run_prepared(&mut self, text: &str, params: &[Param]) -> Result<Reply, Error> {
        let statement = match self.prepared.get(text) {
            Some(statement) => statement.clone(),
            None => {
                let types: Vec<_> = params.iter().map(|param| param.ty()).collect();
                let statement = self.client.prepare_typed(text, &types).await?;
                self.prepared.insert(text.to_owned(), statement.clone());
                statement
            }
        };
        self.doubt(text);
        collect(self.client.query_raw(&statement, params.iter().copied()).await?).await
    }

    /// From here on the outcome is unknown unless an answer comes, if the statement can commit anything.
    fn doubt(&mut self, text: &str) {
        let reads = ["SELECT", "BEGIN READ ONLY"].iter().any(|read| text.starts_with(read));
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
        result.map_err(|error| self.judge(&error, &said, doubt))
    }

    /// What an error says about the effect of a statement (Q1).
    fn judge(&mut self, error: &Error, said: &str, doubt: bool) -> Trouble {
        let said = said.to_owned();
        match error.code() {
            Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE => Trouble::Retry(said),
            Some(code) if *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => {
                Trouble::Unknown(said)
            }
            Some(code) => {
                if !BEARABLE.contains(&code.code()) {
                    self.complain(&said);
                }
                Trouble::Fail(said)
            }
            None => {
                self.broken = true;
                if !is_lost(error) {
                    self.complain(&said);
                }
                if doubt { Trouble::Unknown(said) } else { Trouble::Fail(said) }
            }
        }
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

async fn collect(stream: RowStream) -> Result<Reply, Error> {
    let mut stream = std::pin::pin!(stream);
    let mut reply = Reply::default();
    while let Some(row) = stream.try_next().await? {
        let mut values = Vec::with_capacity(row.len());
        for (index, column) in row.columns().iter().enumerate() {
            values.push(match *column.type_() {
                Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map(i64::from),
                _ => row.try_get(index)?,
            });
        }
        reply.rows.push(values);
    }
    reply.count = stream.rows_affected().unwrap_or(0);
    Ok(reply)
}

/// The connection has ended, and nothing is wrong with what came over it.
fn is_lost(error: &Error) -> bool {
    let is_io = || error.source().is_some_and(|source| source.is::<std::io::Error>());
    error.is_closed() || (is_io() && error.to_string().starts_with("error communicating"))
}

fn describe(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{} {}{detail}", db.code().code(), db.message())
        }
        None => error.to_string(),
    }
}
