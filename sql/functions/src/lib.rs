//! The built-in functions, operators, casts and aggregates: their bodies and their rows, family by family. What a row
//! holds is `sql-catalog`'s ([`sql_catalog::function`]); all rows together are the [`registry`], which sessions hand to
//! whoever plans and runs statements. Nobody else names this crate, so an edit of a body builds little anew.
//!
//! - A function asks for nothing but what [`EvalContext`] gives: the catalog and the session's settings come through its
//!   interfaces, time and random numbers too. So none of them knows sessions, and constants can be folded.
//! - Whatever a body makes it counts before ([`EvalContext::reserve`]), and a loop that may take long counts its work.
//! - What other rows do (a cast, the text of a value, a function by its oid) a body asks of [`EvalContext::functions`]:
//!   the registry is made of all families, so none of them may use it.
//!
//! The modules stand in reading order.

mod arguments;
mod digest;
mod identifier;
pub mod io;
mod signature;

mod arithmetic;

mod aggregate;
mod integral;
mod numeric;
mod search;

mod pattern;
mod regexp;

mod picture;

mod format;
mod to_char;

mod from_char;

mod datetime;

mod array;
mod text;

mod operators;

mod comparison;
mod describe;
mod system;

mod sequence;

mod privilege;

mod cast;
mod registry;

pub use cast::{cast, input, output, parsed_bytes};
pub use registry::registry;

use sql_catalog::function::{
    Accumulator, Body, Cast, CastContext, CastMethod, EvalContext, Function, Operator, ParamType,
    ScalarFn, SetFn, SetRows, Volatility,
};
