//! Statements as the session sees them: queries as syntax trees for the binder, all others with typed fields whose
//! names are still text. Unquoted identifiers are folded to lower case and cut at 63 bytes.

use std::sync::Arc;

use sqlparser::ast;

use super::place::Places;
use crate::types::SqlType;

/// A statement with its own text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The statement's text, without surrounding blanks and the semicolon: the plan cache's key.
    pub text: String,
    /// What it says.
    pub statement: Statement,
}

/// A possibly schema-qualified name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The schema, if written.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// Where it stands, in characters from 1.
    pub position: Option<u32>,
}

/// What a statement says.
#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE: goes to the binder.
    Query(Box<Query>),
    /// EXPLAIN of a query.
    Explain {
        /// Run it too.
        analyze: bool,
        /// More detail.
        verbose: bool,
        /// The query.
        query: Box<Query>,
    },
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// CREATE INDEX.
    CreateIndex(CreateIndex),
    /// DROP TABLE.
    DropTable(Drop),
    /// DROP INDEX.
    DropIndex(Drop),
    /// ALTER TABLE.
    AlterTable(AlterTable),
    /// TRUNCATE.
    Truncate {
        /// The tables.
        tables: Vec<Name>,
        /// And those that refer to them.
        cascade: bool,
    },
    /// VACUUM, with or without ANALYZE; no tables means all.
    Vacuum {
        /// Gather statistics too.
        analyze: bool,
        /// The tables.
        tables: Vec<Name>,
    },
    /// ANALYZE; no tables means all.
    Analyze {
        /// The tables.
        tables: Vec<Name>,
    },
    /// COPY.
    Copy(Copy),
    /// BEGIN, START TRANSACTION.
    Begin(TransactionModes),
    /// SET TRANSACTION, or with `session` SET SESSION CHARACTERISTICS AS TRANSACTION.
    SetTransaction {
        /// For all transactions to come.
        session: bool,
        /// What is set.
        modes: TransactionModes,
    },
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE SAVEPOINT.
    Release(String),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(String),
    /// SET.
    Set {
        /// The setting, in lower case (`timezone`, `app.user`).
        name: String,
        /// To what.
        value: SetValue,
        /// Until the transaction's end.
        local: bool,
    },
    /// SHOW; `all` is SHOW ALL.
    Show(String),
    /// RESET; none is RESET ALL.
    Reset(Option<String>),
    /// PREPARE.
    Prepare {
        /// Its name.
        name: String,
        /// Declared parameter types.
        types: Vec<SqlType>,
        /// The statement.
        statement: Box<Parsed>,
    },
    /// EXECUTE.
    Execute {
        /// The prepared statement.
        name: String,
        /// Values of the parameters: expressions for the binder.
        arguments: Vec<Expression>,
    },
    /// DEALLOCATE; none is all.
    Deallocate(Option<String>),
    /// DISCARD.
    Discard(DiscardKind),
    /// DECLARE CURSOR.
    DeclareCursor {
        /// Its name.
        name: String,
        /// WITH HOLD: outlives the transaction.
        hold: bool,
        /// May go backward: SCROLL (true), NO SCROLL (false), or not said.
        scroll: Option<bool>,
        /// BINARY.
        binary: bool,
        /// The query, with its own text.
        query: Box<Parsed>,
    },
    /// FETCH, MOVE.
    Fetch {
        /// The cursor.
        name: String,
        /// Which rows.
        direction: FetchDirection,
        /// Only moves.
        only_move: bool,
    },
    /// CLOSE; none is all.
    Close(Option<String>),
    /// LOCK TABLE.
    LockTable {
        /// The tables.
        tables: Vec<Name>,
        /// The mode, in upper case (`ACCESS SHARE`).
        mode: String,
        /// NOWAIT.
        nowait: bool,
    },
    /// LISTEN.
    Listen(String),
    /// UNLISTEN; none is all.
    Unlisten(Option<String>),
    /// NOTIFY.
    Notify {
        /// The channel.
        channel: String,
        /// The payload.
        payload: String,
    },
    /// DO nothing but check: a statement that exists in PostgreSQL and not here, by name.
    Unsupported(String),
}

/// Which kind of query, for command tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

/// A query's syntax tree with the places of its tokens.
#[derive(Clone, Debug)]
pub struct Query {
    /// What it is on the outside.
    pub kind: QueryKind,
    pub(crate) ast: ast::Statement,
    pub(crate) places: Arc<Places>,
}

/// An expression's syntax tree with the places of its tokens.
#[derive(Clone, Debug)]
pub struct Expression {
    pub(crate) ast: ast::Expr,
    pub(crate) places: Arc<Places>,
}

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

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub source: CopySource,
    /// FROM STDIN instead of TO STDOUT.
    pub from: bool,
    /// Its options.
    pub options: CopyOptions,
}

/// What COPY copies.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A table's columns; none means all.
    Table {
        /// The table.
        name: Name,
        /// Its columns.
        columns: Vec<String>,
    },
    /// A query's rows.
    Query(Box<Query>),
}

/// COPY's options, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// `text`, `csv` or `binary`; none is text.
    pub format: Option<String>,
    /// DELIMITER.
    pub delimiter: Option<String>,
    /// NULL.
    pub null: Option<String>,
    /// HEADER.
    pub header: bool,
    /// QUOTE.
    pub quote: Option<String>,
    /// ESCAPE.
    pub escape: Option<String>,
    /// ENCODING.
    pub encoding: Option<String>,
    /// FREEZE: accepted, and means nothing here.
    pub freeze: bool,
}

/// Modes of a transaction; none is the session's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY.
    pub read_only: Option<bool>,
    /// DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// An isolation level as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// What SET sets to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// Values as text; a list is what was separated by commas.
    Values(Vec<String>),
}

/// What DISCARD forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardKind {
    /// ALL.
    All,
    /// PLANS.
    Plans,
    /// SEQUENCES.
    Sequences,
    /// TEMP.
    Temp,
}

/// Which rows FETCH gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// So many forward; negative is backward, zero is the present row.
    Relative(i64),
    /// All forward.
    All,
    /// All backward.
    BackwardAll,
    /// The row with this number; negative counts from the end (FIRST is 1, LAST is -1).
    Absolute(i64),
    /// The row so far from here.
    RelativeRow(i64),
}
