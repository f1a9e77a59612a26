//! ALTER TABLE ADD CONSTRAINT, upon rows that are there.

use sql_catalog::descriptor::{IndexDescriptor, PRIMARY_INDEX};
use sql_parse::{ConstraintKind, ConstraintSpec};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::create::several_primary_keys;
use super::index::key_columns;
use super::{Table, about, quoted};
use crate::work::Work;

impl Work<'_> {
    /// ADD CONSTRAINT.
    pub(super) async fn alter_add_constraint(
        &mut self,
        old: &Table,
        constraint: &ConstraintSpec,
    ) -> SqlResult<()> {
        if let ConstraintKind::PrimaryKey(columns) = &constraint.kind {
            return self.add_primary_key(old, constraint.name.as_deref(), columns).await;
        }
        let mut table = (**old).clone();
        self.add_constraint(&mut table, constraint).await?;
        if let Some(index) = table.indexes.get(old.indexes.len()).cloned() {
            table.indexes.pop();
            return self.add_index(old, table, index).await;
        }
        self.put_table(old, table.clone())?;
        self.check_expressions(&table).await?;
        if let Some(check) = table.checks.get(old.checks.len()) {
            let text = format!("select 1 from {} where not ({}) limit 1", quoted(old), check.expr);
            if !self.query(&text).await?.is_empty() {
                let text = format!(
                    "check constraint \"{}\" of relation \"{}\" is violated by some row",
                    check.name, old.name
                );
                return Err(SqlError::new(SqlState::CHECK_VIOLATION, text).about(about(
                    old,
                    None,
                    Some(&check.name),
                )));
            }
        }
        Ok(())
    }

    /// ADD PRIMARY KEY: the rows move from their hidden key to the declared one.
    async fn add_primary_key(
        &mut self,
        old: &Table,
        name: Option<&str>,
        columns: &[String],
    ) -> SqlResult<()> {
        let primary = old.primary().ok_or_else(|| SqlError::internal("a table without a key"))?;
        if primary.constraint {
            return Err(several_primary_keys(old));
        }
        if !old.building.is_empty() {
            let text = format!("an index of table \"{}\" is being built", old.name);
            return Err(SqlError::new(SqlState::OBJECT_IN_USE, text));
        }
        let mut table = (**old).clone();
        let key = key_columns(old, columns.iter().map(|name| (name.as_str(), false)))?;
        for (id, _) in &key {
            if let Some(at) = table.position(*id) {
                table.columns[at].not_null = true;
            }
        }
        table.columns.retain(|column| !column.hidden);
        let name = match name {
            Some(name) => {
                self.check_constraint_name(old, name).await?;
                name.to_owned()
            }
            None => self.free_name(old, &[], "pkey", &[]).await?,
        };
        table.indexes[0] = IndexDescriptor {
            id: PRIMARY_INDEX,
            oid: primary.oid,
            name,
            unique: true,
            constraint: true,
            key,
        };
        self.rewrite(old, &table).await?;
        self.put_table(old, table)
    }
}
