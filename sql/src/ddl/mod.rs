//! Changes of the schema: CREATE, DROP, ALTER, TRUNCATE. Each is an `impl Run`, in a file; which there are,
//! [`sql_parse::changes`] lists: one that nobody runs does not compile.
//!
//! A change is part of its transaction: it is visible there at once, and gone if that is rolled back. What is dropped is
//! deleted behind the commit, in the background (`catalog::debris`); a column that is added with a constant default
//! touches no row; an index of a table with many rows is built while others write (`catalog::build`), if CREATE INDEX or
//! ADD UNIQUE is a statement by itself. In a block an index gets its entries in the block's transaction. This, a default
//! that differs from row to row and a new primary key are bounded by what a transaction may write: beyond, 54000.
//!
//! - D1. A table that this transaction did not create is changed only behind its closed gate (`catalog::lease`).
//! - D2. Rows are read after the gate, so none that was written by the old descriptor is missed.
//! - D3. Every expression that goes into a descriptor has been bound against the table that it is for.

mod alter;
mod alter_table;
mod create;
mod depend;
mod drop;
mod generated;
mod index;
mod rows;
mod sequence;

use std::sync::Arc;

use sql_catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use sql_exec::sink::Notice;
use sql_parse::Change;
use sql_values::error::{ErrorObject, SqlError, SqlResult, SqlState};

use crate::catalog::store::TxnCatalog;
use crate::work::Work;
pub(crate) use rows::duplicated;

/// Columns of a table.
const MAX_COLUMNS: usize = 1_600;
/// Longest name, in bytes.
const MAX_NAME: usize = 63;

/// What a change reports: the tag and the notices.
pub(crate) type Done = (String, Vec<Notice>);

/// A change of the schema.
trait Run {
    /// What it is called: in errors, and what a client is told when it is done.
    const NAME: &str;

    /// Runs it. The session may write.
    async fn run(&self, work: &mut Work<'_>) -> SqlResult<Done>;

    /// It is no part of a transaction of several statements: then by what name.
    fn runs_alone(&self) -> Option<&'static str> {
        None
    }
}

macro_rules! dispatch {
    ($($statement:ident: $word:literal;)*) => {
        /// Runs a change of the schema.
        pub(crate) async fn run(mut work: Work<'_>, change: &Change) -> SqlResult<Done> {
            match change {
                $(Change::$statement(statement) => {
                    work.check_not_read_only(name_of(statement))?;
                    statement.run(&mut work).await
                })*
            }
        }

        /// See [`Run::runs_alone`].
        pub(crate) fn runs_alone(change: &Change) -> Option<&'static str> {
            match change { $(Change::$statement(statement) => statement.runs_alone(),)* }
        }
    };
}

sql_parse::changes!(dispatch);

fn name_of<R: Run>(_: &R) -> &'static str {
    R::NAME
}

impl Work<'_> {
    /// The next version of a table becomes what this transaction sees.
    fn put_table(&mut self, old: &TableDescriptor, new: TableDescriptor) -> SqlResult<()> {
        self.open.catalog.update(&mut self.open.txn, old, new)
    }

    /// Defaults and checks mean something (D3).
    async fn check_expressions(&mut self, table: &TableDescriptor) -> SqlResult<()> {
        let target = quoted(table);
        self.bind_only(&format!("insert into {target} default values")).await
    }

    /// A name for an index or constraint that nothing has yet: `table_column_suffix`, then with numbers.
    async fn free_name(
        &mut self,
        table: &TableDescriptor,
        columns: &[&str],
        suffix: &str,
        taken: &[String],
    ) -> SqlResult<String> {
        let mut base = table.name.clone();
        for column in columns {
            base.push('_');
            base.push_str(column);
        }
        for number in 0..1_000 {
            let suffix = match number {
                0 => format!("_{suffix}"),
                number => format!("_{suffix}{number}"),
            };
            let mut end = base.len().min(MAX_NAME - suffix.len());
            while !base.is_char_boundary(end) {
                end -= 1;
            }
            let name = format!("{}{suffix}", &base[..end]);
            if !taken.contains(&name) && !self.is_named(&table.schema, &name).await? {
                return Ok(name);
            }
        }
        Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "no name is left for an index"))
    }

    async fn is_named(&mut self, schema: &str, name: &str) -> SqlResult<bool> {
        let found = TxnCatalog::object(&self.open.catalog, &mut self.open.txn, schema, name);
        Ok(found.await?.is_some())
    }

    /// 42P07 if a table or index has this name.
    async fn check_free(&mut self, schema: &str, name: &str) -> SqlResult<()> {
        if self.is_named(schema, name).await? { Err(taken(name)) } else { Ok(()) }
    }
}

fn taken(name: &str) -> SqlError {
    let text = format!("relation \"{name}\" already exists");
    SqlError::new(SqlState::DUPLICATE_TABLE, text)
}

fn notice(text: String) -> Notice {
    SqlError::new(SqlState::SUCCESSFUL_COMPLETION, text)
}

/// A table's name as SQL.
fn quoted(table: &TableDescriptor) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.name))
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn about(table: &TableDescriptor, column: Option<&str>, constraint: Option<&str>) -> ErrorObject {
    ErrorObject {
        schema: Some(table.schema.clone()),
        table: Some(table.name.clone()),
        column: column.map(str::to_owned),
        constraint: constraint.map(str::to_owned),
        ..ErrorObject::default()
    }
}

/// The visible column of this name, or 42703.
fn column<'t>(table: &'t TableDescriptor, name: &str) -> SqlResult<&'t ColumnDescriptor> {
    let found = table.columns.iter().find(|column| column.name == name && !column.hidden);
    found.ok_or_else(|| {
        let text = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        SqlError::new(SqlState::UNDEFINED_COLUMN, text)
    })
}

fn undefined_object(text: String) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, text)
}

/// A table's present descriptor, which a change builds upon.
type Table = Arc<TableDescriptor>;
