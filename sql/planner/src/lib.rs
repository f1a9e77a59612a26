//! From syntax trees to plans.
//!
//! ```text
//!  Query ─▶ bind (names, types, overloads, casts) ─▶ Plan as it was written ─▶ optimize (rules) ─▶ Plan to be run
//!             ▲ Environment: catalog, functions                                                     │
//!             └ what parameters there are                                                           ┘
//! ```
//!
//! Reads the catalog through [`sql_catalog::CatalogView`] alone, and knows no transaction. The modules
//! stand in reading order.

pub mod bind;
mod optimize;

use sql_parse::Query;
use sql_plan::Plan;
use sql_values::error::SqlResult;

use bind::Environment;

/// Binds a query and makes its plan as good as the rules know.
pub fn plan(query: &Query, environment: &Environment<'_>) -> SqlResult<Plan> {
    let mut plan = bind::bind(query, environment)?;
    optimize::optimize(&mut plan, environment)?;
    Ok(plan)
}

#[cfg(test)]
mod golden;
