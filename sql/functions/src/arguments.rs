//! The names of arguments that a call may give, and the values of those that it leaves out.

use sql_values::types::{Datum, SqlType};

/// Functions whose arguments are called by names, in order. (PostgreSQL names more, but nobody calls those by them.)
static NAMES: [(&str, &[&str]); 5] = [
    ("make_date", &["year", "month", "day"]),
    ("make_interval", &["years", "months", "weeks", "days", "hours", "mins", "secs"]),
    ("make_time", &["hour", "min", "sec"]),
    ("make_timestamp", &["year", "month", "mday", "hour", "min", "sec"]),
    ("make_timestamptz", &["year", "month", "mday", "hour", "min", "sec", "timezone"]),
];

/// The names of a function's arguments, if they are known.
pub(crate) fn argument_names(function: &str) -> Option<&'static [&'static str]> {
    NAMES.iter().find(|(name, _)| *name == function).map(|(_, names)| *names)
}

/// The defaults of a function's arguments, if it has such: then of all of them.
pub(crate) fn defaults(function: &str) -> Option<Vec<(Datum, SqlType)>> {
    if function != "make_interval" {
        return None;
    }
    let mut defaults = vec![(Datum::Int4(0), SqlType::Int4); 6];
    defaults.push((Datum::Float8(0.0), SqlType::Float8));
    Some(defaults)
}
