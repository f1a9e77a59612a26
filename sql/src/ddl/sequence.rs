//! CREATE, ALTER and DROP SEQUENCE; and the sequences that columns have.

use sql_catalog::descriptor::sequence::{
    SequenceDescriptor, SequenceOwner, SequenceState, bounds_of, columns,
};
use sql_catalog::descriptor::{ObjectKind, TableDescriptor, TableId, TableKind};
use sql_exec::OrSql;
use sql_parse::{
    AlterSequence, AlterSequenceAction, CreateSequence, DropSequence, Name, OwnedBy, SequenceOption,
};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::SqlType;

use super::depend::Doomed;
use super::{Done, Run, Table, notice, taken};
use crate::catalog::sequence::{self, Stored, not_a_sequence};
use crate::work::{Work, undefined};

impl Run for CreateSequence {
    const NAME: &str = "CREATE SEQUENCE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.create_sequence(self).await
    }
}

impl Run for AlterSequence {
    const NAME: &str = "ALTER SEQUENCE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.alter_sequence(self).await
    }
}

impl Run for DropSequence {
    const NAME: &str = "DROP SEQUENCE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        let mut notices = Vec::new();
        let mut doomed = Doomed::default();
        for name in &self.0.names {
            let Some(found) = work.find_table(name).await? else {
                work.check_kind(name, ObjectKind::Sequence).await?;
                let text = format!("sequence \"{}\" does not exist", name.name);
                if !self.0.if_exists {
                    return Err(SqlError { message: text, ..undefined(name) });
                }
                notices.push(notice(format!("{text}, skipping")));
                continue;
            };
            if found.sequence().is_none() {
                work.check_kind(name, ObjectKind::Sequence).await?;
                return Err(not_a_sequence(&found));
            }
            doomed.named.push(found);
        }
        notices.extend(work.drop_all(doomed, self.0.cascade).await?);
        Ok(("DROP SEQUENCE".into(), notices))
    }
}

