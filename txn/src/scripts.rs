//! Scripts over transactions, from the gateway to what is stored: reads, writes, waits, commits, and how others find out
//! what became of a commit. `txn/testdata/transactions`; `UPDATE_GOLDENFILES=1` writes what they show.
//!
//! A command of a transaction (`a: put k v`) shows the batches that left the gateway while it ran, and its answer. With the
//! tag `[bg]` it goes on by itself, until `wait a`. The time is tokio's, paused: it passes only where everybody waits.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use goldenscript::Command as Line;
use kv::clock::Timestamp;
use kv::engine::Engine;
use kv::env::Env;
use kv::keys::{self, Space};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::api::{BatchRequest, RequestKind, TxnRecord, TxnStatus};
use crate::coordinator::{RowLock, Savepoint, Txn, TxnError};
use crate::db::{Config, Db, LockStrength, TxnOptions, WaitPolicy};
use crate::mvcc::{Intent, Order, Version};
use crate::testing::{Fate, LocalCluster, Mortal};

type Answer<T> = Result<T, Box<dyn Error>>;

/// One node, and transactions by name.
struct World {
    runtime: Runtime,
    cluster: Arc<LocalCluster>,
    /// What all timestamps are shown relative to.
    begin: Timestamp,
    /// Names of transactions, by their ids.
    names: BTreeMap<Bytes, String>,
    txns: BTreeMap<String, Arc<Mutex<Open>>>,
    running: BTreeMap<String, JoinHandle<String>>,
    seen: usize,
}

/// A transaction and its savepoints.
struct Open {
    txn: Txn,
    gateway: Arc<Mortal>,
    savepoints: BTreeMap<String, Savepoint>,
}

/// What a transaction is to do.
enum Step {
    Get { key: Bytes, lock: bool },
    Scan { span: (Bytes, Bytes), limit: usize, order: Order, lock: bool },
    Put { key: Bytes, value: Option<Bytes> },
    Flush,
    Savepoint(String),
    RollbackTo(String),
    Commit,
    Rollback,
}

const LOCK: RowLock = RowLock { strength: LockStrength::Update, policy: WaitPolicy::Block };

impl Open {
    async fn step(&mut self, step: Step, begin: Timestamp) -> Result<String, TxnError> {
        let text = |value: &Bytes| value.escape_ascii().to_string();
        Ok(match step {
            Step::Get { key, lock } => {
                let value = match lock {
                    true => self.txn.get_for_update(key).await?,
                    false => self.txn.get(key).await?,
                };
                value.map_or("nothing".into(), |value| text(&value))
            }
            Step::Scan { span, limit, order, lock } => {
                let lock = lock.then_some(LOCK);
                let rows = self.txn.scan_rows(span, order, limit, lock).await?.to_vec();
                let rows =
                    rows.iter().map(|row| format!("{}={}", text(&row.key), text(&row.value)));
                format!("[{}]", rows.collect::<Vec<_>>().join(" "))
            }
            Step::Put { key, value } => {
                match value {
                    Some(value) => self.txn.put(key, value)?,
                    None => self.txn.delete(key)?,
                }
                "buffered".into()
            }
            Step::Flush => {
                self.txn.write_through([]).await?;
                "written".into()
            }
            Step::Savepoint(name) => {
                let savepoint = self.txn.savepoint()?;
                self.savepoints.insert(name, savepoint);
                "marked".into()
            }
            Step::RollbackTo(name) => {
                self.txn.rollback_to(self.savepoints[&name])?;
                self.txn.released().await;
                "back".into()
            }
            Step::Commit => format!("committed at {}", shown(self.txn.commit().await?, begin)),
            Step::Rollback => {
                self.txn.rollback();
                self.txn.released().await;
                "rolled back".into()
            }
        })
    }
}

/// Milliseconds since the beginning, and the counter if there is one.
fn shown(ts: Timestamp, begin: Timestamp) -> String {
    if ts == Timestamp::ZERO {
        return "-".into();
    }
    let (ms, base) = (ts.wall_ms(), begin.wall_ms());
    let counter = ts.raw() & ((1 << 22) - 1);
    match counter {
        0 => format!("{}", ms - base),
        _ => format!("{}.{counter}", ms - base),
    }
}

impl World {
    fn new() -> World {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (cluster, begin) = runtime.block_on(async {
            let cluster = LocalCluster::with_splits(&["m"]);
            let begin = cluster.env.clock.now();
            (cluster, begin)
        });
        let (names, txns, running) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        World { runtime, cluster, begin, names, txns, running, seen: 0 }
    }

    fn name(&self, id: &Bytes) -> String {
        self.names.get(id).cloned().unwrap_or_else(|| "?".into())
    }

    fn ts(&self, ts: u64) -> String {
        shown(Timestamp::from_raw(ts), self.begin)
    }

