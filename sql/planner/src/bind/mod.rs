//! From syntax trees to plans: names, types, overloads and casts, by PostgreSQL's rules.
//!
//! A query under way is a [`scope::Level`]. The row of the innermost is [`Expr::Slot`], those further out are
//! [`Expr::Outer`]: exactly the rows that an executor holds when it evaluates the expression.

mod aggregate;
mod call;
mod coerce;
mod compare;
mod delete;
mod expr;
mod fold;
mod forms;
mod from;
mod group;
mod insert;
mod join;
mod list;
mod lock;
mod output;
mod query;
mod resolve;
mod returning;
mod scope;
mod select;
mod setop;
mod subquery;
mod table;
mod update;
mod with;

use std::sync::Arc;

pub(crate) use fold::fold_call;
pub use lock::first_lock;

use sql_catalog::CatalogView;
use sql_catalog::descriptor::{TableDescriptor, TableId};
use sql_catalog::function::CastContext;
use sql_parse::place::Places;
use sql_parse::{Expression, MAX_NESTING, Query, too_complex};
use sql_plan::{Expr, Node, OutputColumn, Plan};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::stack::roomy;
use sql_values::types::SqlType;
use sqlparser::ast;

use scope::{Clause, Item, Level, Scope};

/// The tables of functions, operators and casts.
pub type Functions = sql_catalog::function::Registry;

/// What a statement is bound against.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// What exists.
    pub catalog: &'a dyn CatalogView,
    /// What can be called.
    pub functions: &'static Functions,
    /// Types of parameters that the client gave; [`SqlType::Unknown`] where it did not.
    pub parameters: &'a [SqlType],
}

/// The most parameters of a statement: the protocol counts them in 16 bits.
const MAX_PARAMETERS: usize = 65_535;

/// How deep expressions and queries may be nested, together: a level of nesting is a few levels of the binder.
const MAX_DEPTH: usize = 6 * MAX_NESTING;

/// How many joins a statement may have: each is a level of the plan, and says the types of all columns below it.
const MAX_JOINS: usize = 500;

/// How many subqueries an expression may have: each is an interruption of its evaluation.
const MAX_SUBQUERIES: usize = 4_000;

/// How many expressions may be bound or copied beyond those that the client wrote. Some forms mean a part twice
/// (BETWEEN, NULLIF), and nested ones mean it twice for each level: it is their product that has to be bounded.
const MAX_REPEATED: usize = 100_000;

/// Copies of so small an expression are not counted: they multiply nothing.
const SMALL: usize = 8;

/// Binds a query. The plan is as the query was written.
pub fn bind(query: &Query, environment: &Environment<'_>) -> SqlResult<Plan> {
    let mut binder = Binder::new(environment, query.places.clone());
    let (root, columns, writes) = match &*query.ast {
        ast::Statement::Query(query) => {
            let writes = matches!(
                *query.body,
                ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_)
            );
            let (node, columns) = binder.query(query, None)?;
            (node, columns, writes)
        }
        ast::Statement::Insert(insert) => {
            let (node, columns) = binder.insert(insert)?;
            (node, columns, true)
        }
        ast::Statement::Update(update) => {
            let (node, columns) = binder.update(update)?;
            (node, columns, true)
        }
        ast::Statement::Delete(delete) => {
            let (node, columns) = binder.delete(delete)?;
            (node, columns, true)
        }
        _ => return Err(SqlError::internal("a query that is none")),
    };
    binder.finish(root, columns, writes)
}

/// Binds an expression over a table's columns, as slots in their order: a check, or a default (which reads none),
/// as one of a type.
pub fn bind_expression(
    expression: &Expression,
    table: Option<&Arc<TableDescriptor>>,
    ty: SqlType,
    environment: &Environment<'_>,
) -> SqlResult<Expr> {
    let mut binder = Binder::new(environment, expression.places.clone());
    binder.stored_expression(expression, table, ty)
}

