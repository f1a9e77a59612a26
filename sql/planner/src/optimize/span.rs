//! What a condition says about one column of an index: values that it may be equal to, or bounds.

use sql_plan::Expr;
use sql_values::stack::roomy;
use sql_values::types::{Datum, Form, SqlType};

use super::facts::{Comparison, Facts};
use super::pushdown::rank;

/// The most spans that a scan has.
pub(crate) const MAX_SPANS: usize = 1000;

/// The most values that are made disjoint while the statement runs.
const MAX_OPEN_VALUES: usize = 16;

/// What a condition says about a slot.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// One of these; no two are equal.
    Equal(Vec<Expr>),
    /// Greater, or equal if included.
    Above(Expr, bool),
    /// Less, or equal if included.
    Below(Expr, bool),
}

/// What a condition over a scan's slots says about one of them, of the column's type.
pub(crate) fn says(part: &Expr, slot: usize, ty: SqlType, facts: &Facts<'_>) -> Option<Says> {
    if !spannable(ty) {
        return None;
    }
    match part {
        Expr::Call { function, args, .. } => {
            let comparison = facts.comparison(function)?;
            let [one, other] = args.as_slice() else { return None };
            let (comparison, value) = if is_column(one, slot) {
                (comparison, other)
            } else if is_column(other, slot) {
                (comparison.reversed(), one)
            } else {
                return None;
            };
            let fixed = fixed(value, facts)?;
            match comparison {
                Comparison::Equal => Some(Says::Equal(vec![fit(fixed, ty, true, facts)?])),
                Comparison::Less => Some(Says::Below(fit(fixed, ty, false, facts)?, false)),
                Comparison::LessEqual => Some(Says::Below(fit(fixed, ty, false, facts)?, true)),
                Comparison::Greater => Some(Says::Above(fit(fixed, ty, false, facts)?, false)),
                Comparison::GreaterEqual => Some(Says::Above(fit(fixed, ty, false, facts)?, true)),
            }
        }
        Expr::InList { input, list, .. } if is_column(input, slot) => {
            let values = list
                .iter()
                .map(|value| fit(fixed(value, facts)?, ty, true, facts))
                .collect::<Option<Vec<_>>>()?;
            Some(Says::Equal(disjoint(values, ty, facts)?))
        }
        Expr::Quantified { input, array, function, all: false }
            if is_column(input, slot) && facts.comparison(function) == Some(Comparison::Equal) =>
        {
            let values = elements(array)?
                .iter()
                .map(|value| fit(fixed(value, facts)?, ty, true, facts))
                .collect::<Option<Vec<_>>>()?;
            Some(Says::Equal(disjoint(values, ty, facts)?))
        }
        // A column of type boolean is a condition itself
        Expr::Slot(s, SqlType::Bool) if *s == slot => Some(Says::Equal(vec![truth(true)])),
        Expr::Not(inner) if matches!(**inner, Expr::Slot(s, SqlType::Bool) if s == slot) => {
            Some(Says::Equal(vec![truth(false)]))
        }
        Expr::Or(parts) => {
            let mut values = Vec::new();
            for part in parts {
                match roomy(|| says(part, slot, ty, facts))? {
                    Says::Equal(more) => values.extend(more),
                    _ => return None,
                }
            }
            Some(Says::Equal(disjoint(values, ty, facts)?))
        }
        _ => None,
    }
}

/// The elements of an array whose elements are known.
fn elements(array: &Expr) -> Option<Vec<Expr>> {
    match array {
        Expr::Array(parts, _) => Some(parts.clone()),
        Expr::Const(Datum::Array(values), ty) => {
            let element = ty.element()?;
            Some(values.iter().map(|value| Expr::Const(value.clone(), element)).collect())
        }
        _ => None,
    }
}

fn truth(value: bool) -> Expr {
    Expr::Const(Datum::Bool(value), SqlType::Bool)
}

/// Types whose equal values have equal keys, whatever their modifiers: not padded strings, and not floats with their
/// two zeros.
fn spannable(ty: SqlType) -> bool {
    !matches!(ty.form(), Form::Padded | Form::Float4 | Form::Float8 | Form::Record | Form::Array)
}

