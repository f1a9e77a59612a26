//! The command line of the proof kit.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a command line writes files and lines"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use jepsen_style_tests::client::Through;
use jepsen_style_tests::report::Summary;
use jepsen_style_tests::shapes;
use jepsen_style_tests::sim::{SeedOptions, SeedOutcome, run_seed};
use kv::mutant::Mutant;
use xxhash_rust::xxh3::xxh3_64;

/// Consistency tests for Meridian.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run seeds in the simulated world. Exits with 0 when there was no violation; with --mutant, when there was.
    Sim(Sim),
    /// Send deep, wide and long statements to a real process. Exits with 0 when it answered each of them in time.
    Shapes(Shapes),
}

#[derive(clap::Args)]
struct Shapes {
    /// The seed of all statements.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first statement.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many statements.
    #[arg(long, default_value_t = 10_000)]
    statements: u64,
    /// The longest of them, in bytes.
    #[arg(long, default_value_t = 1 << 20)]
    bytes: usize,
    /// Until when each must be answered.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How much memory the server may hold, in MB.
    #[arg(long, default_value_t = 1024)]
    memory: u64,
    /// Send them to the server that listens there (host:port), instead of starting one.
    #[arg(long)]
    address: Option<String>,
    /// The id of that server's process, whose memory is watched then.
    #[arg(long, requires = "address")]
    pid: Option<u32>,
    /// The binary of the server to start; without it, the one beside this one.
    #[arg(long)]
    meridian: Option<PathBuf>,
    /// Where the server's store lives, and the texts of statements that broke a promise are written. Without it, in a
    /// directory of its own in the temporary one.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Only write the statements to this file.
    #[arg(long)]
    print: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Sim {
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// The first of them; alone it runs just this one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How the clients speak to the database; without it, each seed's number says.
    #[arg(long, value_parser = parse_through)]
    through: Option<Through>,
    /// Write every message, fault and operation of the last seed to a file.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Print a hash of each seed's trace, and one of all: a change that moves code and nothing else leaves them as they are.
    #[arg(long)]
    hashes: bool,
    /// Write the histories of the last seed to this directory, as JSONL and EDN.
    #[arg(long)]
    histories: Option<PathBuf>,
    /// Switch on a deliberate bug, and stop at the first seed that finds it.
    #[arg(long, value_parser = parse_mutant)]
    mutant: Option<Mutant>,
    /// Seeds that run at once, each on a thread of its own.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn parse_mutant(name: &str) -> Result<Mutant, String> {
    Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        format!("known mutants: {}", known.join(", "))
    })
}

fn parse_through(name: &str) -> Result<Through, String> {
    let known = Through::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, through)| through).ok_or_else(|| "known ways: kv, sql".to_owned())
}