    /// The batches that left since the last look.
    fn sent(&mut self) -> String {
        let sent = self.cluster.sent();
        let mut lines: Vec<(String, usize)> = Vec::new();
        for batch in &sent[self.seen..] {
            let line = self.batch(batch);
            match lines.last_mut() {
                Some((last, count)) if *last == line => *count += 1,
                _ => lines.push((line, 1)),
            }
        }
        self.seen = sent.len();
        let shown = lines.into_iter().map(|(line, count)| match count {
            1 => format!("  {line}\n"),
            count => format!("  {line} ({count} times)\n"),
        });
        shown.collect()
    }

    fn batch(&self, batch: &BatchRequest) -> String {
        let requests = batch.requests.iter().filter_map(|request| request.kind.as_ref());
        let requests: Vec<String> = requests.map(|kind| self.request(kind)).collect();
        match &batch.txn {
            Some(txn) => format!(
                "{} at {}: {}",
                self.name(&txn.id),
                self.ts(txn.read_ts),
                requests.join(", ")
            ),
            None => requests.join(", "),
        }
    }

    fn request(&self, kind: &RequestKind) -> String {
        let key = |key: &Bytes| key.escape_ascii().to_string();
        match kind {
            RequestKind::Get(get) if get.lock => format!("get {} with lock", key(&get.key)),
            RequestKind::Get(get) => format!("get {}", key(&get.key)),
            RequestKind::Scan(scan) => {
                let (lock, back) = (scan.lock, scan.reverse);
                let lock = if lock { " with lock" } else { "" };
                let back = if back { " backwards" } else { "" };
                format!("scan {}..{}{back}{lock}", key(&scan.span.start), key(&scan.span.end))
            }
            RequestKind::Put(put) => match &put.value {
                Some(value) => format!("put {}={} #{}", key(&put.key), key(value), put.sequence),
                None => format!("delete {} #{}", key(&put.key), put.sequence),
            },
            RequestKind::Refresh(refresh) => {
                let (span, from) = (&refresh.span, self.ts(refresh.from_ts));
                format!("refresh {}..{} since {from}", key(&span.start), key(&span.end))
            }
            RequestKind::EndTxn(end) => {
                let verb = if end.commit { "commit" } else { "abort" };
                let phases = if end.one_phase { " in one phase" } else { "" };
                format!("{verb}{phases}")
            }
            RequestKind::Heartbeat(_) => "heartbeat".into(),
            RequestKind::PushTxn(push) => format!("push {}", self.name(&push.pushee.id)),
            RequestKind::Resolve(resolve) => {
                let keys: Vec<_> = resolve.keys.iter().map(key).collect();
                let how = match (&resolve.rolled_back, resolve.commit_ts) {
                    (Some(_), _) => "rolled back".into(),
                    (None, 0) => "aborted".into(),
                    (None, ts) => format!("committed at {}", self.ts(ts)),
                };
                format!("resolve {} of {}: {how}", keys.join(" "), self.name(&resolve.txn_id))
            }
            RequestKind::QueryTxn(query) => format!("query {}", self.name(&query.txn_id)),
            RequestKind::CollectTxn(collect) => format!("collect {}", self.name(&collect.txn_id)),
            other => format!("{other:?}"),
        }
    }

    /// Everything that is stored.
    fn stored(&self) -> Answer<String> {
        let mut out = String::new();
        let snapshot = self.cluster.engine.snapshot();
        for space in Space::KEYED {
            for entry in snapshot.scan(keys::engine_span(space, b"\x01", b"\xff")) {
                let (key, value) = entry?;
                let (key, suffix) = keys::decode_engine_key(&key).ok_or("not a key")?;
                let key = key.escape_ascii();
                match space {
                    Space::Data | Space::History => {
                        let version = Version::decode(value)?;
                        let value = version.value.map(|value| value.escape_ascii().to_string());
                        let value = value.unwrap_or_else(|| "deleted".into());
                        let at = shown(version.ts, self.begin);
                        let which = if space == Space::Data { "newest" } else { "older" };
                        writeln!(out, "{which} {key}={value} at {at}")?;
                    }
                    Space::Lock => {
                        let intent: Intent = prost::Message::decode(value.slice(1..))?;
                        let value =
                            intent.value.as_ref().map(|value| value.escape_ascii().to_string());
                        let value = value.unwrap_or_else(|| "deleted".into());
                        let (name, at) =
                            (self.name(&intent.txn.id), shown(intent.ts(), self.begin));
                        writeln!(out, "intent {key}={value} of {name} at {at}")?;
                    }
                    _ => {
                        let record: TxnRecord = prost::Message::decode(value.slice(1..))?;
                        let status = TxnStatus::try_from(record.status)?;
                        let at = self.ts(record.commit_ts);
                        writeln!(out, "record {} at {key}: {status:?} {at}", self.name(&suffix))?;
                    }
                }
            }
        }
        Ok(if out.is_empty() { "nothing\n".into() } else { out })
    }

