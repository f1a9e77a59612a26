//! The tables, indexed.

use std::collections::BTreeMap;

use sql_values::error::{SqlError, SqlResult};
use sql_values::types::{Datum, SqlType};

use super::{Cast, EvalContext, Function, Operator};

/// How a value is cast: from a type to another, explicitly or not.
pub type CastValue = fn(&EvalContext<'_>, Datum, SqlType, SqlType, bool) -> SqlResult<Datum>;

/// How a value of a type looks as text.
pub type Output = fn(&EvalContext<'_>, SqlType, &Datum) -> SqlResult<String>;

/// Values that stand for arguments which a call leaves out.
pub type Defaults = Vec<(Datum, SqlType)>;

/// What a registry is made of.
pub struct Builtins {
    /// Functions and aggregates, family by family.
    pub functions: Vec<&'static [Function]>,
    /// Operators, likewise.
    pub operators: Vec<&'static [Operator]>,
    /// Casts.
    pub casts: &'static [Cast],
    /// How a value is cast, by whichever of them.
    pub cast_value: CastValue,
    /// How a value looks as text.
    pub output: Output,
    /// The names of a function's arguments in order, if calls may use them.
    pub argument_names: fn(&str) -> Option<&'static [&'static str]>,
    /// The defaults of a function's arguments, if it has such: then of all of them.
    pub defaults: fn(&str) -> Option<Defaults>,
}

/// Functions, operators and casts. Built once; lookups by name give all overloads.
pub struct Registry {
    functions: BTreeMap<u32, &'static Function>,
    functions_by_name: BTreeMap<&'static str, Vec<&'static Function>>,
    operators_by_name: BTreeMap<&'static str, Vec<Operator>>,
    casts: BTreeMap<(SqlType, SqlType), Cast>,
    builtins: Builtins,
}

impl Registry {
    /// Indexes the tables.
    pub fn new(builtins: Builtins) -> Registry {
        let families = builtins.functions.iter().copied().flatten();
        let functions: BTreeMap<u32, &'static Function> =
            families.map(|function| (function.oid, function)).collect();
        let mut functions_by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for function in functions.values() {
            functions_by_name.entry(function.name).or_default().push(*function);
        }
        let mut operators_by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operator in builtins.operators.iter().copied().flatten() {
            operators_by_name.entry(operator.name).or_default().push(*operator);
        }
        let casts = builtins.casts.iter().map(|cast| ((cast.from, cast.to), *cast)).collect();
        Registry { functions, functions_by_name, operators_by_name, casts, builtins }
    }

    /// Functions and aggregates of a name, in order of oid.
    pub fn functions(&self, name: &str) -> &[&'static Function] {
        self.functions_by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The function with this oid.
    pub fn function(&self, oid: u32) -> Option<&'static Function> {
        self.functions.get(&oid).copied()
    }

    /// An operator's function.
    pub fn function_of(&self, operator: &Operator) -> SqlResult<&'static Function> {
        self.function(operator.function)
            .ok_or_else(|| SqlError::internal(format!("operator {} has no function", operator.oid)))
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

    /// How a value is cast.
    pub fn cast_value(&self) -> CastValue {
        self.builtins.cast_value
    }

    /// How a value looks as text.
    pub fn output(&self) -> Output {
        self.builtins.output
    }

    /// The names of a function's arguments, if they are known.
    pub fn argument_names(&self, function: &str) -> Option<&'static [&'static str]> {
        (self.builtins.argument_names)(function)
    }

    /// The defaults of a function's arguments, if it has such: then of all of them.
    pub fn defaults(&self, function: &str) -> Option<Defaults> {
        (self.builtins.defaults)(function)
    }

    /// Everything by oid, for `pg_proc`.
    pub fn all_functions(&self) -> Vec<&'static Function> {
        self.functions.values().copied().collect()
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
