//! Names in FROM: what a column reference means, from the innermost query outward.

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnId, TableDescriptor, TableId};
use sql_catalog::function::Function;
use sql_plan::{AggregateCall, Expr};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;

use super::Binder;

/// A column that can be named.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its table in `Scope::tables`; none if a join merged it.
    pub(crate) table: Option<usize>,
    pub(crate) name: String,
    /// How it is read from the scope's row.
    pub(crate) expr: Expr,
    pub(crate) source: Option<(TableId, ColumnId)>,
    /// Only with the table's name, because a join merged it.
    pub(crate) qualified: bool,
}

/// A table (or subquery, function) with its name in this query.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<Arc<TableDescriptor>>,
    /// The name of the table behind an alias, for the hint.
    pub(crate) real: Option<String>,
}

/// The names of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) items: Vec<Item>,
    pub(crate) entries: Vec<Entry>,
    /// What `*` gives, as entries.
    pub(crate) star: Vec<usize>,
    /// How many slots its row has.
    pub(crate) width: usize,
}

/// A column as a table gives it: its name, its type, where it comes from, and whether it has no name.
pub(crate) type Column = (String, SqlType, Option<(TableId, ColumnId)>, bool);

/// Where an expression stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    From,
    On,
    Where,
    GroupBy,
    Select,
    Having,
    OrderBy,
    DistinctOn,
    Limit,
    Values,
    Set,
    Returning,
    Check,
    Default,
    Function,
    Execute,
}

impl Clause {
    /// As error messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Clause::From => "FROM",
            Clause::On => "JOIN conditions",
            Clause::Where => "WHERE",
            Clause::GroupBy => "GROUP BY",
            Clause::Select => "SELECT",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Values => "VALUES",
            Clause::Set => "UPDATE",
            Clause::Returning => "RETURNING",
            Clause::Check => "check constraints",
            Clause::Default => "DEFAULT expressions",
            Clause::Function => "functions in FROM",
            Clause::Execute => "EXECUTE parameters",
        }
    }

    /// True iff aggregates may stand there.
    pub(crate) fn aggregates(self) -> bool {
        matches!(self, Clause::Select | Clause::Having | Clause::OrderBy | Clause::DistinctOn)
    }
}

/// A query while it is bound.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) scope: Scope,
    pub(crate) clause: Clause,
    /// Its aggregates so far; they stand in expressions as slots from [`AGGREGATES`].
    pub(crate) aggregates: Vec<AggregateCall>,
    /// Set-returning functions of its select list, as slots from [`SETS`].
    pub(crate) sets: Vec<(&'static Function, Vec<Expr>, SqlType)>,
    /// An aggregate's arguments are being bound.
    pub(crate) in_aggregate: bool,
    /// Columns read outside of aggregates, for the place of an error.
    pub(crate) reads: Vec<(usize, String, Option<u32>)>,
    /// Names here are not seen further in (a WITH query is bound where it is used).
    pub(crate) closed: bool,
}

/// Slots from here on are a query's aggregates, until they have their place.
pub(crate) const AGGREGATES: usize = 1 << 40;

/// Slots from here on are set-returning functions of a select list.
pub(crate) const SETS: usize = 1 << 41;

impl Level {
    pub(crate) fn new(scope: Scope, clause: Clause) -> Self {
        Level {
            scope,
            clause,
            aggregates: Vec::new(),
            sets: Vec::new(),
            in_aggregate: false,
            reads: Vec::new(),
            closed: false,
        }
    }
}

impl Scope {
    /// Adds a table whose columns are the next slots. A hidden column has no name.
    pub(crate) fn add(&mut self, item: Item, columns: impl IntoIterator<Item = Column>) {
        let table = self.items.len();
        self.items.push(item);
        for (name, ty, source, hidden) in columns {
            let slot = self.width;
            self.width += 1;
            if hidden {
                continue;
            }
            self.star.push(self.entries.len());
            self.entries.push(Entry {
                table: Some(table),
                name,
                expr: Expr::Slot(slot, ty),
                source,
                qualified: false,
            });
        }
    }

