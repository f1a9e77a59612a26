//! EXPLAIN: a plan as lines.

use crate::plan::Plan;

/// The plan's operators, one a line, the inner ones indented.
pub(super) fn lines(plan: &Plan) -> Vec<String> {
    let text = format!("{:#?}", plan.root);
    text.lines().map(str::to_owned).collect()
}
