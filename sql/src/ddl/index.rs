//! CREATE INDEX and DROP INDEX.

use sql_catalog::descriptor::{
    ColumnId, IndexDescriptor, IndexId, ObjectKind, PRIMARY_INDEX, TableDescriptor,
};
use sql_parse::{CreateIndex, Drop, DropIndex, Name};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::{Done, Run, about, taken, undefined_object};
use crate::work::Work;

/// Key columns of an index.
const MAX_KEY: usize = 32;

/// The ids behind an index's column names.
pub(super) fn key_columns<'n>(
    table: &TableDescriptor,
    columns: impl Iterator<Item = (&'n str, bool)>,
) -> SqlResult<Vec<(ColumnId, bool)>> {
    let mut key: Vec<(ColumnId, bool)> = Vec::new();
    for (name, descending) in columns {
        let visible = |column: &&sql_catalog::descriptor::ColumnDescriptor| {
            column.name == name && !column.hidden
        };
        let column = table.columns.iter().find(visible).ok_or_else(|| {
            let text = format!("column \"{name}\" named in key does not exist");
            SqlError::new(SqlState::UNDEFINED_COLUMN, text)
        })?;
        if key.iter().any(|(id, _)| *id == column.id) {
            let text = format!("column \"{name}\" appears twice in a key");
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, text));
        }
        key.push((column.id, descending));
    }
    if key.len() > MAX_KEY {
        let text = format!("cannot use more than {MAX_KEY} columns in an index");
        return Err(SqlError::new(SqlState::TOO_MANY_COLUMNS, text));
    }
    Ok(key)
}

impl Run for CreateIndex {
    const NAME: &str = "CREATE INDEX";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.create_index(self).await
    }

    fn runs_alone(&self) -> Option<&'static str> {
        self.concurrently.then_some("CREATE INDEX CONCURRENTLY")
    }
}

impl Run for DropIndex {
    const NAME: &str = "DROP INDEX";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.drop_indexes(&self.0).await
    }

    fn runs_alone(&self) -> Option<&'static str> {
        self.0.concurrently.then_some("DROP INDEX CONCURRENTLY")
    }
}

impl Work<'_> {
    /// CREATE INDEX.
    async fn create_index(&mut self, create: &CreateIndex) -> SqlResult<Done> {
        let tag = || "CREATE INDEX".to_owned();
        if let Some(found) = self.find_table(&create.table).await?
            && found.sequence().is_some()
        {
            let text = format!("cannot create index on relation \"{}\"", found.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text)
                .detail("This operation is not supported for sequences."));
        }
        let found = self.stored_table(&create.table).await?;
        if let Some(name) = &create.name
            && self.is_named(&found.schema, name).await?
        {
            if !create.if_not_exists {
                return Err(taken(name));
            }
            let text = format!("relation \"{name}\" already exists, skipping");
            return Ok((tag(), vec![SqlError::new(SqlState::DUPLICATE_TABLE, text)]));
        }
        let old = self.begin_change(found.id).await?;
        let mut table = (*old).clone();
        let columns = create.columns.iter().map(|(name, descending)| (name.as_str(), *descending));
        let key = key_columns(&table, columns)?;
        let name = match &create.name {
            Some(name) => name.clone(),
            None => {
                let columns: Vec<_> =
                    create.columns.iter().map(|(name, _)| name.as_str()).collect();
                self.free_name(&table, &columns, "idx", &[]).await?
            }
        };
        let index = IndexDescriptor {
            id: IndexId(table.next_index),
            oid: self.allocate(1).await?,
            name,
            unique: create.unique,
            constraint: false,
            key,
        };
        table.next_index += 1;
        self.add_index(&old, table, index).await?;
        Ok((tag(), Vec::new()))
    }

    /// Adds an index of a table that has rows. In a block, or if they are few, it gets its entries at once; otherwise
    /// behind the commit, while others write.
    pub(super) async fn add_index(
        &mut self,
        old: &TableDescriptor,
        mut table: TableDescriptor,
        index: IndexDescriptor,
    ) -> SqlResult<()> {
        if self.open.alone && self.has_many_rows(old).await? {
            let open = &mut *self.open;
            open.builds.push(open.catalog.claim_build(&mut open.txn, table.id, index.id)?);
            table.building.push(index);
            return self.put_table(old, table);
        }
        table.indexes.push(index.clone());
        self.put_table(old, table.clone())?;
        self.backfill(&table, &index).await
    }

    /// DROP INDEX.
    async fn drop_indexes(&mut self, drop: &Drop) -> SqlResult<Done> {
        let mut notices = Vec::new();
        for name in &drop.names {
            let Some((found, index)) = self.find_index(name).await? else {
                self.check_kind(name, ObjectKind::Index).await?;
                let text = format!("index \"{}\" does not exist", name.name);
                if !drop.if_exists {
                    return Err(undefined_object(text));
                }
                notices.push(super::notice(format!("{text}, skipping")));
                continue;
            };
            let old = self.begin_change(found).await?;
            let index = old.maintained().find(|known| known.id == index);
            let index = index.ok_or_else(|| undefined_object(name.name.clone()))?;
            if index.constraint || index.id == PRIMARY_INDEX {
                let text = format!(
                    "cannot drop index {0} because constraint {0} on table {1} requires it",
                    index.name, old.name
                );
                let error = SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text);
                let hint = format!("You can drop constraint {} on table {0} instead.", old.name);
                return Err(error.hint(hint).about(about(&old, None, Some(&index.name))));
            }
            self.remove_index(&old, index.id)?;
        }
        Ok(("DROP INDEX".into(), notices))
    }

    /// Removes an index; its entries go behind the commit.
    pub(super) fn remove_index(&mut self, old: &TableDescriptor, id: IndexId) -> SqlResult<()> {
        let open = &mut *self.open;
        open.catalog.drop_index(&mut open.txn, old, id)?;
        let mut table = old.clone();
        table.indexes.retain(|index| index.id != id);
        table.building.retain(|index| index.id != id);
        self.put_table(old, table)
    }

    async fn find_index(
        &mut self,
        name: &Name,
    ) -> SqlResult<Option<(sql_catalog::descriptor::TableId, IndexId)>> {
        name.within(self.database)?;
        let schemas = match &name.schema {
            Some(schema) => vec![schema.clone()],
            None => self.settings.present().search_path.to_vec(),
        };
        for schema in schemas {
            let open = &mut *self.open;
            let table = open.catalog.table_of_index(&mut open.txn, &schema, &name.name).await?;
            let found = table.and_then(|table| {
                let index = table.maintained().find(|index| index.name == name.name)?;
                Some((table.id, index.id))
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
