//! Columns whose values a sequence gives: serial types, identity, and what ALTER COLUMN does about the latter.

use std::collections::BTreeMap;

use sql_catalog::descriptor::sequence::{SequenceOwner, bounds_of, relations_in};
use sql_catalog::descriptor::{ColumnId, Identity, TableDescriptor, TableId};
use sql_exec::sink::Notice;
use sql_parse::{Generated, IdentityChange, Name, SequenceOption};
use sql_values::error::{SqlError, SqlResult, SqlState};

use super::depend::Doomed;
use super::sequence::described;
use super::{Table, column, notice};
use crate::work::Work;

fn syntax(text: String) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, text)
}

fn not_ready(table: &TableDescriptor, column: &str, what: &str) -> SqlError {
    let text = format!("column \"{column}\" of relation \"{}\" {what}", table.name);
    SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
}

/// The default of a column whose values a sequence gives.
fn next_value(sequence: TableId) -> String {
    format!("nextval('{}'::regclass)", sequence.0)
}

/// What a column's definition says twice, or against itself.
pub(super) fn check_spec(table: &TableDescriptor, spec: &sql_parse::ColumnSpec) -> SqlResult<()> {
    let place = format!("column \"{}\" of table \"{}\"", spec.name, table.name);
    let identities = spec.generated.iter().filter(|g| matches!(g, Generated::Identity { .. }));
    let identities = identities.count();
    let is_serial = identities < spec.generated.len();
    let text = match () {
        () if identities > 1 => format!("multiple identity specifications for {place}"),
        () if identities == 1 && (is_serial || spec.default.is_some()) => {
            format!("both default and identity specified for {place}")
        }
        () if is_serial && spec.default.is_some() => {
            format!("multiple default values specified for {place}")
        }
        () if spec.null && (spec.not_null || !spec.generated.is_empty()) => {
            format!("conflicting NULL/NOT NULL declarations for {place}")
        }
        () => return Ok(()),
    };
    Err(syntax(text).at_if(spec.position))
}

