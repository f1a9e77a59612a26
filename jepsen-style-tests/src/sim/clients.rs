//! Clients: each works through its workload's operations on one node after another.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kv::clock::Clock;
use kv::env::{Rng, TaskScope};
use kv::ids::NodeId;
use kv::range::bootstrap::{DATA_PREFIX, KEYSPACE_END};
use node::node::Node;
use tokio::sync::oneshot;
use tokio::time::Instant;
use txn::api::Row;
use txn::coordinator::{Txn, TxnError};
use txn::db::{Db, TxnOptions};

use crate::client::{Answer, ClientOp, Key, ReadMode, Side, Workload};
use crate::generator::{ACCOUNTS, Generator};
use crate::history::Recorder;
use crate::rng::SeedRng;
use crate::sim::cluster::{Cluster, NODES};

/// A client gives up on an operation after this.
const OP_TIMEOUT: Duration = Duration::from_secs(15);
/// Automatic attempts of one operation after serialization failures.
const ATTEMPTS_MAX: u32 = 8;
/// Share of acknowledged writes to a register that are read at once through another gateway: what its clock does not
/// know yet, only the uncertainty interval can.
const READ_BACK_PERCENT: u64 = 60;

/// How an operation that has no answer ended.
#[derive(Debug)]
enum Failure {
    /// Certainly nothing happened.
    Fail(String),
    /// Nobody knows.
    Info(String),
}

impl From<TxnError> for Failure {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::Ambiguous => Failure::Info(error.to_string()),
            _ => Failure::Fail(error.to_string()),
        }
    }
}

/// The bytes of a workload's key in the cluster.
pub(super) fn key_bytes(key: Key) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(DATA_PREFIX);
    out.put_slice(&key.bytes());
    out.freeze()
}

fn encode(value: i64) -> Bytes {
    Bytes::from(value.to_string())
}

fn decode(value: Option<Bytes>) -> Option<i64> {
    let bytes = value?;
    let text = std::str::from_utf8(&bytes).expect("only numbers are written");
    Some(text.parse().expect("only numbers are written"))
}

async fn read(txn: &mut Txn, key: Key, mode: ReadMode) -> Result<Option<i64>, TxnError> {
    let key = key_bytes(key);
    Ok(decode(match mode {
        ReadMode::Plain => txn.get(key).await?,
        ReadMode::Locking => txn.get_for_update(key).await?,
    }))
}

/// A sum of nothing is no row at all, so that rows come and go.
fn store(txn: &mut Txn, key: Key, value: i64) -> Result<(), TxnError> {
    match value {
        0 => txn.delete(key_bytes(key)),
        _ => txn.put(key_bytes(key), encode(value)),
    }
}

/// The accounts that have a row, from a scan over all workloads' rows.
async fn scan_accounts(txn: &mut Txn) -> Result<Vec<(u64, i64)>, TxnError> {
    let (start, end) = (Bytes::from_static(&[DATA_PREFIX]), Bytes::from_static(KEYSPACE_END));
    let rows = txn.scan(start, end, usize::MAX).await?.into_iter();
    let account = |row: Row| Some((Key::account_of(&row.key[1..])?, decode(Some(row.value))?));
    Ok(rows.filter_map(account).collect())
}

/// The body of an operation's transaction, up to its commit.
async fn body(txn: &mut Txn, clock: &Clock, op: &ClientOp) -> Result<Answer, Failure> {
    match *op {
        ClientOp::Read { key } => {
            Ok(Answer::Register(read(txn, Key::Register(key), ReadMode::Plain).await?))
        }
        ClientOp::Write { key, value } => {
            txn.put(key_bytes(Key::Register(key)), encode(value))?;
            Ok(Answer::Done)
        }
        ClientOp::Cas { key, old, new } => {
            if read(txn, Key::Register(key), ReadMode::Plain).await? != Some(old) {
                return Err(Failure::Fail("mismatch".into()));
            }
            txn.put(key_bytes(Key::Register(key)), encode(new))?;
            Ok(Answer::Done)
        }
        ClientOp::Transfer { from, to, amount, mode, pause } => {
            let (from, to) = (Key::Account(from), Key::Account(to));
            let paying = read(txn, from, mode).await?.unwrap_or(0);
            let receiving = read(txn, to, mode).await?.unwrap_or(0);
            clock.sleep(pause).await;
            if paying < amount {
                return Err(Failure::Fail("insufficient funds".into()));
            }
            store(txn, from, paying - amount)?;
            store(txn, to, receiving + amount)?;
            Ok(Answer::Done)
        }
        ClientOp::ReadAccounts { scan } => {
            let mut rows: BTreeMap<u64, i64> = (0..ACCOUNTS).map(|account| (account, 0)).collect();
            if scan {
                rows.extend(scan_accounts(txn).await?);
            } else {
                for (account, balance) in &mut rows {
                    let found = read(txn, Key::Account(*account), ReadMode::Plain).await?;
                    *balance = found.unwrap_or(0);
                }
            }
            let rows = rows.into_iter().map(|(account, balance)| (account, Some(balance)));
            Ok(Answer::Accounts(rows.collect()))
        }
        ClientOp::ReadPair { pair } => {
            let (a, b) = read_pair(txn, pair, ReadMode::Plain).await?;
            Ok(Answer::Pair { a, b, wrote: None })
        }
        ClientOp::Deposit { pair, side, mode, pause }
        | ClientOp::Withdraw { pair, side, mode, pause } => {
            let (a, b) = read_pair(txn, pair, mode).await?;
            clock.sleep(pause).await;
            let wrote = op.pair_write(a, b);
            if let Some(value) = wrote {
                let key = if side == Side::A { Key::PairA(pair) } else { Key::PairB(pair) };
                store(txn, key, value)?;
            }
            Ok(Answer::Pair { a, b, wrote })
        }
    }
}

