//! `column = ANY (array)` with an array that is not known before the statement runs (drivers send lists so): each of its
//! elements looks up its rows, where the column begins an index.

use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::types::SqlType;

use super::facts::{Facts, conjunction, conjuncts};

/// Rewrites scans that have no better spans.
pub(crate) fn scan_by_elements(node: Node, facts: &Facts<'_>) -> Node {
    let node = super::over_inputs(node, &mut |input| scan_by_elements(input, facts));
    let Node::Scan(node::Scan { filter: Some(filter), spans, .. }) = &node else { return node };
    if !spans.is_empty() {
        return node;
    }
    let parts = conjuncts(filter.clone());
    for (at, part) in parts.iter().enumerate() {
        if !matches!(part, Expr::Quantified { all: false, .. }) {
            continue;
        }
        let mut others = parts.clone();
        others.remove(at);
        if let Some(node) = by_elements(&node, part, others, facts) {
            return node;
        }
    }
    node
}

fn by_elements(scan: &Node, part: &Expr, others: Vec<Expr>, facts: &Facts<'_>) -> Option<Node> {
    let Expr::Quantified { input, array, function, all: false } = part else { return None };
    let reads = !array.slots().is_empty() || facts.is_volatile(array) || array.has_subquery();
    if reads {
        return None;
    }
    let Node::Scan(node::Scan { table, index, columns, lock, limit: None, reverse, .. }) = scan
    else {
        return None;
    };
    let element = array.ty().element()?;
    let unnest = facts.functions.functions("unnest");
    let unnest = unnest.iter().find(|function| function.args.len() == 1)?;
    let elements = Node::TableFunction(node::TableFunction {
        calls: vec![(*unnest, vec![(**array).clone()])],
        types: vec![element],
        ordinality: false,
    });
    let elements = Node::Distinct(node::Distinct { input: Box::new(elements), on: Vec::new() });
    // The scan lies one row further in now, and compares with that row.
    let mut parts = others;
    parts.iter_mut().for_each(further_in);
    let mut value = (**input).clone();
    further_in(&mut value);
    let args = vec![value, Expr::Outer { level: 0, slot: 0, ty: element }];
    parts.push(Expr::Call { function, args, ty: SqlType::Bool });
    let inner = Node::Scan(node::Scan {
        table: table.clone(),
        index: *index,
        spans: Vec::new(),
        columns: columns.clone(),
        filter: conjunction(parts),
        lock: *lock,
        limit: None,
        reverse: *reverse,
    });
    let inner = super::spans::choose(inner, facts);
    if !matches!(&inner, Node::Scan(node::Scan { spans, .. }) if !spans.is_empty()) {
        return None;
    }
    let types = scan.types().into_iter().enumerate();
    let exprs = types.map(|(slot, ty)| Expr::Slot(slot + 1, ty)).collect();
    let node = Node::Apply(node::Apply {
        kind: JoinKind::Inner,
        input: Box::new(elements),
        inner: Box::new(inner),
        condition: None,
    });
    Some(Node::Project(node::Project { input: Box::new(node), exprs }))
}

/// A condition whose own row stays, while all outer ones are one further out.
fn further_in(expr: &mut Expr) {
    expr.change(0, &mut |e, depth| {
        if let Expr::Outer { level, .. } = e
            && *level >= depth
        {
            *level += 1;
        }
        true
    });
}