impl Work<'_> {
    /// Gives the last column of a table its sequence, if its definition says so. The table is not written yet.
    pub(super) async fn generate(
        &mut self,
        table: &mut TableDescriptor,
        spec: &sql_parse::ColumnSpec,
    ) -> SqlResult<()> {
        let Some(generated) = spec.generated.first() else { return Ok(()) };
        let Some(id) = table.columns.iter().find(|c| c.name == spec.name).map(|c| c.id) else {
            return Err(SqlError::internal("a column that is not there"));
        };
        let (identity, options) = match generated {
            Generated::Serial => (None, &[][..]),
            Generated::Identity { always, options } => (Some(of(*always)), options.as_slice()),
        };
        let sequence = self.sequence_of_column(table, id, identity, options).await?;
        if let Some(at) = table.position(id) {
            let column = &mut table.columns[at];
            (column.default, column.identity) = (Some(next_value(sequence)), identity);
        }
        Ok(())
    }

    /// Makes the sequence of a column.
    async fn sequence_of_column(
        &mut self,
        table: &TableDescriptor,
        id: ColumnId,
        identity: Option<Identity>,
        options: &[SequenceOption],
    ) -> SqlResult<TableId> {
        let at = table.position(id).ok_or_else(|| SqlError::internal("a sequence of no column"))?;
        let column = &table.columns[at];
        if identity.is_some() && bounds_of(column.ty).is_none() {
            let text = "identity column type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
        }
        let (mut sequence, state) = described(options, None, column.ty)?;
        let identity = identity.is_some();
        sequence.owner = Some(SequenceOwner { table: table.id, column: id, identity });
        let given = options.iter().find_map(|option| match option {
            SequenceOption::Named(name) => Some(name),
            _ => None,
        });
        let (schema, name) = match given {
            Some(name) => {
                let schema = self.target_schema(name)?;
                self.check_free(&schema, &name.name).await?;
                (schema, name.name.clone())
            }
            None => {
                let taken = std::slice::from_ref(&table.name);
                let name = self.free_name(table, &[&column.name], "seq", taken).await?;
                (table.schema.clone(), name)
            }
        };
        self.make_sequence(&schema, &name, sequence, state).await
    }

    /// A default as it is kept: the relations that it names by their oids, so that they may be renamed.
    pub(super) async fn kept_default(&mut self, text: &str) -> SqlResult<String> {
        let mut names = Vec::new();
        sql_parse::with_relations(text, &mut |name| {
            names.push(name.to_owned());
            None
        })?;
        if names.is_empty() {
            return Ok(text.to_owned());
        }
        let mut known = BTreeMap::new();
        for text in names {
            let Some(name) = sql_parse::relation_name(&text) else { continue };
            if let Some(table) = self.find_table(&Name { position: None, ..name }).await?
                && table.sequence().is_some()
            {
                known.insert(text, table.id.0);
            }
        }
        sql_parse::with_relations(text, &mut |name| known.get(name).copied())
    }

    /// The same of all columns of a table that is about to be written.
    pub(super) async fn keep_defaults(&mut self, table: &mut TableDescriptor) -> SqlResult<()> {
        for column in &mut table.columns {
            if let Some(default) = &mut column.default {
                *default = self.kept_default(default).await?;
            }
        }
        Ok(())
    }

    /// ADD GENERATED … AS IDENTITY.
    pub(super) async fn add_identity(
        &mut self,
        old: &Table,
        name: &str,
        always: bool,
        options: &[SequenceOption],
    ) -> SqlResult<()> {
        let found = column(old, name)?;
        let id = found.id;
        if !found.not_null {
            let what = "must be declared NOT NULL before identity can be added";
            return Err(not_ready(old, name, what));
        }
        if found.identity.is_some() {
            return Err(not_ready(old, name, "is already an identity column"));
        }
        if found.default.is_some() {
            return Err(not_ready(old, name, "already has a default value"));
        }
        let identity = Some(of(always));
        let sequence = self.sequence_of_column(old, id, identity, options).await?;
        let mut table = (**old).clone();
        if let Some(at) = table.position(id) {
            let column = &mut table.columns[at];
            (column.default, column.identity) = (Some(next_value(sequence)), identity);
        }
        self.put_table(old, table)
    }

    /// SET GENERATED, SET with an option of the sequence, RESTART.
    pub(super) async fn alter_identity(
        &mut self,
        old: &Table,
        name: &str,
        changes: &[IdentityChange],
    ) -> SqlResult<()> {
        let found = column(old, name)?;
        let id = found.id;
        if found.identity.is_none() {
            return Err(not_ready(old, name, "is not an identity column"));
        }
        let sequence = sequence_in(found.default.as_deref())?;
        let mut table = (**old).clone();
        let mut options: Vec<SequenceOption> = Vec::new();
        let mut is_set = false;
        for change in changes {
            let is_twice = match change {
                IdentityChange::Always(always) => {
                    if let Some(at) = table.position(id) {
                        table.columns[at].identity = Some(of(*always));
                    }
                    std::mem::replace(&mut is_set, true)
                }
                IdentityChange::Option(option) => {
                    let kind = std::mem::discriminant(option);
                    let is_twice = options.iter().any(|o| std::mem::discriminant(o) == kind);
                    options.push(option.clone());
                    is_twice
                }
            };
            if is_twice {
                return Err(syntax("conflicting or redundant options".into()));
            }
        }
        if !options.is_empty() {
            self.change_sequence(sequence, &options).await?;
        }
        self.put_table(old, table)
    }

    /// DROP IDENTITY.
    pub(super) async fn drop_identity(
        &mut self,
        old: &Table,
        name: &str,
        if_exists: bool,
        notices: &mut Vec<Notice>,
    ) -> SqlResult<()> {
        let id = column(old, name)?.id;
        if column(old, name)?.identity.is_none() {
            let error = not_ready(old, name, "is not an identity column");
            if !if_exists {
                return Err(error);
            }
            notices.push(notice(format!("{}, skipping", error.message)));
            return Ok(());
        }
        let mut table = (**old).clone();
        if let Some(at) = table.position(id) {
            (table.columns[at].default, table.columns[at].identity) = (None, None);
        }
        self.put_table(old, table)?;
        let doomed = Doomed { column: Some((old.clone(), id)), ..Doomed::default() };
        self.drop_all(doomed, false).await.map(|_| ())
    }
}

fn of(always: bool) -> Identity {
    if always { Identity::Always } else { Identity::ByDefault }
}

fn sequence_in(default: Option<&str>) -> SqlResult<TableId> {
    let found = default.map(relations_in).unwrap_or_default();
    let found = found.first().copied();
    found.map(TableId).ok_or_else(|| SqlError::internal("an identity without a sequence"))
}

/// 42601 for what would change the default of an identity column, or take away what it stands for.
pub(super) fn check_no_identity(
    table: &TableDescriptor,
    name: &str,
    drops_default: bool,
) -> SqlResult<()> {
    if column(table, name)?.identity.is_none() {
        return Ok(());
    }
    let text = format!("column \"{name}\" of relation \"{}\" is an identity column", table.name);
    let error = syntax(text);
    Err(match drops_default {
        true => error.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."),
        false => error,
    })
}
