//! CREATE TABLE.

use sql_catalog::descriptor::{
    CheckDescriptor, ColumnDescriptor, ColumnId, IndexDescriptor, IndexId, PRIMARY_INDEX,
    TableDescriptor, TableId, TableKind,
};
use sql_catalog::system;
use sql_parse::{ColumnSpec, ConstraintKind, ConstraintSpec, CreateTable, Name};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;

use super::generated::check_spec;
use super::{Done, MAX_COLUMNS, Run, index::key_columns, taken};
use crate::work::Work;

/// The hidden key of a table without a declared one.
const HIDDEN_KEY: &str = "rowid";

impl Run for CreateTable {
    const NAME: &str = "CREATE TABLE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.create_table(self).await
    }
}

impl Work<'_> {
    /// The schema in which a new object of this name goes.
    pub(super) fn target_schema(&self, name: &Name) -> SqlResult<String> {
        name.within(self.database)?;
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            None => {
                let path = self.settings.present().search_path.to_vec();
                let stored =
                    |schema: &String| system::exists(schema) && !system::is_virtual_schema(schema);
                path.into_iter().find(stored).ok_or_else(|| {
                    let text = "no schema has been selected to create in";
                    SqlError::new(SqlState::INVALID_SCHEMA_NAME, text)
                })?
            }
        };
        if system::is_virtual_schema(&schema) {
            let text = format!("permission denied for schema {schema}");
            return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
        }
        if !system::exists(&schema) {
            let text = format!("schema \"{schema}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, text).at_if(name.position));
        }
        Ok(schema)
    }

    /// CREATE TABLE.
    async fn create_table(&mut self, create: &CreateTable) -> SqlResult<Done> {
        let schema = self.target_schema(&create.name)?;
        let name = &create.name.name;
        if self.is_named(&schema, name).await? {
            if !create.if_not_exists {
                return Err(taken(name));
            }
            let text = format!("relation \"{name}\" already exists, skipping");
            let told = SqlError::new(SqlState::DUPLICATE_TABLE, text);
            return Ok(("CREATE TABLE".into(), vec![told]));
        }
        let id = self.allocate(1).await?;
        let mut table = TableDescriptor {
            id: TableId(id),
            version: 1,
            schema,
            name: name.clone(),
            kind: TableKind::Stored,
            columns: Vec::new(),
            indexes: Vec::new(),
            building: Vec::new(),
            checks: Vec::new(),
            next_column: 1,
            next_index: PRIMARY_INDEX.0,
        };
        for column in &create.columns {
            check_spec(&table, column)?;
            add_column(&mut table, column)?;
        }
        for column in &create.columns {
            self.generate(&mut table, column).await?;
        }
        self.keep_defaults(&mut table).await?;
        self.add_primary(&mut table, &create.constraints).await?;
        for constraint in &create.constraints {
            self.add_constraint(&mut table, constraint).await?;
        }
        self.open.catalog.create(&mut self.open.txn, table.clone())?;
        self.check_expressions(&table).await?;
        Ok(("CREATE TABLE".into(), Vec::new()))
    }

    /// A table's or index's next id.
    pub(super) async fn allocate(&mut self, count: u32) -> SqlResult<u32> {
        self.open.catalog.allocate(count).await
    }

    /// The primary index: the declared one, or one over a hidden column.
    async fn add_primary(
        &mut self,
        table: &mut TableDescriptor,
        constraints: &[ConstraintSpec],
    ) -> SqlResult<()> {
        let mut declared = constraints.iter().filter_map(|constraint| match &constraint.kind {
            ConstraintKind::PrimaryKey(columns) => Some((constraint.name.clone(), columns)),
            _ => None,
        });
        let primary = declared.next();
        if declared.next().is_some() {
            return Err(several_primary_keys(table));
        }
        table.next_index = PRIMARY_INDEX.0 + 1;
        let oid = self.allocate(1).await?;
        let Some((name, columns)) = primary else {
            let index = hidden_primary(table, oid);
            table.indexes.push(index);
            return Ok(());
        };
        let key = key_columns(table, columns.iter().map(|name| (name.as_str(), false)))?;
        for (id, _) in &key {
            if let Some(at) = table.position(*id) {
                table.columns[at].not_null = true;
            }
        }
        let name = match name {
            Some(name) => {
                self.check_free(&table.schema, &name).await?;
                name
            }
            None => self.free_name(table, &[], "pkey", std::slice::from_ref(&table.name)).await?,
        };
        table.indexes.push(IndexDescriptor {
            id: PRIMARY_INDEX,
            oid,
            name,
            unique: true,
            constraint: true,
            key,
        });
        Ok(())
    }

    /// Adds UNIQUE and CHECK to a descriptor whose table is empty, or whose rows the caller looks after.
    pub(super) async fn add_constraint(
        &mut self,
        table: &mut TableDescriptor,
        constraint: &ConstraintSpec,
    ) -> SqlResult<()> {
        let mut taken: Vec<_> = table.indexes.iter().map(|index| index.name.clone()).collect();
        taken.extend(table.checks.iter().map(|check| check.name.clone()));
        taken.push(table.name.clone());
        if let Some(name) = &constraint.name
            && !matches!(constraint.kind, ConstraintKind::PrimaryKey(_))
            && taken.contains(name)
        {
            let text =
                format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, text));
        }
        match &constraint.kind {
            ConstraintKind::PrimaryKey(_) => {}
            ConstraintKind::Unique(columns) => {
                let key = key_columns(table, columns.iter().map(|name| (name.as_str(), false)))?;
                let name = match &constraint.name {
                    Some(name) => {
                        self.check_free(&table.schema, name).await?;
                        name.clone()
                    }
                    None => {
                        let columns: Vec<_> = columns.iter().map(String::as_str).collect();
                        self.free_name(table, &columns, "key", &taken).await?
                    }
                };
                let index = IndexDescriptor {
                    id: IndexId(table.next_index),
                    oid: self.allocate(1).await?,
                    name,
                    unique: true,
                    constraint: true,
                    key,
                };
                table.next_index += 1;
                table.indexes.push(index);
            }
            ConstraintKind::Check { column, expr } => {
                let name = match &constraint.name {
                    Some(name) => name.clone(),
                    None => {
                        let columns: Vec<_> = column.iter().map(String::as_str).collect();
                        self.free_name(table, &columns, "check", &taken).await?
                    }
                };
                table.checks.push(CheckDescriptor { name, expr: expr.clone() });
            }
            ConstraintKind::ForeignKey { .. } => {
                return Err(SqlError::unsupported("a foreign key"));
            }
        }
        Ok(())
    }
}