    /// Puts another scope's names beside these; its row follows this one's.
    pub(crate) fn append(&mut self, mut other: Scope) -> SqlResult<()> {
        for item in &other.items {
            let twice =
                |i: &&Item| !i.name.is_empty() && i.name == item.name && i.schema == item.schema;
            if self.items.iter().any(|i| twice(&i)) {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("table name \"{}\" specified more than once", item.name),
                ));
            }
        }
        let (tables, entries) = (self.items.len(), self.entries.len());
        self.items.append(&mut other.items);
        for mut entry in other.entries {
            entry.table = entry.table.map(|table| table + tables);
            entry.expr.shift(self.width);
            self.entries.push(entry);
        }
        self.star.extend(other.star.into_iter().map(|index| index + entries));
        self.width += other.width;
        Ok(())
    }

    /// The entry of an unqualified name.
    fn unqualified(&self, name: &str) -> Result<Option<&Entry>, ()> {
        let mut found = self.entries.iter().filter(|e| !e.qualified && e.name == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(()),
            (entry, _) => Ok(entry),
        }
    }

    /// The item of a name.
    pub(crate) fn item(&self, schema: Option<&str>, name: &str) -> Option<usize> {
        self.items.iter().position(|item| {
            item.name == name && (schema.is_none() || item.schema.as_deref() == schema)
        })
    }
}

impl Binder<'_> {
    /// An unqualified column, or a whole row by its table's name.
    pub(crate) fn column(&mut self, name: &str, position: Option<u32>) -> SqlResult<Expr> {
        let mut found = None;
        for (level, query) in self.levels.iter().rev().enumerate() {
            if query.closed {
                continue;
            }
            match query.scope.unqualified(name) {
                Err(()) => return Err(ambiguous(name).at_if(position)),
                Ok(Some(entry)) => {
                    found = Some((level, entry.expr.clone(), entry.name.clone()));
                    break;
                }
                Ok(None) => {}
            }
        }
        if let Some((level, expr, name)) = found {
            return Ok(self.read(level, expr, name, position));
        }
        for (level, query) in self.levels.iter().rev().enumerate() {
            if let Some(item) = query.scope.item(None, name).filter(|_| !query.closed) {
                let row = whole_row(&query.scope, item);
                return Ok(self.read(level, row, name.to_owned(), position));
            }
        }
        Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
            .at_if(position))
    }

    /// A column of a named table.
    pub(crate) fn qualified_column(
        &mut self,
        schema: Option<&str>,
        table: &str,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<Expr> {
        let mut found = None;
        for (level, query) in self.levels.iter().rev().enumerate() {
            let Some(item) = query.scope.item(schema, table).filter(|_| !query.closed) else {
                continue;
            };
            let mut entries =
                query.scope.entries.iter().filter(|e| e.table == Some(item) && e.name == name);
            match (entries.next(), entries.next()) {
                (Some(_), Some(_)) => return Err(ambiguous(name).at_if(position)),
                (Some(entry), None) => found = Some((level, entry.expr.clone())),
                (None, _) => {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column {table}.{name} does not exist"),
                    )
                    .at_if(position));
                }
            }
            break;
        }
        match found {
            Some((level, expr)) => Ok(self.read(level, expr, format!("{table}.{name}"), position)),
            None => Err(self.missing_table(table).at_if(position)),
        }
    }

    /// A column of a query some levels out, as seen from here.
    fn read(&mut self, level: usize, mut expr: Expr, name: String, position: Option<u32>) -> Expr {
        let index = self.levels.len() - 1 - level;
        let query = &mut self.levels[index];
        let shown = match (&expr, name.contains('.')) {
            (Expr::Slot(slot, _), false) => query
                .scope
                .entries
                .iter()
                .find(|e| e.expr == expr)
                .and_then(|e| e.table)
                .map(|table| format!("{}.{name}", query.scope.items[table].name))
                .map_or((*slot, name.clone()), |shown| (*slot, shown)),
            (Expr::Slot(slot, _), true) => (*slot, name.clone()),
            _ => (usize::MAX, name.clone()),
        };
        if !query.in_aggregate && query.clause.aggregates() {
            query.reads.push((shown.0, shown.1, position));
        }
        expr.lift(level);
        expr
    }

    /// What `missing FROM-clause entry` says, with PostgreSQL's hint for a table that goes by another name.
    pub(crate) fn missing_table(&self, table: &str) -> SqlError {
        for query in self.levels.iter().rev() {
            for item in &query.scope.items {
                if item.real.as_deref() == Some(table) {
                    return SqlError::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("invalid reference to FROM-clause entry for table \"{table}\""),
                    )
                    .hint(format!(
                        "Perhaps you meant to reference the table alias \"{}\".",
                        item.name
                    ));
                }
            }
        }
        SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("missing FROM-clause entry for table \"{table}\""),
        )
    }
}

/// All columns of an item as a row.
pub(crate) fn whole_row(scope: &Scope, item: usize) -> Expr {
    let entries = scope.entries.iter().filter(|e| e.table == Some(item));
    Expr::Row(entries.map(|e| e.expr.clone()).collect())
}

fn ambiguous(name: &str) -> SqlError {
    SqlError::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{name}\" is ambiguous"))
}