    fn step(&self, line: &Line) -> Answer<Step> {
        let mut args = line.consume_args();
        let mut next = || Bytes::from(args.next_pos().unwrap_or_default().to_owned());
        let name = || line.consume_args().next_pos().unwrap_or_default().to_owned();
        Ok(match &line.name[..] {
            "get" => Step::Get { key: next(), lock: false },
            "lock" => Step::Get { key: next(), lock: true },
            "scan" => {
                let span = (next(), next());
                let limit = args.take_key("limit").map_or(Ok(100), str::parse)?;
                let back = args.take_key("order") == Some("descending");
                let order = if back { Order::Descending } else { Order::Ascending };
                Step::Scan { span, limit, order, lock: args.take_key("lock").is_some() }
            }
            "put" => Step::Put { key: next(), value: Some(next()) },
            "delete" => Step::Put { key: next(), value: None },
            "flush" => Step::Flush,
            "savepoint" => Step::Savepoint(name()),
            "rollback_to" => Step::RollbackTo(name()),
            "commit" => Step::Commit,
            "rollback" => Step::Rollback,
            other => return Err(format!("no command {other}").into()),
        })
    }

    /// Lets everybody go on who can, without time passing.
    fn settle(&self) {
        self.runtime.block_on(async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn of_txn(&mut self, name: &str, line: &Line, goes_on: bool) -> Answer<String> {
        if line.name == "begin" {
            let gateway = Arc::new(Mortal::default());
            let env = Env { tasks: gateway.clone(), ..self.cluster.env.clone() };
            let db = Db::new(env, self.cluster.clone(), Config::default());
            let txn = db.begin(TxnOptions::default());
            let at = shown(txn.read_ts(), self.begin);
            self.names.insert(txn.id().clone(), name.into());
            let open = Open { txn, gateway, savepoints: BTreeMap::new() };
            self.txns.insert(name.into(), Arc::new(Mutex::new(open)));
            return Ok(format!("at {at}\n"));
        }
        let (step, begin) = (self.step(line)?, self.begin);
        let open = self.txns.get(name).ok_or("begin it first")?.clone();
        let run = async move {
            match open.lock().await.step(step, begin).await {
                Ok(answer) => answer,
                Err(error) => format!("error: {error}"),
            }
        };
        if goes_on {
            self.running.insert(name.into(), self.runtime.spawn(run));
            self.settle();
            return Ok(self.sent());
        }
        let answer = self.runtime.block_on(run);
        self.settle();
        Ok(format!("{answer}\n{}", self.sent()))
    }
}

impl goldenscript::Runner for World {
    type Command = Line;

    fn run(&mut self, line: &Line, context: &goldenscript::Context) -> Answer<String> {
        // Outside of the runtime its time would be the real one.
        let runtime = self.runtime.handle().clone();
        let _within = runtime.enter();
        if let Some(name) = &context.prefix {
            return self.of_txn(name, line, context.tags.contains("bg"));
        }
        let mut args = line.consume_args();
        let first = args.next_pos().unwrap_or_default();
        match &line.name[..] {
            "wait" => {
                let run = self.running.remove(first).ok_or("nothing runs")?;
                let answer = self.runtime.block_on(run)?;
                self.settle();
                return Ok(format!("{first}: {answer}\n{}", self.sent()));
            }
            "stored" => return self.stored(),
            "sleep" => {
                let pause = Duration::from_millis(first.parse()?);
                self.runtime.block_on(self.cluster.env.clock.sleep(pause));
                self.settle();
                return Ok(self.sent());
            }
            // The gateway of a transaction ends without a word.
            "crash" => {
                if let Some(run) = self.running.remove(first) {
                    run.abort();
                }
                let gone = self.txns.remove(first).ok_or("no such transaction")?;
                self.runtime.block_on(async { gone.lock().await.gateway.crash() });
                // What it would do when it is dropped it does no more.
                std::mem::forget(gone);
            }
            // What becomes of the next proposal.
            "fate" => self.cluster.next_proposal(match first {
                "rejected" => Fate::Rejected,
                "applied" => Fate::UnknownApplied,
                "lost" => Fate::UnknownLost,
                other => return Err(format!("no fate {other}").into()),
            }),
            // The next answer gets lost.
            "lose" => self.cluster.lose_answers(1),
            "twice" => self.cluster.deliver_twice(),
            // The lease passes to another node and back: memory of locks and reads is void.
            "lease" => self.cluster.change_lease(first.as_bytes()),
            other => return Err(format!("no command {other}").into()),
        }
        Ok(String::new())
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reads the scripts from the tree")]
fn scripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/transactions");
    let files = std::fs::read_dir(dir).expect("a directory of scripts");
    let mut paths: Vec<_> = files.map(|file| file.expect("a script").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        goldenscript::run(&mut World::new(), &path).expect("a script that can be read");
    }
}