async fn read_pair(txn: &mut Txn, pair: u64, mode: ReadMode) -> Result<(i64, i64), Failure> {
    let a = read(txn, Key::PairA(pair), mode).await?.unwrap_or(0);
    let b = read(txn, Key::PairB(pair), mode).await?.unwrap_or(0);
    Ok((a, b))
}

/// Runs an operation through a gateway, with fresh attempts after serialization failures.
async fn execute(db: Db, clock: Clock, rng: SeedRng, op: ClientOp) -> Result<Answer, Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut txn = db.begin(TxnOptions { priority: attempt, deadline: None });
        let error = match body(&mut txn, &clock, &op).await {
            Ok(answer) => match txn.commit().await {
                Ok(_) => return Ok(answer),
                Err(error) => error.into(),
            },
            Err(error) => error,
        };
        let retry = matches!(&error, Failure::Fail(why) if why.starts_with(RETRY_PREFIX));
        if !retry || attempt == ATTEMPTS_MAX {
            txn.rollback();
            return Err(error);
        }
        txn.rollback();
        drop(txn);
        clock
            .sleep(rng.duration_between(Duration::from_millis(1), Duration::from_millis(20)))
            .await;
    }
}

/// How a serialization failure begins.
const RETRY_PREFIX: &str = "could not serialize";

/// Writes a workload's first rows.
pub(super) async fn load(node: &Node, rows: &[(Key, i64)]) -> Result<(), TxnError> {
    loop {
        let mut txn = node.db().begin(TxnOptions::default());
        for (key, value) in rows {
            txn.put(key_bytes(*key), encode(*value))?;
        }
        match txn.commit().await {
            Ok(_) => return Ok(()),
            // The same values again do no harm before the first client begins.
            Err(TxnError::Retry { .. } | TxnError::Unavailable | TxnError::Ambiguous) => {}
            Err(error) => return Err(error),
        }
    }
}

/// One client of one workload.
pub(super) struct Client {
    pub(super) worker: usize,
    pub(super) cluster: Rc<Cluster>,
    pub(super) generator: Rc<RefCell<Generator>>,
    pub(super) recorder: Rc<RefCell<Recorder>>,
    pub(super) rng: SeedRng,
    pub(super) start: Instant,
    /// Longest pause between two operations.
    pub(super) think: Duration,
}

impl Client {
    /// Works until `end`, since the start of the world.
    pub(super) async fn run(self, end: Duration) {
        while self.start.elapsed() < end {
            let op = self.generator.borrow_mut().next_op();
            let (at, done) = self.invoke_elsewhere(op, None).await;
            if let (true, ClientOp::Write { key, .. } | ClientOp::Cas { key, .. }) = (done, op)
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
        self.invoke_elsewhere(op, None).await.1
    }

    /// One operation on a node that is up and not `other`. Returns where, and whether it succeeded.
    async fn invoke_elsewhere(&self, op: ClientOp, other: Option<NodeId>) -> (NodeId, bool) {
        let (at, (node, scope)) = loop {
            let at = *self.rng.pick(&NODES);
            if Some(at) == other {
                continue;
            }
            if let Some(life) = self.cluster.node(at) {
                break (at, life);
            }
            // Connection refused: no operation, so nothing to record.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.recorder.borrow_mut().invoke(self.worker, self.start.elapsed(), op.f(), op.value());
        let (sender, answer) = oneshot::channel();
        let clock = node.env().clock.clone();
        let rng = SeedRng::stream(self.rng.next_u64(), "attempts", 0);
        let db = node.db().clone();
        let work = async move {
            // The client may have given up.
            let _ = sender.send(execute(db, clock, rng, op).await);
        };
        scope.spawn("client", Box::pin(work));
        drop(node);
        let outcome = tokio::time::timeout(OP_TIMEOUT, answer).await;
        let now = self.start.elapsed();
        let mut recorder = self.recorder.borrow_mut();
        let failure = match outcome {
            Ok(Ok(Ok(answer))) => {
                recorder.ok(self.worker, now, op.ok_value(&answer));
                return (at, true);
            }
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) => Failure::Info("the node crashed".into()),
            Err(_) => Failure::Info("timeout".into()),
        };
        match failure {
            Failure::Fail(why) => recorder.fail(self.worker, now, why),
            Failure::Info(why) => recorder.info(self.worker, now, why),
        }
        (at, false)
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