/// The column itself, or as text where its representation is text already, or widened from a narrower integer.
fn is_column(expr: &Expr, slot: usize) -> bool {
    match expr {
        Expr::Slot(s, _) => *s == slot,
        Expr::Cast { input, ty: SqlType::Text, .. } => {
            matches!(&**input, Expr::Slot(s, SqlType::Varchar(_)) if *s == slot)
        }
        _ => false,
    }
}

/// A value that is the same for all rows.
fn fixed(expr: &Expr, facts: &Facts<'_>) -> Option<Expr> {
    let reads = !expr.slots().is_empty();
    let plans = expr.has_subquery();
    if reads || plans || facts.is_volatile(expr) { None } else { Some(expr.clone()) }
}

/// The value as one of the column's type, if that says the same.
fn fit(value: Expr, ty: SqlType, equal: bool, facts: &Facts<'_>) -> Option<Expr> {
    let (from, to) = (value.ty().base(), ty.base());
    let texts = matches!(from, SqlType::Text | SqlType::Varchar(_))
        && matches!(to, SqlType::Text | SqlType::Varchar(_));
    if from == to || texts {
        return Some(value);
    }
    let (narrow, wide) = (rank(to)?, rank(from)?);
    if wide < narrow {
        return facts.cast(value, to);
    }
    if let Expr::Const(number, _) = &value {
        let number = number.as_i64()?;
        return match to {
            SqlType::Int2 => i16::try_from(number).ok().map(Datum::Int2),
            SqlType::Int4 => i32::try_from(number).ok().map(Datum::Int4),
            _ => None,
        }
        .map(|datum| Expr::Const(datum, to));
    }
    // A parameter of a wider type: beyond the column's range it equals nothing, which NULL does neither.
    if !equal {
        return None;
    }
    let (low, high) = match to {
        SqlType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        _ => (i64::from(i32::MIN), i64::from(i32::MAX)),
    };
    let bound = |bound: i64| match from {
        SqlType::Int4 => i32::try_from(bound).ok().map(|b| Expr::Const(Datum::Int4(b), from)),
        _ => Some(Expr::Const(Datum::Int8(bound), from)),
    };
    let compare = |name: &str, bound: Expr| {
        let exact = sql_catalog::function::ParamType::Exact(from);
        let operators = facts.functions.operators(name);
        let found = operators.iter().find(|o| o.left == Some(exact) && o.right == exact)?;
        let args = vec![value.clone(), bound];
        let function = facts.functions.function_of(found).ok()?;
        Some(Expr::Call { function, args, ty: SqlType::Bool })
    };
    let within = Expr::And(vec![compare(">=", bound(low)?)?, compare("<=", bound(high)?)?]);
    let cast = facts.cast(value.clone(), to)?;
    Some(Expr::Case { branches: vec![(within, cast)], otherwise: None, ty: to })
}

/// The values without repetitions, in order if they are known. Of those that are not, a later one that turns out equal
/// to an earlier one becomes NULL, which makes its span empty.
fn disjoint(values: Vec<Expr>, ty: SqlType, facts: &Facts<'_>) -> Option<Vec<Expr>> {
    let mut values: Vec<Expr> =
        values.into_iter().filter(|v| !matches!(v, Expr::Const(Datum::Null, _))).collect();
    if values.len() > MAX_SPANS {
        return None;
    }
    if values.iter().all(|value| matches!(value, Expr::Const(..))) {
        let order = |a: &Expr, b: &Expr| match (a, b) {
            (Expr::Const(a, _), Expr::Const(b, _)) => ty.compare(a, b),
            _ => std::cmp::Ordering::Equal,
        };
        values.sort_by(order);
        values.dedup_by(|a, b| order(a, b).is_eq());
        return Some(values);
    }
    if values.len() > MAX_OPEN_VALUES {
        return None;
    }
    let equals = facts.equality(values.first()?.ty())?;
    let all = values.clone();
    for (index, value) in values.iter_mut().enumerate().skip(1) {
        let before = all[..index]
            .iter()
            .map(|earlier| {
                let args = vec![value.clone(), earlier.clone()];
                Expr::Call { function: equals, args, ty: SqlType::Bool }
            })
            .collect();
        let null = Expr::Const(Datum::Null, value.ty());
        *value = Expr::Case {
            branches: vec![(Expr::Or(before), null)],
            ty: value.ty(),
            otherwise: Some(Box::new(value.clone())),
        };
    }
    Some(values)
}