fn main() -> ExitCode {
    let desired = match Cli::parse().command {
        Command::Sim(sim) => run(&sim),
        Command::Shapes(shapes) => run_shapes(&shapes),
    };
    match desired {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// Sends the statements. True iff no promise was broken.
fn run_shapes(shapes: &Shapes) -> anyhow::Result<bool> {
    if let Some(path) = &shapes.print {
        let mut file = std::fs::File::create(path)?;
        for number in shapes.first..shapes.first + shapes.statements {
            let statement = shapes::grammar::statement(shapes.seed, number, shapes.bytes);
            writeln!(file, "{}", statement.text)?;
        }
        return Ok(true);
    }
    let own = || std::env::temp_dir().join(format!("meridian-shapes-{}", std::process::id()));
    let directory = shapes.directory.clone().unwrap_or_else(own);
    std::fs::create_dir_all(&directory)?;
    let mut server = match &shapes.address {
        Some(address) => shapes::server::Server::at(address.clone(), shapes.pid),
        None => {
            let binary = shapes.meridian.clone().map_or_else(shapes::binary, Ok)?;
            shapes::server::Server::own(binary, directory.clone())?
        }
    };
    let run = shapes::Run {
        seed: shapes.seed,
        first: shapes.first,
        statements: shapes.statements,
        limits: shapes::Limits {
            answer: Duration::from_secs(shapes.seconds),
            memory: shapes.memory << 20,
            text: shapes.bytes,
        },
    };
    let mut written = Ok(());
    let outcome = shapes::run(&run, &mut server, &mut |violation, text| {
        let path = directory.join(format!("statement-{}.sql", violation.number));
        println!("{violation}; {}", path.display());
        if let Err(error) = std::fs::write(path, text) {
            written = Err(error);
        }
    })?;
    written?;
    drop(server);
    if shapes.directory.is_none() && outcome.violations.is_empty() {
        std::fs::remove_dir_all(&directory)?;
    }
    println!("{outcome}");
    Ok(outcome.violations.is_empty())
}

/// Runs the seeds. True iff the outcome is the desired one.
fn run(sim: &Sim) -> anyhow::Result<bool> {
    let next = AtomicU64::new(sim.seed);
    let last = sim.seed + sim.seeds - 1;
    let found = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    let files: Mutex<Option<SeedOutcome>> = Mutex::new(None);
    let hashes: Mutex<BTreeMap<u64, u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..sim.jobs.clamp(1, 64) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last || (sim.mutant.is_some() && found.load(Ordering::Relaxed)) {
                        return;
                    }
                    let trace = sim.hashes || (sim.trace.is_some() && seed == last);
                    let begin = thread_cpu();
                    let mut outcome = run_seed(&SeedOptions {
                        seed,
                        mutant: sim.mutant,
                        through: sim.through,
                        trace,
                        ..SeedOptions::default()
                    });
                    outcome.report.cpu = thread_cpu().saturating_sub(begin);
                    report(&outcome, sim.mutant);
                    let hash = xxh3_64(&outcome.trace);
                    hashes.lock().expect("reporting does not panic").insert(seed, hash);
                    if !outcome.report.verdict.violations().is_empty() {
                        found.store(true, Ordering::Relaxed);
                    }
                    summary.lock().expect("reporting does not panic").add(&outcome.report);
                    if seed == last {
                        *files.lock().expect("reporting does not panic") = Some(outcome);
                    }
                }
            });
        }
    });
    if let Some(outcome) = files.into_inner().expect("reporting does not panic") {
        write_files(sim, &outcome)?;
    }
    if sim.hashes {
        print_hashes(&hashes.into_inner().expect("reporting does not panic"));
    }
    let summary = summary.into_inner().expect("reporting does not panic");
    println!("{summary}");
    match sim.mutant {
        None => Ok(summary.is_clean()),
        Some(mutant) => {
            match summary.violated.iter().min() {
                Some(seed) => {
                    let through = sim.through.unwrap_or(Through::of_seed(*seed)).name();
                    println!("{mutant:?} found by seed {seed} through {through}");
                }
                None => println!("{mutant:?} not found"),
            }
            Ok(found.into_inner())
        }
    }
}

fn report(outcome: &SeedOutcome, mutant: Option<Mutant>) {
    let mut lines = outcome.report.to_string();
    for shortfall in outcome.report.shortfalls() {
        lines.push_str(&format!("\n  too thin: {shortfall}"));
    }
    for violation in outcome.report.verdict.violations() {
        lines.push_str(&format!("\n  {}", violation.replace('\n', "\n  ")));
    }
    if !outcome.report.verdict.is_valid() {
        let (seed, through) = (outcome.report.seed, outcome.report.through.name());
        let mutant = mutant.map_or(String::new(), |mutant| format!(" --mutant {}", mutant.name()));
        let replay = format!("sim --seed {seed} --through {through}{mutant}");
        lines.push_str(&format!("\n  replay: {replay} --trace FILE --histories DIR"));
    }
    println!("{lines}");
}

fn print_hashes(hashes: &BTreeMap<u64, u64>) {
    let mut all = Vec::new();
    for (seed, hash) in hashes {
        println!("trace of seed {seed}: {hash:016x}");
        all.extend(hash.to_be_bytes());
    }
    println!("traces of all: {:016x}", xxh3_64(&all));
}

fn write_files(sim: &Sim, outcome: &SeedOutcome) -> anyhow::Result<()> {
    if let Some(path) = &sim.trace {
        std::fs::write(path, &outcome.trace)?;
    }
    if let Some(directory) = &sim.histories {
        std::fs::create_dir_all(directory)?;
        for (workload, history) in &outcome.histories {
            let path = |ending: &str| directory.join(format!("{}.{ending}", workload.name()));
            let mut jsonl = Vec::new();
            history.write_jsonl(&mut jsonl)?;
            std::fs::write(path("jsonl"), jsonl)?;
            let mut edn = Vec::new();
            history.write_edn(&mut edn)?;
            std::fs::File::create(path("edn"))?.write_all(&edn)?;
        }
    }
    Ok(())
}

/// Processor time of this thread, from the kernel's accounting; zero where there is none.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
