use std::collections::BTreeSet;

use sql_catalog::function::{Body, CastMethod, ParamType};
use sql_values::types::SqlType;

use super::*;

#[test]
fn no_two_functions_share_an_oid() {
    let mut seen = BTreeSet::new();
    let mut signatures = BTreeSet::new();
    for function in families().into_iter().flatten() {
        assert!(seen.insert(function.oid), "{} {}", function.oid, function.name);
        let args = format!("{:?}", function.args);
        assert!(signatures.insert((function.name, args)), "{} twice", function.name);
    }
    assert_eq!(seen.len(), registry().all_functions().len());
}

#[test]
fn operators_fit_their_functions() {
    for operator in registry().all_operators() {
        let function = registry().function(operator.function).expect(operator.name);
        let args: Vec<ParamType> = operator.left.into_iter().chain([operator.right]).collect();
        assert_eq!(function.args, args, "{} {}", operator.name, operator.oid);
        assert_eq!(function.result, operator.result);
        assert!(matches!(function.body, Body::Scalar(_)));
        for other in [operator.commutator, operator.negator] {
            let known = registry().all_operators().iter().any(|o| o.oid == other);
            assert!(other == 0 || known, "{other}");
        }
    }
}

#[test]
fn casts_fit_their_functions() {
    for cast in registry().all_casts() {
        assert_ne!(cast.from, SqlType::Unknown);
        let CastMethod::Function(oid) = cast.method else { continue };
        let function = registry().function(oid).expect("the cast's function");
        let text_like = |ty: SqlType| ty.is_text() || ty.is_oid() || ty == SqlType::Int4;
        let ParamType::Exact(argument) = function.args[0] else { panic!("{oid}") };
        let ParamType::Exact(result) = function.result else { panic!("{oid}") };
        assert!(argument == cast.from || text_like(argument), "{oid}");
        assert!(result == cast.to || text_like(result), "{oid}");
    }
}
