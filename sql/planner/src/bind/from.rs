//! FROM: tables, subqueries, functions, and what may refer to what stands before it.

use sql_parse::name;
use sql_plan::{Expr, JoinKind, Node, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, TableFactor, TableWithJoins};

use super::scope::{Clause, Item, Level, Scope};
use super::{Binder, call, table};

/// A part of FROM with its names.
pub(crate) struct Source {
    pub(crate) node: Node,
    pub(crate) scope: Scope,
    /// Refers to what stands before it by [`Expr::Outer`].
    pub(crate) lateral: bool,
}

impl Binder<'_> {
    /// Binds FROM: without one, a row of nothing.
    pub(crate) fn from(&mut self, from: &[TableWithJoins]) -> SqlResult<(Node, Scope)> {
        let mut result: Option<Source> = None;
        for tables in from {
            let left = result.as_ref().map(|source| &source.scope);
            let next = self.table_with_joins(tables, left)?;
            result = Some(match result {
                None => next,
                Some(left) => self.cross(left, next)?,
            });
        }
        Ok(match result {
            Some(source) => (source.node, source.scope),
            None => (
                Node::Values(node::Values { rows: vec![Vec::new()], types: Vec::new() }),
                Scope::default(),
            ),
        })
    }

    /// Two parts beside each other.
    pub(crate) fn cross(&mut self, left: Source, right: Source) -> SqlResult<Source> {
        self.joined()?;
        let mut scope = left.scope;
        scope.append(right.scope)?;
        let node = pair(JoinKind::Inner, left.node, right.node, right.lateral, None);
        Ok(Source { node, scope, lateral: left.lateral })
    }

    /// A table with its joins. `left` is what a LATERAL part may see.
    pub(crate) fn table_with_joins(
        &mut self,
        tables: &TableWithJoins,
        left: Option<&Scope>,
    ) -> SqlResult<Source> {
        let source = self.factor(&tables.relation, left)?;
        if !source.lateral {
            return self.joins(source, &tables.joins);
        }
        // All of the tree will be applied to the rows before it: what is bound now lies one row further in.
        let mut before = Level::new(Scope::default(), Clause::From);
        before.closed = true;
        Ok(self.within(before, |binder| binder.joins(source, &tables.joins))?.0)
    }

    fn joins(&mut self, mut source: Source, joins: &[ast::Join]) -> SqlResult<Source> {
        for join in joins {
            source = self.deeper(|binder| binder.join(source, join))?;
        }
        Ok(source)
    }

    /// One part of FROM.
    pub(crate) fn factor(
        &mut self,
        factor: &TableFactor,
        left: Option<&Scope>,
    ) -> SqlResult<Source> {
        match factor {
            TableFactor::Table { name, alias, args: None, version, sample, .. } => {
                if version.is_some() {
                    return Err(SqlError::unsupported("AS OF"));
                }
                if sample.is_some() {
                    return Err(SqlError::unsupported("TABLESAMPLE"));
                }
                let mut source = self.named_table(name)?;
                rename(&mut source.scope, alias.as_ref())?;
                let named = source.scope.items.first().map(|item| item.name.as_str());
                let wanted = named.and_then(|name| self.locking.of(name));
                match &mut source.node {
                    Node::Scan(node::Scan { lock, .. }) => *lock = wanted,
                    Node::VirtualScan(node::VirtualScan { table, .. }) if wanted.is_some() => {
                        let what = format!("a row lock on \"{}\"", table.name);
                        return Err(SqlError::unsupported(what));
                    }
                    _ => {}
                }
                Ok(source)
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.function_factor(name, &args.args, *with_ordinality, alias.as_ref(), left)
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                self.function_factor(name, args, *with_ordinality, alias.as_ref(), left)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let [array] = array_exprs.as_slice() else {
                    return Err(SqlError::unsupported("unnest of several arrays"));
                };
                let position = self.pos(array);
                let array = array.clone();
                self.function_source(
                    "unnest",
                    *with_ordinality,
                    alias.as_ref(),
                    left,
                    position,
                    |b| Ok(vec![b.placed(&array)?]),
                )
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let left = left.filter(|_| *lateral);
                let lateral = left.is_some();
                let (node, columns) = match left {
                    Some(left) => {
                        let level = Level::new(left.clone(), Clause::From);
                        self.within(level, |b| b.query(subquery, None))?.0
                    }
                    None => self.query(subquery, None)?,
                };
                let mut scope = Scope::default();
                scope.add(
                    Item::derived(String::new()),
                    columns.into_iter().map(|c| (c.name, c.ty, c.source, false)),
                );
                rename(&mut scope, alias.as_ref())?;
                Ok(Source { node, scope, lateral })
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut source = self.deeper(|b| b.table_with_joins(table_with_joins, left))?;
                if alias.is_some() {
                    let mut entries = Vec::new();
                    for index in &source.scope.star {
                        if let Some(entry) = source.scope.entries.get(*index) {
                            entries.push(entry.clone());
                        }
                    }
                    source.scope.items = vec![Item::derived(String::new())];
                    for entry in &mut entries {
                        entry.table = Some(0);
                        entry.qualified = false;
                    }
                    source.scope.star = (0..entries.len()).collect();
                    source.scope.entries = entries;
                    rename(&mut source.scope, alias.as_ref())?;
                }
                Ok(source)
            }
            other => Err(SqlError::unsupported(format!("FROM {other}"))),
        }
    }

    /// A table, or a WITH query of that name.
    fn named_table(&mut self, name: &ast::ObjectName) -> SqlResult<Source> {
        let name = name::object(name, &self.places)?;
        if name.schema.is_none()
            && let Some((node, columns)) = self.with_query(&name.name)?
        {
            let mut scope = Scope::default();
            scope.add(
                Item::derived(name.name),
                columns.into_iter().map(|c| (c.name, c.ty, c.source, false)),
            );
            return Ok(Source { node, scope, lateral: false });
        }
        let table = self.table(&name)?;
        let mut scope = Scope::default();
        scope.add(Item::of(&table), table::columns(&table));
        Ok(Source { node: table::scan(&table, None), scope, lateral: false })
    }

    fn function_factor(
        &mut self,
        name: &ast::ObjectName,
        args: &[FunctionArg],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
        left: Option<&Scope>,
    ) -> SqlResult<Source> {
        let position = self.places.of_name(name);
        let name = call::function_name(name, self.catalog.database())
            .map_err(|error| error.at_if(position))?;
        let args = args.to_vec();
        self.function_source(&name, ordinality, alias, left, position, |binder| {
            args.iter()
                .map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => binder.placed(expr),
                    _ => Err(SqlError::unsupported("a named argument").at_if(position)),
                })
                .collect()
        })
    }

    fn function_source(
        &mut self,
        name: &str,
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
        left: Option<&Scope>,
        position: Option<u32>,
        args: impl FnOnce(&mut Self) -> SqlResult<Vec<super::compare::Placed>>,
    ) -> SqlResult<Source> {
        let level = Level::new(left.cloned().unwrap_or_default(), Clause::Function);
        let ((function, args, columns), _) = self.within(level, |binder| {
            let args = args(binder)?;
            binder.table_function(name, args, position)
        })?;
        // A function sees what stands before it without LATERAL too. One that does not look needs no Apply.
        let mut args = args;
        // Bound as seen from the rows before it, where they are the nearest.
        let lateral = args.iter().any(|arg| !arg.slots().is_empty());
        for arg in &mut args {
            if lateral {
                arg.lift(1);
            }
        }
        let mut types: Vec<SqlType> = columns.iter().map(|(_, ty)| *ty).collect();
        let mut columns = columns;
        if ordinality {
            columns.push(("ordinality".to_owned(), SqlType::Int8));
            types.push(SqlType::Int8);
        }
        let node = match function {
            Some(function) => Node::TableFunction(node::TableFunction {
                calls: vec![(function, args)],
                types,
                ordinality,
            }),
            // A function of one row: its number is 1.
            None => {
                let mut row = args;
                if ordinality {
                    row.push(Expr::Const(Datum::Int8(1), SqlType::Int8));
                }
                Node::Values(node::Values { rows: vec![row], types })
            }
        };
        // A single column goes by the alias.
        let single = columns.len() == 1 + usize::from(ordinality);
        if let (Some(alias), true) = (alias, single)
            && let Some(first) = columns.first_mut()
        {
            first.0 = name::fold(&alias.name);
        }
        let mut scope = Scope::default();
        scope.add(
            Item::derived(name.to_owned()),
            columns.into_iter().map(|(name, ty)| (name, ty, None, false)),
        );
        rename(&mut scope, alias)?;
        Ok(Source { node, scope, lateral })
    }
}

