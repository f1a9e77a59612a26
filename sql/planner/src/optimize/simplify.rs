//! Constant parts are computed once, by PostgreSQL's rules of what that may raise or hide.
//!
//! Expressions are read from the outside in. What is never reached is not looked at: what follows `false AND`, `true
//! OR`, the branches of a CASE that constants decide, what follows a constant in COALESCE. Everything else that consists
//! of constants is computed now, and its errors are the statement's, even if no row comes to it: `SELECT 1 / 0 FROM t
//! WHERE false` fails. A strict function of a NULL is NULL whatever its other arguments are, if none of these fails here.
//!
//! A subquery's plan is simplified where it stands, after its surroundings, so that one that is dropped raises nothing.

use sql_catalog::function::Function;
use sql_plan::{Expr, Node, SubqueryKind, node};
use sql_values::error::SqlResult;
use sql_values::stack::roomy;
use sql_values::types::{Datum, SqlType};

use super::facts::Facts;
use crate::bind::fold_call;

/// Simplifies all expressions of a plan.
pub(crate) fn constants(node: &mut Node, facts: &Facts<'_>) -> SqlResult<()> {
    if let Node::Filter(node::Filter { predicate: condition, .. }) = node {
        let taken = std::mem::replace(condition, Expr::Const(Datum::Null, SqlType::Bool));
        *condition = condition_of(simplify(taken, facts)?);
    }
    for expr in node.exprs_mut() {
        let taken = std::mem::replace(expr, Expr::Const(Datum::Null, SqlType::Unknown));
        *expr = simplify(taken, facts)?;
        subqueries(expr, facts)?;
    }
    for (input, _) in node.inputs_mut() {
        roomy(|| constants(input, facts))?;
    }
    Ok(())
}

/// The plans of the subqueries that are left.
fn subqueries(expr: &mut Expr, facts: &Facts<'_>) -> SqlResult<()> {
    if let Expr::Subquery { kind, plan, .. } = expr {
        let exists = matches!(kind, SubqueryKind::Exists);
        match &mut **plan {
            // Nobody reads the columns of EXISTS.
            Node::Project(node::Project { input, .. }) if exists => {
                roomy(|| constants(input, facts))?
            }
            plan => roomy(|| constants(plan, facts))?,
        }
    }
    for part in expr.parts_mut() {
        roomy(|| subqueries(part, facts))?;
    }
    Ok(())
}

/// A condition that rows must satisfy: a NULL among its conjuncts is as good as false.
fn condition_of(condition: Expr) -> Expr {
    let is_null = |part: &Expr| matches!(part, Expr::Const(Datum::Null, _));
    match &condition {
        Expr::And(parts) if parts.iter().any(is_null) => boolean(false),
        Expr::Const(Datum::Null, _) => boolean(false),
        _ => condition,
    }
}

fn boolean(value: bool) -> Expr {
    Expr::Const(Datum::Bool(value), SqlType::Bool)
}

fn is_boolean(expr: &Expr, value: bool) -> bool {
    matches!(expr, Expr::Const(Datum::Bool(found), _) if *found == value)
}

fn simplify(expr: Expr, facts: &Facts<'_>) -> SqlResult<Expr> {
    roomy(|| simplify_here(expr, facts))
}

fn simplify_here(expr: Expr, facts: &Facts<'_>) -> SqlResult<Expr> {
    Ok(match expr {
        Expr::And(parts) => connected(parts, false, facts)?,
        Expr::Or(parts) => connected(parts, true, facts)?,
        Expr::Not(input) => match simplify(*input, facts)? {
            Expr::Const(Datum::Bool(value), _) => boolean(!value),
            Expr::Const(Datum::Null, ty) => Expr::Const(Datum::Null, ty),
            input => Expr::Not(Box::new(input)),
        },
        Expr::Case { branches, otherwise, ty } => case(branches, otherwise, ty, facts)?,
        Expr::Coalesce(parts, ty) => coalesce(parts, ty, facts)?,
        Expr::Extreme { args, beats, ty } => extreme(all(args, facts)?, beats, ty, facts)?,
        Expr::IsNull(input) => match simplify(*input, facts)? {
            Expr::Const(value, _) => boolean(value.is_null()),
            input => Expr::IsNull(Box::new(input)),
        },
        Expr::Call { function, args, ty } => {
            let args = all(args, facts)?;
            if function.strict && args.iter().any(|arg| matches!(arg, Expr::Const(Datum::Null, _)))
            {
                return Ok(Expr::Const(Datum::Null, ty));
            }
            fold_call(Expr::Call { function, args, ty }, facts.functions, facts.catalog, true)?
        }
        Expr::Cast { input, ty, explicit } => {
            let input = Box::new(simplify(*input, facts)?);
            let cast = Expr::Cast { input, ty, explicit };
            fold_call(cast, facts.functions, facts.catalog, true)?
        }
        mut other => {
            for part in other.parts_mut() {
                let taken = std::mem::replace(part, Expr::Const(Datum::Null, SqlType::Unknown));
                *part = simplify(taken, facts)?;
            }
            other
        }
    })
}

