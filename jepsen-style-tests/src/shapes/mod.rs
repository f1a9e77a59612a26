//! The fuzzer of shapes: whatever a client writes, a node answers it and lives.
//!
//! Histories are judged by what statements mean; here nobody cares. A statement is deep, wide or long in one or several
//! places of the grammar ([`grammar`]), up to a megabyte of it, and goes to a real process over PostgreSQL's protocol
//! ([`client`]), whose threads have the stacks that they have in production ([`server`]). What must hold of every
//! statement:
//!
//! - F1. The process lives.
//! - F2. The answer is a result, or an error with an SQLSTATE that is not XX000 (an error that nobody foresaw).
//! - F3. The answer comes within [`Limits::answer`].
//! - F4. Meanwhile the process never holds more than [`Limits::memory`] of memory.
//!
//! Statement N of a seed is a pure function of both: `shapes --seed S --first N --statements 1` sends it alone. What
//! comes of it may still depend on the statements before it, if it is their garbage that makes it slow or large.
//!
//! Not done: several connections at once; statements about large tables; parameters.

pub mod client;
pub mod grammar;
pub mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use client::{Answer, Client};
use server::Server;

/// What a statement may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until its answer has come.
    pub answer: Duration,
    /// Bytes that the server's process holds at any time.
    pub memory: u64,
    /// The longest statement, in bytes.
    pub text: usize,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed of all statements.
    pub seed: u64,
    /// The number of the first statement.
    pub first: u64,
    /// How many statements.
    pub statements: u64,
    /// What each may take.
    pub limits: Limits,
}

/// A statement that broke a promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its number.
    pub number: u64,
    /// What it is, in a few words.
    pub name: String,
    /// Which promise, and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {} ({}): {}", self.number, self.name, self.what)
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Statements by their answer: an SQLSTATE, or `ok`.
    pub answers: BTreeMap<String, u64>,
    /// Bytes of all statements.
    pub bytes: u64,
    /// The slowest, with its number and what it is.
    pub slowest: (Duration, u64, String),
    /// The most memory that the server held, in bytes.
    pub memory: u64,
    /// What must not be.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<String> =
            self.answers.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
        let total: u64 = self.answers.values().sum();
        let (time, number, name) = &self.slowest;
        writeln!(f, "{total} statements, {} MB: {}", self.bytes >> 20, answers.join(", "))?;
        writeln!(f, "slowest: {time:.1?}, statement {number} ({name})")?;
        writeln!(f, "the server held {} MB at most", self.memory >> 20)?;
        write!(f, "{} violations", self.violations.len())
    }
}

/// Sends the statements of a run to a server. Each violation is told as it is found, with the statement's text.
///
/// # Errors
/// When the server cannot be started, or started anew after its end.
pub fn run(
    run: &Run,
    server: &mut Server,
    tell: &mut dyn FnMut(&Violation, &str),
) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut client: Option<Client> = None;
    for number in run.first..run.first + run.statements {
        let shape = grammar::statement(run.seed, number, run.limits.text);
        if client.is_none() {
            server.ensure()?;
            let mut fresh = Client::connect(server.address())?;
            for statement in grammar::SETUP {
                fresh.query(statement, Duration::from_secs(60))?;
            }
            client = Some(fresh);
        }
        let Some(connected) = &mut client else { continue };
        let begin = now();
        let answered = ask(connected, &shape, run.limits.answer);
        let took = begin.elapsed();
        let mut wrong = Vec::new();
        match answered {
            Ok(answer) => {
                let name = match &answer {
                    Answer::Done => "ok".to_owned(),
                    Answer::Error { state, .. } => state.clone(),
                };
                *outcome.answers.entry(name).or_default() += 1;
                if let Answer::Error { state, message } = &answer
                    && (state == "XX000" || state.len() != 5)
                {
                    wrong.push(format!("F2: {state} {message}"));
                }
            }
            Err(error) => {
                *outcome.answers.entry("none".to_owned()).or_default() += 1;
                client = None;
                let late = took >= run.limits.answer;
                match (server.is_alive(), late) {
                    (false, _) => wrong.push(format!("F1: the server has ended: {error}")),
                    (true, false) => wrong.push(format!("F2: no answer: {error}")),
                    // The statement goes on, and would make those after it late.
                    (true, true) => server.stop(),
                }
            }
        }
        if took > run.limits.answer {
            wrong.push(format!("F3: {took:.1?}"));
        }
        let memory = server.take_peak();
        outcome.memory = outcome.memory.max(memory);
        if memory > run.limits.memory {
            wrong.push(format!("F4: {} MB", memory >> 20));
        }
        outcome.bytes += shape.text.len() as u64;
        if took > outcome.slowest.0 {
            outcome.slowest = (took, number, shape.name.clone());
        }
        for what in wrong {
            let violation = Violation { number, name: shape.name.clone(), what };
            tell(&violation, &shape.text);
            outcome.violations.push(violation);
        }
    }
    Ok(outcome)
}

/// Sends one statement, and undoes what it did.
fn ask(client: &mut Client, shape: &grammar::Statement, limit: Duration) -> io::Result<Answer> {
    if shape.writes {
        client.query("BEGIN", limit)?;
    }
    let answer = match shape.extended {
        true => client.extended(&shape.text, limit)?,
        false => client.query(&shape.text, limit)?,
    };
    // Back to what every statement starts from.
    client.query("ROLLBACK", limit)?;
    client.query("RESET ALL; DEALLOCATE ALL", limit)?;
    if shape.creates {
        client.query("DROP TABLE IF EXISTS made", limit)?;
    }
    Ok(answer)
}

#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
fn now() -> Instant {
    Instant::now()
}

/// Where the binary of this build is: beside the proof kit's.
pub fn binary() -> io::Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().unwrap_or(Path::new(".")).join("meridian"))
}
