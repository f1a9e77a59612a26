//! Histories: what the clients asked, what they were told, and in which order.
//!
//! The model is Jepsen's: an operation is an invocation and, later, a completion. `ok` says that it certainly
//! took effect, `fail` that it certainly did not, `info` that nobody knows. The last is the honest answer to
//! a connection lost after a commit was sent; a wrong `fail` there is the usual bug of a test harness.
//!
//! Promised of every [`History`]:
//! - H1. An operation's index is its place. The order of the indices is the order of real time.
//! - H2. Times never decrease.
//! - H3. A client process has at most one open operation, and only an open one completes.
//! - H4. A process that got `info` never appears again: its last operation may take effect at any later time.
//!   Its worker goes on under the old number plus the concurrency, as in Jepsen.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::value::Value;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// A client, which does one operation at a time.
    Client(u64),
    /// The source of faults. Its operations are all `info`, and have no completion.
    Nemesis,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(n) => write!(f, "process {n}"),
            Process::Nemesis => f.write_str("nemesis"),
        }
    }
}

/// What an entry of a history says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operation begins.
    Invoke,
    /// It certainly took effect.
    Ok,
    /// It certainly did not take effect.
    Fail,
    /// It may have taken effect, or may do so later.
    Info,
}

impl Kind {
    /// Jepsen's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }
}

/// One entry of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Place in the history.
    pub index: u64,
    /// Nanoseconds of simulated (or real) time since the start of the test.
    pub time_ns: u64,
    /// Who.
    pub process: Process,
    /// Begin or outcome.
    pub kind: Kind,
    /// The name of the function.
    pub f: &'static str,
    /// Arguments in an invocation, arguments and results in a completion.
    pub value: Value,
    /// Why it failed or is unknown.
    pub error: Option<String>,
}

impl Op {
    /// The entry as a Jepsen op map.
    pub fn to_value(&self) -> Value {
        let process = match self.process {
            Process::Client(n) => Value::from(n),
            Process::Nemesis => Value::Keyword("nemesis"),
        };
        let mut map = vec![
            (Value::Keyword("index"), Value::from(self.index)),
            (Value::Keyword("time"), Value::from(self.time_ns)),
            (Value::Keyword("type"), Value::Keyword(self.kind.name())),
            (Value::Keyword("process"), process),
            (Value::Keyword("f"), Value::Keyword(self.f)),
            (Value::Keyword("value"), self.value.clone()),
        ];
        if let Some(error) = &self.error {
            map.push((Value::Keyword("error"), Value::Str(error.clone())));
        }
        Value::Map(map)
    }
}

/// An operation of a client: its invocation and, unless the history ends before, its completion.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The begin.
    pub invoke: &'a Op,
    /// The outcome.
    pub completion: Option<&'a Op>,
}

impl Call<'_> {
    /// The outcome; an operation without one is as unknown as one with [`Kind::Info`].
    pub fn outcome(&self) -> Kind {
        self.completion.map_or(Kind::Info, |op| op.kind)
    }
}

/// How many operations of clients ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Certainly took effect.
    pub ok: u64,
    /// Certainly did not.
    pub fail: u64,
    /// Unknown.
    pub info: u64,
}

/// What a process may do next (H3, H4).
#[derive(Clone, Copy)]
enum Life {
    Idle,
    Busy,
    Dead,
}

/// A totally ordered record of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    ops: Vec<Op>,
}

impl History {
    /// The history of these entries, or what invariant they break.
    pub fn from_ops(ops: Vec<Op>) -> Result<Self, String> {
        let mut open = BTreeMap::new();
        let mut last_time = 0;
        for (place, op) in ops.iter().enumerate() {
            let broken =
                |rule: &str| Err(format!("entry {place}: {rule}: {}", op.to_value().edn()));
            if op.index != place as u64 {
                return broken("the index is not the place");
            }
            if op.time_ns < last_time {
                return broken("time went back");
            }
            last_time = op.time_ns;
            if op.process == Process::Nemesis {
                continue;
            }
            let state = open.entry(op.process).or_insert(Life::Idle);
            *state = match (*state, op.kind) {
                (Life::Idle, Kind::Invoke) => Life::Busy,
                (Life::Busy, Kind::Ok | Kind::Fail) => Life::Idle,
                (Life::Busy, Kind::Info) => Life::Dead,
                _ => return broken("the process is busy, idle or dead"),
            };
        }
        Ok(History { ops })
    }

