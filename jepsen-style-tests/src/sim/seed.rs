//! One seed: a world from its beginning to its verdict.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kv::env::Rng;
use kv::mutant::Mutant;
use node::sim::TraceSink;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use crate::checker::{Verdict, bank, linearizable, pairs};
use crate::client::{ClientOp, Key, Through, Workload};
use crate::generator::{self, ACCOUNTS, Generator, GeneratorConfig, INITIAL_BALANCE};
use crate::history::{Counts, History, Recorder};
use crate::nemesis::{FaultPlan, Limits};
use crate::report::SeedReport;
use crate::rng::SeedRng;
use crate::sim::clients::{self, Client, Way};
use crate::sim::cluster::{Cluster, MAX_OFFSET, NODES};
use crate::sim::replicas::ReplicaCheck;
use crate::sim::sql_client::{self, SqlClient};
use crate::sim::{kv_client, nemesis};

/// Simulated time of a seed's faults and load, unless it is asked to be shorter.
const DURATION: Duration = Duration::from_secs(60);
/// After the load, the cluster gets this long for each final read and for its replicas to agree.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// A fresh cluster, still without faults, must have taken its first rows after this.
const LOAD_MAX: Duration = Duration::from_secs(60);
/// After the load every client must have come to its end within this: longer than each of them is patient.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Longest time between two splits.
const SPLIT_PAUSE: Duration = Duration::from_secs(8);
/// Operations that must succeed in the calm at the end.
const PROGRESS_MIN: u64 = 50;

/// How to run a seed.
#[derive(Clone)]
pub struct SeedOptions {
    /// The root of everything.
    pub seed: u64,
    /// A deliberate bug.
    pub mutant: Option<Mutant>,
    /// How the clients speak to the database; if not told, the seed's number says.
    pub through: Option<Through>,
    /// Collect a trace of every message and operation.
    pub trace: bool,
    /// Simulated time of faults and load. A shorter seed than the default's does not count as one.
    pub duration: Duration,
}

impl Default for SeedOptions {
    fn default() -> Self {
        SeedOptions { seed: 0, mutant: None, through: None, trace: false, duration: DURATION }
    }
}

/// What a seed gave.
pub struct SeedOutcome {
    /// The verdict and the counts.
    pub report: SeedReport,
    /// Every message, fault and operation, if asked for.
    pub trace: Vec<u8>,
    /// One history a workload.
    pub histories: Vec<(Workload, History)>,
}

struct Load {
    workload: Workload,
    generator: Rc<RefCell<Generator>>,
    recorder: Rc<RefCell<Recorder>>,
}

/// Runs a seed on a runtime of its own, on this thread. Takes no processor time from the report: the caller
/// measures.
pub fn run_seed(options: &SeedOptions) -> SeedOutcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(LocalSet::new().run_until(run(options.clone())))
}

