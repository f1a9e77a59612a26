//! Names of relations within expressions that are kept: texts that are read as `regclass` when the expression is made.

use std::ops::ControlFlow;

use sql_values::error::SqlResult;
use sqlparser::ast::{
    self, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use crate::Name;
use crate::name::parts;
use crate::place::Places;
use crate::source::Source;

/// Functions whose first argument is a relation.
const TAKE_RELATIONS: [&str; 3] = ["nextval", "currval", "setval"];

/// The expression with the oids of relations in the place of their names, as far as `oid` knows them:
/// `nextval('16385'::regclass)`.
pub fn with_relations(text: &str, oid: &mut dyn FnMut(&str) -> Option<u32>) -> SqlResult<String> {
    if !text.contains('\'') {
        return Ok(text.to_owned());
    }
    let parsed = Source::parse_all(text, "an expression", |parser| parser.parse_expr())?;
    let mut expr = (*parsed).clone();
    let mut changed = false;
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Function(call) => changed |= in_call(call, oid),
            Expr::Cast { expr: input, data_type, .. } if is_regclass(data_type) => {
                if let Some(cast) = cast_of(input, oid) {
                    *part = cast;
                    changed = true;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    // What names nothing stays as it was written.
    Ok(if changed { expr.to_string() } else { text.to_owned() })
}

fn in_call(call: &mut ast::Function, oid: &mut dyn FnMut(&str) -> Option<u32>) -> bool {
    let takes = parts(&call.name)
        .is_ok_and(|name| name.last().is_some_and(|n| TAKE_RELATIONS.contains(&n.as_str())));
    let FunctionArguments::List(list) = &mut call.args else { return false };
    match list.args.first_mut() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) if takes => {
            match cast_of(first, oid) {
                Some(cast) => *first = cast,
                None => return false,
            }
            true
        }
        _ => false,
    }
}

/// A text as a relation's oid, if it is one.
fn cast_of(text: &Expr, oid: &mut dyn FnMut(&str) -> Option<u32>) -> Option<Expr> {
    let Expr::Value(value) = text else { return None };
    let Value::SingleQuotedString(name) = &value.value else { return None };
    let oid = Value::SingleQuotedString(oid(name)?.to_string());
    let name = ast::ObjectName(vec![ast::ObjectNamePart::Identifier(ast::Ident::new("regclass"))]);
    Some(Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(Expr::Value(oid.into())),
        data_type: DataType::Custom(name, Vec::new()),
        format: None,
    })
}

fn is_regclass(ty: &DataType) -> bool {
    match ty {
        DataType::Regclass => true,
        DataType::Custom(name, _) => parts(name).is_ok_and(|parts| parts == ["regclass"]),
        _ => false,
    }
}

/// The name that a text of type `regclass` says, if it says one.
pub fn relation_name(text: &str) -> Option<Name> {
    let tree = Source::parse_all(text, "a name", |parser| parser.parse_object_name(false)).ok()?;
    crate::name::object(&tree, &Places::none()).ok()
}