/// Joins two parts; the right one is applied if it refers to the left one's rows.
pub(crate) fn pair(
    kind: JoinKind,
    left: Node,
    right: Node,
    lateral: bool,
    condition: Option<Expr>,
) -> Node {
    let (left, right) = (Box::new(left), Box::new(right));
    if lateral {
        return Node::Apply(node::Apply { kind, input: left, inner: right, condition });
    }
    Node::Join(node::Join { kind, left, right, equal: Vec::new(), condition })
}

/// Gives a part its alias, and its columns theirs.
pub(crate) fn rename(scope: &mut Scope, alias: Option<&ast::TableAlias>) -> SqlResult<()> {
    let Some(alias) = alias else { return Ok(()) };
    let new = name::alias(&alias.name)?;
    if let Some(item) = scope.items.first_mut() {
        if item.table.is_some() {
            item.real = Some(item.name.clone());
        }
        item.name = new.clone();
        item.schema = None;
    }
    if alias.columns.len() > scope.star.len() {
        return Err(SqlError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{new}\" has {} columns available but {} columns specified",
                scope.star.len(),
                alias.columns.len()
            ),
        ));
    }
    for (index, column) in scope.star.clone().into_iter().zip(&alias.columns) {
        if let Some(entry) = scope.entries.get_mut(index) {
            entry.name = name::fold(&column.name);
        }
    }
    Ok(())
}
