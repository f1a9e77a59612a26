//! sql: tables. PostgreSQL's dialect and meaning over transactional keys.
//!
//! The life of a statement, and of this crate, module by module:
//!
//! ```text
//!  text ─▶ parse ─▶ syntax tree ─▶ bind (names, types, overloads, casts) ─▶ plan (typed IR with parameter slots)
//!                                    ▲ catalog, func, types                        │ optimised, cached
//!  ResultSink ◀── session (transactions, retry, portals) ◀── exec ◀────────────────┘
//!                                                             │ rows as keys and values (row)
//!                                                             ▼ txn
//! ```
//!
//! Invariants, stated as absences: nothing here knows Raft, ranges, sockets, files, clocks or threads. Whatever needs
//! the time or a random number gets it from the transaction or the session's environment.

pub mod bind;
pub mod catalog;
mod ddl;
pub mod error;
pub mod exec;
pub mod explain;
pub mod func;
pub mod interrupt;
pub mod memory;
mod optimize;
pub mod parse;
pub mod plan;
pub mod row;
pub mod session;
pub mod stack;
pub mod types;

#[cfg(test)]
mod testing;
