//! Calls: functions, aggregates, and what looks like a function but is none.

use sql_catalog::function::{Body, Function, ParamType, Registry};
use sql_parse::name;
use sql_plan::walk::own_slot;
use sql_plan::{AggregateCall, Expr};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, MAX_TIME_DIGITS, SqlType};
use sqlparser::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments,
};

use super::Binder;
use super::compare::Placed;
use super::scope::{AGGREGATES, Clause, SETS};

impl Binder<'_> {
    /// Binds what is written like a call.
    pub(crate) fn call(&mut self, call: &ast::Function) -> SqlResult<Expr> {
        let position = self.places.of_name(&call.name);
        let name = function_name(&call.name, self.catalog.database())
            .map_err(|error| error.at_if(position))?;
        if call.over.is_some() {
            return Err(SqlError::unsupported("a window function").at_if(position));
        }
        if !call.within_group.is_empty() {
            return Err(SqlError::unsupported("WITHIN GROUP").at_if(position));
        }
        let list = match &call.args {
            FunctionArguments::None => return self.special(&name, position),
            FunctionArguments::Subquery(query) if name == "array" => {
                return self.array_subquery(query);
            }
            FunctionArguments::Subquery(query) => {
                // f((SELECT …)) with one pair of parentheses lost.
                let arg = (self.scalar_subquery(query)?, position);
                return self.invoke(&name, vec![arg], position);
            }
            FunctionArguments::List(list) => list,
        };
        let mut args = Vec::new();
        let mut named = Vec::new();
        let mut star = false;
        let aggregate = self.is_aggregate(&name);
        if aggregate {
            self.enter_aggregate(position)?;
        }
        for arg in &list.args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => args.push(self.placed(expr)?),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => star = true,
                FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)) => {
                    let table = name::object(table, &self.places)?;
                    args.push((self.column(&table.name, table.position)?, table.position));
                }
                FunctionArg::Unnamed(_) => {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "syntax error at or near \"*\"",
                    )
                    .at_if(position));
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
                    named.push((name::fold(name), self.placed(expr)?));
                }
                FunctionArg::ExprNamed {
                    name: ast::Expr::Identifier(name),
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => named.push((name::fold(name), self.placed(expr)?)),
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(SqlError::unsupported("this named argument").at_if(position));
                }
            }
        }
        if !named.is_empty() || self.functions.defaults(&name).is_some() {
            args = in_order(&name, args, named, self.functions)
                .map_err(|error| error.at_if(position))?;
        }
        if aggregate {
            return self.aggregate(&name, call, list, args, position);
        }
        let special = matches!(name.as_str(), "coalesce" | "nullif" | "greatest" | "least" | "row");
        if !special && self.functions.functions(&name).is_empty() && star {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name}() does not exist"),
            )
            .at_if(position));
        }
        if list.duplicate_treatment.is_some() || call.filter.is_some() || !list.clauses.is_empty() {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is not an aggregate function"),
            )
            .at_if(position));
        }
        match name.as_str() {
            "coalesce" => {
                let (args, places): (Vec<_>, Vec<_>) = args.into_iter().unzip();
                let (args, ty) = self.unify(args, &places, "COALESCE")?;
                Ok(Expr::Coalesce(args, ty))
            }
            "nullif" => self.nullif(args, position),
            "greatest" | "least" => self.extreme(&name, args, position),
            "pg_typeof" if args.len() == 1 => {
                let oid = args.first().map_or(SqlType::Unknown, |(expr, _)| expr.ty()).base().oid();
                Ok(Expr::Const(Datum::Oid(oid), SqlType::RegType))
            }
            "current_timestamp" | "localtimestamp" | "localtime"
                if matches!(
                    args.as_slice(),
                    [(Expr::Const(Datum::Int4(0..), SqlType::Int4), _)]
                ) =>
            {
                let digits = match args.as_slice() {
                    [(Expr::Const(Datum::Int4(digits), _), _)] => *digits,
                    _ => return Err(SqlError::internal("a precision that is no integer")),
                };
                let digits = u8::try_from(digits).unwrap_or(MAX_TIME_DIGITS).min(MAX_TIME_DIGITS);
                let ty = match name.as_str() {
                    "current_timestamp" => SqlType::TimestampTz(Some(digits)),
                    "localtimestamp" => SqlType::Timestamp(Some(digits)),
                    _ => SqlType::Time(Some(digits)),
                };
                let now = self.special(&name, position)?;
                self.explicit_cast(now, ty, position, position)
            }
            "row" => self.row(args.into_iter().map(|(expr, _)| expr).collect()),
            _ => self.ordinary(&name, args, position),
        }
    }

    fn ordinary(
        &mut self,
        name: &str,
        args: Vec<Placed>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        // A type's name as a function of one argument is a cast: text(x), int4('1').
        if let [(_, place)] = args.as_slice()
            && self.functions.functions(name).is_empty()
            && let Some(ty) = SqlType::from_name(name)
        {
            let place = *place;
            let mut args = args;
            if let Some((expr, _)) = args.pop() {
                return self.explicit_cast(expr, ty, place, position);
            }
            return Err(SqlError::internal("a call without its argument"));
        }
        let (function, args, ty) = self.function(name, args, position)?;
        match function.body {
            Body::Scalar(_) | Body::Sequence(_) => {
                self.fold(Expr::Call { function, args, ty }, position)
            }
            Body::Aggregate(_) => Err(SqlError::internal("an aggregate that was not seen")),
            Body::Set(..) => {
                let Some(level) = self.levels.last_mut() else {
                    return Err(SqlError::internal("an expression outside of a query"));
                };
                if level.clause != Clause::Select || level.in_aggregate {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "set-returning functions are not allowed in {}",
                            level.clause.name()
                        ),
                    )
                    .at_if(position));
                }
                level.sets.push((function, args, ty));
                Ok(Expr::Slot(SETS + level.sets.len() - 1, ty))
            }
        }
    }

    /// Names without parentheses that PostgreSQL's grammar knows.
    fn special(&mut self, name: &str, position: Option<u32>) -> SqlResult<Expr> {
        let (function, ty) = match name {
            "current_timestamp" => ("now", None),
            "current_date" => ("now", Some(SqlType::Date)),
            "localtimestamp" => ("now", Some(SqlType::Timestamp(None))),
            "localtime" => ("now", Some(SqlType::Time(None))),
            "current_catalog" => ("current_database", None),
            "current_role" | "user" => ("current_user", None),
            "current_user" | "session_user" | "current_schema" => (name, None),
            "current_time" => {
                return Err(SqlError::unsupported("type time with time zone").at_if(position));
            }
            _ => return self.column(name, position),
        };
        let now = self.invoke(function, Vec::new(), position)?;
        match ty {
            Some(ty) => self.explicit_cast(now, ty, position, position),
            None => Ok(now),
        }
    }

    fn nullif(&mut self, args: Vec<Placed>, position: Option<u32>) -> SqlResult<Expr> {
        let mut args = args.into_iter();
        let (Some(left), Some(right), None) = (args.next(), args.next(), args.next()) else {
            return Err(
                SqlError::new(SqlState::SYNTAX_ERROR, "NULLIF takes two arguments").at_if(position)
            );
        };
        let (value, place) = left;
        let value = self.settle_like(value, &right.0, place)?;
        let (equals, sides, ty) =
            self.resolve_operator("=", vec![(value, place), right], position)?;
        let equals = self.functions.function_of(&equals)?;
        // What it returns is the side of the comparison: of `NULLIF(1, 2.5)` a numeric.
        let value = match sides.first() {
            Some(value) => self.copy(value)?,
            None => Expr::Const(Datum::Null, ty),
        };
        let same = Expr::Call { function: equals, args: sides, ty };
        let same = self.fold(same, position)?;
        let ty = value.ty();
        let null = Expr::Const(Datum::Null, ty);
        Ok(Expr::Case { branches: vec![(same, null)], otherwise: Some(Box::new(value)), ty })
    }

    /// Of unknown type: like the other.
    fn settle_like(&mut self, expr: Expr, other: &Expr, place: Option<u32>) -> SqlResult<Expr> {
        match (expr.ty(), other.ty()) {
            (SqlType::Unknown, SqlType::Unknown) => self.settle(expr, place),
            (SqlType::Unknown, ty) => self.common(expr, ty, "NULLIF", place),
            _ => Ok(expr),
        }
    }

    /// GREATEST and LEAST.
    fn extreme(&mut self, name: &str, args: Vec<Placed>, position: Option<u32>) -> SqlResult<Expr> {
        let (args, places): (Vec<_>, Vec<_>) = args.into_iter().unzip();
        let (args, ty) = self.unify(args, &places, &name.to_ascii_uppercase())?;
        let beats = if name == "greatest" { ">" } else { "<" };
        let operator = self.find_operator(beats, &[ty, ty], position)?;
        Ok(Expr::Extreme { args, beats: self.functions.function_of(&operator)?, ty })
    }

    fn is_aggregate(&self, name: &str) -> bool {
        let functions = self.functions.functions(name);
        functions.iter().any(|function| matches!(function.body, Body::Aggregate(_)))
    }

    fn enter_aggregate(&mut self, position: Option<u32>) -> SqlResult<()> {
        let Some(level) = self.levels.last_mut() else {
            return Err(SqlError::internal("an expression outside of a query"));
        };
        if level.in_aggregate {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot be nested",
            )
            .at_if(position));
        }
        if !level.clause.aggregates() {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                format!("aggregate functions are not allowed in {}", level.clause.name()),
            )
            .at_if(position));
        }
        level.in_aggregate = true;
        Ok(())
    }

    /// An aggregate: noted with its query, and read as a slot.
    fn aggregate(
        &mut self,
        name: &str,
        call: &ast::Function,
        list: &ast::FunctionArgumentList,
        args: Vec<Placed>,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let mut order = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let (expr, place) = self.placed(&key.expr)?;
                        let expr = self.settle(expr, place)?;
                        order.push(super::output::sort_key(expr, &key.options)?);
                    }
                }
                other => return Err(SqlError::unsupported(other).at_if(position)),
            }
        }
        let filter = match &call.filter {
            None => None,
            Some(filter) => {
                let (filter, place) = self.placed(filter)?;
                Some(self.boolean(filter, "FILTER", place)?)
            }
        };
        if let Some(level) = self.levels.last_mut() {
            level.in_aggregate = false;
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let (function, args, ty) = self.function(name, args, position)?;
        let (mut own, mut outer) = (false, false);
        for arg in &args {
            arg.look(&mut |e, depth| {
                own |= own_slot(e, depth).is_some();
                outer |= matches!(e, Expr::Outer { level, .. } if *level >= depth);
            });
        }
        if outer && !own {
            // It would be the outer query's aggregate.
            return Err(SqlError::unsupported("an aggregate over an outer query's columns alone")
                .at_if(position));
        }
        if distinct && order.iter().any(|key| !args.contains(&key.expr)) {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            )
            .at_if(position));
        }
        let call = AggregateCall { function, args, distinct, filter, order, ty };
        let Some(level) = self.levels.last_mut() else {
            return Err(SqlError::internal("an expression outside of a query"));
        };
        let index = match level.aggregates.iter().position(|known| *known == call) {
            Some(index) => index,
            None => {
                level.aggregates.push(call);
                level.aggregates.len() - 1
            }
        };
        Ok(Expr::Slot(AGGREGATES + index, ty))
    }

    /// A set-returning function in FROM, or a scalar one as a set of one row: its oid, its arguments, and the
    /// names and types of its columns.
    pub(crate) fn table_function(
        &mut self,
        name: &str,
        args: Vec<Placed>,
        position: Option<u32>,
    ) -> SqlResult<TableFunction> {
        let (function, args, ty) = self.function(name, args, position)?;
        match function.body {
            Body::Set(_, names) => {
                let columns = match names {
                    [] | [_] => vec![(name.to_owned(), ty)],
                    names => {
                        let types = set_types(&function.result, names.len(), &args);
                        names.iter().map(|n| (*n).to_owned()).zip(types).collect()
                    }
                };
                Ok((Some(function), args, columns))
            }
            Body::Scalar(_) | Body::Sequence(_) => {
                let call = Expr::Call { function, args, ty };
                Ok((None, vec![call], vec![(name.to_owned(), ty)]))
            }
            Body::Aggregate(_) => Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in functions in FROM",
            )
            .at_if(position)),
        }
    }
}

