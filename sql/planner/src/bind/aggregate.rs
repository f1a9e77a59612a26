//! Expressions over groups: what may be read of a group is its keys, its aggregates, and what its keys determine.

use sql_plan::Expr;
use sql_plan::walk::own_slot;
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::scope::{AGGREGATES, SETS, Scope};

/// Rewrites expressions over FROM's row into ones over the groups' row: keys, then aggregates. Gives the keys, with
/// those added that a primary key among them determines.
pub(crate) fn over_groups(
    mut keys: Vec<Expr>,
    mut exprs: Vec<&mut Expr>,
    scope: &Scope,
    reads: &[(usize, String, Option<u32>)],
) -> SqlResult<Vec<Expr>> {
    let mut missing: Vec<(usize, sql_values::types::SqlType, bool)> = Vec::new();
    for expr in &mut exprs {
        expr.change(0, &mut |e, depth| {
            if depth == 0 && keys.contains(e) {
                return false;
            }
            if let Some((slot, ty)) = own_slot(e, depth) {
                let known = keys.iter().any(|key| matches!(key, Expr::Slot(s, _) if *s == slot));
                if slot < AGGREGATES && !known {
                    missing.push((slot, ty, depth > 0));
                }
            }
            true
        });
    }
    for (slot, ty, inner) in missing {
        let key = Expr::Slot(slot, ty);
        if keys.contains(&key) {
            continue;
        }
        if !determined(slot, &keys, scope) {
            return Err(ungrouped(slot, inner, scope, reads));
        }
        keys.push(key);
    }
    let count = keys.len();
    for expr in exprs {
        expr.change(0, &mut |e, depth| {
            if depth == 0
                && let Some(index) = keys.iter().position(|key| key == e)
            {
                *e = Expr::Slot(index, e.ty());
                return false;
            }
            let Some((slot, ty)) = own_slot(e, depth) else { return true };
            if slot >= SETS {
                return false;
            }
            let index = match slot.checked_sub(AGGREGATES) {
                Some(aggregate) => Some(count + aggregate),
                None => keys.iter().position(|key| matches!(key, Expr::Slot(s, _) if *s == slot)),
            };
            if let Some(index) = index {
                let mut new = Expr::Slot(index, ty);
                new.lift(depth);
                *e = new;
            }
            false
        });
    }
    Ok(keys)
}

/// True iff the column's table has its whole primary key among the keys.
fn determined(slot: usize, keys: &[Expr], scope: &Scope) -> bool {
    let entry_of = |slot: usize| {
        scope.entries.iter().find(|entry| {
            entry.table.is_some() && matches!(entry.expr, Expr::Slot(s, _) if s == slot)
        })
    };
    let Some(item) = entry_of(slot).and_then(|entry| entry.table) else { return false };
    let Some(table) = scope.items.get(item).and_then(|item| item.table.as_ref()) else {
        return false;
    };
    let Some(primary) = table.primary() else { return false };
    primary.key.iter().all(|(column, _)| {
        scope.entries.iter().any(|entry| {
            entry.table == Some(item)
                && entry.source == Some((table.id, *column))
                && keys.contains(&entry.expr)
        })
    })
}

fn ungrouped(
    slot: usize,
    inner: bool,
    scope: &Scope,
    reads: &[(usize, String, Option<u32>)],
) -> SqlError {
    let read = reads.iter().find(|(s, _, _)| *s == slot);
    let name = match read {
        Some((_, name, _)) => name.clone(),
        None => {
            let entry =
                scope.entries.iter().find(|e| matches!(e.expr, Expr::Slot(s, _) if s == slot));
            entry.map_or_else(String::new, |entry| entry.name.clone())
        }
    };
    let message = if inner {
        format!("subquery uses ungrouped column \"{name}\" from outer query")
    } else {
        format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
        )
    };
    SqlError::new(SqlState::GROUPING_ERROR, message).at_if(read.and_then(|(_, _, place)| *place))
}