/// Among constants the winner is known.
fn extreme(
    args: Vec<Expr>,
    beats: &'static Function,
    ty: SqlType,
    facts: &Facts<'_>,
) -> SqlResult<Expr> {
    let mut best = Expr::Const(Datum::Null, ty);
    for arg in &args {
        let test = match (arg, &best) {
            (Expr::Const(value, _), _) if value.is_null() => continue,
            (Expr::Const(..), Expr::Const(value, _)) if value.is_null() => boolean(true),
            (Expr::Const(..), _) => {
                let args = vec![arg.clone(), best.clone()];
                let call = Expr::Call { function: beats, args, ty: SqlType::Bool };
                fold_call(call, facts.functions, facts.catalog, true)?
            }
            _ => return Ok(Expr::Extreme { args, beats, ty }),
        };
        if is_boolean(&test, true) {
            best = arg.clone();
        } else if !is_boolean(&test, false) {
            return Ok(Expr::Extreme { args, beats, ty });
        }
    }
    Ok(best)
}

fn all(exprs: Vec<Expr>, facts: &Facts<'_>) -> SqlResult<Vec<Expr>> {
    exprs.into_iter().map(|expr| simplify(expr, facts)).collect()
}

/// AND, which `false` decides, or OR, which `true` decides.
fn connected(parts: Vec<Expr>, decides: bool, facts: &Facts<'_>) -> SqlResult<Expr> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        let part = simplify(part, facts)?;
        if is_boolean(&part, decides) {
            return Ok(part);
        }
        if !is_boolean(&part, !decides) {
            left.push(part);
        }
    }
    Ok(match (left.len(), left.pop()) {
        (_, None) => boolean(!decides),
        (1, Some(only)) => only,
        (_, Some(last)) => {
            left.push(last);
            if left.iter().all(|part| matches!(part, Expr::Const(Datum::Null, _))) {
                Expr::Const(Datum::Null, SqlType::Bool)
            } else if decides {
                Expr::Or(left)
            } else {
                Expr::And(left)
            }
        }
    })
}

fn case(
    branches: Vec<(Expr, Expr)>,
    otherwise: Option<Box<Expr>>,
    ty: SqlType,
    facts: &Facts<'_>,
) -> SqlResult<Expr> {
    let mut left = Vec::with_capacity(branches.len());
    let mut last = None;
    let mut decided = false;
    for (condition, result) in branches {
        match simplify(condition, facts)? {
            Expr::Const(Datum::Bool(true), _) => {
                last = Some(Box::new(simplify(result, facts)?));
                decided = true;
                break;
            }
            Expr::Const(Datum::Bool(false) | Datum::Null, _) => {}
            condition => left.push((condition, simplify(result, facts)?)),
        }
    }
    if !decided && let Some(otherwise) = otherwise {
        last = Some(Box::new(simplify(*otherwise, facts)?));
    }
    if left.is_empty() {
        return Ok(last.map_or(Expr::Const(Datum::Null, ty), |last| *last));
    }
    Ok(Expr::Case { branches: left, otherwise: last, ty })
}

fn coalesce(parts: Vec<Expr>, ty: SqlType, facts: &Facts<'_>) -> SqlResult<Expr> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        match simplify(part, facts)? {
            Expr::Const(Datum::Null, _) => {}
            part @ Expr::Const(..) => {
                left.push(part);
                break;
            }
            part => left.push(part),
        }
    }
    Ok(match (left.len(), left.pop()) {
        (_, None) => Expr::Const(Datum::Null, ty),
        (1, Some(only)) => only,
        (_, Some(last)) => {
            left.push(last);
            Expr::Coalesce(left, ty)
        }
    })
}
