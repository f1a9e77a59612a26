//! ALTER TABLE: its actions one after the other, each upon what the one before left.

use sql_catalog::descriptor::TableDescriptor;
use sql_catalog::function::Volatility;
use sql_exec::row::encode_datum;
use sql_exec::sink::Notice;
use sql_parse::{AlterAction, AlterTable, ColumnSpec, ConstraintSpec};
use sql_plan::{Expr, Node, node};
use sql_values::error::{SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use super::create::add_column;
use super::depend::Doomed;
use super::generated::{check_no_identity, check_spec};
use super::rows::contains_null;
use super::{Done, Run, Table, column, notice, quote, quoted, taken, undefined_object};
use crate::work::Work;

/// Longest default that is kept with the table for rows of before; a longer one is written to each.
const MAX_MISSING: usize = 8 << 10;

impl Run for AlterTable {
    const NAME: &str = "ALTER TABLE";

    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done> {
        work.alter_table(self).await
    }
}

/// What PostgreSQL calls an action.
fn name_of(action: &AlterAction) -> &'static str {
    match action {
        AlterAction::AddConstraint(_) => "ADD CONSTRAINT",
        AlterAction::AddColumn { .. } => "ADD COLUMN",
        AlterAction::DropColumn { .. } => "DROP COLUMN",
        AlterAction::DropConstraint { .. } => "DROP CONSTRAINT",
        AlterAction::Rename(_) => "RENAME",
        AlterAction::RenameColumn { .. } => "RENAME COLUMN",
        AlterAction::SetDefault { .. } => "ALTER COLUMN ... SET DEFAULT",
        AlterAction::SetNotNull { not_null: true, .. } => "ALTER COLUMN ... SET NOT NULL",
        AlterAction::SetNotNull { not_null: false, .. } => "ALTER COLUMN ... DROP NOT NULL",
        AlterAction::AddIdentity { .. } => "ALTER COLUMN ... ADD IDENTITY",
        AlterAction::AlterIdentity { .. } => "ALTER COLUMN ... SET",
        AlterAction::DropIdentity { .. } => "ALTER COLUMN ... DROP IDENTITY",
    }
}

