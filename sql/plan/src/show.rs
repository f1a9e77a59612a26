//! Expressions as EXPLAIN shows them. Slots of a node's input row are `#n`, of outer rows `^level#n`.

use std::collections::BTreeMap;
use std::fmt::Write;

use sql_catalog::descriptor::{ColumnId, TableDescriptor};
use sql_catalog::function::Registry;
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType, TextFormat};

use super::{AggregateCall, Expr, IndexSpan, SortKey, SubqueryKind};

/// Shows expressions, and parts of nodes that several have.
pub(crate) struct Show {
    operators: BTreeMap<u32, &'static str>,
}

impl Show {
    pub(crate) fn new(functions: &Registry) -> Self {
        let all = functions.all_operators();
        Show { operators: all.iter().map(|operator| (operator.function, operator.name)).collect() }
    }

    pub(crate) fn filter(&self, text: &mut String, filter: Option<&Expr>) {
        if let Some(filter) = filter {
            let _ = write!(text, " where {}", self.expr(filter));
        }
    }

    pub(crate) fn on(&self, text: &mut String, condition: Option<&Expr>) {
        if let Some(condition) = condition {
            let _ = write!(text, " on {}", self.expr(condition));
        }
    }

    pub(crate) fn checks(&self, text: &mut String, checks: &[(String, Expr)]) {
        for (name, check) in checks {
            let _ = write!(text, " check {name} {}", self.expr(check));
        }
    }

    pub(crate) fn returning(&self, text: &mut String, returning: Option<&[Expr]>) {
        if let Some(exprs) = returning {
            let _ = write!(text, " returning {}", self.list(exprs));
        }
    }

    pub(crate) fn assignments(
        &self,
        table: &TableDescriptor,
        assignments: &[(usize, Expr)],
    ) -> String {
        let one = |(column, expr): &(usize, Expr)| {
            let name = table.columns.get(*column).map_or("?", |column| &column.name);
            format!("{name} = {}", self.expr(expr))
        };
        assignments.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn span(&self, span: &IndexSpan) -> String {
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

    pub(crate) fn aggregate(&self, call: &AggregateCall) -> String {
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

    pub(crate) fn keys(&self, keys: &[SortKey]) -> String {
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

    pub(crate) fn list(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn expr(&self, expr: &Expr) -> String {
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

/// Columns by their names.
pub(crate) fn names(table: &TableDescriptor, columns: &[ColumnId]) -> String {
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