/// 42P16.
pub(super) fn several_primary_keys(table: &TableDescriptor) -> SqlError {
    let text = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
    SqlError::new(SqlState::INVALID_TABLE_DEFINITION, text)
}

/// Adds a column at the end.
pub(super) fn add_column(table: &mut TableDescriptor, spec: &ColumnSpec) -> SqlResult<()> {
    if table.columns.iter().any(|column| column.name == spec.name && !column.hidden) {
        let text = format!("column \"{}\" specified more than once", spec.name);
        return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, text).at_if(spec.position));
    }
    if matches!(spec.ty, SqlType::Unknown | SqlType::Record | SqlType::Void) {
        let text = format!("column \"{}\" has pseudo-type {}", spec.name, spec.ty.name());
        return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, text).at_if(spec.position));
    }
    if table.columns.len() >= MAX_COLUMNS || usize::from(table.next_column) > MAX_COLUMNS {
        let text = format!("tables can have at most {MAX_COLUMNS} columns");
        return Err(SqlError::new(SqlState::TOO_MANY_COLUMNS, text));
    }
    // A hidden key gives way: users find their own column under its name.
    if let Some(hidden) = table.columns.iter_mut().find(|column| column.name == spec.name) {
        hidden.name.push_str("_hidden");
    }
    table.columns.push(ColumnDescriptor {
        id: ColumnId(table.next_column),
        name: spec.name.clone(),
        ty: spec.ty,
        not_null: spec.not_null || !spec.generated.is_empty(),
        default: spec.default.clone(),
        hidden: false,
        missing: None,
        identity: None,
    });
    table.next_column += 1;
    Ok(())
}

/// Adds the hidden column and gives the index over it. Random keys spread over the table's ranges.
fn hidden_primary(table: &mut TableDescriptor, oid: u32) -> IndexDescriptor {
    let mut name = HIDDEN_KEY.to_owned();
    while table.columns.iter().any(|column| column.name == name) {
        name.push_str("_hidden");
    }
    let id = ColumnId(table.next_column);
    table.next_column += 1;
    table.columns.push(ColumnDescriptor {
        id,
        name,
        ty: SqlType::Uuid,
        not_null: true,
        default: Some("gen_random_uuid()".into()),
        hidden: true,
        missing: None,
        identity: None,
    });
    IndexDescriptor {
        id: PRIMARY_INDEX,
        oid,
        name: String::new(),
        unique: true,
        constraint: false,
        key: vec![(id, false)],
    }
}