/// A function of FROM: its oid unless it is scalar, its arguments, its columns.
type TableFunction = (Option<&'static Function>, Vec<Expr>, Vec<(String, SqlType)>);

/// The last part of a function's name; a schema may only be one that holds functions.
pub(crate) fn function_name(name: &ast::ObjectName, database: &str) -> SqlResult<String> {
    let mut parts = name::parts(name)?;
    if let [other, schema, function] = parts.as_slice()
        && other != database
    {
        return Err(name::cross_database(&[other, schema, function]));
    }
    let last = parts.pop().unwrap_or_default();
    match parts.last().map(String::as_str) {
        None | Some("pg_catalog" | "information_schema" | "public") => Ok(last),
        Some(schema) => Err(SqlError::new(
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{schema}\" does not exist"),
        )),
    }
}

/// Types of the columns of a set of several. The tables do not hold them: text, but for the last, a number, in
/// `_pg_expandarray`'s manner.
fn set_types(_result: &ParamType, count: usize, args: &[Expr]) -> Vec<SqlType> {
    let element = args.first().and_then(|arg| arg.ty().element());
    let mut types = vec![element.unwrap_or(SqlType::Text); count];
    if element.is_some()
        && let Some(last) = types.last_mut()
    {
        *last = SqlType::Int4;
    }
    types
}

