//! Which function or operator a name and its arguments' types mean: PostgreSQL's documented resolution.

use sql_catalog::function::{CastContext, Function, Operator, ParamType};
use sql_plan::Expr;
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;

use super::Binder;

/// How many arguments a call may have.
const MAX_ARGUMENTS: usize = 100;

/// What came of choosing.
pub(crate) enum Choice {
    /// This candidate.
    One(usize),
    /// None takes the arguments.
    None,
    /// Several do, none better than the others.
    Many,
}

impl Binder<'_> {
    fn accepts(&self, param: ParamType, arg: SqlType) -> bool {
        match param {
            ParamType::Any | ParamType::AnyElement | ParamType::AnyCompatible => true,
            ParamType::AnyNonArray => arg.element().is_none(),
            ParamType::AnyArray | ParamType::AnyCompatibleArray => {
                arg == SqlType::Unknown || arg.element().is_some()
            }
            ParamType::Exact(ty) => self.can_coerce(arg, ty, CastContext::Implicit),
        }
    }

    /// Polymorphic parameters must agree on the element type.
    fn agrees(&self, params: &[ParamType], args: &[SqlType]) -> bool {
        element_type(params, args).is_ok() && self.compatible_type(params, args).is_ok()
    }

    /// What the parameters of compatible types stand for: none if there are none.
    fn compatible_type(
        &self,
        params: &[ParamType],
        args: &[SqlType],
    ) -> Result<Option<SqlType>, ()> {
        let mut types = Vec::new();
        for (param, arg) in params.iter().zip(args) {
            match param {
                ParamType::AnyCompatible => types.push((arg.base(), None)),
                ParamType::AnyCompatibleArray => {
                    types.push((arg.base().element().unwrap_or(SqlType::Unknown), None));
                }
                _ => {}
            }
        }
        if types.is_empty() {
            return Ok(None);
        }
        let common = self.common_type(&types, "").map_err(|_| ())?;
        let fits =
            |(ty, _): &(SqlType, Option<u32>)| self.can_coerce(*ty, common, CastContext::Implicit);
        if types.iter().all(fits) { Ok(Some(common)) } else { Err(()) }
    }

    /// Chooses among candidates of the right number of parameters.
    pub(crate) fn choose(&self, args: &[SqlType], candidates: &[Vec<ParamType>]) -> Choice {
        let base: Vec<SqlType> = args.iter().map(|ty| ty.base()).collect();
        // An exact match ends it.
        let exact = |params: &Vec<ParamType>| {
            params.iter().zip(&base).all(|(p, a)| *p == ParamType::Exact(*a))
        };
        if let Some(index) = candidates.iter().position(exact) {
            return Choice::One(index);
        }
        let mut left: Vec<usize> = (0..candidates.len())
            .filter(|index| {
                let params = &candidates[*index];
                params.iter().zip(&base).all(|(p, a)| self.accepts(*p, *a))
                    && self.agrees(params, &base)
            })
            .collect();
        if left.len() > 1 {
            keep_most(&mut left, |index| {
                let pairs = candidates[index].iter().zip(&base);
                pairs
                    .filter(|(p, a)| **a != SqlType::Unknown && **p == ParamType::Exact(**a))
                    .count()
            });
        }
        if left.len() > 1 {
            keep_most(&mut left, |index| {
                let pairs = candidates[index].iter().zip(&base);
                pairs
                    .filter(|(p, a)| match p {
                        ParamType::Exact(ty) => {
                            *ty == **a
                                || (ty.preferred()
                                    && (**a == SqlType::Unknown || ty.category() == a.category()))
                        }
                        _ => false,
                    })
                    .filter(|(_, a)| **a != SqlType::Unknown)
                    .count()
            });
        }
        if left.len() > 1 {
            self.by_unknowns(&mut left, &base, candidates);
        }
        match left.as_slice() {
            [] => Choice::None,
            [one] => Choice::One(*one),
            _ => Choice::Many,
        }
    }

    /// What literals and parameters of unknown type could be.
    fn by_unknowns(&self, left: &mut Vec<usize>, args: &[SqlType], candidates: &[Vec<ParamType>]) {
        if !args.contains(&SqlType::Unknown) {
            return;
        }
        let category = |param: ParamType| match param {
            ParamType::Exact(ty) => Some(ty.category()),
            // Of pseudo-types.
            _ => Some('P'),
        };
        let mut narrowed = left.clone();
        let mut resolved = true;
        for (position, _) in args.iter().enumerate().filter(|(_, a)| **a == SqlType::Unknown) {
            let of = |index: usize| candidates[index].get(position).copied().and_then(category);
            let wanted = if left.iter().any(|index| of(*index) == Some('S')) {
                Some('S')
            } else {
                let first = left.first().and_then(|index| of(*index));
                first.filter(|_| left.iter().all(|index| of(*index) == first))
            };
            let Some(wanted) = wanted else {
                resolved = false;
                break;
            };
            narrowed.retain(|index| of(*index) == Some(wanted));
            let preferred = |index: usize| matches!(candidates[index].get(position), Some(ParamType::Exact(ty)) if ty.preferred());
            if narrowed.iter().any(|index| preferred(*index)) {
                narrowed.retain(|index| preferred(*index));
            }
        }
        if resolved && !narrowed.is_empty() {
            *left = narrowed;
        }
        if left.len() == 1 {
            return;
        }
        // At last, unknown arguments are taken to be what all known ones are.
        let mut known = args.iter().filter(|ty| **ty != SqlType::Unknown);
        let Some(first) = known.next() else { return };
        if known.all(|ty| ty == first) {
            let assumed = vec![*first; args.len()];
            let takes = |index: &usize| {
                let params = &candidates[*index];
                params.iter().all(|param| self.accepts(*param, *first))
                    && self.agrees(params, &assumed)
            };
            let fitting: Vec<usize> = left.iter().copied().filter(takes).collect();
            if fitting.len() == 1 {
                *left = fitting;
            }
        }
    }

    /// The operator that a name and its operands mean, with the operands cast.
    pub(crate) fn operator(
        &mut self,
        name: &str,
        operands: Vec<(Expr, Option<u32>)>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let (operator, exprs, ty) = self.resolve_operator(name, operands, position)?;
        let function = self.functions.function_of(&operator)?;
        self.fold(Expr::Call { function, args: exprs, ty }, position)
    }

    /// The operator, its operands cast, and the type of its result.
    pub(crate) fn resolve_operator(
        &mut self,
        name: &str,
        operands: Vec<(Expr, Option<u32>)>,
        position: Option<u32>,
    ) -> SqlResult<(Operator, Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = operands.iter().map(|(expr, _)| expr.ty()).collect();
        let operator = self.find_operator(name, &types, position)?;
        let params = params_of(&operator);
        let (exprs, ty) = self.fit(&params, operator.result, operands, position)?;
        Ok((operator, exprs, ty))
    }

    /// The operator that a name and types mean.
    pub(crate) fn find_operator(
        &self,
        name: &str,
        types: &[SqlType],
        position: Option<u32>,
    ) -> SqlResult<Operator> {
        let mut operators = self.functions.operators(name);
        operators.retain(|operator| params_of(operator).len() == types.len());
        let candidates: Vec<Vec<ParamType>> = operators.iter().map(params_of).collect();
        // One unknown side is first taken to be what the other is.
        let assumed: Vec<SqlType> = match types {
            [SqlType::Unknown, other] | [other, SqlType::Unknown] => vec![other.base(); 2],
            _ => types.iter().map(|ty| ty.base()).collect(),
        };
        // What takes all arrays takes these exactly.
        let exact = |params: &Vec<ParamType>| {
            params.iter().zip(&assumed).all(|(p, a)| {
                *p == ParamType::Exact(*a)
                    || (*p == ParamType::AnyArray && matches!(a, SqlType::Array(_)))
            }) && self.agrees(params, &assumed)
        };
        let chosen = match candidates.iter().position(exact) {
            Some(index) => Choice::One(index),
            None => self.choose(types, &candidates),
        };
        let shown = || match types {
            [left, right] => {
                format!("{} {name} {}", left.base().name(), right.base().name())
            }
            [only] => format!("{name} {}", only.base().name()),
            _ => name.to_owned(),
        };
        match chosen {
            Choice::One(index) => Ok(operators[index]),
            Choice::None => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("operator does not exist: {}", shown()),
            )
            .hint(if types.len() == 1 {
                "No operator matches the given name and argument type. You might need to add an explicit type cast."
            } else {
                "No operator matches the given name and argument types. You might need to add explicit type casts."
            })
            .at_if(position)),
            Choice::Many => Err(SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("operator is not unique: {}", shown()),
            )
            .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
            .at_if(position)),
        }
    }

    /// The function that a name and arguments mean, with the arguments cast, and the type of its result.
    pub(crate) fn function(
        &mut self,
        name: &str,
        args: Vec<(Expr, Option<u32>)>,
        position: Option<u32>,
    ) -> SqlResult<(&'static Function, Vec<Expr>, SqlType)> {
        if args.len() > MAX_ARGUMENTS {
            let text = format!("cannot pass more than {MAX_ARGUMENTS} arguments to a function");
            return Err(SqlError::new(SqlState::TOO_MANY_ARGUMENTS, text).at_if(position));
        }
        let types: Vec<SqlType> = args.iter().map(|(expr, _)| expr.ty()).collect();
        let all = self.functions.functions(name);
        let mut fitting: Vec<(&'static Function, Vec<ParamType>)> = Vec::new();
        for function in all.iter().copied() {
            if function.args.len() == types.len() {
                let params = function.args.to_vec();
                fitting.push((function, params));
            } else if function.variadic && types.len() + 1 >= function.args.len() {
                let Some(last) = function.args.last().copied() else { continue };
                let mut params = function.args.to_vec();
                params.resize(types.len(), last);
                fitting.push((function, params));
            }
        }
        let candidates: Vec<Vec<ParamType>> = fitting.iter().map(|(_, p)| p.clone()).collect();
        let shown = || {
            let names: Vec<String> = types.iter().map(|ty| ty.base().name()).collect();
            format!("{name}({})", names.join(", "))
        };
        match self.choose(&types, &candidates) {
            Choice::One(index) => {
                let (function, params) = fitting.swap_remove(index);
                let (exprs, ty) = self.fit(&params, function.result, args, position)?;
                Ok((function, exprs, ty))
            }
            Choice::None => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {} does not exist", shown()),
            )
            .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
            .at_if(position)),
            Choice::Many => Err(SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {} is not unique", shown()),
            )
            .hint("Could not choose a best candidate function. You might need to add explicit type casts.")
            .at_if(position)),
        }
    }

    /// Casts arguments to parameters, and finds the result's type.
    fn fit(
        &mut self,
        params: &[ParamType],
        result: ParamType,
        args: Vec<(Expr, Option<u32>)>,
        position: Option<u32>,
    ) -> SqlResult<(Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = args.iter().map(|(expr, _)| expr.ty().base()).collect();
        let element = element_type(params, &types).unwrap_or(None);
        let array = element.and_then(SqlType::array);
        let common = self.compatible_type(params, &types).unwrap_or(None);
        let commons = common.and_then(SqlType::array);
        let undecided = || {
            SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                "could not determine polymorphic type because input has type unknown",
            )
            .at_if(position)
        };
        let mut exprs = Vec::with_capacity(args.len());
        for ((expr, place), param) in args.into_iter().zip(params) {
            let ty = match param {
                ParamType::Exact(ty) => *ty,
                ParamType::AnyElement | ParamType::AnyNonArray => element.ok_or_else(undecided)?,
                ParamType::AnyCompatible => common.ok_or_else(undecided)?,
                ParamType::AnyCompatibleArray => commons.ok_or_else(undecided)?,
                ParamType::AnyArray if expr.ty().element().is_some() => expr.ty().base(),
                ParamType::AnyArray => array.ok_or_else(undecided)?,
                ParamType::Any if expr.ty() == SqlType::Unknown => SqlType::Text,
                ParamType::Any => expr.ty(),
            };
            let from = expr.ty();
            match self.try_coerce(expr, ty, CastContext::Implicit, place)? {
                Some(expr) => exprs.push(expr),
                None => {
                    return Err(SqlError::internal(format!(
                        "no cast from {} to {}",
                        from.name(),
                        ty.name()
                    )));
                }
            }
        }
        let ty = match result {
            ParamType::Exact(ty) => ty,
            ParamType::AnyElement | ParamType::AnyNonArray => element.ok_or_else(undecided)?,
            ParamType::AnyCompatible => common.ok_or_else(undecided)?,
            ParamType::AnyCompatibleArray => commons.ok_or_else(undecided)?,
            ParamType::AnyArray => array.ok_or_else(undecided)?,
            ParamType::Any => SqlType::Text,
        };
        Ok((exprs, ty))
    }
}

/// Parameters of an operator.
fn params_of(operator: &Operator) -> Vec<ParamType> {
    operator.left.into_iter().chain([operator.right]).collect()
}

fn keep_most(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|index| score(*index)).max().unwrap_or(0);
    left.retain(|index| score(*index) == best);
}

/// What the polymorphic parameters stand for: none if there are none or all are unknown.
fn element_type(params: &[ParamType], args: &[SqlType]) -> Result<Option<SqlType>, ()> {
    let mut element = None;
    for (param, arg) in params.iter().zip(args) {
        if *arg == SqlType::Unknown {
            continue;
        }
        let found = match param {
            ParamType::AnyElement | ParamType::AnyNonArray => Some(arg.base()),
            ParamType::AnyArray => arg.base().element(),
            _ => None,
        };
        match (element, found) {
            (None, found) => element = found,
            (Some(before), Some(found)) if before != found => return Err(()),
            _ => {}
        }
    }
    let polymorphic = |p: &ParamType| matches!(p, ParamType::AnyElement | ParamType::AnyNonArray);
    if element.is_none() && params.iter().any(polymorphic) {
        // Literals alone are text.
        element = Some(SqlType::Text);
    }
    Ok(element)
}
