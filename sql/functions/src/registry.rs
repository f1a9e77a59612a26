//! The tables of all families, as one.

use std::sync::LazyLock;

use sql_catalog::function::{Builtins, Function, Registry};

use super::{
    aggregate, arguments, arithmetic, array, cast, comparison, datetime, describe, format,
    integral, numeric, operators, privilege, regexp, sequence, system, text,
};

static FAMILIES: &[&[Function]] = &[
    aggregate::FUNCTIONS,
    arithmetic::FUNCTIONS,
    array::FUNCTIONS,
    cast::FUNCTIONS,
    comparison::FUNCTIONS,
    datetime::FUNCTIONS,
    describe::FUNCTIONS,
    format::FUNCTIONS,
    integral::FUNCTIONS,
    numeric::FUNCTIONS,
    privilege::FUNCTIONS,
    regexp::FUNCTIONS,
    sequence::FUNCTIONS,
    system::FUNCTIONS,
    text::FUNCTIONS,
];

/// With those that types' definitions make.
fn families() -> Vec<&'static [Function]> {
    FAMILIES.iter().copied().chain([comparison::OF_TYPES.as_slice()]).collect()
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    Registry::new(Builtins {
        functions: families(),
        operators: vec![operators::OPERATORS, &comparison::OPERATORS_OF_TYPES],
        casts: cast::CASTS,
        cast_value: cast,
        output: cast::output,
        argument_names: arguments::argument_names,
        defaults: arguments::defaults,
    })
});

/// The registry: the same for every session and node.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

#[cfg(test)]
pub(super) mod bounds;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod golden;
