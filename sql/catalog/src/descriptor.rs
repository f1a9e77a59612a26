//! Descriptors: plain data, persisted as protobuf by the catalog's store.

use sql_values::types::{Datum, SqlType};

/// A table's id, which is also its `oid` in `pg_class`. User tables begin at 16384 like PostgreSQL's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// An index's number within its table. 1 is the primary index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// A column's number within its table (`attnum`): from 1, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u16);

/// The primary index's number.
pub const PRIMARY_INDEX: IndexId = IndexId(1);

/// Where a table's rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Keys and values.
    Stored,
    /// Made from the catalog when read (`pg_catalog`, `information_schema`).
    Virtual,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDescriptor {
    /// Its id, never reused.
    pub id: TableId,
    /// Grows with every change.
    pub version: u64,
    /// The schema's name.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// Where its rows come from.
    pub kind: TableKind,
    /// Columns in order of their numbers; dropped ones are gone, their numbers stay free.
    pub columns: Vec<ColumnDescriptor>,
    /// Indexes, the primary one first. A stored table always has one; without a declared primary key it is over a
    /// hidden column.
    pub indexes: Vec<IndexDescriptor>,
    /// Indexes that writers maintain while their entries are being made, and nobody reads (`build`).
    pub building: Vec<IndexDescriptor>,
    /// Checks.
    pub checks: Vec<CheckDescriptor>,
    /// Next column number.
    pub next_column: u16,
    /// Next index number.
    pub next_index: u32,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDescriptor {
    /// Its number.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// Takes no NULL.
    pub not_null: bool,
    /// The default's expression as text that parses and binds again; none means NULL.
    pub default: Option<String>,
    /// What rows have that were written before the column was added; none means NULL.
    pub missing: Option<Datum>,
    /// Not in `*` (the hidden primary key).
    pub hidden: bool,
}

/// An index: the rows' key in some order.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDescriptor {
    /// Its number.
    pub id: IndexId,
    /// Its oid in `pg_class`.
    pub oid: u32,
    /// Its name; the primary key's and unique constraints' too.
    pub name: String,
    /// No two rows with equal, non-NULL keys.
    pub unique: bool,
    /// Was declared as a constraint (PRIMARY KEY, UNIQUE), not by CREATE INDEX.
    pub constraint: bool,
    /// Key columns with direction: true is descending. Primary keys are ascending.
    pub key: Vec<(ColumnId, bool)>,
}

/// A check constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDescriptor {
    /// Its name.
    pub name: String,
    /// The condition as text that parses and binds again.
    pub expr: String,
}

impl TableDescriptor {
    /// The position of a column in `columns`.
    pub fn position(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|column| column.id == id)
    }

    /// The primary index. Virtual tables have none.
    pub fn primary(&self) -> Option<&IndexDescriptor> {
        self.indexes.first()
    }

    /// The indexes that a row has entries in, the primary one first.
    pub fn maintained(&self) -> impl Iterator<Item = &IndexDescriptor> + Clone {
        self.indexes.iter().chain(&self.building)
    }

    /// The index with this number.
    pub fn index(&self, id: IndexId) -> Option<&IndexDescriptor> {
        self.indexes.iter().find(|index| index.id == id)
    }
}

/// What may have a name in a schema: they share their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// An index of a table.
    Index,
}

impl ObjectKind {
    /// What it is called, with its article.
    pub fn noun(self) -> &'static str {
        match self {
            ObjectKind::Table => "a table",
            ObjectKind::Index => "an index",
        }
    }

    /// The word that DROP has for it.
    pub fn keyword(self) -> &'static str {
        match self {
            ObjectKind::Table => "TABLE",
            ObjectKind::Index => "INDEX",
        }
    }
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its oid.
    pub oid: u32,
    /// The table that it is, or that it belongs to.
    pub table: TableId,
}