async fn run(options: SeedOptions) -> SeedOutcome {
    let seed = options.seed;
    let through = options.through.unwrap_or(Through::of_seed(seed));
    let trace: Arc<Mutex<Vec<u8>>> = Arc::default();
    let sink: Option<TraceSink> = options.trace.then(|| {
        let trace = trace.clone();
        Arc::new(move |line: &str| {
            let mut trace = trace.lock().expect("no panic while the trace is held");
            writeln!(trace, "{line}").expect("memory takes all");
        }) as TraceSink
    });
    let start = Instant::now();
    let cluster = Rc::new(Cluster::start(seed, options.mutant, sink.clone()).await);
    let mut violations = Vec::new();

    let loads: Vec<Load> = Workload::ALL
        .into_iter()
        .map(|(name, workload)| {
            let rng = SeedRng::stream(seed, &format!("generator {name}"), 0);
            let generator = Generator::new(workload, GeneratorConfig::default(), rng);
            let (workers, _) = clients::clients_of(workload);
            Load {
                workload,
                generator: Rc::new(RefCell::new(generator)),
                recorder: Rc::new(RefCell::new(Recorder::new(workers + 1))),
            }
        })
        .collect();
    let rows: Vec<(Key, i64)> =
        loads.iter().flat_map(|load| generator::initial_rows(load.workload)).collect();
    let loaded = tokio::time::timeout(LOAD_MAX, load_rows(through, &cluster, seed, &rows)).await;
    let splits = loaded.unwrap_or_else(|late| Err(late.to_string())).unwrap_or_else(|error| {
        violations.push(format!("a healthy cluster took no first rows: {error}"));
        Vec::new()
    });

    let load_start = start.elapsed();
    let end = load_start + options.duration;
    let limits = Limits { max_offset: MAX_OFFSET, ..Limits::new(options.duration) };
    let plan = FaultPlan::generate(&SeedRng::stream(seed, "nemesis", 0), &NODES, &limits);
    let (faults, kinds) = (plan.faults(), plan.kinds().len());
    let mut tasks = Vec::new();
    for load in &loads {
        let (workers, think) = clients::clients_of(load.workload);
        for worker in 0..workers {
            let client = client_of(load, worker, &cluster, seed, through, start, think);
            tasks.push(tokio::task::spawn_local(client.run(end)));
        }
    }
    tasks.push(tokio::task::spawn_local(split(cluster.clone(), seed, splits)));
    let sweeps = (through == Through::Sql).then(|| sql_client::Sweeps::new(&cluster));
    if let Some(sweeps) = &sweeps {
        let calm = start + load_start + limits.calm_from();
        tasks.extend(sql_client::disturb(&cluster, seed, calm, start + end));
        tasks.extend(sweeps.start(seed, start + end));
    }
    let nemesis_sink = sink.clone();
    let note = move |now: Duration, what: &str, fault: &crate::nemesis::Fault| {
        if let Some(sink) = &nemesis_sink {
            sink(&format!("{:>10} {what} {fault:?}", now.as_micros()));
        }
    };
    nemesis::run(cluster.clone(), plan, Instant::now(), note).await;
    let calm_from = start.elapsed();
    violations.extend(drain(tasks, DRAIN_MAX).await);

    if let Some(sweeps) = sweeps {
        let rng = SeedRng::stream(seed, "final check", 0);
        violations.extend(sql_client::final_check(&cluster, rng).await);
        violations.extend(sweeps.judge(SeedRng::stream(seed, "last look", 0)).await);
    }
    let mut histories = Vec::new();
    let mut counts = Counts::default();
    let mut progress = 0;
    let mut verdict = Verdict::Valid;
    for load in loads {
        violations.extend(final_reads(&load, &cluster, seed, through, start).await);
        let recorder = Rc::into_inner(load.recorder).expect("the clients are gone").into_inner();
        let history = recorder.finish(start.elapsed());
        let part = history.counts();
        counts.ok += part.ok;
        counts.fail += part.fail;
        counts.info += part.info;
        progress += history
            .ops()
            .iter()
            .filter(|op| op.kind == crate::history::Kind::Ok)
            .filter(|op| u128::from(op.time_ns) > calm_from.as_nanos())
            .count() as u64;
        verdict = verdict.and(judge(load.workload, &history));
        if options.trace {
            let mut trace = trace.lock().expect("no panic while the trace is held");
            history.write_jsonl(&mut *trace).expect("memory takes all");
        }
        histories.push((load.workload, history));
    }
    if progress < PROGRESS_MIN {
        violations.push(format!("only {progress} operations succeeded after all was healed"));
    }
    violations.extend(compare_replicas(&cluster).await);
    cluster.stop().await;
    violations.append(&mut cluster.faults.borrow_mut());
    let report = SeedReport {
        seed,
        through,
        simulated: start.elapsed(),
        counts,
        faults,
        kinds,
        snapshots: cluster.snapshots.get(),
        verdict: Verdict::of(violations).and(verdict),
        cpu: Duration::ZERO,
    };
    drop(sink);
    drop(cluster);
    let trace = std::mem::take(&mut *trace.lock().expect("no panic while the trace is held"));
    SeedOutcome { report, trace, histories }
}

