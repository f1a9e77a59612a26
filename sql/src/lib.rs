//! sql: tables. PostgreSQL's dialect and meaning over transactional keys.
//!
//! The life of a statement, crate by crate and, in this one, module by module:
//!
//! ```text
//!  text ─▶ sql-parse ─▶ syntax tree ─▶ sql-planner ─▶ sql-plan (typed, with parameter slots; cached)
//!                                       ▲ sql-catalog (tables and functions as data)   │
//!  ResultSink ◀── session (transactions, retry, portals) ◀── sql-exec ◀────────────────┘
//!                   │                                         │ rows as keys and values
//!                   ├── ddl (changes of the schema)           ▼ txn
//!                   └── catalog (descriptors: store, leases, gates)
//! ```
//!
//! Each crate imports only what stands before it, and the compiler keeps it so. The modules of this one stand
//! in reading order, too:
//!
//! | crate | what it is |
//! |---|---|
//! | `sql-values` | types, values, errors; the bounds of memory, work and stack |
//! | `sql-catalog` | what a statement may name: descriptors, functions as rows of tables. Data and interfaces |
//! | `sql-functions` | what the functions do |
//! | `sql-parse` | text to syntax trees |
//! | `sql-plan` | the plan: nodes, expressions, walks over them |
//! | `sql-planner` | syntax trees to plans: binder, rules, EXPLAIN |
//! | `sql-exec` | plans to rows, over a transaction; rows as keys and values |
//! | `sql` | `catalog` (store, leases, gates), `settings`, `system`, `work`, `ddl`, `session`: each knows those before it |
//!
//! Invariants, stated as absences: nothing here knows Raft, ranges, sockets, files, clocks or threads; of these crates
//! only `sql-exec` and `sql` know transactions. Whatever needs the time or a random number gets it from the transaction
//! or the session's environment.

pub mod catalog;
mod settings;
mod system;
mod work;

mod ddl;
pub mod session;

pub use sql_exec::row;
pub use sql_plan as plan;
pub use sql_values::{error, interrupt, memory, stack, types};
