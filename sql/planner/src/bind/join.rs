//! Joins: conditions, USING, NATURAL.

use sql_parse::name;
use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;
use sqlparser::ast::{self, JoinConstraint, JoinOperator};

use super::Binder;
use super::from::{Source, pair};
use super::scope::{Clause, Entry, Level, Scope};

/// A join as written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Inner,
    Left,
    Right,
    Full,
}

impl Binder<'_> {
    /// Joins a part to what stands before it.
    pub(crate) fn join(&mut self, left: Source, join: &ast::Join) -> SqlResult<Source> {
        self.joined()?;
        let (written, constraint) = match &join.join_operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) => (Written::Inner, c),
            JoinOperator::CrossJoin(_) => (Written::Inner, &JoinConstraint::None),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (Written::Left, c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (Written::Right, c),
            JoinOperator::FullOuter(c) => (Written::Full, c),
            _ => return Err(SqlError::unsupported("this kind of join")),
        };
        let right = self.factor(&join.relation, Some(&left.scope))?;
        if right.lateral && matches!(written, Written::Right | Written::Full) {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "the combining JOIN type must be INNER or LEFT for a LATERAL reference",
            ));
        }
        // Only columns that are merged are looked for on both sides.
        let merges = matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
        let sides = merges.then(|| (left.scope.clone(), right.scope.clone()));
        let (left_scope, right_scope) = sides.unwrap_or_default();
        let (left_width, right_width) = (left.scope.width, right.scope.width);
        let mut scope = left.scope;
        scope.append(right.scope)?;
        let condition = match constraint {
            JoinConstraint::None => None,
            JoinConstraint::On(on) => {
                let level = Level::new(scope, Clause::On);
                let (condition, level) = self.within(level, |binder| {
                    let (condition, place) = binder.placed(on)?;
                    binder.boolean(condition, "JOIN/ON", place)
                })?;
                scope = level.scope;
                Some(condition)
            }
            JoinConstraint::Using(names) => {
                let names = names
                    .iter()
                    .map(|name| Ok(name::object(name, &self.places)?.name))
                    .collect::<SqlResult<Vec<_>>>()?;
                self.merge(&names, written, &left_scope, &right_scope, &mut scope)?
            }
            JoinConstraint::Natural => {
                let names = common_names(&left_scope, &right_scope);
                self.merge(&names, written, &left_scope, &right_scope, &mut scope)?
            }
        };
        let lateral = left.lateral;
        let node = match written {
            Written::Inner => {
                pair(JoinKind::Inner, left.node, right.node, right.lateral, condition)
            }
            Written::Left => pair(JoinKind::Left, left.node, right.node, right.lateral, condition),
            Written::Full => pair(JoinKind::Full, left.node, right.node, false, condition),
            Written::Right => right_join(left.node, right.node, left_width, right_width, condition),
        };
        Ok(Source { node, scope, lateral })
    }

    /// USING: the columns of both sides are equal, and become one.
    fn merge(
        &mut self,
        names: &[String],
        written: Written,
        left: &Scope,
        right: &Scope,
        scope: &mut Scope,
    ) -> SqlResult<Option<Expr>> {
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for name in names {
            let one = left_or_error(left, name, "left")?.clone();
            let mut other = left_or_error(right, name, "right")?.clone();
            other.expr.shift(left.width);
            let operands = vec![(self.copy(&one.expr)?, None), (self.copy(&other.expr)?, None)];
            conditions.push(self.operator("=", operands, None)?);
            let types = [(one.expr.ty(), None), (other.expr.ty(), None)];
            let ty = self.common_type(&types, "JOIN/USING")?;
            let expr = match written {
                Written::Inner | Written::Left => self.merged_side(one.expr, ty)?,
                Written::Right => self.merged_side(other.expr, ty)?,
                Written::Full => {
                    let sides =
                        vec![self.merged_side(one.expr, ty)?, self.merged_side(other.expr, ty)?];
                    Expr::Coalesce(sides, ty)
                }
            };
            let source = match written {
                Written::Full => None,
                Written::Right => other.source,
                _ => one.source,
            };
            for entry in scope.entries.iter_mut().filter(|entry| entry.name == *name) {
                entry.qualified = true;
            }
            merged.push(Entry { table: None, name: name.clone(), expr, source, qualified: false });
        }
        let entries = &scope.entries;
        let hidden = |index: &usize| {
            entries.get(*index).is_some_and(|e| e.qualified && names.contains(&e.name))
        };
        let mut star: Vec<usize> = (entries.len()..entries.len() + merged.len()).collect();
        star.extend(scope.star.iter().copied().filter(|index| !hidden(index)));
        scope.star = star;
        scope.entries.extend(merged);
        Ok(match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Expr::And(conditions)),
        })
    }

    fn merged_side(&mut self, expr: Expr, ty: SqlType) -> SqlResult<Expr> {
        self.common(expr, ty, "JOIN/USING", None)
    }
}

fn left_or_error<'a>(scope: &'a Scope, name: &str, side: &str) -> SqlResult<&'a Entry> {
    let mut found = scope.entries.iter().filter(|e| !e.qualified && e.name == name);
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry),
        (Some(_), Some(_)) => Err(SqlError::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
        (None, _) => Err(SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
    }
}

/// Names that both sides have, in the left's order.
fn common_names(left: &Scope, right: &Scope) -> Vec<String> {
    let has = |scope: &Scope, name: &str| {
        scope.star.iter().any(|index| scope.entries.get(*index).is_some_and(|e| e.name == name))
    };
    let mut names: Vec<String> = Vec::new();
    for index in &left.star {
        if let Some(entry) = left.entries.get(*index)
            && has(right, &entry.name)
            && !names.contains(&entry.name)
        {
            names.push(entry.name.clone());
        }
    }
    names
}

/// A right join is a left join of the exchanged sides, with the slots put back in order.
fn right_join(
    left: Node,
    right: Node,
    left_width: usize,
    right_width: usize,
    condition: Option<Expr>,
) -> Node {
    let exchanged = |slot: usize| {
        if slot < left_width { slot + right_width } else { slot - left_width }
    };
    let mut condition = condition;
    if let Some(condition) = &mut condition {
        condition.map_slots(&mut |slot, ty| Expr::Slot(exchanged(slot), ty));
    }
    let (left_types, right_types) = (left.types(), right.types());
    let types = left_types.into_iter().chain(right_types);
    let exprs = types.enumerate().map(|(slot, ty)| Expr::Slot(exchanged(slot), ty)).collect();
    let node = pair(JoinKind::Left, right, left, false, condition);
    Node::Project(node::Project { input: Box::new(node), exprs })
}