impl Work<'_> {
    async fn create_sequence(&mut self, create: &CreateSequence) -> SqlResult<Done> {
        let tag = || "CREATE SEQUENCE".to_owned();
        let schema = self.target_schema(&create.name)?;
        let name = &create.name.name;
        if self.is_named(&schema, name).await? {
            if !create.if_not_exists {
                return Err(taken(name));
            }
            let text = format!("relation \"{name}\" already exists, skipping");
            return Ok((tag(), vec![SqlError::new(SqlState::DUPLICATE_TABLE, text)]));
        }
        let (mut sequence, state) = described(&create.options, None, SqlType::Int8)?;
        sequence.owner = self.owner_in(&create.options, &schema).await?.flatten();
        self.make_sequence(&schema, name, sequence, state).await?;
        Ok((tag(), Vec::new()))
    }

    /// Writes a new sequence.
    pub(super) async fn make_sequence(
        &mut self,
        schema: &str,
        name: &str,
        sequence: SequenceDescriptor,
        state: SequenceState,
    ) -> SqlResult<TableId> {
        let id = TableId(self.allocate(1).await?);
        let columns = columns();
        let table = TableDescriptor {
            id,
            version: 1,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind: TableKind::Sequence(sequence),
            next_column: columns.len() as u16 + 1,
            columns,
            indexes: Vec::new(),
            building: Vec::new(),
            checks: Vec::new(),
            next_index: 1,
        };
        self.open.catalog.create(&mut self.open.txn, table)?;
        sequence::put(&mut self.open.txn, id, state).or_sql()?;
        Ok(id)
    }

    /// What OWNED BY says: none if nothing, none in it for NONE.
    async fn owner_in(
        &mut self,
        options: &[SequenceOption],
        schema: &str,
    ) -> SqlResult<Option<Option<SequenceOwner>>> {
        let said = options.iter().find_map(|option| match option {
            SequenceOption::Owned(owned) => Some(owned),
            _ => None,
        });
        let (name, column) = match said {
            None => return Ok(None),
            Some(OwnedBy::None) => return Ok(Some(None)),
            Some(OwnedBy::Unclear) => {
                let error = SqlError::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option");
                return Err(error.hint("Specify OWNED BY table.column or OWNED BY NONE."));
            }
            Some(OwnedBy::Column { table, column }) => (table, column),
        };
        let Some(table) = self.find_table(name).await? else {
            return Err(SqlError { position: None, ..undefined(name) });
        };
        if table.kind != TableKind::Stored {
            let text = format!("sequence cannot be owned by relation \"{}\"", table.name);
            let error = SqlError::new(SqlState::WRONG_OBJECT_TYPE, text);
            return Err(match table.sequence() {
                Some(_) => error.detail("This operation is not supported for sequences."),
                None => error,
            });
        }
        if table.schema != schema {
            let text = "sequence must be in same schema as table it is linked to";
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        }
        let column = super::column(&table, column)?.id;
        Ok(Some(Some(SequenceOwner { table: table.id, column, identity: false })))
    }

    /// The sequence of a name.
    async fn sequence_named(&mut self, name: &Name) -> SqlResult<Option<Table>> {
        match self.find_table(name).await? {
            Some(table) if table.sequence().is_some() => Ok(Some(table)),
            Some(table) => Err(not_a_sequence(&table)),
            None => match self.find_object(name).await? {
                Some(_) => {
                    let text = format!("\"{}\" is not a sequence", name.name);
                    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text))
                }
                None => Ok(None),
            },
        }
    }

    async fn alter_sequence(&mut self, alter: &AlterSequence) -> SqlResult<Done> {
        let tag = || "ALTER SEQUENCE".to_owned();
        let Some(found) = self.sequence_named(&alter.name).await? else {
            if alter.if_exists {
                let name = &alter.name.name;
                let text = format!("relation \"{name}\" does not exist, skipping");
                return Ok((tag(), vec![notice(text)]));
            }
            return Err(undefined(&alter.name));
        };
        match &alter.action {
            AlterSequenceAction::Options(options) => {
                self.change_sequence(found.id, options).await?;
            }
            AlterSequenceAction::Rename(name) => self.rename_sequence(found.id, name).await?,
            AlterSequenceAction::SetSchema(schema) if *schema == found.schema => {}
            AlterSequenceAction::SetSchema(schema) => {
                let name = Name {
                    database: None,
                    schema: Some(schema.clone()),
                    name: found.name.clone(),
                    position: None,
                };
                self.target_schema(&name)?;
                return Err(SqlError::unsupported("ALTER SEQUENCE ... SET SCHEMA"));
            }
        }
        Ok((tag(), Vec::new()))
    }

    /// RENAME TO.
    pub(super) async fn rename_sequence(&mut self, id: TableId, name: &str) -> SqlResult<()> {
        let old = self.begin_change(id).await?;
        self.check_free(&old.schema, name).await?;
        let table = TableDescriptor { name: name.to_owned(), ..(*old).clone() };
        self.put_table(&old, table)
    }

    /// A sequence that is being changed, and where it stands.
    async fn begin_change_of_sequence(&mut self, id: TableId) -> SqlResult<(Table, Stored)> {
        let old = self.begin_change(id).await?;
        let stored = sequence::lock(&mut self.open.txn, id).await.or_sql()??;
        let stored = stored.ok_or_else(|| SqlError::internal("a sequence that is gone"))?;
        Ok((old, stored))
    }

    /// Changes what a sequence is, and where it stands if RESTART says so.
    pub(super) async fn change_sequence(
        &mut self,
        id: TableId,
        options: &[SequenceOption],
    ) -> SqlResult<()> {
        let (old, stored) = self.begin_change_of_sequence(id).await?;
        let Some(before) = old.sequence().copied() else { return Err(not_a_sequence(&old)) };
        let state = stored.state.unwrap_or_else(|| before.beginning());
        let (mut sequence, next) = described(options, Some((before, state)), before.ty)?;
        if let Some(owner) = self.owner_in(options, &old.schema).await? {
            if let Some(SequenceOwner { table, identity: true, .. }) = before.owner {
                let table = self.open.catalog.table_by_id(&mut self.open.txn, table).await?;
                let text = "cannot change ownership of identity sequence";
                let linked = table.map_or(String::new(), |table| table.name.clone());
                let detail = format!("Sequence \"{}\" is linked to table \"{linked}\".", old.name);
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, text).detail(detail));
            }
            sequence.owner = owner;
        }
        if next != state {
            sequence::put(&mut self.open.txn, id, next).or_sql()?;
        }
        let table = TableDescriptor { kind: TableKind::Sequence(sequence), ..(*old).clone() };
        self.put_table(&old, table)
    }

    /// TRUNCATE … RESTART IDENTITY. Its descriptor gets another version, for sessions that have kept values of it.
    pub(super) async fn restart_sequence(&mut self, id: TableId) -> SqlResult<()> {
        self.change_sequence(id, &[SequenceOption::Restart(None)]).await
    }
}

