//! What subqueries have answered, for as long as it stays the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use sql_plan::Node;
use sql_values::error::{SqlError, SqlResult};
use sql_values::types::Datum;

use crate::keys::KeyTable;

/// What a subquery gave.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Its value.
    Value(Datum),
    /// The only column of its rows, to be compared with.
    Rows(Rows),
}

/// Values that others are compared with.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) values: Vec<Datum>,
    /// There is a NULL among them.
    pub(crate) has_null: bool,
    /// The same without NULLs, to be found: if both sides have one type, whose order then says what is equal.
    pub(crate) set: Option<Arc<KeyTable>>,
}

impl Answer {
    pub(crate) fn value(&self) -> SqlResult<Datum> {
        match self {
            Answer::Value(value) => Ok(value.clone()),
            Answer::Rows(_) => Err(SqlError::internal("rows where a value belongs")),
        }
    }

    pub(crate) fn rows(&self) -> SqlResult<&Rows> {
        match self {
            Answer::Rows(rows) => Ok(rows),
            Answer::Value(_) => Err(SqlError::internal("a value where rows belong")),
        }
    }
}

/// The answers that are known while a row is evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Answers<'a> {
    lasting: Option<&'a BTreeMap<usize, Answer>>,
    local: Option<&'a BTreeMap<usize, Answer>>,
    calls: Option<&'a BTreeMap<usize, Datum>>,
}

impl<'a> Answers<'a> {
    /// Nothing is known.
    pub(crate) fn none() -> Self {
        Answers { lasting: None, local: None, calls: None }
    }

    /// What lasts, and what is known for a row: of its subqueries, and of its calls that asked a sequence.
    pub(crate) fn new(
        lasting: &'a BTreeMap<usize, Answer>,
        local: &'a BTreeMap<usize, Answer>,
        calls: &'a BTreeMap<usize, Datum>,
    ) -> Self {
        Answers { lasting: Some(lasting), local: Some(local), calls: Some(calls) }
    }

    /// The answer to a call at an address, if it is known.
    pub(crate) fn of_call(&self, call: usize) -> Option<&'a Datum> {
        self.calls?.get(&call)
    }

    /// The answer of a subquery, if it is known.
    pub(crate) fn of(&self, plan: &Node) -> Option<&'a Answer> {
        let id = address(plan);
        let local = self.local.and_then(|local| local.get(&id));
        local.or_else(|| self.lasting?.get(&id))
    }
}

/// What a subquery is known by (Q2 of `eval::subquery`).
pub(crate) fn address(plan: &Node) -> usize {
    std::ptr::from_ref(plan).addr()
}
