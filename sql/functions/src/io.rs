//! The names of types' input and output functions. No query calls them here; drivers look them up to learn which types
//! have a binary form (`typreceive`) and what a type's array is.

use std::sync::LazyLock;

use sql_values::types::{Form, Named, SqlType, TypeDef, TypeId};

/// A type's functions in `pg_type`, by oid; zero is none.
#[derive(Clone, Copy, Default)]
pub struct TypeFunctions {
    /// `typinput`.
    pub input: u32,
    /// `typoutput`.
    pub output: u32,
    /// `typreceive`.
    pub receive: u32,
    /// `typsend`.
    pub send: u32,
    /// `typmodin`.
    pub modifier_in: u32,
    /// `typmodout`.
    pub modifier_out: u32,
    /// `typanalyze`.
    pub analyze: u32,
    /// `typsubscript`.
    pub subscript: u32,
}

/// A function that exists by its name.
pub struct NamedFunction {
    /// Its oid in `pg_proc`.
    pub oid: u32,
    /// Its name.
    pub name: &'static str,
    /// Oid of the result's type.
    pub result: u32,
    /// Oids of the arguments' types.
    pub args: Vec<u32>,
}

const BYTEA: u32 = 17;
const INT4: u32 = 23;
const OID: u32 = 26;
const CSTRING: u32 = 2275;
const ANYARRAY: u32 = 2277;
const INTERNAL: u32 = 2281;

const ARRAY_ANALYZE: u32 = 3816;
const ARRAY_SUBSCRIPT: u32 = 6179;
const RAW_ARRAY_SUBSCRIPT: u32 = 6180;

/// The functions of a type.
pub fn of_type(ty: SqlType) -> TypeFunctions {
    let def = ty.def();
    let [input, output, receive, send] = def.functions.map(|(oid, _)| oid);
    // An array takes its elements' modifier.
    let modifier = match ty.element() {
        Some(element) if matches!(ty, SqlType::Array(_)) => element.def().modifier,
        _ => def.modifier,
    };
    let [modifier_in, modifier_out] =
        modifier.map_or([0; 2], |modifier| modifier.functions.map(|(oid, _)| oid));
    let analyze = if matches!(ty, SqlType::Array(_)) { ARRAY_ANALYZE } else { 0 };
    let subscript = match def.form {
        Form::Array => ARRAY_SUBSCRIPT,
        _ if ty == SqlType::Name => RAW_ARRAY_SUBSCRIPT,
        _ => 0,
    };
    TypeFunctions { input, output, receive, send, modifier_in, modifier_out, analyze, subscript }
}

/// All functions of types, by oid.
pub fn functions() -> &'static [NamedFunction] {
    &FUNCTIONS
}

/// The name of one.
pub(super) fn name_of(oid: u32) -> Option<&'static str> {
    let at = FUNCTIONS.binary_search_by_key(&oid, |function| function.oid).ok()?;
    Some(FUNCTIONS[at].name)
}

/// The one of a name.
pub(super) fn named(name: &str) -> Option<u32> {
    FUNCTIONS.iter().find(|known| known.name == name).map(|known| known.oid)
}

static FUNCTIONS: LazyLock<Vec<NamedFunction>> = LazyLock::new(|| {
    let mut functions = vec![
        function((ARRAY_ANALYZE, "array_typanalyze"), 16, &[INTERNAL]),
        function((ARRAY_SUBSCRIPT, "array_subscript_handler"), INTERNAL, &[INTERNAL]),
        function((RAW_ARRAY_SUBSCRIPT, "raw_array_subscript_handler"), INTERNAL, &[INTERNAL]),
    ];
    functions.extend(of_definition(TypeId::Text.array().def(), ANYARRAY, true));
    for id in TypeId::ALL {
        let def = id.def();
        // Of records the input takes the type, of others the modifier if there is one.
        let takes_more = def.modifier.is_some() || *id == TypeId::Record;
        functions.extend(of_definition(def, def.oid, takes_more));
        if let Some(modifier) = def.modifier {
            let [input, output] = modifier.functions;
            functions.push(function(input, INT4, &[CSTRING_ARRAY]));
            functions.push(function(output, CSTRING, &[INT4]));
        }
    }
    functions.sort_by_key(|function| function.oid);
    functions
});

const CSTRING_ARRAY: u32 = 1263;

fn of_definition(def: &TypeDef, oid: u32, takes_more: bool) -> [NamedFunction; 4] {
    let [input, output, receive, send] = def.functions;
    let from = |raw: u32| if takes_more { vec![raw, OID, INT4] } else { vec![raw] };
    [
        function(input, oid, &from(CSTRING)),
        function(output, CSTRING, &[oid]),
        function(receive, oid, &from(INTERNAL)),
        function(send, BYTEA, &[oid]),
    ]
}

fn function((oid, name): Named, result: u32, args: &[u32]) -> NamedFunction {
    NamedFunction { oid, name, result, args: args.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn every_type_has_its_functions_and_they_are_known() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.oid < b.oid));
        for ty in SqlType::all() {
            let TypeFunctions { input, output, receive, send, .. } = of_type(ty);
            for oid in [input, output, receive, send] {
                assert!(name_of(oid).is_some(), "{ty:?} {oid}");
            }
        }
        for function in functions() {
            assert!(registry().function(function.oid).is_none(), "{}", function.name);
        }
    }
}