fn client_of(
    load: &Load,
    worker: usize,
    cluster: &Rc<Cluster>,
    seed: u64,
    through: Through,
    start: Instant,
    think: Duration,
) -> Client {
    let purpose = format!("client {}", load.workload.name());
    let way = match through {
        Through::Kv => Way::Kv,
        Through::Sql => {
            let rng = SeedRng::stream(seed, &format!("sql {purpose}"), worker as u64);
            let name = format!("{} {worker}", load.workload.name());
            Way::Sql(SqlClient::new(name, cluster.clone(), rng))
        }
    };
    Client {
        worker,
        cluster: cluster.clone(),
        generator: load.generator.clone(),
        recorder: load.recorder.clone(),
        rng: SeedRng::stream(seed, &purpose, worker as u64),
        way,
        start,
        think,
    }
}

fn judge(workload: Workload, history: &History) -> Verdict {
    match workload {
        Workload::Register => linearizable::check(history, linearizable::DEFAULT_BUDGET),
        Workload::Bank => bank::check(history, ACCOUNTS, ACCOUNTS as i64 * INITIAL_BALANCE),
        Workload::Pairs => pairs::check(history),
    }
}

/// Writes the first rows. Returns where the ranges may be cut.
async fn load_rows(
    through: Through,
    cluster: &Rc<Cluster>,
    seed: u64,
    rows: &[(Key, i64)],
) -> Result<Vec<Bytes>, String> {
    match through {
        Through::Kv => {
            let (first, _) = cluster.node(NODES[0]).ok_or("a fresh cluster is down")?;
            kv_client::load(&first, rows).await.map_err(|error| error.to_string())?;
            Ok(kv_client::split_keys())
        }
        Through::Sql => {
            let rng = SeedRng::stream(seed, "load", 0);
            let tables = sql_client::load(cluster, rng, rows).await?;
            Ok(sql_client::split_keys(tables))
        }
    }
}

/// Splits ranges here and there during the load, whatever the faults are.
async fn split(cluster: Rc<Cluster>, seed: u64, mut keys: Vec<Bytes>) {
    let rng = SeedRng::stream(seed, "splits", 0);
    rng.shuffle(&mut keys);
    for key in keys {
        tokio::time::sleep(rng.duration_between(Duration::ZERO, SPLIT_PAUSE)).await;
        if let Some((node, scope)) = cluster.node(NODES[rng.below(NODES.len() as u64) as usize]) {
            let router = node.router().clone();
            let work = async move {
                // A split that fails for its faults leaves the range as it is; that is all right.
                let _ = router.split(key).await;
            };
            kv::env::TaskScope::spawn(&scope, "split", Box::pin(work));
        }
    }
}

/// Waits for the clients' ends. Those that come to none within `limit` are a violation, and are dropped.
pub(super) async fn drain(tasks: Vec<JoinHandle<()>>, limit: Duration) -> Option<String> {
    let deadline = Instant::now() + limit;
    let mut stuck = 0;
    for mut task in tasks {
        let ended = match tokio::time::timeout_at(deadline, &mut task).await {
            Ok(ended) => ended,
            Err(_) => {
                stuck += 1;
                task.abort();
                task.await
            }
        };
        if let Err(error) = ended {
            assert!(error.is_cancelled(), "a client does not panic: {error}");
        }
    }
    (stuck > 0).then(|| format!("{stuck} clients wait for ever"))
}

/// Reads everything once more; each read must succeed in time.
async fn final_reads(
    load: &Load,
    cluster: &Rc<Cluster>,
    seed: u64,
    through: Through,
    start: Instant,
) -> Vec<String> {
    let (workers, _) = clients::clients_of(load.workload);
    let client = client_of(load, workers, cluster, seed, through, start, Duration::ZERO);
    let reads: Vec<ClientOp> = load.generator.borrow().final_reads();
    for read in reads {
        let deadline = start.elapsed() + SETTLE_MAX;
        while !client.invoke(read).await {
            if start.elapsed() > deadline {
                return vec![format!("a healed cluster does not answer {read:?}")];
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Vec::new()
}

async fn compare_replicas(cluster: &Cluster) -> Vec<String> {
    let mut check = ReplicaCheck::default();
    let mut found = Vec::new();
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        found.extend(check.compare(cluster));
        let missing = check.missing();
        if missing.is_empty() {
            return found;
        }
        if Instant::now() > deadline {
            found.push(format!("the replicas of {missing:?} do not come to one index"));
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
