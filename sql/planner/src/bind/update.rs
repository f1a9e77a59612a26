//! UPDATE.

use sql_catalog::descriptor::TableDescriptor;
use sql_parse::name;
use sql_plan::{LockStrength, RowLock, node};
use sql_plan::{Node, OutputColumn};
use sql_values::error::{SqlError, SqlResult};
use sqlparser::ast::{self, TableFactor, UpdateTableFromKind};

use super::from::Source;
use super::scope::{Clause, Item, Level, Scope};
use super::{Binder, table};

/// True iff the assignments may change what identifies a row: as in PostgreSQL, only then FOR KEY SHARE is in the way.
fn changes_key(table: &TableDescriptor, assignments: &[ast::Assignment]) -> bool {
    let targets = assignments.iter().flat_map(|assignment| match &assignment.target {
        ast::AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        ast::AssignmentTarget::Tuple(names) => names.as_slice(),
    });
    let mut columns = targets.map(|target| {
        let ident = target.0.last().and_then(|part| part.as_ident())?;
        let name = name::fold(ident);
        table.columns.iter().find(|column| column.name == name).map(|column| column.id)
    });
    let identifies = |column| {
        let unique = table.indexes.iter().filter(|index| index.unique);
        unique.flat_map(|index| &index.key).any(|(key, _)| *key == column)
    };
    // An unknown column is an error further on.
    columns.any(|column| column.is_none_or(identifies))
}

impl Binder<'_> {
    /// The table that is written, with its name in the statement; its rows are read under lock.
    pub(crate) fn written_source(
        &mut self,
        factor: &TableFactor,
    ) -> SqlResult<(Source, std::sync::Arc<TableDescriptor>)> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return Err(SqlError::unsupported("writing to what is no table"));
        };
        let table = self.written_table(&name::object(name, &self.places)?)?;
        let item = match alias {
            Some(alias) => Item::aliased(&table, name::fold(&alias.name)),
            None => Item::of(&table),
        };
        let mut scope = Scope::default();
        scope.add(item, table::columns(&table));
        let node = table::scan(&table, Some(RowLock::UPDATE));
        Ok((Source { node, scope, lateral: false }, table))
    }

    /// The written table's rows beside those of further tables.
    pub(crate) fn written_with(
        &mut self,
        source: Source,
        others: &[ast::TableWithJoins],
    ) -> SqlResult<Source> {
        let mut source = source;
        for other in others {
            let next = self.table_with_joins(other, Some(&source.scope))?;
            source = self.cross(source, next)?;
        }
        Ok(source)
    }

    /// Binds an UPDATE.
    pub(crate) fn update(&mut self, update: &ast::Update) -> SqlResult<(Node, Vec<OutputColumn>)> {
        if !update.table.joins.is_empty() || update.limit.is_some() || !update.order_by.is_empty() {
            return Err(SqlError::unsupported("UPDATE with JOIN, ORDER BY or LIMIT"));
        }
        let (mut source, table) = self.written_source(&update.table.relation)?;
        if let Node::Scan(node::Scan { lock, .. }) = &mut source.node
            && !changes_key(&table, &update.assignments)
        {
            *lock = Some(RowLock { strength: LockStrength::NoKeyUpdate, ..RowLock::UPDATE });
        }
        let others = match &update.from {
            None => &[][..],
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                from
            }
        };
        let source = self.written_with(source, others)?;
        let mut node = source.node;
        let level = Level::new(source.scope, Clause::Set);
        let ((assignments, filter), level) = self.within(level, |binder| {
            let assignments = binder.assignments(&table, &update.assignments)?;
            let filter = binder.where_clause(update.selection.as_ref())?;
            Ok((assignments, filter))
        })?;
        if let Some(predicate) = filter {
            node = Node::Filter(node::Filter { input: Box::new(node), predicate });
        }
        let checks = self.checks_of(&table)?;
        let (returning, columns) = self.returning(update.returning.as_deref(), level.scope)?;
        let input = Box::new(node);
        Ok((Node::Update(node::Update { table, input, assignments, checks, returning }), columns))
    }

    /// WHERE, in the level in view.
    pub(crate) fn where_clause(
        &mut self,
        condition: Option<&ast::Expr>,
    ) -> SqlResult<Option<sql_plan::Expr>> {
        self.clause(Clause::Where);
        let Some(condition) = condition else { return Ok(None) };
        let (condition, place) = self.placed(condition)?;
        Ok(Some(self.boolean(condition, "WHERE", place)?))
    }
}
