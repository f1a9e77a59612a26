//! Tables: looked up, scanned, and with the expressions that their descriptors hold.

use std::sync::Arc;

use sql_catalog::descriptor::{
    ColumnDescriptor, ColumnId, Identity, PRIMARY_INDEX, TableDescriptor, TableId, TableKind,
};
use sql_parse as parse;
use sql_parse::{Name, Overriding};
use sql_plan::RowLock;
use sql_plan::{Expr, Node, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::{Datum, SqlType};

use super::scope::{Column, Item};
use super::{Binder, fold};

/// A table's columns as a scope takes them.
pub(crate) fn columns(table: &TableDescriptor) -> Vec<Column> {
    let column = |c: &ColumnDescriptor| (c.name.clone(), c.ty, Some((table.id, c.id)), c.hidden);
    table.columns.iter().map(column).collect()
}

impl Item {
    /// A table under its own name.
    pub(crate) fn of(table: &Arc<TableDescriptor>) -> Self {
        Item {
            name: table.name.clone(),
            schema: Some(table.schema.clone()),
            table: Some(table.clone()),
            real: None,
        }
    }

    /// A table under another name.
    pub(crate) fn aliased(table: &Arc<TableDescriptor>, alias: String) -> Self {
        Item {
            name: alias,
            schema: None,
            table: Some(table.clone()),
            real: Some(table.name.clone()),
        }
    }

    /// Something that is no table.
    pub(crate) fn derived(name: String) -> Self {
        Item { name, schema: None, table: None, real: None }
    }
}

/// All of a table, all of its columns.
pub(crate) fn scan(table: &Arc<TableDescriptor>, lock: Option<RowLock>) -> Node {
    let columns: Vec<ColumnId> = table.columns.iter().map(|column| column.id).collect();
    match table.kind {
        TableKind::Virtual | TableKind::Sequence(_) => {
            Node::VirtualScan(node::VirtualScan { table: table.clone(), columns, filter: None })
        }
        TableKind::Stored => Node::Scan(node::Scan {
            table: table.clone(),
            index: PRIMARY_INDEX,
            spans: Vec::new(),
            columns,
            filter: None,
            lock,
            limit: None,
            reverse: false,
        }),
    }
}

impl Binder<'_> {
    /// The table of a name.
    pub(crate) fn table(&mut self, name: &Name) -> SqlResult<Arc<TableDescriptor>> {
        name.within(self.catalog.database())?;
        match self.catalog.table(name.schema.as_deref(), &name.name)? {
            Some(table) => {
                self.depend(&table);
                Ok(table)
            }
            None => {
                let shown = match &name.schema {
                    Some(schema) => format!("{schema}.{}", name.name),
                    None => name.name.clone(),
                };
                Err(SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{shown}\" does not exist"),
                )
                .at_if(name.position))
            }
        }
    }

    /// A table that is to be written.
    pub(crate) fn written_table(&mut self, name: &Name) -> SqlResult<Arc<TableDescriptor>> {
        let table = self.table(name)?;
        if table.kind == TableKind::Virtual {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            ));
        }
        if table.sequence().is_some() {
            let text = format!("cannot change sequence \"{}\"", table.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
        Ok(table)
    }

    /// The sequence that a text of type regclass names now, and the plan depends on from here on.
    pub(crate) fn sequence_named(&mut self, text: &str) -> SqlResult<Option<Arc<TableDescriptor>>> {
        let Datum::Oid(oid) = fold::constant_cast(
            Datum::text(text),
            SqlType::RegClass,
            self.functions,
            self.catalog,
        )?
        else {
            return Ok(None);
        };
        let found = self.catalog.table_by_id(TableId(oid))?;
        let found = found.filter(|table| table.sequence().is_some());
        if let Some(sequence) = &found {
            self.depend(sequence);
        }
        Ok(found)
    }

    /// 428C9 where a value is written into a column whose identity alone gives its values.
    pub(crate) fn check_may_insert(&self, column: &ColumnDescriptor) -> SqlResult<()> {
        if column.identity != Some(Identity::Always)
            || self.places.overriding() == Some(Overriding::System)
        {
            return Ok(());
        }
        let text = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
        Err(always(column, text).hint("Use OVERRIDING SYSTEM VALUE to override."))
    }

    /// The same of UPDATE, which nothing overrides.
    pub(crate) fn check_may_update(&self, column: &ColumnDescriptor) -> SqlResult<()> {
        if column.identity != Some(Identity::Always) {
            return Ok(());
        }
        let text = format!("column \"{}\" can only be updated to DEFAULT", column.name);
        Err(always(column, text))
    }

    /// A column by name, which must exist.
    pub(crate) fn written_column(
        &self,
        table: &TableDescriptor,
        name: &str,
        position: Option<u32>,
    ) -> SqlResult<usize> {
        let found = table.columns.iter().position(|column| column.name == name && !column.hidden);
        found.ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
            )
            .at_if(position)
        })
    }

    /// A column's default: NULL if it has none.
    pub(crate) fn default_of(&mut self, column: &ColumnDescriptor) -> SqlResult<Expr> {
        match &column.default {
            None => Ok(Expr::Const(Datum::Null, column.ty)),
            Some(text) => {
                let expression = parse::parse_expression(text)?;
                self.stored_expression(&expression, None, column.ty)
            }
        }
    }

    /// A table's checks, over its columns.
    pub(crate) fn checks_of(
        &mut self,
        table: &Arc<TableDescriptor>,
    ) -> SqlResult<Vec<(String, Expr)>> {
        let mut checks = Vec::new();
        for check in &table.checks {
            let expression = parse::parse_expression(&check.expr)?;
            let expr = self.stored_expression(&expression, Some(table), SqlType::Bool)?;
            checks.push((check.name.clone(), expr));
        }
        Ok(checks)
    }
}

fn always(column: &ColumnDescriptor, text: String) -> SqlError {
    let name = &column.name;
    let detail = format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS.");
    SqlError::new(SqlState::GENERATED_ALWAYS, text).detail(detail)
}
