//! Groups and aggregates.

use sql_values::types::SqlType;

use super::{Node, types_of};
use crate::show::Show;
use crate::{AggregateCall, Expr, SortKey};

/// Groups and their aggregates. Yields the group keys, then the aggregates.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Where rows come from.
    pub input: Box<Node>,
    /// The keys; none makes one group of everything, even of nothing.
    pub keys: Vec<Expr>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
}

shape! {
    Aggregate { input, keys, aggregates }
    inputs |visit| { visit(input, 0) }
    exprs |visit| {
        keys.into_iter().for_each(&mut *visit);
        for AggregateCall { args, filter, order, .. } in aggregates {
            args.into_iter().chain(filter).for_each(&mut *visit);
            order.into_iter().for_each(|SortKey { expr, .. }| visit(expr));
        }
    }
}

impl Aggregate {
    pub(super) fn slot_types(&self) -> Vec<SqlType> {
        let mut types = types_of(&self.keys);
        types.extend(self.aggregates.iter().map(|call| call.ty));
        types
    }

    pub(super) fn head(&self, show: &Show) -> String {
        let calls: Vec<String> = self.aggregates.iter().map(|call| show.aggregate(call)).collect();
        format!("Aggregate by ({}): {}", show.list(&self.keys), calls.join(", "))
    }
}
