//! EXPLAIN: a plan as indented text. Slots of a node's input row are `#n`, of outer rows `^level#n`.

use std::collections::BTreeMap;
use std::fmt::Write;

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_catalog::function::Function;
use sql_plan::{AggregateCall, Expr, IndexSpan, JoinKind, Node, Plan, SortKey, SubqueryKind};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType, TextFormat};

use crate::bind::Functions;

/// The plan, a line an operator.
pub fn explain(plan: &Plan, functions: &Functions) -> Vec<String> {
    let mut printer = Printer::new(functions);
    printer.node(&plan.root, 0);
    for (index, cte) in plan.ctes.iter().enumerate() {
        printer.line(0, &format!("WITH query {index}"));
        printer.node(cte, 1);
    }
    printer.lines
}

/// An expression as text.
pub fn expression(expr: &Expr, functions: &Functions) -> String {
    Printer::new(functions).expr(expr)
}

struct Printer {
    operators: BTreeMap<u32, &'static str>,
    lines: Vec<String>,
}

impl Printer {
    fn new(functions: &Functions) -> Self {
        let all = functions.all_operators();
        let operators = all.iter().map(|operator| (operator.function, operator.name)).collect();
        Printer { operators, lines: Vec::new() }
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn node(&mut self, node: &Node, depth: usize) {
        roomy(|| {
            let text = self.head(node);
            self.line(depth, &text);
            for plan in node.subplans() {
                self.line(depth + 1, "Subquery");
                self.node(plan, depth + 2);
            }
            node.inputs(&mut |input, _| self.node(input, depth + 1));
        });
    }

    fn head(&self, node: &Node) -> String {
        match node {
            Node::Values { rows, .. } => {
                let rows: Vec<String> =
                    rows.iter().map(|row| format!("({})", self.list(row))).collect();
                format!("Values {}", rows.join(", "))
            }
            Node::Scan { table, index, spans, columns, filter, lock, limit, reverse } => {
                let mut text = format!("Scan {}", table.name);
                match table.index(*index) {
                    Some(found) if table.primary().map(|p| p.id) != Some(*index) => {
                        let _ = write!(text, " by {}", found.name);
                    }
                    _ => {}
                }
                let _ = write!(text, " ({})", names(table, columns));
                for span in spans {
                    let _ = write!(text, " {}", self.span(span));
                }
                self.filter(&mut text, filter.as_ref());
                if let Some(limit) = limit {
                    let _ = write!(text, " limit {limit}");
                }
                if *reverse {
                    text.push_str(" reverse");
                }
                if lock.is_some() {
                    text.push_str(" lock");
                }
                text
            }
            Node::VirtualScan { table, columns, filter } => {
                let mut text = format!("Virtual {} ({})", table.name, names(table, columns));
                self.filter(&mut text, filter.as_ref());
                text
            }
            Node::TableFunction { calls, ordinality, .. } => {
                let ordinality = if *ordinality { " with ordinality" } else { "" };
                let call = |(function, args): &(&Function, Vec<Expr>)| {
                    format!("{}({})", function.name, self.list(args))
                };
                let calls: Vec<_> = calls.iter().map(call).collect();
                format!("Function {}{ordinality}", calls.join(", "))
            }
            Node::CteScan { index, .. } => format!("With {index}"),
            Node::Filter { predicate, .. } => format!("Filter {}", self.expr(predicate)),
            Node::Project { exprs, .. } => format!("Project {}", self.list(exprs)),
            Node::Join { kind, equal, condition, .. } => {
                let mut text = format!("{} join", kind_name(*kind));
                for (left, right) in equal {
                    let _ = write!(text, " [{} = {}]", self.expr(left), self.expr(right));
                }
                self.on(&mut text, condition.as_ref());
                text
            }
            Node::Apply { kind, condition, .. } => {
                let mut text = format!("{} apply", kind_name(*kind));
                self.on(&mut text, condition.as_ref());
                text
            }
            Node::Aggregate { keys, aggregates, .. } => {
                let calls: Vec<String> =
                    aggregates.iter().map(|call| self.aggregate(call)).collect();
                format!("Aggregate by ({}): {}", self.list(keys), calls.join(", "))
            }
            Node::Distinct { on, .. } if on.is_empty() => "Distinct".to_owned(),
            Node::Distinct { on, .. } => format!("Distinct on {}", self.list(on)),
            Node::Sort { keys, limit, .. } => {
                let mut text = format!("Sort {}", self.keys(keys));
                if let Some(limit) = limit {
                    let _ = write!(text, " limit {}", self.expr(limit));
                }
                text
            }
            Node::Limit { limit, offset, .. } => {
                let mut text = "Limit".to_owned();
                if let Some(limit) = limit {
                    let _ = write!(text, " {}", self.expr(limit));
                }
                if let Some(offset) = offset {
                    let _ = write!(text, " offset {}", self.expr(offset));
                }
                text
            }
            Node::Append { .. } => "Append".to_owned(),
            Node::SetOp { except, all, .. } => {
                let name = if *except { "Except" } else { "Intersect" };
                format!("{name}{}", if *all { " all" } else { "" })
            }
            Node::Insert { table, checks, on_conflict, returning, .. } => {
                let mut text = format!("Insert {}", table.name);
                self.checks(&mut text, checks);
                if let Some(conflict) = on_conflict {
                    let index = conflict.index.and_then(|index| table.index(index));
                    let _ = write!(text, " on conflict {}", index.map_or("", |i| &i.name));
                    match &conflict.update {
                        None => text.push_str(" nothing"),
                        Some(update) => {
                            let _ = write!(text, " set {}", self.assignments(table, update));
                        }
                    }
                    if let Some(condition) = &conflict.condition {
                        let _ = write!(text, " where {}", self.expr(condition));
                    }
                }
                self.returning(&mut text, returning.as_ref());
                text
            }
            Node::Update { table, assignments, checks, returning, .. } => {
                let mut text =
                    format!("Update {} set {}", table.name, self.assignments(table, assignments));
                self.checks(&mut text, checks);
                self.returning(&mut text, returning.as_ref());
                text
            }
            Node::Delete { table, returning, .. } => {
                let mut text = format!("Delete {}", table.name);
                self.returning(&mut text, returning.as_ref());
                text
            }
        }
    }

    fn filter(&self, text: &mut String, filter: Option<&Expr>) {
        if let Some(filter) = filter {
            let _ = write!(text, " where {}", self.expr(filter));
        }
    }

    fn on(&self, text: &mut String, condition: Option<&Expr>) {
        if let Some(condition) = condition {
            let _ = write!(text, " on {}", self.expr(condition));
        }
    }

    fn checks(&self, text: &mut String, checks: &[(String, Expr)]) {
        for (name, check) in checks {
            let _ = write!(text, " check {name} {}", self.expr(check));
        }
    }

    fn returning(&self, text: &mut String, returning: Option<&Vec<Expr>>) {
        if let Some(exprs) = returning {
            let _ = write!(text, " returning {}", self.list(exprs));
        }
    }

    fn assignments(&self, table: &TableDescriptor, assignments: &[(usize, Expr)]) -> String {
        let one = |(column, expr): &(usize, Expr)| {
            let name = table.columns.get(*column).map_or("?", |column| &column.name);
            format!("{name} = {}", self.expr(expr))
        };
        assignments.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn span(&self, span: &IndexSpan) -> String {
        let mut text = "[".to_owned();
        if !span.equal.is_empty() {
            let _ = write!(text, "= {}", self.list(&span.equal));
        }
        if let Some((bound, included)) = &span.lower {
            let _ = write!(text, " >{} {}", if *included { "=" } else { "" }, self.expr(bound));
        }
        if let Some((bound, included)) = &span.upper {
            let _ = write!(text, " <{} {}", if *included { "=" } else { "" }, self.expr(bound));
        }
        if span.not_null {
            text.push_str(" not null");
        }
        text.push(']');
        text
    }

    fn aggregate(&self, call: &AggregateCall) -> String {
        let mut text = format!("{}(", call.function.name);
        if call.distinct {
            text.push_str("distinct ");
        }
        text.push_str(if call.args.is_empty() { "*" } else { "" });
        text.push_str(&self.list(&call.args));
        if !call.order.is_empty() {
            let _ = write!(text, " order by {}", self.keys(&call.order));
        }
        text.push(')');
        if let Some(filter) = &call.filter {
            let _ = write!(text, " where {}", self.expr(filter));
        }
        text
    }

    fn keys(&self, keys: &[SortKey]) -> String {
        let one = |key: &SortKey| {
            let direction = if key.descending { " desc" } else { "" };
            let nulls = match (key.descending, key.nulls_first) {
                (false, true) => " nulls first",
                (true, false) => " nulls last",
                _ => "",
            };
            format!("{}{direction}{nulls}", self.expr(&key.expr))
        };
        keys.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn list(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>().join(", ")
    }

    fn expr(&self, expr: &Expr) -> String {
        roomy(|| self.expr_here(expr))
    }

    fn expr_here(&self, expr: &Expr) -> String {
        match expr {
            Expr::Const(value, ty) => constant(value, *ty),
            Expr::Slot(slot, _) => format!("#{slot}"),
            Expr::Outer { level, slot, .. } => format!("^{level}#{slot}"),
            Expr::Param(index, _) => format!("${}", index + 1),
            Expr::Call { function, args, .. } => {
                match (self.operators.get(&function.oid), args.as_slice()) {
                    (Some(name), [left, right]) => {
                        format!("({} {name} {})", self.expr(left), self.expr(right))
                    }
                    (Some(name), [only]) => format!("({name} {})", self.expr(only)),
                    _ => format!("{}({})", function.name, self.list(args)),
                }
            }
            Expr::Cast { input, ty, explicit } => {
                let colon = if *explicit { "::" } else { ":" };
                format!("{}{colon}{}", self.expr(input), ty.name())
            }
            Expr::And(parts) => self.joined(parts, " and "),
            Expr::Or(parts) => self.joined(parts, " or "),
            Expr::Not(inner) => format!("not {}", self.expr(inner)),
            Expr::IsNull(inner) => format!("{} is null", self.expr(inner)),
            Expr::IsDistinct { sides, .. } => {
                format!("({} is distinct from {})", self.expr(&sides.0), self.expr(&sides.1))
            }
            Expr::Case { branches, otherwise, .. } => {
                let mut text = "case".to_owned();
                for (when, then) in branches {
                    let _ = write!(text, " when {} then {}", self.expr(when), self.expr(then));
                }
                if let Some(otherwise) = otherwise {
                    let _ = write!(text, " else {}", self.expr(otherwise));
                }
                text + " end"
            }
            Expr::Coalesce(parts, _) => format!("coalesce({})", self.list(parts)),
            Expr::Extreme { args, beats, .. } => {
                let greatest = self.operators.get(&beats.oid) == Some(&">");
                let name = if greatest { "greatest" } else { "least" };
                format!("{name}({})", self.list(args))
            }
            Expr::Quantified { input, array, function, all } => {
                let name = self.operators.get(&function.oid).copied().unwrap_or("?");
                let which = if *all { "all" } else { "any" };
                format!("({} {name} {which} {})", self.expr(input), self.expr(array))
            }
            Expr::InList { input, list, .. } => {
                format!("{} in ({})", self.expr(input), self.list(list))
            }
            Expr::Array(parts, _) => format!("array[{}]", self.list(parts)),
            Expr::Row(parts) => format!("row({})", self.list(parts)),
            Expr::Subscript(array, index, _) => {
                format!("{}[{}]", self.expr(array), self.expr(index))
            }
            Expr::Subquery { kind, .. } => match kind {
                SubqueryKind::Scalar => "(subquery)".to_owned(),
                SubqueryKind::Exists => "exists(subquery)".to_owned(),
                SubqueryKind::In { input, .. } => format!("{} in (subquery)", self.expr(input)),
                SubqueryKind::Array => "array(subquery)".to_owned(),
            },
        }
    }

    fn joined(&self, parts: &[Expr], word: &str) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.expr(part)).collect();
        format!("({})", parts.join(word))
    }
}

fn kind_name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "Inner",
        JoinKind::Left => "Left",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
        JoinKind::Full => "Full",
    }
}

fn names(table: &TableDescriptor, columns: &[ColumnId]) -> String {
    let name = |id: &ColumnId| match table.position(*id) {
        Some(position) => table.columns[position].name.as_str(),
        None => "?",
    };
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn constant(value: &Datum, ty: SqlType) -> String {
    let text = || value.to_text(ty, &TextFormat::new("UTC", 0));
    match (value, ty) {
        (Datum::Null, _) => "null".to_owned(),
        (Datum::Bool(_) | Datum::Int4(_) | Datum::Numeric(_), _) => text(),
        (Datum::Text(_), SqlType::Text | SqlType::Unknown) => format!("'{}'", text()),
        _ => format!("'{}'::{}", text(), ty.name()),
    }
}
