//! Operations as transactions over keys, which begin on a simulated node.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kv::clock::Clock;
use kv::env::TaskScope;
use kv::keys::successor;
use kv::range::bootstrap::{DATA_PREFIX, KEYSPACE_END};
use node::node::Node;
use node::sim::SimScope;
use tokio::sync::oneshot;
use txn::api::{MAX_VALUE_BYTES, Row};
use txn::coordinator::{Txn, TxnError};
use txn::db::{Db, TxnOptions};

use crate::client::{Answer, ClientOp, Key, ReadMode, Side};
use crate::generator::ACCOUNTS;
use crate::rng::SeedRng;
use crate::sim::clients::{ATTEMPTS_MAX, Failure, OP_TIMEOUT, retry_pause};

/// Rows of a page of a scan backwards.
const PAGE_ROWS: usize = 5;
/// Where the data range is split: every workload gets several ranges.
const SPLITS: [&[u8]; 6] = [b"20", b"40", b"60", b"80", b"a0", b"c0"];

/// What nobody writes for good.
const WRONG: i64 = -1_000_000;

impl From<TxnError> for Failure {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::Ambiguous => Failure::Info(error.to_string()),
            _ => Failure::Fail(error.to_string()),
        }
    }
}

/// The bytes of a workload's key in the cluster.
fn key_bytes(key: Key) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(DATA_PREFIX);
    out.put_slice(&key.bytes());
    out.freeze()
}

/// Where the ranges may be cut.
pub(super) fn split_keys() -> Vec<Bytes> {
    SPLITS.into_iter().map(|at| Bytes::from([&[DATA_PREFIX], at].concat())).collect()
}

/// A byte that is the transaction's own: what it does by lot, it does by that.
fn lot(txn: &Txn, at: usize) -> u8 {
    txn.id().get(at).copied().unwrap_or_default()
}

/// One transaction of 128 writes large values, of any size up to the limit: small sizes as often as large ones.
fn encode(txn: &Txn, value: i64) -> Bytes {
    let mut text = value.to_string().into_bytes();
    if lot(txn, 3).is_multiple_of(128) {
        let bits = u32::from(lot(txn, 4)) * (usize::BITS - MAX_VALUE_BYTES.leading_zeros()) / 256;
        let bytes = (1 << bits) + (usize::from(lot(txn, 5)) << bits) / 256;
        text.resize(bytes.clamp(text.len(), MAX_VALUE_BYTES), b' ');
    }
    Bytes::from(text)
}

fn decode(value: Option<Bytes>) -> Option<i64> {
    let bytes = value?;
    let text = std::str::from_utf8(&bytes).expect("only numbers are written");
    Some(text.trim_end().parse().expect("only numbers are written"))
}

/// A third of the transactions that read plainly take the last row up to the key: a scan backwards that stops at its
/// first row, and has read everything from there to the key, be it there or not.
async fn read(txn: &mut Txn, key: Key, mode: ReadMode) -> Result<Option<i64>, TxnError> {
    let key = key_bytes(key);
    Ok(decode(match mode {
        ReadMode::Plain if txn.id().first().is_some_and(|byte| byte % 3 == 0) => {
            let (start, end) = (Bytes::from_static(&[DATA_PREFIX]), successor(&key));
            let last = txn.scan_reverse(start, end, 1).await?.pop();
            last.filter(|row| row.key == key).map(|row| row.value)
        }
        ReadMode::Plain => txn.get(key).await?,
        ReadMode::Locking => txn.get_for_update(key).await?,
    }))
}

/// A sum of nothing is no row at all, so that rows come and go.
async fn store(txn: &mut Txn, key: Key, value: i64) -> Result<(), TxnError> {
    write(txn, key, (value != 0).then_some(value)).await
}

/// Writes a key, in some transactions after a detour over a savepoint that must leave nothing behind: not even where
/// transactions outgrow their buffers, and it was sent.
async fn write(txn: &mut Txn, key: Key, value: Option<i64>) -> Result<(), TxnError> {
    if lot(txn, 1).is_multiple_of(4) {
        let mark = txn.savepoint()?;
        txn.put(key_bytes(key), encode(txn, WRONG))?;
        txn.make_room().await?;
        txn.rollback_to(mark)?;
        if lot(txn, 2).is_multiple_of(2) {
            txn.release(mark)?;
        }
    }
    match value {
        None => txn.delete(key_bytes(key))?,
        Some(value) => txn.put(key_bytes(key), encode(txn, value))?,
    }
    txn.make_room().await
}

