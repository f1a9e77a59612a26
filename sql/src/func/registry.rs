//! The tables, indexed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::{Cast, Function, Operator};
use super::{
    aggregate, arithmetic, array, cast, comparison, datetime, describe, format, integral, numeric,
    operators, privilege, regexp, system, text,
};
use crate::types::SqlType;

/// Functions, operators and casts. Built once; lookups by name give all overloads.
pub struct Registry {
    functions: BTreeMap<u32, Arc<Function>>,
    functions_by_name: BTreeMap<&'static str, Vec<Arc<Function>>>,
    operators_by_name: BTreeMap<&'static str, Vec<Operator>>,
    casts: BTreeMap<(SqlType, SqlType), Cast>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);

/// The registry: the same for every session and node.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    fn build() -> Registry {
        let families: [&[Function]; 14] = [
            &aggregate::FUNCTIONS,
            &arithmetic::FUNCTIONS,
            &array::FUNCTIONS,
            &cast::FUNCTIONS,
            &comparison::FUNCTIONS,
            &datetime::FUNCTIONS,
            &describe::FUNCTIONS,
            &format::FUNCTIONS,
            &integral::FUNCTIONS,
            &numeric::FUNCTIONS,
            &privilege::FUNCTIONS,
            &regexp::FUNCTIONS,
            &system::FUNCTIONS,
            &text::FUNCTIONS,
        ];
        let functions: BTreeMap<u32, Arc<Function>> = families
            .into_iter()
            .flatten()
            .map(|function| (function.oid, Arc::new(*function)))
            .collect();
        let mut functions_by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for function in functions.values() {
            functions_by_name.entry(function.name).or_default().push(Arc::clone(function));
        }
        let mut operators_by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operator in &operators::OPERATORS {
            operators_by_name.entry(operator.name).or_default().push(*operator);
        }
        let casts = cast::CASTS.iter().map(|cast| ((cast.from, cast.to), *cast)).collect();
        Registry { functions, functions_by_name, operators_by_name, casts }
    }

    /// Functions and aggregates of a name, in order of oid.
    pub fn functions(&self, name: &str) -> Vec<Arc<Function>> {
        self.functions_by_name.get(name).cloned().unwrap_or_default()
    }

    /// The function with this oid.
    pub fn function(&self, oid: u32) -> Option<Arc<Function>> {
        self.functions.get(&oid).cloned()
    }

    /// The function with this oid, without sharing it.
    pub fn function_ref(&self, oid: u32) -> Option<&Function> {
        self.functions.get(&oid).map(Arc::as_ref)
    }

    /// Operators of a name.
    pub fn operators(&self, name: &str) -> Vec<Operator> {
        self.operators_by_name.get(name).cloned().unwrap_or_default()
    }

    /// The cast between two types, without modifiers. Strings and texts of other types convert by input and output
    /// functions where nothing is listed: that is the binder's rule, not an entry.
    pub fn cast(&self, from: SqlType, to: SqlType) -> Option<Cast> {
        self.casts.get(&(from.base(), to.base())).copied()
    }

    /// Everything, for `pg_proc`.
    pub fn all_functions(&self) -> Vec<Arc<Function>> {
        self.functions.values().cloned().collect()
    }

    /// Everything, for `pg_operator`.
    pub fn all_operators(&self) -> Vec<Operator> {
        let mut all: Vec<_> = self.operators_by_name.values().flatten().copied().collect();
        all.sort_by_key(|operator| operator.oid);
        all
    }

    /// Everything, for `pg_cast`.
    pub fn all_casts(&self) -> Vec<Cast> {
        self.casts.values().copied().collect()
    }
}

#[cfg(test)]
pub(super) mod bounds;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod golden;
