//! DELETE.

use sql_plan::{Node, OutputColumn, node};
use sql_values::error::{SqlError, SqlResult};
use sqlparser::ast::{self, FromTable};

use super::Binder;
use super::scope::{Clause, Level};

impl Binder<'_> {
    /// Binds a DELETE.
    pub(crate) fn delete(&mut self, delete: &ast::Delete) -> SqlResult<(Node, Vec<OutputColumn>)> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let [target] = from.as_slice() else {
            return Err(SqlError::unsupported("DELETE from several tables"));
        };
        if !target.joins.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some() {
            return Err(SqlError::unsupported("DELETE with JOIN, ORDER BY or LIMIT"));
        }
        let (source, table) = self.written_source(&target.relation)?;
        let source = self.written_with(source, delete.using.as_deref().unwrap_or(&[]))?;
        let mut node = source.node;
        let level = Level::new(source.scope, Clause::Where);
        let (filter, level) =
            self.within(level, |binder| binder.where_clause(delete.selection.as_ref()))?;
        if let Some(predicate) = filter {
            node = Node::Filter(node::Filter { input: Box::new(node), predicate });
        }
        let (returning, columns) = self.returning(delete.returning.as_deref(), level.scope)?;
        Ok((Node::Delete(node::Delete { table, input: Box::new(node), returning }), columns))
    }
}
