//! What CREATE, ALTER and DROP say.

use sql_values::types::SqlType;

use super::Name;

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Its columns.
    pub columns: Vec<ColumnSpec>,
    /// Its constraints, those written with a column too, in order.
    pub constraints: Vec<ConstraintSpec>,
}

/// A column to be made.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub position: Option<u32>,
    /// Its type.
    pub ty: SqlType,
    /// NOT NULL (also of a primary key written with it).
    pub not_null: bool,
    /// DEFAULT's expression as text that parses again.
    pub default: Option<String>,
}

/// A constraint to be made.
#[derive(Clone, Debug)]
pub struct ConstraintSpec {
    /// Its name, if written.
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintKind,
}

/// What a constraint demands.
#[derive(Clone, Debug)]
pub enum ConstraintKind {
    /// PRIMARY KEY over these columns.
    PrimaryKey(Vec<String>),
    /// UNIQUE over these columns.
    Unique(Vec<String>),
    /// CHECK, with the column it is written with, and its condition as text that parses again.
    Check {
        /// The column, for the constraint's name.
        column: Option<String>,
        /// The condition.
        expr: String,
    },
    /// FOREIGN KEY: kept to be refused or accepted by the catalog.
    ForeignKey {
        /// Columns of this table.
        columns: Vec<String>,
        /// The other table.
        target: Name,
        /// Columns there; empty means its primary key.
        target_columns: Vec<String>,
    },
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// Its name; none lets the catalog choose.
    pub name: Option<String>,
    /// The table.
    pub table: Name,
    /// UNIQUE.
    pub unique: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// CONCURRENTLY.
    pub concurrently: bool,
    /// Columns with direction: true is descending.
    pub columns: Vec<(String, bool)>,
}

/// DROP of tables or indexes.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Which.
    pub names: Vec<Name>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
    /// CONCURRENTLY, of an index: it may be no part of a transaction.
    pub concurrently: bool,
}

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// The table.
    pub name: Name,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What is done, in order.
    pub actions: Vec<AlterAction>,
}

/// A part of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum AlterAction {
    /// ADD [CONSTRAINT name] PRIMARY KEY, UNIQUE, CHECK, FOREIGN KEY.
    AddConstraint(ConstraintSpec),
    /// ADD COLUMN.
    AddColumn {
        /// The column.
        column: ColumnSpec,
        /// Constraints written with it.
        constraints: Vec<ConstraintSpec>,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP COLUMN.
    DropColumn {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// DROP CONSTRAINT.
    DropConstraint {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// RENAME TO.
    Rename(String),
    /// RENAME COLUMN.
    RenameColumn {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// ALTER COLUMN … SET or DROP DEFAULT.
    SetDefault {
        /// The column.
        column: String,
        /// The default as text that parses again.
        default: Option<String>,
    },
    /// ALTER COLUMN … SET or DROP NOT NULL.
    SetNotNull {
        /// The column.
        column: String,
        /// SET.
        not_null: bool,
    },
}