/// Arguments in the order of the function's: those with names at their places, and defaults for what is missing.
fn in_order(
    function: &str,
    args: Vec<(Expr, Option<u32>)>,
    named: Vec<(String, (Expr, Option<u32>))>,
    functions: &Registry,
) -> SqlResult<Vec<(Expr, Option<u32>)>> {
    let mut types: Vec<String> = args.iter().map(|(arg, _)| arg.ty().name()).collect();
    types.extend(named.iter().map(|(name, (arg, _))| format!("{name} => {}", arg.ty().name())));
    let missing = || {
        let text = format!("function {function}({}) does not exist", types.join(", "));
        SqlError::new(SqlState::UNDEFINED_FUNCTION, text).hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )
    };
    let names = functions.argument_names(function).ok_or_else(missing)?;
    let mut places: Vec<Option<(Expr, Option<u32>)>> = args.into_iter().map(Some).collect();
    if places.len() > names.len() {
        return Err(missing());
    }
    places.resize_with(names.len(), || None);
    let mut given = std::collections::BTreeSet::new();
    for (name, arg) in named {
        let place = names.iter().position(|known| *known == name).and_then(|at| places.get_mut(at));
        if !given.insert(name.clone()) {
            let text = format!("argument name \"{name}\" used more than once");
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, text));
        }
        match place {
            Some(place @ None) => *place = Some(arg),
            _ => return Err(missing()),
        }
    }
    let defaults = functions.defaults(function).unwrap_or_default();
    let known = functions.functions(function);
    while matches!(places.last(), Some(None))
        && known.iter().any(|function| function.args.len() < places.len())
    {
        // The function of this name that has fewer.
        places.pop();
    }
    let filled =
        places.into_iter().enumerate().map(|(at, place)| match (place, defaults.get(at)) {
            (Some(arg), _) => Ok(arg),
            (None, Some((value, ty))) => Ok((Expr::Const(value.clone(), *ty), None)),
            (None, None) => Err(missing()),
        });
    filled.collect()
}
