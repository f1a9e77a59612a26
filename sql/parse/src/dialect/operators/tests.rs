use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, VisitMut, VisitorMut};

use crate::{Statement, parse};

/// Takes the parentheses away.
struct Bare;

impl VisitorMut for Bare {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        while let Expr::Nested(inner) = expr {
            *expr = std::mem::replace(inner, Expr::Value(ast::Value::Null.into()));
        }
        ControlFlow::Continue(())
    }
}

/// An expression's tree, or its error.
fn tree(text: &str) -> Result<ast::Statement, String> {
    let text = format!("select {text} from t");
    let parsed = parse(&text).map_err(|error| error.state.0.to_owned())?;
    let Statement::Query(query) = &parsed[0].statement else { panic!("{text} is no query") };
    let mut ast = (*query.ast).clone();
    assert!(ast.visit(&mut Bare).is_continue());
    Ok(ast)
}

#[test]
fn operators_group_as_in_postgresql() {
    let file = include_str!("../../../../testdata/precedence.tsv");
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let (written, grouped) = line.split_once('\t').expect("two columns");
        count += 1;
        let found = tree(written);
        let same = match grouped {
            "!42601" => found.as_ref().is_err_and(|error| error == "42601"),
            // Places are no part of the comparison.
            _ => found.is_ok() && found == tree(grouped),
        };
        if !same {
            let found = match found {
                Ok(tree) => format!("{tree}"),
                Err(state) => state,
            };
            wrong.push(format!("{written}\n    is {grouped}\n    not {found}"));
        }
    }
    assert!(count > 8000, "only {count} records");
    assert!(wrong.is_empty(), "{} of {count} are wrong\n{}", wrong.len(), wrong.join("\n"));
}
