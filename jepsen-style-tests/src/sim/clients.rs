//! Clients: each works through its workload's operations on one node after another.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kv::env::Rng;
use kv::ids::NodeId;
use node::node::Node;
use node::sim::SimScope;
use tokio::time::Instant;

use crate::client::{Answer, ClientOp, Workload};
use crate::generator::Generator;
use crate::history::Recorder;
use crate::rng::SeedRng;
use crate::sim::cluster::{Cluster, NODES};
use crate::sim::kv_client;
use crate::sim::sql_client::{Link, SqlClient};

/// A client gives up on an operation after this.
pub(super) const OP_TIMEOUT: Duration = Duration::from_secs(15);
/// A client waits so long for a node that is up. A store that a bug has damaged starts no more, on one node or on all:
/// then its complaint must be heard, and the seed end.
const REACH_TIMEOUT: Duration = Duration::from_secs(15);
/// So many of 100 reads of a register are given up early. A node that has answers for some keys only must not keep every
/// client busy with the others: else nobody looks at what it says while it is wrong.
const IMPATIENT_PERCENT: u64 = 60;
const IMPATIENT_TIMEOUT: Duration = Duration::from_millis(700);
/// Attempts of one operation after serialization failures.
pub(super) const ATTEMPTS_MAX: u32 = 8;
/// Share of acknowledged writes to a register that are read at once through another gateway: what its clock does not
/// know yet, only the uncertainty interval can.
const READ_BACK_PERCENT: u64 = 60;

/// How an operation that has no answer ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// Certainly nothing happened.
    Fail(String),
    /// Nobody knows.
    Info(String),
}

/// Slept between two attempts, so that two that collided do not meet again.
pub(super) fn retry_pause(rng: &SeedRng) -> Duration {
    rng.duration_between(Duration::from_millis(1), Duration::from_millis(20))
}

/// How a client speaks to the database.
pub(super) enum Way {
    /// Transactions over keys.
    Kv,
    /// SQL.
    Sql(SqlClient),
}

/// A node that is up, and the way there.
enum Gateway {
    Kv(Box<Node>, SimScope),
    Sql(Link),
}

/// One client of one workload.
pub(super) struct Client {
    pub(super) worker: usize,
    pub(super) cluster: Rc<Cluster>,
    pub(super) generator: Rc<RefCell<Generator>>,
    pub(super) recorder: Rc<RefCell<Recorder>>,
    pub(super) rng: SeedRng,
    pub(super) way: Way,
    pub(super) start: Instant,
    /// Longest pause between two operations.
    pub(super) think: Duration,
}

impl Client {
    /// Works until `end`, since the start of the world.
    pub(super) async fn run(self, end: Duration) {
        while self.start.elapsed() < end {
            let op = self.generator.borrow_mut().next_op();
            let done = self.invoke_elsewhere(op, None).await;
            if let (Some(at), ClientOp::Write { key, .. } | ClientOp::Cas { key, .. }) = (done, op)
                && self.rng.percent(READ_BACK_PERCENT)
            {
                self.invoke_elsewhere(ClientOp::Read { key }, Some(at)).await;
            }
            let pause = self.rng.duration_between(Duration::ZERO, self.think);
            tokio::time::sleep(pause).await;
        }
    }

    /// One operation, on a random node that is up. Returns whether it succeeded.
    pub(super) async fn invoke(&self, op: ClientOp) -> bool {
        self.invoke_elsewhere(op, None).await.is_some()
    }

    /// One operation on a node that is up and not `other`. Returns where it succeeded.
    async fn invoke_elsewhere(&self, op: ClientOp, other: Option<NodeId>) -> Option<NodeId> {
        let gateway = self.gateway(other);
        let (at, gateway) = tokio::time::timeout(REACH_TIMEOUT, gateway).await.ok()?;
        self.recorder.borrow_mut().invoke(self.worker, self.start.elapsed(), op.f(), op.value());
        let limit = match op {
            ClientOp::Read { .. } if self.rng.percent(IMPATIENT_PERCENT) => IMPATIENT_TIMEOUT,
            // Everything else has an end of its own.
            _ => Duration::MAX,
        };
        let given_up = |_| Err(Failure::Fail("given up".into()));
        let result = tokio::time::timeout(limit, self.execute(gateway, op)).await;
        let result = result.unwrap_or_else(given_up);
        let now = self.start.elapsed();
        let mut recorder = self.recorder.borrow_mut();
        match &result {
            Ok(answer) => recorder.ok(self.worker, now, op.ok_value(answer)),
            Err(Failure::Fail(why)) => recorder.fail(self.worker, now, why),
            Err(Failure::Info(why)) => recorder.info(self.worker, now, why),
        }
        result.is_ok().then_some(at)
    }

    async fn execute(&self, gateway: Gateway, op: ClientOp) -> Result<Answer, Failure> {
        match (&self.way, gateway) {
            (_, Gateway::Kv(node, scope)) => {
                let rng = SeedRng::stream(self.rng.next_u64(), "attempts", 0);
                kv_client::execute(*node, scope, rng, op).await
            }
            (Way::Sql(sql), Gateway::Sql(link)) => sql.execute(link, op).await,
            (Way::Kv, Gateway::Sql(_)) => unreachable!("only a client of SQL has a link"),
        }
    }

    /// A random node that is up and not `other`. While there is none, nothing is recorded: a refused connection is no
    /// operation.
    async fn gateway(&self, other: Option<NodeId>) -> (NodeId, Gateway) {
        loop {
            let at = *self.rng.pick(&NODES);
            if Some(at) == other {
                continue;
            }
            let gateway = match &self.way {
                Way::Kv => {
                    self.cluster.node(at).map(|(node, scope)| Gateway::Kv(Box::new(node), scope))
                }
                Way::Sql(sql) => sql.link(at).await.map(Gateway::Sql),
            };
            if let Some(gateway) = gateway {
                return (at, gateway);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How many clients each workload gets, and their longest pause.
pub(super) fn clients_of(workload: Workload) -> (usize, Duration) {
    match workload {
        Workload::Register => (6, Duration::from_millis(60)),
        Workload::Bank => (5, Duration::from_millis(80)),
        Workload::Pairs => (14, Duration::from_millis(60)),
    }
}
