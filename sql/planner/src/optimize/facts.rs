//! What rules ask about expressions.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use sql_catalog::CatalogView;
use sql_catalog::function::{Function, ParamType, Volatility};
use sql_plan::{Expr, Node, node};
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

use crate::bind::Functions;

/// Where answers come from.
pub(crate) struct Facts<'a> {
    pub(crate) functions: &'static Functions,
    pub(crate) catalog: &'a dyn CatalogView,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    /// With the sides exchanged.
    pub(crate) fn reversed(self) -> Self {
        match self {
            Comparison::Equal => Comparison::Equal,
            Comparison::Less => Comparison::Greater,
            Comparison::LessEqual => Comparison::GreaterEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterEqual => Comparison::LessEqual,
        }
    }
}

/// Functions of comparison operators: the tables are the same for the whole process.
static COMPARISONS: OnceLock<BTreeMap<u32, Comparison>> = OnceLock::new();

impl Facts<'_> {
    /// The comparison that a function is.
    pub(crate) fn comparison(&self, function: &Function) -> Option<Comparison> {
        let all = COMPARISONS.get_or_init(|| {
            let mut all = BTreeMap::new();
            for (name, comparison) in [
                ("=", Comparison::Equal),
                ("<", Comparison::Less),
                ("<=", Comparison::LessEqual),
                (">", Comparison::Greater),
                (">=", Comparison::GreaterEqual),
            ] {
                for operator in self.functions.operators(name) {
                    all.insert(operator.function, comparison);
                }
            }
            all
        });
        all.get(&function.oid).copied()
    }

    /// The function that compares two types.
    pub(crate) fn equality(&self, ty: SqlType) -> Option<&'static Function> {
        let exact = ParamType::Exact(ty.base());
        let operators = self.functions.operators("=");
        let found = operators.iter().find(|o| o.left == Some(exact) && o.right == exact);
        self.functions.function_of(found?).ok()
    }

    /// True iff every evaluation counts.
    pub(crate) fn is_volatile(&self, expr: &Expr) -> bool {
        expr.any(&mut |part| match part {
            Expr::Call { function, .. } => function.volatility == Volatility::Volatile,
            _ => false,
        })
    }

    /// True iff NULLs in these slots make the condition NULL or false: a row of NULLs does not pass.
    pub(crate) fn rejects_nulls(&self, expr: &Expr, slots: &dyn Fn(usize) -> bool) -> bool {
        roomy(|| match expr {
            Expr::And(parts) => parts.iter().any(|part| self.rejects_nulls(part, slots)),
            Expr::Or(parts) => parts.iter().all(|part| self.rejects_nulls(part, slots)),
            Expr::Not(inner) => match &**inner {
                Expr::IsNull(inner) => self.follows_null(inner, slots),
                inner => self.follows_null(inner, slots),
            },
            expr => self.follows_null(expr, slots),
        })
    }

    /// True iff NULLs in these slots make the expression NULL.
    fn follows_null(&self, expr: &Expr, slots: &dyn Fn(usize) -> bool) -> bool {
        roomy(|| match expr {
            Expr::Slot(slot, _) => slots(*slot),
            Expr::Call { function, args, .. } => {
                function.strict && args.iter().any(|arg| self.follows_null(arg, slots))
            }
            Expr::Cast { input, .. } => self.follows_null(input, slots),
            Expr::InList { input, list, .. } => !list.is_empty() && self.follows_null(input, slots),
            _ => false,
        })
    }

    /// True iff the expression over a plan's rows is never NULL, as far as can be seen.
    pub(crate) fn never_null(&self, expr: &Expr, node: &Node) -> bool {
        match expr {
            Expr::Const(value, _) => !value.is_null(),
            Expr::Slot(slot, _) => slot_never_null(*slot, node),
            _ => false,
        }
    }

    /// True iff its evaluation never ends in an error, whatever the row, as far as can be seen.
    pub(crate) fn never_fails(&self, expr: &Expr) -> bool {
        let all = |parts: &[Expr]| parts.iter().all(|part| self.never_fails(part));
        roomy(|| match expr {
            Expr::Const(..) | Expr::Slot(..) | Expr::Outer { .. } | Expr::Param(..) => true,
            Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts, _) => all(parts),
            Expr::Not(input) | Expr::IsNull(input) => self.never_fails(input),
            Expr::IsDistinct { sides, .. } => {
                self.never_fails(&sides.0) && self.never_fails(&sides.1)
            }
            Expr::InList { input, list, .. } => self.never_fails(input) && all(list),
            Expr::Case { branches, otherwise, .. } => {
                let both =
                    |(when, then): &(Expr, Expr)| self.never_fails(when) && self.never_fails(then);
                branches.iter().all(both) && otherwise.iter().all(|expr| self.never_fails(expr))
            }
            Expr::Cast { input, ty: SqlType::Text, .. } => {
                matches!(input.ty(), SqlType::Varchar(_)) && self.never_fails(input)
            }
            Expr::Call { function, args, .. } => {
                (self.is_comparison(function) || self.widens(function, args)) && all(args)
            }
            _ => false,
        })
    }

    fn is_comparison(&self, function: &Function) -> bool {
        let differs = || self.functions.operators("<>").iter().any(|o| o.function == function.oid);
        self.comparison(function).is_some() || differs()
    }

    /// A cast to a type that holds all values of the other.
    fn widens(&self, function: &Function, args: &[Expr]) -> bool {
        let [arg] = args else { return false };
        let from = arg.ty().base();
        let wider: &[SqlType] = match from {
            SqlType::Int2 => &[SqlType::Int4, SqlType::Int8, SqlType::Numeric(None)],
            SqlType::Int4 => &[SqlType::Int8, SqlType::Numeric(None)],
            SqlType::Int8 => &[SqlType::Numeric(None)],
            _ => &[],
        };
        wider.iter().any(|to| {
            use sql_catalog::function::CastMethod;
            let method = self.functions.cast(from, *to).map(|cast| cast.method);
            matches!(method, Some(CastMethod::Function(of_cast)) if of_cast == function.oid)
        })
    }

    /// The expression as one of another type, for values that fit both.
    pub(crate) fn cast(&self, expr: Expr, to: SqlType) -> Option<Expr> {
        use sql_catalog::function::CastMethod;
        if expr.ty().base() == to.base() {
            return Some(expr);
        }
        match self.functions.cast(expr.ty().base(), to.base())?.method {
            CastMethod::Function(oid) => {
                let function = self.functions.function(oid)?;
                let call = Expr::Call { function, args: vec![expr], ty: to.base() };
                crate::bind::fold_call(call, self.functions, self.catalog, false).ok()
            }
            _ => None,
        }
    }
}

