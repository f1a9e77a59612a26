//! The proof kit: does the database keep its promises while things break?
//!
//! A test has five parts, and each is a chapter here:
//!
//! 1. [`generator`] says what the clients do: an endless stream of [`client::ClientOp`]s for each workload.
//! 2. [`nemesis`] says what breaks when: a plan of faults, each with its end.
//! 3. A harness runs the clients against a cluster and carries out the plan. It is the only part that knows what a
//!    cluster is: [`sim`] for the simulated one.
//! 4. [`history`] is what it writes down: Jepsen's model, as JSONL and EDN for other judges.
//! 5. [`checker`] judges the history, and [`report`] puts the verdict into a line.
//!
//! Everything except the harness is a pure function of its arguments. One root seed decides all: [`rng`] gives each
//! consumer its own stream of it. The same seed gives the same operations and the same faults, byte for byte.
//!
//! | workload | promise it tests | checker |
//! |---|---|---|
//! | register | single keys are linearizable | [`checker::linearizable`] |
//! | bank | reads are consistent cuts, no update is lost | [`checker::bank`] |
//! | pairs | transactions are serializable: no write skew | [`checker::pairs`] |
//!
//! Beside them, [`shapes`] sends statements to a real process that nobody would write, and asks only that it lives.
//!
//! The modules below are in reading order, which is the order of use: each uses those above it alone.
//!
//! Rules of the crate, [`shapes`] and its process excepted: no wall clock, no thread, no randomness but [`rng`], no map whose order is not fixed.

pub mod rng;
pub mod value;

pub mod history;

pub mod checker;
pub mod client;

pub mod generator;
pub mod nemesis;
pub mod report;

pub mod shapes;
pub mod sim;