/// Binds EXECUTE's arguments to a prepared statement's parameter types.
pub fn bind_arguments(
    arguments: &[Expression],
    types: &[SqlType],
    environment: &Environment<'_>,
) -> SqlResult<Vec<Expr>> {
    let mut exprs = Vec::new();
    for (index, (argument, ty)) in arguments.iter().zip(types).enumerate() {
        let mut binder = Binder::new(environment, argument.places.clone());
        binder.levels.push(Level::new(Scope::default(), Clause::Execute));
        let position = binder.pos(&argument.ast);
        let expr = binder.expr(&argument.ast)?;
        let from = expr.ty();
        match binder.try_coerce(expr, *ty, CastContext::Assignment, position)? {
            Some(expr) => exprs.push(expr),
            None => {
                return Err(SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "parameter ${} of type {} cannot be coerced to the expected type {}",
                        index + 1,
                        from.name(),
                        ty.name()
                    ),
                )
                .hint("You will need to rewrite or cast the expression.")
                .at_if(position));
            }
        }
    }
    Ok(exprs)
}

/// A parameter of a type. One that names something of the catalog (`regclass`) comes as text, because only a statement
/// can look it up.
pub(crate) fn param(index: usize, ty: SqlType) -> Expr {
    let param = Expr::Param(index, ty);
    if !ty.holds_names() {
        return param;
    }
    Expr::Cast { input: Box::new(param), ty, explicit: false }
}

/// A statement while it is bound.
pub(crate) struct Binder<'a> {
    pub(crate) catalog: &'a dyn CatalogView,
    pub(crate) functions: &'static Functions,
    pub(crate) places: Arc<Places>,
    /// Types of `$1`, …; unknown while undecided.
    parameters: Vec<SqlType>,
    tables: Vec<(TableId, u64)>,
    ctes: Vec<Node>,
    pub(crate) levels: Vec<Level>,
    withs: Vec<with::With>,
    pub(crate) locking: lock::Locking,
    depth: usize,
    joins: usize,
    /// Expressions around the one that is being bound, within the same query.
    around: usize,
    /// Subqueries of the outermost of them.
    subqueries: usize,
    /// WITH queries that are being bound where they are used.
    anew: usize,
    repeated: usize,
}

impl<'a> Binder<'a> {
    fn new(environment: &Environment<'a>, places: Arc<Places>) -> Self {
        Binder {
            catalog: environment.catalog,
            functions: environment.functions,
            places,
            parameters: environment.parameters.to_vec(),
            tables: Vec::new(),
            ctes: Vec::new(),
            levels: Vec::new(),
            withs: Vec::new(),
            locking: lock::Locking::default(),
            depth: 0,
            joins: 0,
            around: 0,
            subqueries: 0,
            anew: 0,
            repeated: 0,
        }
    }