/// The accounts that have a row, from a scan over all workloads' rows.
async fn scan_accounts(txn: &mut Txn) -> Result<Vec<(u64, i64)>, TxnError> {
    let (start, end) = (Bytes::from_static(&[DATA_PREFIX]), Bytes::from_static(KEYSPACE_END));
    Ok(accounts_of(txn.scan(start, end, usize::MAX).await?))
}

/// The same from the last row to the first, some rows at a time.
async fn scan_accounts_back(txn: &mut Txn) -> Result<Vec<(u64, i64)>, TxnError> {
    let (start, mut end) = (Bytes::from_static(&[DATA_PREFIX]), Bytes::from_static(KEYSPACE_END));
    let mut accounts = Vec::new();
    loop {
        let rows = txn.scan_reverse(start.clone(), end, PAGE_ROWS).await?;
        let last = rows.last().filter(|_| rows.len() == PAGE_ROWS).map(|row| row.key.clone());
        accounts.extend(accounts_of(rows));
        match last {
            Some(last) => end = last,
            None => return Ok(accounts),
        }
    }
}

fn accounts_of(rows: Vec<Row>) -> Vec<(u64, i64)> {
    let account = |row: Row| Some((Key::account_of(&row.key[1..])?, decode(Some(row.value))?));
    rows.into_iter().filter_map(account).collect()
}

/// The body of an operation's transaction, up to its commit.
async fn body(txn: &mut Txn, clock: &Clock, op: &ClientOp) -> Result<Answer, Failure> {
    match *op {
        ClientOp::Read { key } => {
            Ok(Answer::Register(read(txn, Key::Register(key), ReadMode::Plain).await?))
        }
        ClientOp::Write { key, value } => {
            write(txn, Key::Register(key), Some(value)).await?;
            Ok(Answer::Done)
        }
        ClientOp::Cas { key, old, new } => {
            if read(txn, Key::Register(key), ReadMode::Plain).await? != Some(old) {
                return Err(Failure::Fail("mismatch".into()));
            }
            write(txn, Key::Register(key), Some(new)).await?;
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
            store(txn, from, paying - amount).await?;
            store(txn, to, receiving + amount).await?;
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
        ClientOp::ReadTotal => {
            let rows = scan_accounts_back(txn).await?;
            Ok(Answer::Total(rows.into_iter().map(|(_, balance)| balance).sum()))
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
                store(txn, key, value).await?;
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
async fn attempts(db: Db, clock: Clock, rng: SeedRng, op: ClientOp) -> Result<Answer, Failure> {
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
        let asks = |why: &str| RETRY_PREFIXES.iter().any(|prefix| why.starts_with(prefix));
        let retry = matches!(&error, Failure::Fail(why) if asks(why));
        if !retry || attempt == ATTEMPTS_MAX {
            txn.rollback();
            return Err(error);
        }
        txn.rollback();
        drop(txn);
        clock.sleep(retry_pause(&rng)).await;
    }
}

/// How serialization failures and deadlocks begin.
const RETRY_PREFIXES: [&str; 2] = ["could not serialize", "deadlock detected"];

/// Runs an operation as a task of a node: a crash ends it where it stands.
pub(super) async fn execute(
    node: Node,
    scope: SimScope,
    rng: SeedRng,
    op: ClientOp,
) -> Result<Answer, Failure> {
    let (sender, answer) = oneshot::channel();
    let (db, clock) = (node.db().clone(), node.env().clock.clone());
    drop(node);
    let work = async move {
        // The client may have given up.
        let _ = sender.send(attempts(db, clock, rng, op).await);
    };
    scope.spawn("client", Box::pin(work));
    match tokio::time::timeout(OP_TIMEOUT, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::Info("the node crashed".into())),
        Err(_) => Err(Failure::Info("timeout".into())),
    }
}

/// Writes the first rows.
pub(super) async fn load(node: &Node, rows: &[(Key, i64)]) -> Result<(), TxnError> {
    loop {
        let mut txn = node.db().begin(TxnOptions::default());
        for (key, value) in rows {
            txn.put(key_bytes(*key), Bytes::from(value.to_string()))?;
        }
        match txn.commit().await {
            Ok(_) => return Ok(()),
            // The same values again do no harm before the first client begins.
            Err(TxnError::Unavailable | TxnError::Ambiguous) => {}
            Err(error) if error.is_retry() => {}
            Err(error) => return Err(error),
        }
    }
}
