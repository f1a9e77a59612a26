//! What goes with what is dropped, and what is in the way of that: sequences go with their columns, and defaults depend on
//! sequences.

use sql_catalog::descriptor::sequence::SequenceOwner;
use sql_catalog::descriptor::{ColumnId, TableDescriptor, TableId};
use sql_exec::sink::Notice;
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::{Table, notice};
use crate::catalog::links;
use crate::work::Work;

/// What is to be dropped.
#[derive(Default)]
pub(super) struct Doomed {
    /// Tables or sequences.
    pub(super) named: Vec<Table>,
    /// A column of a table that stays.
    pub(super) column: Option<(Table, ColumnId)>,
}

impl Doomed {
    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.named.iter().filter(|table| table.sequence().is_none())
    }

    /// True iff a column goes anyway.
    fn takes(&self, table: TableId, column: ColumnId) -> bool {
        let is_column = |(other, id): &(Table, ColumnId)| other.id == table && *id == column;
        self.tables().any(|other| other.id == table) || self.column.as_ref().is_some_and(is_column)
    }

    /// What PostgreSQL calls it.
    fn noun(&self) -> String {
        let (before, name) = match (self.named.as_slice(), &self.column) {
            ([one], _) => {
                let kind = one.object_kind().keyword().to_ascii_lowercase();
                (kind, one.name.clone())
            }
            (_, Some((table, id))) => {
                let column = column_name(table, *id);
                return format!("column {column} of table {}", table.name);
            }
            _ => return "desired object(s)".into(),
        };
        format!("{before} {name}")
    }
}

fn column_name(table: &TableDescriptor, id: ColumnId) -> &str {
    table.position(id).map_or("", |at| table.columns[at].name.as_str())
}

impl Work<'_> {
    /// Drops tables and sequences, or what goes with a column, with the sequences that go with them. 2BP01 if a default
    /// that stays takes its values from one, unless it is dropped too.
    pub(super) async fn drop_all(
        &mut self,
        doomed: Doomed,
        cascade: bool,
    ) -> SqlResult<Vec<Notice>> {
        let sequences = self.doomed_sequences(&doomed).await?;
        let mut users = Vec::new();
        for sequence in &sequences {
            for (table, column) in links::users(&mut self.open.txn, sequence.id).await? {
                if !doomed.takes(table, column) {
                    let table = self.open.catalog.table_by_id(&mut self.open.txn, table).await?;
                    let table = table.ok_or_else(|| SqlError::internal("a default of no table"))?;
                    users.push((table, column, sequence.name.clone()));
                }
            }
        }
        let default_of = |(table, column, _): &(Table, ColumnId, String)| {
            format!(
                "default value for column {} of table {}",
                column_name(table, *column),
                table.name
            )
        };
        let mut notices = Vec::new();
        if !users.is_empty() && !cascade {
            let lines = users
                .iter()
                .map(|user| format!("{} depends on sequence {}", default_of(user), user.2));
            let them = if doomed.named.len() > 1 { "them" } else { "it" };
            let text =
                format!("cannot drop {} because other objects depend on {them}", doomed.noun());
            return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
                .detail(lines.collect::<Vec<_>>().join("\n"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let dropped: Vec<_> =
            users.iter().map(|user| format!("drop cascades to {}", default_of(user))).collect();
        match dropped.as_slice() {
            [] => {}
            [one] => notices.push(notice(one.clone())),
            many => {
                let told = notice(format!("drop cascades to {} other objects", many.len()));
                notices.push(told.detail(many.join("\n")));
            }
        }
        for (table, column, _) in users {
            let old = self.begin_change(table.id).await?;
            let mut table = (*old).clone();
            if let Some(at) = table.position(column) {
                table.columns[at].default = None;
            }
            self.put_table(&old, table)?;
        }
        let tables: Vec<TableId> = doomed.tables().map(|table| table.id).collect();
        for id in tables.into_iter().chain(sequences.iter().map(|sequence| sequence.id)) {
            let table = self.begin_change(id).await?;
            self.open.catalog.drop_table(&mut self.open.txn, &table)?;
        }
        Ok(notices)
    }

    /// The sequences that are named, or go with what is.
    async fn doomed_sequences(&mut self, doomed: &Doomed) -> SqlResult<Vec<Table>> {
        let mut sequences: Vec<Table> = Vec::new();
        for table in doomed.tables() {
            for (_, id) in links::owned(&mut self.open.txn, table.id).await? {
                sequences.extend(self.open.catalog.table_by_id(&mut self.open.txn, id).await?);
            }
        }
        if let Some((table, column)) = &doomed.column {
            for (owner, id) in links::owned(&mut self.open.txn, table.id).await? {
                if owner == *column {
                    sequences.extend(self.open.catalog.table_by_id(&mut self.open.txn, id).await?);
                }
            }
        }
        for table in &doomed.named {
            let Some(sequence) = table.sequence() else { continue };
            if let Some(SequenceOwner { table: owner, column, identity: true }) = sequence.owner
                && !doomed.takes(owner, column)
            {
                return Err(self.is_required(table, owner, column).await?);
            }
            if !sequences.iter().any(|other| other.id == table.id) {
                sequences.push(table.clone());
            }
        }
        Ok(sequences)
    }

    /// 2BP01 for the sequence of an identity column.
    async fn is_required(
        &mut self,
        sequence: &TableDescriptor,
        owner: TableId,
        column: ColumnId,
    ) -> SqlResult<SqlError> {
        let table = self.open.catalog.table_by_id(&mut self.open.txn, owner).await?;
        let table = table.ok_or_else(|| SqlError::internal("a sequence of no table"))?;
        let column = format!("column {} of table {}", column_name(&table, column), table.name);
        let text = format!("cannot drop sequence {} because {column} requires it", sequence.name);
        let error = SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text);
        Ok(error.hint(format!("You can drop {column} instead.")))
    }
}