fn slot_never_null(slot: usize, node: &Node) -> bool {
    roomy(|| match node {
        Node::Scan(node::Scan { table, columns, .. })
        | Node::VirtualScan(node::VirtualScan { table, columns, .. }) => {
            let position = columns.get(slot).and_then(|id| table.position(*id));
            let declared = position.is_some_and(|position| table.columns[position].not_null);
            let primary = table.primary().is_some_and(|index| {
                columns.get(slot).is_some_and(|id| index.key.iter().any(|(column, _)| column == id))
            });
            declared || primary
        }
        Node::Filter(node::Filter { input, .. })
        | Node::Sort(node::Sort { input, .. })
        | Node::Limit(node::Limit { input, .. })
        | Node::Distinct(node::Distinct { input, .. }) => slot_never_null(slot, input),
        Node::Project(node::Project { input, exprs }) => match exprs.get(slot) {
            Some(Expr::Slot(inner, _)) => slot_never_null(*inner, input),
            Some(Expr::Const(value, _)) => !value.is_null(),
            _ => false,
        },
        _ => false,
    })
}

/// The conditions that must all hold.
pub(crate) fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::And(parts) => roomy(|| parts.into_iter().flat_map(conjuncts).collect()),
        Expr::Const(Datum::Bool(true), _) => Vec::new(),
        expr => vec![expr],
    }
}

/// All of them as one condition.
pub(crate) fn conjunction(mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Expr::And(parts)),
    }
}

/// Rows for which all conditions hold.
pub(crate) fn filtered(node: Node, parts: Vec<Expr>) -> Node {
    match conjunction(parts) {
        None => node,
        Some(predicate) => Node::Filter(node::Filter { input: Box::new(node), predicate }),
    }
}

/// Whether all slots of an expression are left of a border, all right of it, or neither.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// It reads no slot.
    Neither,
    Left,
    Right,
    Both,
}

/// On which side of a join an expression lies.
pub(crate) fn side(expr: &Expr, width: usize) -> Side {
    let slots = expr.slots();
    let left = slots.iter().any(|slot| *slot < width);
    let right = slots.iter().any(|slot| *slot >= width);
    match (left, right) {
        (false, false) => Side::Neither,
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        (true, true) => Side::Both,
    }
}

/// An expression over a join's right slots as one over the right input's.
pub(crate) fn to_right(mut expr: Expr, width: usize) -> Expr {
    expr.map_slots(&mut |slot, ty| Expr::Slot(slot.saturating_sub(width), ty));
    expr
}

/// An expression over both sides of an Apply as one inside its inner plan.
pub(crate) fn to_inner(mut expr: Expr, width: usize) -> Expr {
    // Everything is one row further out, but the right side's slots, which are the inner plan's own.
    expr.lift(1);
    expr.change(0, &mut |part, depth| {
        if let Expr::Outer { level, slot, ty } = part
            && *level == depth
            && *slot >= width
        {
            let own = *slot - width;
            *part = match depth {
                0 => Expr::Slot(own, *ty),
                _ => Expr::Outer { level: depth - 1, slot: own, ty: *ty },
            };
        }
        true
    });
    expr
}