    fn finish(self, root: Node, columns: Vec<OutputColumn>, writes: bool) -> SqlResult<Plan> {
        if let Some(index) = self.parameters.iter().position(|ty| *ty == SqlType::Unknown) {
            return Err(SqlError::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", index + 1),
            ));
        }
        Ok(Plan {
            root,
            columns,
            parameters: self.parameters,
            tables: self.tables,
            ctes: self.ctes,
            writes,
        })
    }

    /// Where an expression begins.
    pub(crate) fn pos(&self, expr: &ast::Expr) -> Option<u32> {
        self.places.of_expr(expr)
    }

    /// One level deeper, within bounds.
    pub(crate) fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<T> {
        if self.depth >= MAX_DEPTH {
            return Err(too_complex());
        }
        if self.anew > 0 {
            self.repeat(1)?;
        }
        self.depth += 1;
        let result = roomy(|| run(self));
        self.depth -= 1;
        result
    }

    /// Counts what the client did not write.
    fn repeat(&mut self, count: usize) -> SqlResult<()> {
        self.repeated += count;
        if self.repeated > MAX_REPEATED { Err(too_complex()) } else { Ok(()) }
    }

    /// Counts a join.
    pub(crate) fn joined(&mut self) -> SqlResult<()> {
        self.joins += 1;
        if self.joins > MAX_JOINS { Err(too_complex()) } else { Ok(()) }
    }

    /// Binds an expression, which may be a part of another.
    pub(crate) fn part<T>(&mut self, run: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        if self.around == 0 {
            self.subqueries = 0;
        }
        self.around += 1;
        let result = self.deeper(run);
        self.around -= 1;
        result
    }

    /// Binds the query of an expression, whose own expressions are no parts of it.
    pub(crate) fn subquery<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<T> {
        let outside = (std::mem::take(&mut self.around), self.subqueries);
        let result = run(self);
        (self.around, self.subqueries) = outside;
        self.subqueries += 1;
        if self.subqueries > MAX_SUBQUERIES { Err(too_complex()) } else { result }
    }

    /// Another one of an expression, for a form that means it twice.
    pub(crate) fn copy(&mut self, expr: &Expr) -> SqlResult<Expr> {
        let size = expr.size();
        if size > SMALL {
            self.repeat(size)?;
        }
        Ok(expr.clone())
    }

    /// Another one of an expression with its place.
    pub(crate) fn copy_placed(&mut self, placed: &compare::Placed) -> SqlResult<compare::Placed> {
        Ok((self.copy(&placed.0)?, placed.1))
    }

    /// Another one of a plan.
    pub(crate) fn copy_plan(&mut self, plan: &Node) -> SqlResult<Node> {
        self.repeat(plan.size())?;
        Ok(plan.clone())
    }

    /// Binds what is bound wherever it is used.
    pub(crate) fn anew<T>(&mut self, run: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        self.anew += 1;
        let result = self.deeper(run);
        self.anew -= 1;
        result
    }

    /// Binds with a query's names in view.
    pub(crate) fn within<T>(
        &mut self,
        level: Level,
        run: impl FnOnce(&mut Self) -> SqlResult<T>,
    ) -> SqlResult<(T, Level)> {
        self.levels.push(level);
        let result = run(self);
        let level = self.levels.pop();
        let level = level.ok_or_else(|| SqlError::internal("a query without its names"))?;
        Ok((result?, level))
    }

    /// Says in which clause expressions stand from now on.
    pub(crate) fn clause(&mut self, clause: Clause) {
        if let Some(level) = self.levels.last_mut() {
            level.clause = clause;
        }
    }

    /// `$n`, from 0.
    pub(crate) fn parameter(&mut self, index: usize, position: Option<u32>) -> SqlResult<Expr> {
        if index >= MAX_PARAMETERS {
            return Err(SqlError::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter ${}", index + 1),
            )
            .at_if(position));
        }
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, SqlType::Unknown);
        }
        Ok(param(index, self.parameters[index]))
    }

    /// Decides a parameter's type, or finds that it was decided.
    pub(crate) fn set_parameter(
        &mut self,
        index: usize,
        ty: SqlType,
        position: Option<u32>,
    ) -> SqlResult<SqlType> {
        let Some(known) = self.parameters.get_mut(index) else {
            return Err(SqlError::internal("a parameter that was not noted"));
        };
        if *known == SqlType::Unknown {
            *known = ty;
        }
        if known.base() != ty.base() {
            return Err(SqlError::new(
                SqlState::AMBIGUOUS_PARAMETER,
                format!("inconsistent types deduced for parameter ${}", index + 1),
            )
            .detail(format!("{} versus {}", known.name(), ty.name()))
            .at_if(position));
        }
        Ok(*known)
    }

    /// Notes that the plan depends on a table.
    pub(crate) fn depend(&mut self, table: &TableDescriptor) {
        let entry = (table.id, table.version);
        if !self.tables.contains(&entry) {
            self.tables.push(entry);
        }
    }

    /// An expression from a descriptor.
    pub(crate) fn stored_expression(
        &mut self,
        expression: &Expression,
        table: Option<&Arc<TableDescriptor>>,
        ty: SqlType,
    ) -> SqlResult<Expr> {
        let mut scope = Scope::default();
        let clause = if table.is_some() { Clause::Check } else { Clause::Default };
        if let Some(table) = table {
            scope.add(Item::of(table), table::columns(table));
        }
        // The places of the statement do not fit the text of a descriptor.
        let places = std::mem::replace(&mut self.places, expression.places.clone());
        let result = self.within(Level::new(scope, clause), |binder| {
            let expr = binder.expr(&expression.ast)?;
            match table {
                Some(_) => binder.boolean(expr, "CHECK", None),
                None => binder.assign(expr, "default", ty, None),
            }
        });
        self.places = places;
        Ok(result?.0)
    }
}

#[cfg(test)]
mod tests;
