//! The built-in functions, operators, casts and aggregates: their bodies and their rows, family by family. What a row
//! holds is `sql-catalog`'s ([`sql_catalog::function`]); all rows together are the [`registry`], which sessions hand to
//! whoever plans and runs statements. Nobody else names this crate, so an edit of a body builds little anew.
//!
//! - A function asks for nothing but what [`EvalContext`] gives: the catalog and the session's settings come through its
//!   interfaces, time and random numbers too. So none of them knows sessions, and constants can be folded.
//! - Whatever a body makes it counts before ([`EvalContext::reserve`]), and a loop that may take long counts its work.

mod aggregate;
mod arguments;
mod arithmetic;
mod array;
mod cast;
mod comparison;
mod datetime;
mod describe;
mod digest;
mod format;
mod from_char;
mod integral;
pub mod io;
mod numeric;
mod operators;
mod pattern;
mod picture;
mod privilege;
mod regexp;
mod registry;
mod search;
mod signature;
mod system;
mod text;
mod to_char;

pub use cast::{cast, input, output, parsed_bytes};
pub use registry::registry;

use sql_catalog::function::{
    Accumulator, Body, Cast, CastContext, CastMethod, EvalContext, Function, Operator, ParamType,
    ScalarFn, SetFn, SetRows, Volatility,
};
