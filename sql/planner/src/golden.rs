//! Golden files of plans.

use sql_testing::TestCatalog;
use sql_values::error::SqlResult;
use sql_values::types::SqlType;

use crate::bind::Environment;

/// What a statement becomes: its columns, its parameters and its plan, or its error.
pub(crate) fn outcome(text: &str, raw: bool) -> SqlResult<Vec<String>> {
    let catalog = TestCatalog::new();
    let functions = sql_functions::registry();
    let environment = Environment { catalog: &catalog, functions, parameters: &[] };
    let mut lines = Vec::new();
    for parsed in sql_parse::parse(text)? {
        let sql_parse::Statement::Query(query) = &parsed.statement else {
            lines.push(format!("{:?}", parsed.statement));
            continue;
        };
        let plan = if raw {
            crate::bind::bind(query, &environment)?
        } else {
            crate::plan(query, &environment)?
        };
        let name = |ty: &SqlType| ty.name();
        let columns: Vec<String> =
            plan.columns.iter().map(|c| format!("{} {}", c.name, name(&c.ty))).collect();
        if !columns.is_empty() {
            lines.push(format!("columns: {}", columns.join(", ")));
        }
        if !plan.parameters.is_empty() {
            let parameters: Vec<String> = plan.parameters.iter().map(name).collect();
            lines.push(format!("parameters: {}", parameters.join(", ")));
        }
        let types = plan.root.types();
        let outputs: Vec<SqlType> = plan.columns.iter().map(|c| c.ty).collect();
        assert_eq!(types, outputs, "what {text} yields is not what it says");
        lines.extend(sql_plan::explain::explain(&plan, functions));
    }
    Ok(lines)
}

fn described(text: &str, raw: bool) -> String {
    match outcome(text, raw) {
        Ok(lines) => lines.join("\n"),
        Err(error) => {
            let place = error.position.map_or_else(String::new, |place| format!(" at {place}"));
            let mut text = format!("error {}{place}: {}", error.state.0, error.message);
            for (what, more) in [("detail", error.detail), ("hint", error.hint)] {
                if let Some(more) = more {
                    text.push_str(&format!("\n{what}: {more}"));
                }
            }
            text
        }
    }
}

/// Statements, each followed by `----` and what becomes of it, up to a blank line. With MERIDIAN_GOLDEN=write the
/// files are written anew. Files named `bind_…` show plans as bound, the others as optimised.
#[test]
fn golden_plans() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/plan");
    let write = std::env::var("MERIDIAN_GOLDEN").is_ok_and(|value| value == "write");
    let files = ["bind_errors", "bind_select", "bind_write", "optimize"];
    let mut failures = Vec::new();
    for name in files {
        let path = format!("{folder}/{name}.txt");
        let text = std::fs::read_to_string(&path).unwrap();
        let raw = name.starts_with("bind_");
        let mut fresh = String::new();
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let block = block.trim_matches('\n');
            let statement = block.split("\n----").next().unwrap_or(block);
            if statement.lines().all(|line| line.starts_with('#')) {
                fresh.push_str(&format!("{statement}\n\n"));
                continue;
            }
            let now = described(statement, raw);
            let block_now = format!("{statement}\n----\n{now}");
            if block_now != block {
                failures.push(format!("{}:\n{block}\nbecame\n{block_now}", path));
            }
            fresh.push_str(&format!("{block_now}\n\n"));
        }
        if write {
            write_file(&path, fresh.trim_end());
        }
    }
    assert!(write || failures.is_empty(), "{}", failures.join("\n\n"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "golden files are written by hand of whoever runs the test"
)]
fn write_file(path: &str, text: &str) {
    std::fs::write(path, format!("{text}\n")).unwrap();
}