impl Work<'_> {
    /// ALTER TABLE.
    async fn alter_table(&mut self, alter: &AlterTable) -> SqlResult<Done> {
        let tag = || "ALTER TABLE".to_owned();
        if alter.if_exists && self.find_table(&alter.name).await?.is_none() {
            let text = format!("relation \"{}\" does not exist, skipping", alter.name.name);
            return Ok((tag(), vec![notice(text)]));
        }
        if let Some(found) = self.find_table(&alter.name).await?
            && found.sequence().is_some()
        {
            if let [AlterAction::Rename(name)] = alter.actions.as_slice() {
                self.rename_sequence(found.id, name).await?;
                return Ok((tag(), Vec::new()));
            }
            let action = alter.actions.first().map_or("", name_of);
            let text =
                format!("ALTER action {action} cannot be performed on relation \"{}\"", found.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, text)
                .detail("This operation is not supported for sequences."));
        }
        let found = self.stored_table(&alter.name).await?;
        let mut notices = Vec::new();
        // Together they are one change.
        self.open.alone &= alter.actions.len() == 1;
        for action in &alter.actions {
            let old = self.begin_change(found.id).await?;
            self.alter(old, action, &mut notices).await?;
        }
        Ok((tag(), notices))
    }

    async fn alter(
        &mut self,
        old: Table,
        action: &AlterAction,
        notices: &mut Vec<Notice>,
    ) -> SqlResult<()> {
        let mut table = (*old).clone();
        match action {
            AlterAction::AddConstraint(constraint) => {
                self.alter_add_constraint(&old, constraint).await
            }
            AlterAction::AddColumn { column, constraints, if_not_exists } => {
                let exists = old.columns.iter().any(|known| known.name == column.name);
                if exists && *if_not_exists {
                    let text = format!(
                        "column \"{}\" of relation \"{}\" already exists, skipping",
                        column.name, old.name
                    );
                    notices.push(notice(text));
                    return Ok(());
                }
                self.alter_add_column(&old, column, constraints).await
            }
            AlterAction::AddIdentity { column, always, options } => {
                self.add_identity(&old, column, *always, options).await
            }
            AlterAction::AlterIdentity { column, changes } => {
                self.alter_identity(&old, column, changes).await
            }
            AlterAction::DropIdentity { column, if_exists } => {
                self.drop_identity(&old, column, *if_exists, notices).await
            }
            AlterAction::DropColumn { name, if_exists, cascade } => {
                if *if_exists && column(&old, name).is_err() {
                    let text = format!("column \"{name}\" does not exist, skipping");
                    notices.push(notice(text));
                    return Ok(());
                }
                let id = column(&old, name)?.id;
                let doomed = Doomed { column: Some((old.clone(), id)), ..Doomed::default() };
                self.drop_column(&old, name).await?;
                notices.extend(self.drop_all(doomed, *cascade).await?);
                Ok(())
            }
            AlterAction::DropConstraint { name, if_exists } => {
                if self.drop_constraint(&old, name).await? {
                    return Ok(());
                }
                let text =
                    format!("constraint \"{name}\" of relation \"{}\" does not exist", old.name);
                if !if_exists {
                    return Err(undefined_object(text));
                }
                notices.push(notice(format!("{text}, skipping")));
                Ok(())
            }
            AlterAction::Rename(name) => {
                self.check_free(&old.schema, name).await?;
                table.name = name.clone();
                self.put_table(&old, table)
            }
            AlterAction::RenameColumn { from, to } => {
                let id = column(&old, from)?.id;
                if old.columns.iter().any(|known| known.name == *to) {
                    let text =
                        format!("column \"{to}\" of relation \"{}\" already exists", old.name);
                    return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, text));
                }
                if let Some(at) = table.position(id) {
                    table.columns[at].name = to.clone();
                }
                self.put_table(&old, table.clone())?;
                self.check_expressions(&table)
                    .await
                    .map_err(|_| SqlError::unsupported("renaming a column that a check refers to"))
            }
            AlterAction::SetDefault { column: name, default } => {
                let id = column(&old, name)?.id;
                check_no_identity(&old, name, default.is_none())?;
                let default = match default {
                    Some(default) => Some(self.kept_default(default).await?),
                    None => None,
                };
                if let Some(at) = table.position(id) {
                    table.columns[at].default = default;
                }
                self.put_table(&old, table.clone())?;
                self.check_expressions(&table).await
            }
            AlterAction::SetNotNull { column: name, not_null } => {
                let id = column(&old, name)?.id;
                if !not_null {
                    check_no_identity(&old, name, false)?;
                }
                let in_key = old
                    .primary()
                    .is_some_and(|index| index.key.iter().any(|(column, _)| *column == id));
                if !not_null && in_key {
                    let text = format!("column \"{name}\" is in a primary key");
                    return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, text));
                }
                if *not_null {
                    self.check_no_nulls(&old, name).await?;
                }
                if let Some(at) = table.position(id) {
                    table.columns[at].not_null = *not_null;
                }
                self.put_table(&old, table)
            }
        }
    }

    pub(super) async fn check_no_nulls(&mut self, table: &Table, name: &str) -> SqlResult<()> {
        let (target, column) = (quoted(table), quote(name));
        let text = format!("select 1 from {target} where {column} is null limit 1");
        if self.query(&text).await?.is_empty() { Ok(()) } else { Err(contains_null(table, name)) }
    }

    /// ADD COLUMN. Rows that are there have the default of now; if every one has its own, it is written to each.
    async fn alter_add_column(
        &mut self,
        old: &Table,
        spec: &ColumnSpec,
        constraints: &[ConstraintSpec],
    ) -> SqlResult<()> {
        if old.columns.iter().any(|known| known.name == spec.name && !known.hidden) {
            let text =
                format!("column \"{}\" of relation \"{}\" already exists", spec.name, old.name);
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, text));
        }
        let mut table = (**old).clone();
        // Nullable until the rows have their values.
        check_spec(&table, spec)?;
        add_column(&mut table, &ColumnSpec { not_null: false, ..spec.clone() })?;
        self.generate(&mut table, spec).await?;
        self.keep_defaults(&mut table).await?;
        let is_generated = !spec.generated.is_empty();
        if let Some(column) = table.columns.last_mut() {
            column.not_null = false;
        }
        self.put_table(old, table.clone())?;
        self.check_expressions(&table).await?;
        let constant = match spec.default.is_some() || is_generated {
            true => self.constant_default(&table).await?,
            false => Some(Datum::Null),
        };
        if let Some(value) = constant {
            if let Some(column) = table.columns.last_mut().filter(|_| !value.is_null()) {
                column.missing = Some(value);
                let old = self.begin_change(old.id).await?;
                self.put_table(&old, table)?;
            }
        } else {
            let (target, column) = (quoted(old), quote(&spec.name));
            self.query(&format!("update {target} set {column} = default")).await?;
        }
        // A constraint of it is part of the same change.
        self.open.alone = false;
        if spec.not_null || is_generated {
            let old = self.begin_change(old.id).await?;
            self.check_no_nulls(&old, &spec.name).await?;
            let mut table = (*old).clone();
            if let Some(column) = table.columns.iter_mut().find(|known| known.name == spec.name) {
                column.not_null = true;
            }
            self.put_table(&old, table)?;
        }
        for constraint in constraints {
            let old = self.begin_change(old.id).await?;
            self.alter_add_constraint(&old, constraint).await?;
        }
        Ok(())
    }

    /// The default of the last column, if it is the same for all rows.
    async fn constant_default(&mut self, table: &TableDescriptor) -> SqlResult<Option<Datum>> {
        let plan = self.bind_text(&format!("insert into {} default values", quoted(table))).await?;
        let Node::Insert(node::Insert { input, .. }) = &plan.root else { return Ok(None) };
        let Node::Values(node::Values { rows, types }) = &**input else { return Ok(None) };
        let row = rows.first().and_then(|row| row.last());
        let (Some(expr), Some(ty)) = (row, types.last()) else { return Ok(None) };
        let is_volatile = expr.any(&mut |part| match part {
            Expr::Call { function, .. } => function.volatility == Volatility::Volatile,
            _ => false,
        });
        if is_volatile {
            return Ok(None);
        }
        let value = self.value_of(expr.clone(), *ty).await?;
        // It becomes part of the descriptor, which every transaction reads.
        Ok(encode_datum(&value).is_ok_and(|bytes| bytes.len() <= MAX_MISSING).then_some(value))
    }

    /// DROP COLUMN. Values stay in the rows, unread: column numbers are never used again.
    async fn drop_column(&mut self, old: &Table, name: &str) -> SqlResult<()> {
        let id = column(old, name)?.id;
        let uses = |index: &sql_catalog::descriptor::IndexDescriptor| {
            index.key.iter().any(|(column, _)| *column == id)
        };
        if old.primary().is_some_and(uses) {
            return Err(SqlError::unsupported("dropping a column of the primary key"));
        }
        let mut before = old.clone();
        for index in old.maintained().filter(|index| uses(index)) {
            self.remove_index(&before, index.id)?;
            before = self.begin_change(old.id).await?;
        }
        let mut table = (*before).clone();
        table.columns.retain(|column| column.id != id);
        self.put_table(&before, table.clone())?;
        self.check_expressions(&table).await.map_err(|_| {
            let text = format!("cannot drop column {name} because a check refers to it");
            SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
        })
    }

    /// DROP CONSTRAINT. False if there is none of this name.
    async fn drop_constraint(&mut self, old: &Table, name: &str) -> SqlResult<bool> {
        let index = old.indexes.iter().find(|index| index.constraint && index.name == name);
        if let Some(index) = index {
            if Some(index) == old.primary() {
                return Err(SqlError::unsupported("dropping a primary key"));
            }
            self.remove_index(old, index.id)?;
            return Ok(true);
        }
        if !old.checks.iter().any(|check| check.name == name) {
            return Ok(false);
        }
        let mut table = (**old).clone();
        table.checks.retain(|check| check.name != name);
        self.put_table(old, table)?;
        Ok(true)
    }

    /// 42P07 under the name of a constraint.
    pub(super) async fn check_constraint_name(&mut self, old: &Table, name: &str) -> SqlResult<()> {
        if self.is_named(&old.schema, name).await? { Err(taken(name)) } else { Ok(()) }
    }
}
