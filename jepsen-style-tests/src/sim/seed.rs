//! One seed: a world from its beginning to its verdict.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kv::env::{Mutant, Rng};
use kv::range::bootstrap::DATA_PREFIX;
use node::sim::TraceSink;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::checker::{Verdict, bank, linearizable, pairs};
use crate::client::{ClientOp, Workload};
use crate::generator::{self, ACCOUNTS, Generator, GeneratorConfig, INITIAL_BALANCE};
use crate::history::{Counts, History, Recorder};
use crate::nemesis::{FaultPlan, Limits};
use crate::report::SeedReport;
use crate::rng::SeedRng;
use crate::sim::clients::{self, Client};
use crate::sim::cluster::{Cluster, MAX_OFFSET, NODES};
use crate::sim::nemesis;
use crate::sim::replicas::ReplicaCheck;

/// Simulated time of a seed's faults and load, unless it is asked to be shorter.
const DURATION: Duration = Duration::from_secs(60);
/// After the load, the cluster gets this long for each final read and for its replicas to agree.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Where the data range is split while the load runs, in an order of the seed's own: every workload gets several
/// ranges.
const SPLITS: [&[u8]; 6] = [b"20", b"40", b"60", b"80", b"a0", b"c0"];
/// Longest time between two splits.
const SPLIT_PAUSE: Duration = Duration::from_secs(12);
/// Operations that must succeed in the calm at the end.
const PROGRESS_MIN: u64 = 50;

/// How to run a seed.
#[derive(Clone)]
pub struct SeedOptions {
    /// The root of everything.
    pub seed: u64,
    /// A deliberate bug.
    pub mutant: Option<Mutant>,
    /// Collect a trace of every message and operation.
    pub trace: bool,
    /// Simulated time of faults and load. A shorter seed than the default's does not count as one.
    pub duration: Duration,
}

impl Default for SeedOptions {
    fn default() -> Self {
        SeedOptions { seed: 0, mutant: None, trace: false, duration: DURATION }
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
    let (first, _) = cluster.node(NODES[0]).expect("a fresh cluster is up");
    for load in &loads {
        let rows = generator::initial_rows(load.workload);
        if let Err(error) = clients::load(&first, &rows).await {
            violations.push(format!("a healthy cluster took no first rows: {error}"));
        }
    }
    drop(first);

    let load_start = start.elapsed();
    let end = load_start + options.duration;
    let limits = Limits { max_offset: MAX_OFFSET, ..Limits::new(options.duration) };
    let plan = FaultPlan::generate(&SeedRng::stream(seed, "nemesis", 0), &NODES, &limits);
    let (faults, kinds) = (plan.faults(), plan.kinds().len());
    let mut tasks = Vec::new();
    for load in &loads {
        let (workers, think) = clients::clients_of(load.workload);
        for worker in 0..workers {
            let client = client_of(load, worker, &cluster, seed, start, think);
            tasks.push(tokio::task::spawn_local(client.run(end)));
        }
    }
    tasks.push(tokio::task::spawn_local(split(cluster.clone(), seed)));
    let nemesis_sink = sink.clone();
    let note = move |now: Duration, what: &str, fault: &crate::nemesis::Fault| {
        if let Some(sink) = &nemesis_sink {
            sink(&format!("{:>10} {what} {fault:?}", now.as_micros()));
        }
    };
    nemesis::run(cluster.clone(), plan, Instant::now(), note).await;
    let calm_from = start.elapsed();
    for task in tasks {
        task.await.expect("a client does not panic");
    }

    let mut histories = Vec::new();
    let mut counts = Counts::default();
    let mut progress = 0;
    let mut verdict = Verdict::Valid;
    for load in loads {
        violations.extend(final_reads(&load, &cluster, seed, start).await);
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
        simulated: start.elapsed(),
        counts,
        faults,
        kinds,
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
    start: Instant,
    think: Duration,
) -> Client {
    let purpose = format!("client {}", load.workload.name());
    Client {
        worker,
        cluster: cluster.clone(),
        generator: load.generator.clone(),
        recorder: load.recorder.clone(),
        rng: SeedRng::stream(seed, &purpose, worker as u64),
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

/// Splits the data range here and there during the load, whatever the faults are.
async fn split(cluster: Rc<Cluster>, seed: u64) {
    let rng = SeedRng::stream(seed, "splits", 0);
    let mut splits = SPLITS;
    rng.shuffle(&mut splits);
    for at in splits {
        tokio::time::sleep(rng.duration_between(Duration::ZERO, SPLIT_PAUSE)).await;
        let mut key = vec![DATA_PREFIX];
        key.extend_from_slice(at);
        if let Some((node, scope)) = cluster.node(NODES[rng.below(NODES.len() as u64) as usize]) {
            let router = node.router().clone();
            let work = async move {
                // A split that fails for its faults leaves the range as it is; that is all right.
                let _ = router.split(Bytes::from(key)).await;
            };
            kv::env::TaskScope::spawn(&scope, "split", Box::pin(work));
        }
    }
}

/// Reads everything once more; each read must succeed in time.
async fn final_reads(load: &Load, cluster: &Rc<Cluster>, seed: u64, start: Instant) -> Vec<String> {
    let (workers, _) = clients::clients_of(load.workload);
    let client = client_of(load, workers, cluster, seed, start, Duration::ZERO);
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