fn invalid(text: String) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

/// What a sequence is with these options, and where it stands then: a new one, or one that there is.
pub(super) fn described(
    options: &[SequenceOption],
    old: Option<(SequenceDescriptor, SequenceState)>,
    ty: SqlType,
) -> SqlResult<(SequenceDescriptor, SequenceState)> {
    let before = old.map(|(sequence, _)| sequence);
    // The bounds that nobody gave are the old type's.
    let (mut reset_min, mut reset_max) = (old.is_none(), old.is_none());
    let mut sequence = before.unwrap_or(SequenceDescriptor {
        ty,
        start: 0,
        increment: 1,
        min: 0,
        max: 0,
        cache: 1,
        cycle: false,
        owner: None,
    });
    for option in options {
        match option {
            SequenceOption::As(ty) => {
                let bounds = bounds_of(sequence.ty);
                if before.is_some() && *ty != sequence.ty {
                    reset_min |= bounds.is_some_and(|(min, _)| sequence.min == min);
                    reset_max |= bounds.is_some_and(|(_, max)| sequence.max == max);
                }
                sequence.ty = *ty;
            }
            SequenceOption::Increment(0) => {
                return Err(invalid("INCREMENT must not be zero".into()));
            }
            SequenceOption::Increment(increment) => sequence.increment = *increment,
            SequenceOption::Cycle(cycle) => sequence.cycle = *cycle,
            SequenceOption::Max(max) => reset_max |= max.is_none(),
            SequenceOption::Min(min) => reset_min |= min.is_none(),
            _ => {}
        }
    }
    let Some((least, greatest)) = bounds_of(sequence.ty) else {
        return Err(invalid("sequence type must be smallint, integer, or bigint".into()));
    };
    let ascends = sequence.increment > 0;
    if reset_max {
        sequence.max = if ascends { greatest } else { -1 };
    }
    if reset_min {
        sequence.min = if ascends { 1 } else { least };
    }
    for option in options {
        match option {
            SequenceOption::Max(Some(max)) => sequence.max = *max,
            SequenceOption::Min(Some(min)) => sequence.min = *min,
            _ => {}
        }
    }
    let SequenceDescriptor { min, max, .. } = sequence;
    for (word, bound) in [("MAXVALUE", max), ("MINVALUE", min)] {
        if !(least..=greatest).contains(&bound) {
            let ty = sequence.ty.name();
            let text = format!("{word} ({bound}) is out of range for sequence data type {ty}");
            return Err(invalid(text));
        }
    }
    if min >= max {
        return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    if before.is_none() {
        sequence.start = if ascends { min } else { max };
    }
    let within = |word: &str, value: i64| match value {
        value if value < min => {
            Err(invalid(format!("{word} value ({value}) cannot be less than MINVALUE ({min})")))
        }
        value if value > max => {
            Err(invalid(format!("{word} value ({value}) cannot be greater than MAXVALUE ({max})")))
        }
        _ => Ok(()),
    };
    if let Some(SequenceOption::Start(start)) =
        options.iter().find(|option| matches!(option, SequenceOption::Start(_)))
    {
        sequence.start = *start;
    }
    within("START", sequence.start)?;
    let mut state = old.map_or(sequence.beginning(), |(_, state)| state);
    for option in options {
        match option {
            SequenceOption::Restart(value) => {
                let last_value = value.unwrap_or(sequence.start);
                let stamp = state.stamp + 1;
                state = SequenceState { last_value, is_called: false, stamp };
            }
            SequenceOption::Cache(cache) => sequence.cache = *cache,
            _ => {}
        }
    }
    within("RESTART", state.last_value)?;
    match sequence.cache {
        1.. => Ok((sequence, state)),
        cache => Err(invalid(format!("CACHE ({cache}) must be greater than zero"))),
    }
}