    /// Every entry in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Every operation of a client, in the order of the invocations.
    pub fn calls(&self) -> Vec<Call<'_>> {
        let mut calls: Vec<Call<'_>> = Vec::new();
        let mut open: BTreeMap<Process, usize> = BTreeMap::new();
        for op in self.ops.iter().filter(|op| op.process != Process::Nemesis) {
            if op.kind == Kind::Invoke {
                open.insert(op.process, calls.len());
                calls.push(Call { invoke: op, completion: None });
            } else if let Some(call) = open.remove(&op.process) {
                calls[call].completion = Some(op);
            }
        }
        calls
    }

    /// Outcomes counted.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for call in self.calls() {
            match call.outcome() {
                Kind::Ok => counts.ok += 1,
                Kind::Fail => counts.fail += 1,
                Kind::Info | Kind::Invoke => counts.info += 1,
            }
        }
        counts
    }

    /// One EDN map a line: what Elle and Knossos read.
    pub fn write_edn(&self, out: &mut impl Write) -> io::Result<()> {
        self.ops.iter().try_for_each(|op| writeln!(out, "{}", op.to_value().edn()))
    }

    /// One JSON object a line.
    pub fn write_jsonl(&self, out: &mut impl Write) -> io::Result<()> {
        self.ops.iter().try_for_each(|op| writeln!(out, "{}", op.to_value().json()))
    }
}

/// Writes a history down while it happens. Workers are numbered from zero; the recorder gives them processes.
#[derive(Debug)]
pub struct Recorder {
    ops: Vec<Op>,
    workers: Vec<Worker>,
}

#[derive(Clone, Debug)]
struct Worker {
    process: u64,
    /// The function and the arguments of the open operation.
    open: Option<(&'static str, Value)>,
}

impl Recorder {
    /// A recorder for this many workers, which are never more than that many open operations.
    pub fn new(concurrency: usize) -> Self {
        let workers =
            (0..concurrency as u64).map(|process| Worker { process, open: None }).collect();
        Recorder { ops: Vec::new(), workers }
    }

    /// The worker's operation begins.
    ///
    /// # Panics
    /// When the worker's last operation has not completed (H3): a bug of the harness.
    pub fn invoke(&mut self, worker: usize, now: Duration, f: &'static str, value: Value) {
        assert!(
            self.workers[worker].open.is_none(),
            "worker {worker} does one operation at a time"
        );
        self.workers[worker].open = Some((f, value.clone()));
        self.push(Process::Client(self.workers[worker].process), now, Kind::Invoke, f, value, None);
    }

    /// The worker's operation took effect; `value` is arguments and results.
    pub fn ok(&mut self, worker: usize, now: Duration, value: Value) {
        self.complete(worker, now, Kind::Ok, Some(value), None);
    }

    /// The worker's operation certainly had no effect.
    pub fn fail(&mut self, worker: usize, now: Duration, error: impl Into<String>) {
        self.complete(worker, now, Kind::Fail, None, Some(error.into()));
    }

    /// Nobody knows about the worker's operation. The worker goes on as a new process.
    pub fn info(&mut self, worker: usize, now: Duration, error: impl Into<String>) {
        self.complete(worker, now, Kind::Info, None, Some(error.into()));
        self.workers[worker].process += self.workers.len() as u64;
    }

    /// Something was done to the cluster.
    pub fn nemesis(&mut self, now: Duration, f: &'static str, value: Value) {
        self.push(Process::Nemesis, now, Kind::Info, f, value, None);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True before the first entry.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The history. What is still open at the end of the test is unknown.
    pub fn finish(mut self, now: Duration) -> History {
        for worker in 0..self.workers.len() {
            if self.workers[worker].open.is_some() {
                self.info(worker, now, "the test ended");
            }
        }
        History { ops: self.ops }
    }

    fn complete(
        &mut self,
        worker: usize,
        now: Duration,
        kind: Kind,
        value: Option<Value>,
        error: Option<String>,
    ) {
        let (f, arguments) =
            self.workers[worker].open.take().expect("only an open operation completes (H3)");
        let process = Process::Client(self.workers[worker].process);
        self.push(process, now, kind, f, value.unwrap_or(arguments), error);
    }

    fn push(
        &mut self,
        process: Process,
        now: Duration,
        kind: Kind,
        f: &'static str,
        value: Value,
        error: Option<String>,
    ) {
        let time_ns = u64::try_from(now.as_nanos()).expect("a test is shorter than 584 years");
        let last = self.ops.last().map_or(0, |op| op.time_ns);
        assert!(time_ns >= last, "the harness's time never goes back (H2)");
        let index = self.ops.len() as u64;
        self.ops.push(Op { index, time_ns, process, kind, f, value, error });
    }
}

#[cfg(test)]
mod tests;
