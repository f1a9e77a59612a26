//! EXPLAIN: a plan as indented text, a line an operator ([`super::node`]). Slots of a node's input row are `#n`, of outer
//! rows `^level#n`.

use sql_catalog::function::Registry;
use sql_values::stack::roomy;

use super::show::Show;
use super::{Expr, Node, Plan};

/// The plan, a line an operator.
pub fn explain(plan: &Plan, functions: &Registry) -> Vec<String> {
    let mut printer = Printer { show: Show::new(functions), lines: Vec::new() };
    printer.node(&plan.root, 0);
    for (index, cte) in plan.ctes.iter().enumerate() {
        printer.line(0, &format!("WITH query {index}"));
        printer.node(cte, 1);
    }
    printer.lines
}

/// An expression as text.
pub fn expression(expr: &Expr, functions: &Registry) -> String {
    Show::new(functions).expr(expr)
}

struct Printer {
    show: Show,
    lines: Vec<String>,
}

impl Printer {
    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn node(&mut self, node: &Node, depth: usize) {
        roomy(|| {
            let text = node.head(&self.show);
            self.line(depth, &text);
            for plan in node.subplans() {
                self.line(depth + 1, "Subquery");
                self.node(plan, depth + 2);
            }
            node.inputs(&mut |input, _| self.node(input, depth + 1));
        });
    }
}
