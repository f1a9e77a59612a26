//! What a row must satisfy, and what is said when it does not.

use sql_catalog::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use sql_plan::Expr;
use sql_values::error::{ErrorObject, SqlError, SqlResult, SqlState};
use sql_values::types::Datum;

use crate::context::Run;
use crate::eval::{output, truth};

/// Bytes of a value that an error shows.
const SHOWN_BYTES: usize = 64;

impl Run<'_> {
    /// NOT NULL and CHECK, over a row about to be written.
    pub(super) async fn check(
        &mut self,
        table: &TableDescriptor,
        row: &[Datum],
        checks: &[(String, Expr)],
    ) -> SqlResult<()> {
        for (column, value) in table.columns.iter().zip(row) {
            if column.not_null && value.is_null() {
                let (name, table_name) = (&column.name, &table.name);
                let message = format!(
                    "null value in column \"{name}\" of relation \"{table_name}\" violates not-null constraint"
                );
                let mut object = object(table);
                object.column = Some(name.clone());
                return Err(SqlError::new(SqlState::NOT_NULL_VIOLATION, message)
                    .detail(self.failing(table, row)?)
                    .about(object));
            }
        }
        for (name, check) in checks {
            // NULL satisfies a check.
            if truth(&self.eval(check, row).await?)? == Some(false) {
                let table_name = &table.name;
                let message = format!(
                    "new row for relation \"{table_name}\" violates check constraint \"{name}\""
                );
                let mut object = object(table);
                object.constraint = Some(name.clone());
                return Err(SqlError::new(SqlState::CHECK_VIOLATION, message)
                    .detail(self.failing(table, row)?)
                    .about(object));
            }
        }
        Ok(())
    }

    fn failing(&self, table: &TableDescriptor, row: &[Datum]) -> SqlResult<String> {
        let mut shown = Vec::new();
        for (column, value) in table.columns.iter().zip(row) {
            if column.hidden {
                continue;
            }
            if value.is_null() {
                shown.push("null".to_owned());
                continue;
            }
            let mut text = output(self.ctx, value, column.ty)?;
            if text.len() > SHOWN_BYTES {
                text.truncate(text.floor_char_boundary(SHOWN_BYTES));
                text.push_str("...");
            }
            shown.push(text);
        }
        Ok(format!("Failing row contains ({}).", shown.join(", ")))
    }

    /// A key of a unique index is there already.
    pub(super) fn duplicate(
        &self,
        table: &TableDescriptor,
        index: &IndexDescriptor,
        row: &[Datum],
    ) -> SqlError {
        let show = |(id, _): &(ColumnId, bool)| {
            let at = table.position(*id)?;
            let column = &table.columns[at];
            let value = output(self.ctx, row.get(at)?, column.ty).ok()?;
            Some((column.name.clone(), value))
        };
        let shown: Option<(Vec<_>, Vec<_>)> = index.key.iter().map(show).collect();
        let mut object = object(table);
        object.constraint = Some(index.name.clone());
        let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
        let mut error = SqlError::new(SqlState::UNIQUE_VIOLATION, message).about(object);
        if let Some((names, values)) = shown {
            let (names, values) = (names.join(", "), values.join(", "));
            error = error.detail(format!("Key ({names})=({values}) already exists."));
        }
        error
    }
}

fn object(table: &TableDescriptor) -> ErrorObject {
    ErrorObject {
        schema: Some(table.schema.clone()),
        table: Some(table.name.clone()),
        ..ErrorObject::default()
    }
}
